"""What is recorded and not told, because a person muted it or marked it as false; and what is told once that ends.

The rules this file keeps, for each receiver:

- A notification or request is withheld where each of its signals is muted, or its alert marked as false.
- Who was told that an alert fires is told of its end, whatever is muted. Who was not is not.
- When what silenced it ends, and an alert in it still fires, it is told then: the newest word of each alert, and
  beside it what has ended of it meanwhile, after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from driftd.core.act import Named, Standing, named_of
from driftd.core.action import Action
from driftd.store.acts import newest_number, standing
from driftd.store.summary import Notice, subjects_of

FIRING, RESOLVED = "driftd.alert.firing", "driftd.alert.resolved"

_named = msgspec.json.Decoder(list[tuple[str, str, str]]).decode


@dataclass(slots=True)
class _Row:
    seq: int
    receiver: str
    transition: str
    type: str
    model: str
    live: tuple[Named, ...]

    def alerts(self) -> set[str]:
        return {one.alert for one in self.live}


class Withheld:
    """Used inside the transactions of the one writer, but for what says otherwise."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._standing = Standing()
        self._seen = -1

    def standing(self, now: int) -> Standing:
        """What people did, read anew where somebody did something. Also outside of a transaction."""
        number = newest_number(self._connection)
        if number != self._seen:
            self._standing, self._seen = standing(self._connection, now), number
        return self._standing

    def admit(self, action: Action, receivers: Sequence[str], now: int) -> list[str]:
        """Those of the receivers that hear of it; for the others it is withheld."""
        receivers = list(dict.fromkeys(receivers))
        named = named_of(action.rule, action.data)
        if not named:
            return receivers
        if action.type == RESOLVED:
            return self._resolve(action, named, receivers)
        act = self.standing(now).silencing(action.model, named, now)
        if act is not None:
            self._withhold(action, receivers, named, act.number)
            return []
        if action.type == FIRING:
            self._tell(receivers, named)
            alerts = {one.alert for one in named}
            # It says how they stand now: what was withheld of them is news no more.
            same = [row for row in self._waiting() if row.type == FIRING and row.receiver in receivers]
            self._mark([row for row in same if row.alerts() <= alerts], "ended")
            self._drop_lone_ends()
        return receivers

    def due(self, now: int) -> bool:
        """Whether `release` would do something. Also outside of a transaction."""
        held = self.standing(now)
        return any(held.silencing(row.model, row.live, now) is None for row in self._waiting() if row.type != RESOLVED)

    def release(self, now: int, receivers: Collection[str]) -> list[tuple[str, Notice]]:
        """What is told now, in order; what waits for a receiver that is not among these ends."""
        held = self.standing(now)
        rows = self._waiting()
        free = [
            row
            for row in rows
            if row.type != RESOLVED and row.receiver in receivers and held.silencing(row.model, row.live, now) is None
        ]
        stale = {row.seq for row in free if row.type == FIRING and _told_again(row, free)}
        told = [row for row in free if row.seq not in stale]
        firing = {(row.receiver, alert) for row in told if row.type == FIRING for alert in self._alerts_of(row)}
        told += [
            row
            for row in rows
            if row.type == RESOLVED and any((row.receiver, alert) in firing for alert in row.alerts())
        ]
        told.sort(key=lambda row: row.seq)
        self._mark(told, "told")
        self._mark([row for row in rows if row.seq in stale or row.receiver not in receivers], "ended")
        for row in told:
            if row.type == FIRING:
                self._tell([row.receiver], row.live)
        self._drop_lone_ends()
        return [(row.receiver, self._notice(row)) for row in told]

    def count(self) -> int:
        """How many wait. Also outside of a transaction."""
        (count,) = self._connection.execute("SELECT count(*) FROM withheld WHERE state = 'waiting'").fetchone()
        return int(count)

    def _resolve(self, action: Action, named: Sequence[Named], receivers: Sequence[str]) -> list[str]:
        """An end is news to whom the beginning was told, and to whom nothing was withheld."""
        ended = {one.alert for one in named}
        rows = [row for row in self._waiting() if row.type != RESOLVED and ended & row.alerts()]
        heard: list[str] = []
        act_of: dict[str, int] = {}  # for whom the end waits, and what withheld the beginning
        for receiver in receivers:
            mine = [row for row in rows if row.receiver == receiver and row.type == FIRING]
            untold = {alert for row in mine for alert in row.alerts() if not self._was_told(receiver, alert)}
            if ended <= untold:
                act_of[receiver] = self._act_of(mine[-1])
            else:
                heard.append(receiver)
                # What waits still names it, beside what fires on: told then, it would seem to fire again.
                naming = [row for row in mine if row.alerts() - ended]
                if naming:
                    act_of[receiver] = self._act_of(naming[-1])
        for row in rows:
            live = [one for one in row.live if one.alert not in ended]
            self._connection.execute(
                "UPDATE withheld SET live = ?, state = ? WHERE seq = ?",
                (_text(live), "waiting" if live else "ended", row.seq),
            )
        for receiver, act in act_of.items():
            self._withhold(action, [receiver], named, act)
        self._connection.executemany("DELETE FROM told WHERE alert = ?", [(alert,) for alert in sorted(ended)])
        self._drop_lone_ends()
        return heard

    def _drop_lone_ends(self) -> None:
        """A withheld end is kept as long as a notification waits that named its alert, and others that still fire."""
        rows = self._waiting()
        if not any(row.type == RESOLVED for row in rows):
            return
        begun = {(row.receiver, alert) for row in rows if row.type == FIRING for alert in self._alerts_of(row)}
        lone = [
            row
            for row in rows
            if row.type == RESOLVED and not any((row.receiver, alert) in begun for alert in row.alerts())
        ]
        self._mark(lone, "ended")

    def _waiting(self) -> list[_Row]:
        select = (
            "SELECT withheld.seq, receiver, transition, type, model, live FROM withheld JOIN transition"
            " ON transition.id = withheld.transition WHERE state = 'waiting' ORDER BY withheld.seq"
        )
        return [
            _Row(seq, receiver, transition, type_, model, tuple(Named(*one) for one in _named(live)))
            for seq, receiver, transition, type_, model, live in self._connection.execute(select).fetchall()
        ]

    def _withhold(self, action: Action, receivers: Sequence[str], named: Sequence[Named], act: int) -> None:
        self._connection.executemany(
            "INSERT INTO withheld (receiver, transition, act, live, state) VALUES (?, ?, ?, ?, 'waiting')",
            [(receiver, action.id, act, _text(named)) for receiver in receivers],
        )

    def _tell(self, receivers: Sequence[str], named: Sequence[Named]) -> None:
        pairs = [(one.alert, receiver) for receiver in receivers for one in named]
        self._connection.executemany("INSERT OR IGNORE INTO told VALUES (?, ?)", pairs)

    def _was_told(self, receiver: str, alert: str) -> bool:
        select = "SELECT 1 FROM told WHERE alert = ? AND receiver = ?"
        return self._connection.execute(select, (alert, receiver)).fetchone() is not None

    def _act_of(self, row: _Row) -> int:
        (act,) = self._connection.execute("SELECT act FROM withheld WHERE seq = ?", (row.seq,)).fetchone()
        return int(act)

    def _mark(self, rows: Sequence[_Row], state: str) -> None:
        self._connection.executemany("UPDATE withheld SET state = ? WHERE seq = ?", [(state, row.seq) for row in rows])

    def _alerts_of(self, row: _Row) -> set[str]:
        """All that it names, those that have ended too."""
        return {one.alert for one in named_of("", self._data(row))}

    def _notice(self, row: _Row) -> Notice:
        select = "SELECT body, timestamp FROM transition WHERE id = ?"
        body, timestamp = self._connection.execute(select, (row.transition,)).fetchone()
        return Notice(row.transition, row.type, body, timestamp, subjects_of(row.transition, row.type, self._data(row)))

    def _data(self, row: _Row) -> dict[str, object]:
        (body,) = self._connection.execute("SELECT body FROM transition WHERE id = ?", (row.transition,)).fetchone()
        data: dict[str, object] = msgspec.json.decode(body)["data"]
        return data


def _told_again(row: _Row, free: Sequence[_Row]) -> bool:
    """Whether a newer one says how each of its alerts stands."""
    newer = [one for one in free if one.type == FIRING and one.receiver == row.receiver and one.seq > row.seq]
    return row.alerts() <= {alert for one in newer for alert in one.alerts()}


def _text(named: Sequence[Named]) -> str:
    return msgspec.json.encode([[one.rule, one.signal, one.alert] for one in named]).decode()
