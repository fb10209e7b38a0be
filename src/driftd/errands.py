"""What other threads have the loop's thread do, between two turns; and how reading the settings anew went."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, TypeVar

from driftd.core.fault import UserError

T = TypeVar("T")
PATIENCE_S: Final = 60.0


@dataclass(slots=True)
class Reloads:
    """How reading the settings anew went. Written by whoever reloads."""

    ok: bool = True
    failed: int = 0
    at: float | None = None

    def refused(self) -> None:
        self.ok, self.failed = False, self.failed + 1

    def done(self, at: float) -> None:
        self.ok, self.at = True, at


class Errands:
    """`ask` is for other threads, `run` for the loop's."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def ask(self, errand: Callable[[], T]) -> T:
        """Have it done at the loop's next turn; what came of it. Raises UserError where the loop does not turn."""
        answer: Future[T] = Future()

        def run() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(errand())
            except BaseException as fault:  # noqa: BLE001 - it is raised where it was asked for
                answer.set_exception(fault)

        self._asked.put(run)
        try:
            return answer.result(PATIENCE_S)
        except TimeoutError:
            if not answer.cancel():  # it has begun
                return answer.result()
            raise UserError(f"the loop has not turned for {PATIENCE_S:.0f} s", "look at /livez", exit_code=1) from None

    def run(self) -> None:
        while not self._asked.empty():
            self._asked.get()()
