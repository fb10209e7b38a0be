"""Copies the write-ahead log back into the database, in a thread of its own.

SQLite would do it in the commit that makes the log too long, and the loop would wait for the disk to take it: on a busy
disk for seconds.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Final

import structlog

from driftd.store.database import FILE, connect

_log = structlog.get_logger(__name__)

CHECKPOINT_BYTES: Final = 16 * 1024 * 1024
"""How long the log may be until it is copied back."""


class Checkpoints:
    """Ends with `close`. `after_commit` returns at once."""

    def __init__(self, directory: Path) -> None:
        self._log_file = directory / f"{FILE}-wal"
        self._connection = connect(directory, "write", synchronous="NORMAL")
        self._asked = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def after_commit(self) -> None:
        self._asked.set()

    def close(self) -> None:
        """Waits for the one under way."""
        self._ended = True
        self._asked.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._ended:
                return
            try:
                if self._log_file.stat().st_size >= CHECKPOINT_BYTES:
                    # Passive: it waits for nobody, and nobody for it; what a reader still needs is left for the next.
                    self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except (OSError, sqlite3.Error) as error:
                _log.warning("checkpoint_failed", reason=str(error))
