"""What is owed to receivers, as the sender sees it.

The rule this file keeps: for each alert, the receiver hears things in the order in which they happened. A
delivery is not due while an earlier one of the same receiver with a common subject still waits; one that died
does not block.

The moves here are not synced to the disk one by one (synchronous NORMAL): after a power cut a delivery may be
made again, which is allowed, and the loop's commits are not slowed down. The deliveries themselves were made
durable by the commit that queued them, before anybody could see them here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import msgspec

from driftd.core.action import Delivery
from driftd.store.database import FILE, StoreError, connect, transaction
from driftd.store.schema import check

KEEP_SENT: Final = 1_000
"""Rows that were sent and are kept for a person to look at, a receiver."""
CLOCK_STEP_S: Final = 7_200.0
"""No wait is this long: a `not_before` further away was written under a clock that has been set back since.
"""
MAX_ERROR: Final = 1_000

State = Literal["waiting", "sent", "dead"]

_DELIVERY = (
    "SELECT number, receiver, transition, type, body, timestamp, subjects, attempts, not_before, last_error,"
    " state, queued FROM delivery"
)
_subjects = msgspec.json.Decoder(tuple[str, ...]).decode


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the outbox. `queued`: Unix time, seconds, of the commit that queued it or the replay that
    revived it.
    """

    delivery: Delivery
    state: State
    queued: float


class Outbox:
    """One connection behind a lock: any thread may call, also while another process reads or revives."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        """Raises StoreError where there is no state, or one of another schema."""
        self._place = directory / FILE
        self._lock = threading.Lock()
        self._connection = connect(directory, "read" if read_only else "write", synchronous="NORMAL")
        try:
            check(self._connection, directory)
        except BaseException:
            self._connection.close()
            raise

    def due(self, receiver: str, now: float, limit: int) -> list[Delivery]:
        """What may be sent now (Unix seconds), in the order in which it was queued; at most one a subject."""
        select = (
            "SELECT number, subjects, not_before FROM delivery WHERE state = 'waiting' AND receiver = ? ORDER BY number"
        )
        spoken_of: set[str] = set()
        chosen: list[int] = []
        with self._use() as connection:
            for number, text, not_before in connection.execute(select, (receiver,)):
                subjects = _subjects(text)
                if spoken_of.isdisjoint(subjects) and not now < not_before <= now + CLOCK_STEP_S:
                    chosen.append(number)
                    if len(chosen) >= limit:
                        break
                spoken_of.update(subjects)
            rows = [connection.execute(f"{_DELIVERY} WHERE number = ?", (number,)).fetchone() for number in chosen]
        return [_entry(row).delivery for row in rows]

    def sent(self, number: int) -> None:
        """It was accepted. The oldest of those that were sent are forgotten."""
        with self._change() as connection:
            connection.execute("UPDATE delivery SET state = 'sent', last_error = '' WHERE number = ?", (number,))
            connection.execute(
                "WITH mine AS (SELECT s.number FROM delivery AS s JOIN delivery AS d USING (receiver)"
                " WHERE s.state = 'sent' AND d.number = ? ORDER BY s.number DESC)"
                " DELETE FROM delivery WHERE number IN (SELECT number FROM mine LIMIT -1 OFFSET ?)",
                (number, KEEP_SENT),
            )

    def failed(self, number: int, not_before: float, error: str) -> None:
        """It waits on, until `not_before` (Unix seconds)."""
        with self._change() as connection:
            connection.execute(
                "UPDATE delivery SET attempts = attempts + 1, not_before = ?, last_error = ? WHERE number = ?",
                (not_before, error[:MAX_ERROR], number),
            )

    def dead(self, number: int, error: str) -> None:
        """It will not be tried again, unless a person revives it."""
        with self._change() as connection:
            connection.execute(
                "UPDATE delivery SET state = 'dead', attempts = attempts + 1, last_error = ? WHERE number = ?",
                (error[:MAX_ERROR], number),
            )

    def expire(self, receiver: str, queued_before: float, *, untried: bool) -> int:
        """Lets die what has waited since before then (Unix seconds), the never tried only with `untried`."""
        with self._change() as connection:
            return connection.execute(
                "UPDATE delivery SET state = 'dead', last_error = 'given up: ' || last_error"
                " WHERE state = 'waiting' AND receiver = ? AND queued < ? AND attempts >= ?",
                (receiver, queued_before, 0 if untried else 1),
            ).rowcount

    def abandon(self, receivers: Collection[str], error: str) -> int:
        """Lets die what waits for any other receiver: nobody would send it, and it would fill the outbox."""
        with self._change() as connection:
            return connection.execute(
                "UPDATE delivery SET state = 'dead', last_error = ? WHERE state = 'waiting'"
                " AND receiver NOT IN (SELECT value FROM json_each(?))",
                (error[:MAX_ERROR], msgspec.json.encode(sorted(receivers)).decode()),
            ).rowcount

    def revive(self, number: int | None, now: float) -> int:
        """A dead delivery (None: all of them) waits again as if it were new. Returns how many did."""
        with self._change() as connection:
            return connection.execute(
                "UPDATE delivery SET state = 'waiting', attempts = 0, not_before = 0, last_error = '',"
                " queued = ?1 WHERE state = 'dead' AND (?2 IS NULL OR number = ?2)",
                (now, number),
            ).rowcount

    def depth(self) -> dict[str, tuple[int, int]]:
        """How many wait and how many died, by receiver; receivers that have neither are not in it."""
        depth: dict[str, tuple[int, int]] = {}
        select = "SELECT receiver, count(*) FROM delivery WHERE state = ? GROUP BY receiver"
        with self._use() as connection:
            for receiver, count in connection.execute(select, ("waiting",)):
                depth[receiver] = (count, 0)
            for receiver, count in connection.execute(select, ("dead",)):
                depth[receiver] = (depth.get(receiver, (0, 0))[0], count)
        return depth

    def full(self, limit: int) -> bool:
        """Whether so many wait, over all receivers, that nothing more must be read until some have gone."""
        select = "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE state = 'waiting' LIMIT ?)"
        with self._use() as connection:
            (count,) = connection.execute(select, (limit,)).fetchone()
        return int(count) >= limit

    def entries(self, state: State, limit: int = 1_000) -> list[Entry]:
        """The oldest first."""
        with self._use() as connection:
            rows = connection.execute(f"{_DELIVERY} WHERE state = ? ORDER BY number LIMIT ?", (state, limit)).fetchall()
        return [_entry(row) for row in rows]

    def show(self, number: int) -> Entry | None:
        with self._use() as connection:
            row = connection.execute(f"{_DELIVERY} WHERE number = ?", (number,)).fetchone()
        return None if row is None else _entry(row)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StoreError(
                    f"{self._place} cannot be used ({error})", "check the disk and the permissions"
                ) from error

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._use() as connection, transaction(connection):
            yield connection


def _entry(row: tuple[Any, ...]) -> Entry:
    (
        number,
        receiver,
        transition,
        kind,
        body,
        timestamp,
        subjects,
        attempts,
        not_before,
        error,
        state,
        queued,
    ) = row
    delivery = Delivery(
        number, receiver, transition, kind, body, timestamp, _subjects(subjects), attempts, not_before, error
    )
    return Entry(delivery, state, queued)
