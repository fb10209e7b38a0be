"""One SQLite file in one directory: how it is opened, and who may write to it.

The loop's process holds the directory by a lock on a file beside the database; the lock dies with the
process, however it dies. Whoever only reads, or only moves deliveries along (`driftd outbox replay`), needs
no lock: SQLite lets it in between two commits.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from driftd.core.fault import UserError

FILE: Final = "driftd.sqlite"
LOCK_FILE: Final = "driftd.lock"

BUSY_TIMEOUT_S: Final = 60.0
"""A writer waits this long for the other one; the longest commit is far shorter."""
CHECKPOINT_PAGES: Final = 64_000
"""A commit copies the log back into the database only when it is this long (pages of 4 KiB): the thread of
`store.checkpoint` comes first, as long as it can.
"""
KEEP_LOG_BYTES: Final = 64 * 1024 * 1024

Mode = Literal["create", "write", "read"]
Synchronous = Literal["FULL", "NORMAL"]


class StoreError(UserError):
    """The state cannot be used. Names the place and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy, exit_code=1)


def connect(directory: Path, mode: Mode, *, synchronous: Synchronous = "FULL") -> sqlite3.Connection:
    """A connection in autocommit: transactions are begun by `transaction`, and only there.

    It may change threads, but never be in two at once. Raises StoreError where there is no database, or none
    that can be opened.
    """
    path = directory / FILE
    if mode != "create" and not path.is_file():
        raise StoreError(
            f"{path} does not exist: nothing has been stored there yet",
            "check that state.directory is the one that `driftd run` uses",
        )
    uri_mode = {"create": "rwc", "write": "rw", "read": "ro"}[mode]
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={uri_mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        if mode == "read":
            connection.execute("PRAGMA query_only = ON")
        else:
            _set_up(connection, path, synchronous)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise StoreError(
            f"{path} cannot be opened ({error})", "check that it is a state of driftd, and its permissions"
        ) from error
    except StoreError:
        if connection is not None:
            connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if journal != "wal":
        raise StoreError(
            f"{path} cannot have a write-ahead log (SQLite offers {journal!r})",
            "set state.directory to a folder on a local disk",
        )
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA fullfsync = ON")  # on macOS fsync alone leaves the data in the drive's cache
    connection.execute("PRAGMA secure_delete = OFF")  # on in Debian's SQLite: zeroes over each body that is replaced
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {KEEP_LOG_BYTES}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing.

    The write lock is taken at its beginning: a transaction that reads first and then writes would be refused,
    without waiting, when another has written in between.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class DirectoryLock:
    """The right to be the one writer of a directory."""

    def __init__(self, directory: Path) -> None:
        """Raises StoreError, naming the process, where another one holds it."""
        path = directory / LOCK_FILE
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"{path} cannot be written ({error.strerror})", "check its permissions") from error
        try:
            # flock, not lockf: that one is dropped when any descriptor of the file is closed in this process.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            if not isinstance(error, BlockingIOError):
                raise StoreError(
                    f"{path} cannot be locked ({error.strerror})", "set state.directory to a folder on a local disk"
                ) from error
            raise StoreError(
                f"{directory} is in use by another driftd (process {holder or 'unknown'})",
                "stop that one, or give this one a state.directory of its own",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """The file stays: removing it would let two processes hold two files of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
