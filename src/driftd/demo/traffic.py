"""The models at work: a thread that serves their streams at the pace of an event time that runs fast."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from driftd.demo.broker import Broker
from driftd.demo.plan import PERIOD, Plan
from driftd.demo.stream import Serving

_STEP_S = 0.05


class Traffic(threading.Thread):
    """`sent`: events of each model so far. `ended`: Unix time at which the plan's last event was sent, if it was."""

    def __init__(self, broker: Broker, models: Sequence[Serving], plan: Plan, start: int) -> None:
        super().__init__(name="demo-traffic", daemon=True)
        self.broker, self.models, self.plan = broker, models, plan
        self.begins = start
        self.drift_at = plan.drift_at(start)
        self.sent = 0
        self.ended: float | None = None
        self.error: BaseException | None = None
        self._before: float | None = None
        self._halt = threading.Event()
        self._slow = threading.Event()

    @property
    def event_time(self) -> int:
        return self.begins + self.sent * PERIOD

    @property
    def accuracy(self) -> tuple[float, float] | None:
        """Of the first model, before the drift and since; None until it has drifted."""
        before = self._before
        return None if before is None else (before, self.models[0].accuracy)

    def run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - the main thread tells it
            self.error = error

    def _serve(self) -> None:
        for model in self.models:
            model.forget_accuracy()  # of the training period
        last = (self.drift_at + self.plan.patience - self.begins) // PERIOD
        began, first, slow = time.monotonic(), 0, False
        while not self._halt.is_set():
            if self._slow.is_set() and not slow:
                began, first, slow = time.monotonic(), self.sent, True
            speed = 1.0 if slow else self.plan.speed
            due = first + int((time.monotonic() - began) * 1000 * speed / PERIOD)
            due = due if slow else min(due, last)
            while self.sent < due and not self._halt.is_set():
                self._send_one()
            if self.sent >= last and self.ended is None:
                self.broker.delivered()
                self.ended = time.time()
            self._halt.wait(_STEP_S)

    def _send_one(self) -> None:
        if self.sent == self.plan.calm:
            self._before = self.models[0].accuracy
            self.models[0].forget_accuracy()
        now = self.event_time
        for model in self.models:
            self.broker.send(model.serve(now), self.sent % self.broker.partitions, now)
        self.sent += 1

    def slow_down(self) -> None:
        """From now on an event second takes a second."""
        self._slow.set()

    def close(self) -> None:
        self._halt.set()
        self.join()
