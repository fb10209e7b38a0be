"""State, positions, closed panes, transitions and what is owed to receivers, in one transaction.

The rule this file keeps: a commit is whole or absent, and durable when `commit` returns. What was read from
Kafka, what was concluded from it and who must hear of it can therefore never disagree, wherever the process
dies.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from driftd.core.act import Standing
from driftd.core.action import Action
from driftd.store.checkpoint import Checkpoints
from driftd.store.commit import Commit, PaneRow
from driftd.store.database import FILE, DirectoryLock, StoreError, connect, transaction
from driftd.store.reader import Reader
from driftd.store.schema import prepare
from driftd.store.summary import Held, Notice, notice, subjects, summary
from driftd.store.withheld import Withheld

KEEP_INPUTS: Final = 100_000
HOLD_S: Final = 600.0
"""So long at most are old transitions held for the rest of them."""
PRUNE_AT_LEAST: Final = 1_000
"""Panes that one commit may prune beyond twice what it writes: a long list is worked off over commits."""

_subjects = msgspec.json.Decoder(tuple[str, ...]).decode


class Store(Reader):
    """The one writer. One thread at a time; it holds its directory until `close`."""

    def __init__(
        self, connection: sqlite3.Connection, lock: DirectoryLock, place: Path, clock: Callable[[], float]
    ) -> None:
        super().__init__(connection)
        self._lock = lock
        self._place = place
        self._clock = clock
        self._checkpoints = Checkpoints(place.parent)
        self._withheld = Withheld(connection)
        self._encode = msgspec.msgpack.Encoder().encode

    @classmethod
    def open(cls, directory: Path, *, group: str, create: bool = True, clock: Callable[[], float] = time.time) -> Store:
        """Takes the directory, makes or migrates the tables.

        `clock` (Unix seconds) stamps when a delivery was queued, and tells when a mute has ended. Raises StoreError when
        another process holds the directory, when the state is of another group, or of a schema not known
        here.
        """
        if create:
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"{directory} cannot be made ({error.strerror})", "set state.directory") from error
        elif not (directory / FILE).is_file():
            raise StoreError(f"{directory / FILE} does not exist", "set state.directory")
        lock = DirectoryLock(directory)
        try:
            connection = connect(directory, "create" if create else "write")
            try:
                prepare(connection, directory, group)
            except sqlite3.Error as error:
                connection.close()
                raise StoreError(
                    f"{directory / FILE} cannot be used ({error})", "check the disk and the permissions"
                ) from error
            except BaseException:
                connection.close()
                raise
        except BaseException:
            lock.release()
            raise
        return cls(connection, lock, directory / FILE, clock)

    def commit(self, commit: Commit) -> None:
        """One transaction, on the disk when this returns. Raises StoreError, and then nothing of it is
        stored.
        """
        changed = [(key, self._encode(value)) for key, value in commit.rows.items() if value is not None]
        gone = [(key,) for key, value in commit.rows.items() if value is None]
        inputs = [(name, self._encode(value)) for name, value in commit.inputs]
        positions = [(p.topic, p.number, offset) for p, offset in commit.positions.items()]
        connection = self._connection
        try:
            with transaction(connection):
                connection.executemany("DELETE FROM state WHERE key = ?", gone)
                # What is the same as before is compared, not written.
                connection.executemany(
                    "INSERT INTO state VALUES (?, ?) ON CONFLICT (key)"
                    " DO UPDATE SET body = excluded.body WHERE body IS NOT excluded.body",
                    changed,
                )
                connection.executemany(
                    "INSERT INTO position VALUES (?, ?, ?) ON CONFLICT (topic, partition)"
                    " DO UPDATE SET next_offset = excluded.next_offset"
                    " WHERE next_offset IS NOT excluded.next_offset",
                    positions,
                )
                self._write_panes(commit.panes)
                self._write_actions(commit.actions, caught_up=commit.caught_up)
                self._write_inputs(inputs)
                if commit.prune_panes_before is not None:
                    self._prune_panes(commit.prune_panes_before, PRUNE_AT_LEAST + 2 * len(commit.panes))
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._place} cannot be written ({error}): nothing of this commit is stored",
                "check the disk and the permissions",
            ) from error
        self._checkpoints.after_commit()

    def acts_now(self) -> tuple[Standing, int]:
        """What people did, as far as it holds; and how many notifications are withheld for it."""
        return self._withheld.standing(self._now_ms()), self._withheld.count()

    def owes_withheld(self) -> bool:
        """Whether something was withheld that nothing silences any more."""
        return self._withheld.due(self._now_ms())

    def tell_withheld(self, receivers: Collection[str]) -> int:
        """Owes it to these, the receivers that there are. One transaction, durable; how much it is. Raises StoreError."""
        try:
            with transaction(self._connection):
                owed = self._withheld.release(self._now_ms(), receivers)
                self._write_deliveries(owed, self._clock())
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._place} cannot be written ({error})", "check the disk and the permissions"
            ) from error
        self._checkpoints.after_commit()
        return len(owed)

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)

    def close(self) -> None:
        self._checkpoints.close()
        super().close()
        self._lock.release()

    def _write_panes(self, panes: Iterable[PaneRow]) -> None:
        for pane in panes:
            row = (pane.model, pane.version, pane.kind, pane.start, pane.end, pane.body)
            try:
                self._connection.execute("INSERT INTO pane VALUES (?, ?, ?, ?, ?, ?)", row)
            except sqlite3.IntegrityError as error:
                name = f"{pane.model} {pane.version} {pane.kind} {pane.start}"
                raise StoreError(
                    f"{self._place}: the pane {name} was closed before, and is written only once",
                    "this is a fault of driftd: keep the directory and report it",
                ) from error

    def _write_actions(self, actions: Iterable[tuple[Action, tuple[str, ...], bool]], *, caught_up: bool) -> None:
        """Each action once, even if committed twice; what a person silenced is withheld. Old ones are held until
        all of them are there, or a receiver hears of a newer one: then it hears of them first, in one summary.
        """
        now = self._clock()
        fresh: list[tuple[str, Notice]] = []
        held: list[tuple[str, str, str, float]] = []
        for action, receivers, is_old in actions:
            body = action.body()
            if not self._write_transition(action, body):
                continue
            spoken_of = msgspec.json.encode(subjects(action)).decode()
            for receiver in self._withheld.admit(action, receivers, round(now * 1000)):
                if is_old:
                    held.append((receiver, action.id, spoken_of, now))
                else:
                    fresh.append((receiver, notice(action, body)))
        self._connection.executemany(
            "INSERT INTO held (receiver, transition, subjects, queued) VALUES (?, ?, ?, ?)", held
        )
        self._release({receiver for receiver, _ in fresh}, now, everything=caught_up)
        self._write_deliveries(fresh, now)

    def _release(self, receivers: Collection[str], now: float, *, everything: bool) -> None:
        """Owes what is held to these receivers, and to those that have waited too long for the end of it."""
        select = "SELECT receiver, min(queued) FROM held GROUP BY receiver ORDER BY receiver"
        for receiver, oldest in self._connection.execute(select).fetchall():
            if everything or receiver in receivers or not now - HOLD_S < oldest <= now:
                rows = self._connection.execute(
                    "SELECT id, model, rule, type, timestamp, subjects FROM held JOIN transition"
                    " ON transition.id = held.transition WHERE receiver = ? ORDER BY held.seq",
                    (receiver,),
                )
                told = [
                    Held(id_, model, rule, type_, at, _subjects(text)) for id_, model, rule, type_, at, text in rows
                ]
                self._write_deliveries([(receiver, summary(told))], now)
                self._connection.execute("DELETE FROM held WHERE receiver = ?", (receiver,))

    def _write_transition(self, action: Action, body: bytes) -> bool:
        """False: it is there already."""
        cursor = self._connection.execute(
            "INSERT INTO transition"
            " (id, type, model, version, kind, rule, severity, timestamp, body, explain)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (
                action.id,
                action.type,
                action.model,
                action.version,
                action.kind,
                action.rule,
                action.severity,
                action.timestamp,
                body,
                self._encode(action.explain),
            ),
        )
        return cursor.rowcount == 1

    def _write_deliveries(self, owed: Sequence[tuple[str, Notice]], now: float) -> None:
        self._connection.executemany(
            "INSERT INTO delivery (receiver, transition, type, body, timestamp, subjects, state, queued)"
            " VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?)",
            (
                (
                    receiver,
                    it.id,
                    it.type,
                    it.body,
                    it.timestamp,
                    msgspec.json.encode(it.subjects).decode(),
                    now,
                )
                for receiver, it in owed
            ),
        )

    def _write_inputs(self, inputs: Sequence[tuple[str, bytes]]) -> None:
        if inputs:
            self._connection.executemany("INSERT INTO input (name, body) VALUES (?, ?)", inputs)
            self._connection.execute("DELETE FROM input WHERE seq <= (SELECT max(seq) FROM input) - ?", (KEEP_INPUTS,))

    def _prune_panes(self, before: int, most: int) -> None:
        self._connection.execute(
            "DELETE FROM pane WHERE (model, version, kind, start) IN"
            ' (SELECT model, version, kind, start FROM pane WHERE "end" <= ? ORDER BY "end" LIMIT ?)',
            (before, most),
        )
