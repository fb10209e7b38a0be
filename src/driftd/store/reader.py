"""Reading what is stored; also while the daemon writes: a reader sees whole commits, and holds nobody up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from driftd.core.act import Act, Standing
from driftd.core.event import PartitionId
from driftd.core.view import Judged
from driftd.store.acts import newest, standing
from driftd.store.commit import PaneRow
from driftd.store.database import connect
from driftd.store.judged import judged
from driftd.store.schema import check, group_of

_TRANSITION = "SELECT seq, id, type, model, version, kind, rule, severity, timestamp, body, explain FROM transition"


class Reader:
    """One connection; one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open_read_only(cls, directory: Path) -> Reader:
        """Raises StoreError where there is no state, or one of another schema."""
        connection = connect(directory, "read")
        try:
            check(connection, directory)
        except BaseException:
            connection.close()
            raise
        return Reader(connection)

    @property
    def group(self) -> str:
        return group_of(self._connection)

    def load_rows(self, prefix: str = "") -> dict[str, object]:
        """State rows whose key begins with `prefix`, in order of their keys. Tuples come back as lists."""
        rows: dict[str, object] = {}
        select = "SELECT key, body FROM state WHERE key >= ? ORDER BY key"
        for key, body in self._connection.execute(select, (prefix,)):
            if not key.startswith(prefix):
                break
            rows[key] = msgspec.msgpack.decode(body, strict=False)
        return rows

    def positions(self) -> dict[PartitionId, int]:
        """The next offset of each partition ever read."""
        select = "SELECT topic, partition, next_offset FROM position ORDER BY topic, partition"
        return {PartitionId(topic, number): offset for topic, number, offset in self._connection.execute(select)}

    def transition(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - it is called that everywhere
        """One transition: its columns, `body` as it was sent (bytes), `explain` as plain data. None: no such
        id.
        """
        row = self._connection.execute(f"{_TRANSITION} WHERE id = ?", (id,)).fetchone()
        return None if row is None else self._with_withheld([_transition(row)])[0]

    def transitions(
        self, model: str | None = None, limit: int = 100, before: str | None = None
    ) -> list[dict[str, Any]]:
        """The newest first. `before`: only those made before the one of that id."""
        where = [
            *(["model = :model"] if model is not None else []),
            *(["seq < (SELECT seq FROM transition WHERE id = :before)"] if before is not None else []),
        ]
        text = f"{_TRANSITION} {'WHERE ' if where else ''}{' AND '.join(where)} ORDER BY seq DESC LIMIT :limit"
        rows = self._connection.execute(text, {"model": model, "before": before, "limit": limit})
        return self._with_withheld([_transition(row) for row in rows])

    def bodies(self, model: str | None, since: int, until: int) -> Iterator[bytes]:
        """The bodies of all transitions of that time (ms, both ends in it), the oldest first. None: of every model."""
        select = "SELECT body FROM transition WHERE timestamp >= ? AND timestamp <= ? AND model = ifnull(?, model)"
        for (body,) in self._connection.execute(f"{select} ORDER BY seq", (since, until, model)):
            yield body

    def withheld_for_mutes(self) -> frozenset[str]:
        """The ids of transitions that somebody did not hear of, or not at once, for a mute."""
        select = (
            "SELECT DISTINCT transition FROM withheld JOIN act ON act.number = withheld.act WHERE act.verb = 'mute'"
        )
        return frozenset(id_ for (id_,) in self._connection.execute(select))

    def judged(self) -> list[Judged]:
        """The event time over which each kind of each model was judged."""
        return judged(self._connection)

    def _with_withheld(self, transitions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """`withheld`: from whom it was, for which act, and what became of that: "waiting", "told" since, or "ended"."""
        ids = msgspec.json.encode([one["id"] for one in transitions]).decode()
        select = (
            "SELECT transition, receiver, act, state FROM withheld"
            " WHERE transition IN (SELECT value FROM json_each(?)) ORDER BY seq"
        )
        of: dict[str, list[dict[str, Any]]] = {}
        for id_, receiver, act, state in self._connection.execute(select, (ids,)):
            of.setdefault(id_, []).append({"receiver": receiver, "act": act, "state": state})
        return [{**one, "withheld": of.get(one["id"], [])} for one in transitions]

    def acts(self, limit: int) -> list[Act]:
        """What people did, the newest first."""
        return newest(self._connection, limit)

    def standing(self, now: int) -> Standing:
        """What of it holds at that time (ms)."""
        return standing(self._connection, now)

    def panes(self, model: str, version: str, kind: str, start: int, end: int) -> Iterator[PaneRow]:
        """Closed panes that begin in `[start, end)` (ms), in order."""
        select = (
            'SELECT start, "end", body FROM pane WHERE model = ? AND version = ? AND kind = ?'
            " AND start >= ? AND start < ? ORDER BY start"
        )
        for row in self._connection.execute(select, (model, version, kind, start, end)):
            yield PaneRow(model, version, kind, *row)

    def inputs(self) -> Iterator[tuple[str, object]]:
        """Ticks and discovered partitions, the oldest that is kept first."""
        for name, body in self._connection.execute("SELECT name, body FROM input ORDER BY seq"):
            yield name, msgspec.msgpack.decode(body, strict=False)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _transition(row: tuple[Any, ...]) -> dict[str, Any]:
    names = ("seq", "id", "type", "model", "version", "kind", "rule", "severity", "timestamp", "body")
    return dict(zip(names, row[:-1], strict=True)) | {"explain": msgspec.msgpack.decode(row[-1], strict=False)}
