"""Reading what is stored; also while the daemon writes: a reader sees whole commits, and holds nobody up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from driftd.core.event import PartitionId
from driftd.store.commit import PaneRow
from driftd.store.database import connect
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
        return None if row is None else _transition(row)

    def transitions(self, model: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """The newest first."""
        if model is None:
            rows = self._connection.execute(f"{_TRANSITION} ORDER BY seq DESC LIMIT ?", (limit,))
        else:
            rows = self._connection.execute(f"{_TRANSITION} WHERE model = ? ORDER BY seq DESC LIMIT ?", (model, limit))
        return [_transition(row) for row in rows]

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
