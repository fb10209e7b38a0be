"""The schemas of ids that records name, fetched once each, in a thread of their own.

An id's schema never changes, so what is known here is only remembered: it changes no answer, only when there is one. A
block is decoded when all its ids are known; until then reading waits, and polling, pages and signals do not. That an id
is unknown to the registry is remembered for a minute.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import structlog

from driftd.core.fault import UserError
from driftd.kafka.framed import unframed
from driftd.kafka.mapping import FRAMED, Read, Reads
from driftd.kafka.reasons import Reason, Refused
from driftd.kafka.registry import Registry, Schema, Unavailable

_log = structlog.get_logger(__name__)

MOST_SCHEMAS: Final = 1_000
"""So many are remembered; or those of the block at hand, where these are more."""
UNKNOWN_S: Final = 60.0
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
SLOW_S: Final = 10.0
"""A question that is open for longer is told, even where the time-out of the settings is longer still."""
PATIENCE_S: Final = 20.0
"""How long a command that is waited for asks again."""


@dataclass(frozen=True, slots=True)
class RegistryState:
    """`problem`: why the registry did not answer when it was last asked; empty if it did, or was not `asked` yet."""

    problem: str
    asked: bool
    failures: int


class Schemas:
    """`ready` and what follows from it belong to the thread that decodes; one more asks the registry."""

    def __init__(self, registry: Registry, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.registry = registry
        self._monotonic = monotonic
        self._known: dict[int, tuple[Schema | Refused, float]] = {}
        """With the time until which it is believed; least used first."""
        self._wanted: dict[int, None] = {}
        self._changed = threading.Condition()
        self._problem: Unavailable | None = None
        self._failures = 0
        self._asked = False
        self._open_since: float | None = None
        self._closed = False
        self._settled = True
        """Whether all that was asked for last is known."""
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> RegistryState:
        with self._changed:
            problem = self._problem.problem if self._problem is not None else ""
            if not problem and self._open_since is not None and self._monotonic() - self._open_since > SLOW_S:
                problem = f"the schema registry at {self.registry.config.where} has not answered yet"
            return RegistryState(problem, self._asked or bool(problem), self._failures)

    def ready(self, numbers: Collection[int]) -> bool:
        """Whether all these are known; those that are not are asked for. They stay known until it is called again."""
        now = self._monotonic()
        with self._changed:
            if self._settled:  # not while others of a block are asked for: what is known of it would never be all
                for number in [n for n in numbers if n in self._known and self._known[n][1] < now]:
                    del self._known[number]
            missing = [n for n in numbers if n not in self._known]
            self._settled = not missing
            if missing:
                self._wanted.update(dict.fromkeys(missing))
                self._changed.notify_all()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="schemas", daemon=True)
                    self._thread.start()
                return False
            for number in numbers:
                self._known[number] = self._known.pop(number)
            for number in list(self._known)[: max(0, len(self._known) - max(MOST_SCHEMAS, len(numbers)))]:
                del self._known[number]
            return True

    def wait(self, numbers: Collection[int]) -> None:
        """Until they are known, for commands that have nothing else to do. Raises UserError."""
        give_up = self._monotonic() + PATIENCE_S
        while not self.ready(numbers):
            with self._changed:
                why = self._problem
                if why is not None and (why.refused or self._monotonic() >= give_up):
                    raise UserError(why.problem, why.remedy, exit_code=1)
                if why is None:  # it answers: there may be many to ask for
                    give_up = self._monotonic() + PATIENCE_S
                self._changed.wait(0.05)

    def known(self, number: int) -> Schema | Refused | None:
        """What an id stands for, if it was asked for."""
        found = self._known.get(number)
        return None if found is None else found[0]

    @property
    def reads(self) -> Reads:
        """How records of the framed formats are read. The schemas that they name must be known (`ready`)."""

        def of(form: str) -> Read:
            return lambda value, _headers: [self._read(form, value)]

        return {form: of(form) for form in FRAMED}

    def close(self) -> None:
        """Ask no more. It does not wait for an answer that is under way."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _read(self, form: str, value: bytes | None) -> dict[str, object]:
        number, data = unframed(value)
        schema = self.known(number)
        assert schema is not None, "a block is decoded when the schemas of its ids are known"
        if isinstance(schema, Refused):
            raise Refused(schema.reason, schema.detail)
        if schema.format != form:
            raise Refused(Reason.SCHEMA, f"schema {number} is {schema.format}, and the mapping's format is {form}")
        record = schema.read(data)
        if not isinstance(record, dict):
            raise Refused(Reason.NOT_OBJECT)
        return record

    # -- the thread that asks ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        failed = 0
        while (number := self._next()) is not None:
            found: Schema | Refused | Unavailable
            try:
                found = self.registry.fetch(number)
            except Unavailable as fault:
                found = fault
            except Exception as fault:  # noqa: BLE001 - a thread that is gone would never be missed
                found = Unavailable(f"schema {number}: {type(fault).__name__}: {fault}", "tell driftd's authors")
            failed = failed + 1 if isinstance(found, Unavailable) else 0
            self._note(number, found, failed)
        self.registry.close()

    def _next(self) -> int | None:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._closed)
            self._open_since = self._monotonic()
            return None if self._closed else next(iter(self._wanted))

    def _note(self, number: int, found: Schema | Refused | Unavailable, failed: int) -> None:
        with self._changed:
            before, self._problem, self._asked, self._open_since = self._problem, None, True, None
            if isinstance(found, Unavailable):
                self._problem = found
                self._failures += 1
                if before is None or before.problem != found.problem:
                    _log.warning("schema_registry_unavailable", error=found.problem, remedy=found.remedy)
                self._changed.notify_all()
                longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failed - 1, 10))
                wait_s = longest * random.uniform(0.5, 1.0)  # noqa: S311 - so that many daemons do not ask at once
                self._changed.wait_for(lambda: self._closed, wait_s)
                return
            if before is not None:
                _log.info("schema_registry_available")
            lasts = UNKNOWN_S if isinstance(found, Refused) else float("inf")
            self._known[number] = (found, self._monotonic() + lasts)
            self._wanted.pop(number, None)
            self._changed.notify_all()
