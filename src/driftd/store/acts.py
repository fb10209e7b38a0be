"""What people did, as it is written and read: by the command line and the API, also while the daemon runs.

The rule this file keeps: rows are added and never changed. An act is durable when its number is given, and counts in
the daemon's next commit.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from driftd.core.act import ANY_RULE, Act, Named, Standing, named_of
from driftd.core.fault import UserError
from driftd.store.database import FILE, StoreError, connect, transaction
from driftd.store.schema import check

KEPT_IN_MIND: Final = 10_000
"""Acknowledgements and marks, the newest, that count: an alert of before those is told of as if nobody had seen it."""

_ACT = "SELECT number, at, verb, author, reason, model, rule, signals, alerts, until, lifts, via FROM act"
_texts = msgspec.json.Decoder(tuple[str, ...]).decode


def newest_number(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("SELECT coalesce(max(number), 0) FROM act").fetchone()
    return int(number)


def standing(connection: sqlite3.Connection, now: int) -> Standing:
    """What has not been taken back, of mutes what has not ended."""
    lasting = connection.execute(f"{_ACT} WHERE verb = 'lift' OR verb = 'mute' AND until > ?", (now,)).fetchall()
    lasting += connection.execute(
        f"{_ACT} WHERE verb IN ('acknowledge', 'false') ORDER BY number DESC LIMIT ?", (KEPT_IN_MIND,)
    )
    acts = sorted(map(_act, lasting), key=lambda act: act.number)
    counted = connection.execute(
        "SELECT CASE rule WHEN '' THEN ? ELSE rule END, verb, count(*) FROM act GROUP BY 1, 2", (ANY_RULE,)
    )
    return Standing.of(acts, {(rule, verb): count for rule, verb, count in counted})


def newest(connection: sqlite3.Connection, limit: int) -> list[Act]:
    """The newest first."""
    return [_act(row) for row in connection.execute(f"{_ACT} ORDER BY number DESC LIMIT ?", (limit,))]


class ActLog:
    """For one use: opened, used by one thread, closed."""

    def __init__(self, directory: Path) -> None:
        """Raises StoreError where there is no state, or one of another schema."""
        self._place = directory / FILE
        self._connection = connect(directory, "write")
        try:
            check(self._connection, directory)
        except BaseException:
            self._connection.close()
            raise

    def add(self, act: Act) -> Act:
        """Durable when this returns. What is said again of the same alerts, and still holds, is not counted twice: the
        act of before is given. Raises UserError for one that takes back what cannot be.
        """
        try:
            with transaction(self._connection):
                said = self._said_before(act) if act.verb in ("acknowledge", "false") else None
                return said or self._insert(self._lifting(act) if act.verb == "lift" else act)
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._place} cannot be written ({error})", "check the disk and the permissions"
            ) from error

    def standing(self, now: int) -> Standing:
        return standing(self._connection, now)

    def newest(self, limit: int) -> list[Act]:
        return newest(self._connection, limit)

    def spoken_of(self, id_: str) -> tuple[str, str, tuple[Named, ...]] | None:
        """Of a notification's or an alert's id: the model, the rule, and the signals that it speaks of.

        None where nothing that fired has this id.
        """
        select = "SELECT model, rule, body FROM transition WHERE type = 'driftd.alert.firing' AND"
        found = self._connection.execute(f"{select} id = ?", (id_,)).fetchone()
        if found is not None:
            model, rule, body = found
            return model, rule, named_of(rule, msgspec.json.decode(body)["data"])
        raw = msgspec.json.encode(id_)
        rows = self._connection.execute(f"{select} instr(body, ?) ORDER BY seq DESC", (raw,))
        for model, rule, body in rows:
            mine = tuple(one for one in named_of(rule, msgspec.json.decode(body)["data"]) if one.alert == id_)
            if mine:
                return model, rule, mine
        return None

    def has_model(self, model: str) -> bool:
        """Whether panes of it were closed or transitions made, and are kept."""
        select = (
            "SELECT EXISTS (SELECT 1 FROM pane WHERE model = ?1) OR EXISTS (SELECT 1 FROM transition WHERE model = ?1)"
        )
        return bool(self._connection.execute(select, (model,)).fetchone()[0])

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _said_before(self, act: Act) -> Act | None:
        now = standing(self._connection, act.at)
        held = now.false if act.verb == "false" else now.acknowledged
        found = [held.get(alert) for alert in act.alerts]
        return found[0] if all(found) else None

    def _lifting(self, act: Act) -> Act:
        """With what it takes back, so that it is counted there. Raises UserError."""
        row = self._connection.execute(f"{_ACT} WHERE number = ?", (act.lifts,)).fetchone()
        lifted = None if row is None else _act(row)
        if lifted is None or lifted.verb == "lift":
            raise UserError(
                f"no act that can be taken back has the number {act.lifts}", "`driftd mutes --all` lists them"
            )
        if self._connection.execute("SELECT 1 FROM act WHERE lifts = ?", (act.lifts,)).fetchone() is not None:
            raise UserError(f"act {act.lifts} has been taken back before", "`driftd mutes` lists those that hold")
        if lifted.until is not None and lifted.until <= act.at:
            raise UserError(f"mute {act.lifts} has ended by itself", "`driftd mutes` lists those that hold")
        return replace(act, model=lifted.model, rule=lifted.rule, signals=lifted.signals, alerts=lifted.alerts)

    def _insert(self, act: Act) -> Act:
        texts = [msgspec.json.encode(list(names)).decode() for names in (act.signals, act.alerts)]
        row = (act.at, act.verb, act.author, act.reason, act.model, act.rule, *texts, act.until, act.lifts, act.via)
        cursor = self._connection.execute(
            "INSERT INTO act (at, verb, author, reason, model, rule, signals, alerts, until, lifts, via)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        found = self._connection.execute(f"{_ACT} WHERE number = ?", (cursor.lastrowid,)).fetchone()
        return _act(found)


def _act(row: tuple[Any, ...]) -> Act:
    number, at, verb, author, reason, model, rule, signals, alerts, until, lifts, via = row
    return Act(
        verb, author, reason, model, rule, _texts(signals), _texts(alerts), until, lifts, via, number, at,
    )  # fmt: skip
