"""Carries deliveries from the outbox to the receivers: one thread each, so that none waits for another.

The rule this file keeps: a delivery leaves the outbox only after the receiver has said yes, or after it was given up
and set aside as dead. Everything between (a crash, a kill, an error of the store) means that it is sent again, with
the same id and the same bytes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from driftd.core.action import Delivery
from driftd.core.view import ReceiverView
from driftd.deliver.backoff import Backoff
from driftd.deliver.receiver import Dead, Outcome, Receiver, Refused, Retry, Sent, Tending

_log = structlog.get_logger(__name__)

AT_ONCE: Final = 16
"""Deliveries taken from the outbox in one look."""
REFUSALS: Final = 5
"""Tries for what a receiver refuses (see `Refused`)."""
LONGEST_REST_S: Final = 30.0
"""A receiver that fails is tried with something at least this often, unless it asks for more rest itself."""
OUTAGE_S: Final = 3_600.0
"""A receiver that has failed for so long takes with it what is too old, also what was not tried: see `Patience`."""


class Queue(Protocol):
    """The outbox, as far as it is needed here. Any thread may call."""

    def due(self, receiver: str, now: float, limit: int) -> list[Delivery]: ...
    def sent(self, number: int) -> None: ...
    def failed(self, number: int, not_before: float, error: str) -> None: ...
    def dead(self, number: int, error: str) -> None: ...
    def expire(self, receiver: str, queued_before: float, *, untried: bool) -> int: ...
    def abandon(self, receivers: Collection[str], error: str) -> int: ...
    def depth(self) -> dict[str, tuple[int, int]]: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to try and when to give up; seconds.

    `poll_s`: how soon something is noticed that another process revived. A delivery older than `give_up_after_s` is
    tried once more and then set aside; when the receiver has been out for an hour as well, all that is too old is set
    aside, so that a receiver that never comes back cannot fill the outbox and so stop the reading.
    """

    backoff: Backoff = field(default_factory=Backoff)
    refused: Backoff = field(default_factory=lambda: Backoff(first_s=30.0))
    give_up_after_s: float = 86_400.0
    poll_s: float = 1.0


class Sender:
    """Starts with `start`, is told of each commit with `wake`, ends with `close`."""

    def __init__(
        self,
        queue: Queue,
        receivers: Sequence[Receiver],
        *,
        clock: Callable[[], float] = time.time,
        patience: Patience | None = None,
    ) -> None:
        """`clock`: Unix time in seconds, for what is kept in the outbox."""
        self._queue = queue
        self._couriers = [_Courier(queue, each, clock, patience or Patience()) for each in receivers]

    def start(self) -> None:
        names = {courier.receiver.name for courier in self._couriers}
        abandoned = self._queue.abandon(names, "the receiver is not in the settings any more")
        if abandoned:
            _log.warning("deliveries_abandoned", count=abandoned, reason="receivers no longer in the settings")
        for courier in self._couriers:
            courier.start()

    def wake(self) -> None:
        """Something may have been queued. Returns at once."""
        for courier in self._couriers:
            courier.wake()

    def views(self) -> tuple[ReceiverView, ...]:
        depth = self._queue.depth()
        return tuple(
            ReceiverView(it.receiver.name, *depth.get(it.receiver.name, (0, 0)), sent=it.sent, failed=it.failed)
            for it in self._couriers
        )

    def close(self, timeout: float) -> bool:
        """Begins nothing new and waits so many seconds for attempts under way. False: some thread is still in one.

        Such a thread does not keep the process alive. Only when all have ended may the outbox be closed.
        """
        for courier in self._couriers:
            courier.stop()
        end = time.monotonic() + timeout
        for courier in self._couriers:
            if courier.is_alive():
                courier.join(max(0.0, end - time.monotonic()))
        return not any(courier.is_alive() for courier in self._couriers)


class _Courier(threading.Thread):
    """One receiver's thread. `sent` and `failed` (attempts) are written by it alone."""

    def __init__(self, queue: Queue, receiver: Receiver, clock: Callable[[], float], patience: Patience) -> None:
        super().__init__(name=f"deliver-{receiver.name}", daemon=True)
        self.receiver = receiver
        self.sent = 0
        self.failed = 0
        self._queue = queue
        self._clock = clock
        self._patience = patience
        self._awake = threading.Event()
        self._closing = False
        self._failures = 0  # in a row, whatever the delivery
        self._out_since: float | None = None
        self._rest_until = 0.0
        self._refusals: dict[int, int] = {}

    def wake(self) -> None:
        self._awake.set()

    def stop(self) -> None:
        self._closing = True
        self._awake.set()

    def run(self) -> None:
        try:
            while not self._closing:
                self._awake.clear()
                try:
                    wait = self._round()
                except Exception as error:  # noqa: BLE001 - a full disk must not end deliveries until a restart
                    _log.error("outbox_failed", receiver=self.receiver.name, error=str(error))
                    wait = self._rest(None)
                if not self._closing:
                    self._awake.wait(wait)
        finally:
            self.receiver.close()

    def _round(self) -> float:
        """Sends what is due, up to the first failure. Returns after how many seconds to look again."""
        rest = self._rest_until - time.monotonic()
        if rest > 0:
            return rest
        due = self._queue.due(self.receiver.name, self._clock(), AT_ONCE)
        for delivery in due:
            if self._closing:
                return 0.0
            outcome = self._attempt(delivery)
            self._record(delivery, outcome)
            if isinstance(outcome, (Retry, Refused)):
                return self._rest(outcome.after_s if isinstance(outcome, Retry) else None)
            self._failures = 0
            self._out_since = None
        return self._tend() or (0.0 if due else self._patience.poll_s)

    def _tend(self) -> float:
        """Let the receiver tell again what it keeps telling. Returns how long to rest after a failure, else 0."""
        if self._closing or not isinstance(self.receiver, Tending):
            return 0.0
        try:
            outcome = self.receiver.tend()
        except Exception as error:  # noqa: BLE001 - as in an attempt
            outcome = Retry(f"fault of the receiver's code: {type(error).__name__}")
        if outcome is None or isinstance(outcome, Sent):
            return 0.0
        self.failed += 1
        _log.warning("receiver_not_tended", receiver=self.receiver.name, error=outcome.error)
        return self._rest(outcome.after_s if isinstance(outcome, Retry) else None)

    def _attempt(self, delivery: Delivery) -> Outcome:
        try:
            return self.receiver.send(delivery)
        except Exception as error:  # noqa: BLE001 - a fault of one receiver's code must not end its deliveries
            return Retry(f"fault of the receiver's code: {type(error).__name__}")

    def _record(self, delivery: Delivery, outcome: Outcome) -> None:
        log = _log.bind(receiver=self.receiver.name, id=delivery.id, type=delivery.type, attempt=delivery.attempts + 1)
        if isinstance(outcome, Sent):
            self.sent += 1
            self._refusals.pop(delivery.number, None)
            self._queue.sent(delivery.number)
            log.info("delivery_sent", status=outcome.status)
            return
        self.failed += 1
        reason = f"{outcome.error}: {outcome.answer}" if outcome.answer else outcome.error
        if isinstance(outcome, Refused):
            self._refusals[delivery.number] = self._refusals.get(delivery.number, 0) + 1
        refusals = self._refusals.get(delivery.number, 0)
        if isinstance(outcome, Dead) or (isinstance(outcome, Refused) and refusals >= REFUSALS):
            self._refusals.pop(delivery.number, None)
            self._queue.dead(delivery.number, reason)
            log.error("delivery_dead", error=outcome.error)
            return
        wait = self._wait_for(delivery, outcome, refusals)
        self._queue.failed(delivery.number, self._clock() + wait, reason)
        log.warning("delivery_failed", error=outcome.error, retry_in_s=round(wait, 1))
        self._give_up_what_is_too_old()

    def _wait_for(self, delivery: Delivery, outcome: Retry | Refused, refusals: int) -> float:
        if isinstance(outcome, Refused):
            return self._patience.refused.delay_s(refusals)
        if outcome.after_s is not None:
            return outcome.after_s
        return self._patience.backoff.delay_s(delivery.attempts + 1)

    def _rest(self, asked_s: float | None) -> float:
        """After a failure the receiver as a whole is left alone: what ails it seldom ails one delivery only. Then the
        next one is tried, so that one delivery on which it chokes does not hold up the others.
        """
        now = time.monotonic()
        self._failures += 1
        if self._out_since is None:
            self._out_since = now
        own = min(LONGEST_REST_S, self._patience.backoff.delay_s(self._failures))
        rest = max(asked_s or 0.0, own)
        self._rest_until = now + rest
        return rest

    def _give_up_what_is_too_old(self) -> None:
        """After a failure; see `Patience`."""
        limit = self._patience.give_up_after_s
        out_s = 0.0 if self._out_since is None else time.monotonic() - self._out_since
        count = self._queue.expire(self.receiver.name, self._clock() - limit, untried=out_s >= min(limit, OUTAGE_S))
        if count:
            _log.error("deliveries_given_up", receiver=self.receiver.name, count=count, after_s=limit)
