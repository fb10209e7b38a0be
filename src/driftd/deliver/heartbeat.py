"""The message that says "I am well": its absence is the alarm.

A dead-man's switch elsewhere expects `driftd.heartbeat` every so often and calls somebody when none came. So it must be
silent whenever driftd does not do its work: it is sent only while the loop turns, and it says itself what is unready.
It does not pass through the outbox: a heartbeat that comes late is a lie.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from driftd.core.action import Delivery, rfc3339, stable_id
from driftd.core.view import Runtime
from driftd.deliver.receiver import Receiver, Sent

_log = structlog.get_logger(__name__)

HEARTBEAT_TYPE: Final = "driftd.heartbeat"
TURNS_MISSED: Final = 3
"""A loop whose last turn is older than this many intervals is taken to hang."""


class Heartbeat:
    """A thread of its own with a receiver of its own (not one that a Sender uses)."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        group: str,
        every_s: float,
        runtime: Callable[[], Runtime],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`runtime` gives what is known now and returns at once. `clock`: Unix time in seconds, the one by which the
        loop stamps `Runtime.heartbeat`.
        """
        self._receiver = receiver
        self._group = group
        self._every_s = every_s
        self._runtime = runtime
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float) -> bool:
        """Waits so many seconds for a message under way. False: it still is; that does not keep the process alive."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def message(self) -> Delivery | None:
        """What would be sent now; None while the loop does not turn."""
        runtime = self._runtime()
        now = self._clock()
        # A turn in the future says that the clock was set back: until the next turn nothing is known.
        if runtime.heartbeat is None or not -self._every_s <= now - runtime.heartbeat <= TURNS_MISSED * self._every_s:
            return None
        timestamp = int(now * 1000)
        name = stable_id("heartbeat", self._group, timestamp)
        lags = list(runtime.lag.values())
        known = [lag for lag in lags if lag is not None]
        document = {
            "type": HEARTBEAT_TYPE,
            "id": name,
            "timestamp": rfc3339(timestamp),
            "data": {
                "group": self._group,
                "unready": list(runtime.unready),
                "partitions": len(lags),
                "lag_records": sum(known) if lags and len(known) == len(lags) else None,
                "last_commit": None if runtime.last_commit is None else rfc3339(int(runtime.last_commit * 1000)),
            },
        }
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return Delivery(0, self._receiver.name, name, HEARTBEAT_TYPE, body.encode(), timestamp)

    def _run(self) -> None:
        try:
            next_beat = time.monotonic()
            while not self._stopped.wait(max(0.0, next_beat - time.monotonic())):
                self._beat()
                # After a slow one the missed beats are left out.
                next_beat = max(next_beat + self._every_s, time.monotonic())
        finally:
            self._receiver.close()

    def _beat(self) -> None:
        try:
            message = self.message()
            if message is None:
                _log.warning("heartbeat_withheld", reason="the loop does not turn")
                return
            outcome = self._receiver.send(message)
        except Exception as error:  # noqa: BLE001 - the next beat is tried in any case
            _log.error("heartbeat_failed", receiver=self._receiver.name, error=type(error).__name__)
            return
        if not isinstance(outcome, Sent):
            _log.warning("heartbeat_failed", receiver=self._receiver.name, error=outcome.error)
