"""What receivers remember, by receiver and key: it outlives a crash, and goes when the receiver leaves the settings.

As in the outbox, a write is not synced to the disk on its own. It lies in the log before the move of its delivery, so
that a power cut never keeps the one and loses the other.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from driftd.store.database import FILE, StoreError, connect, transaction
from driftd.store.schema import check


class Memories:
    """One connection behind a lock: any thread may call."""

    def __init__(self, directory: Path) -> None:
        """Raises StoreError where there is no state, or one of another schema."""
        self._place = directory / FILE
        self._lock = threading.Lock()
        self._connection = connect(directory, "write", synchronous="NORMAL")
        try:
            check(self._connection, directory)
        except BaseException:
            self._connection.close()
            raise

    def of(self, owner: str) -> Memory:
        return Memory(self, owner)

    def keep(self, owners: Collection[str]) -> int:
        """Forget what all others remember. Returns how many rows went."""
        select = "DELETE FROM remembered WHERE owner NOT IN (SELECT value FROM json_each(?))"
        with self._use() as connection, transaction(connection):
            return connection.execute(select, (msgspec.json.encode(sorted(owners)).decode(),)).rowcount

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StoreError(
                    f"{self._place} cannot be used ({error})", "check the disk and the permissions"
                ) from error


class Memory:
    """What one receiver remembers: plain data by key."""

    def __init__(self, memories: Memories, owner: str) -> None:
        self._memories = memories
        self._owner = owner

    def recall(self, key: str) -> Any:  # noqa: ANN401 - plain data
        with self._memories._use() as connection:  # noqa: SLF001 - two halves of one thing
            row = connection.execute(
                "SELECT body FROM remembered WHERE owner = ? AND key = ?", (self._owner, key)
            ).fetchone()
        return None if row is None else msgspec.json.decode(row[0])

    def all(self, prefix: str) -> dict[str, Any]:
        """In order of their keys."""
        select = "SELECT key, body FROM remembered WHERE owner = ? AND substr(key, 1, ?) = ? ORDER BY key"
        with self._memories._use() as connection:  # noqa: SLF001
            rows = connection.execute(select, (self._owner, len(prefix), prefix)).fetchall()
        return {key: msgspec.json.decode(body) for key, body in rows}

    def remember(self, changes: Mapping[str, object]) -> None:
        """All of them or none; None forgets a key."""
        gone = [(self._owner, key) for key, value in changes.items() if value is None]
        kept = [(self._owner, key, msgspec.json.encode(v)) for key, v in changes.items() if v is not None]
        with self._memories._use() as connection, transaction(connection):  # noqa: SLF001
            connection.executemany("DELETE FROM remembered WHERE owner = ? AND key = ?", gone)
            connection.executemany("INSERT OR REPLACE INTO remembered VALUES (?, ?, ?)", kept)
