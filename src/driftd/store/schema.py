"""What the tables are, and which of their versions this program understands.

`PRAGMA user_version` is the number of the newest migration applied; `application_id` says that the file is
ours. A migration is never changed once it has been released: a change of the tables is a new one, at the end.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from driftd.store.database import FILE, StoreError, transaction

APPLICATION_ID: Final = 0x64726674
"""'drft'."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE migration (version INTEGER PRIMARY KEY, applied TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)
        """,
        """
        CREATE TABLE installation (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
        """,
        """
        CREATE TABLE state (key TEXT PRIMARY KEY, body BLOB NOT NULL)
        """,
        """
        CREATE TABLE position (
            topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
            PRIMARY KEY (topic, partition)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE pane (
            model TEXT, version TEXT, kind TEXT, start INTEGER, "end" INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (model, version, kind, start)
        ) WITHOUT ROWID
        """,
        """
        CREATE INDEX pane_end ON pane ("end")
        """,
        """
        CREATE TABLE transition (
            seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, model TEXT NOT NULL,
            version TEXT NOT NULL, kind TEXT NOT NULL, rule TEXT NOT NULL, severity TEXT NOT NULL,
            timestamp INTEGER NOT NULL, body BLOB NOT NULL, explain BLOB NOT NULL
        )
        """,
        """
        CREATE INDEX transition_model ON transition (model, seq)
        """,
        # `transition` is an id of that table, or of a summary. AUTOINCREMENT: a number is never used again,
        # so that what a person was told of number 7 stays true.
        """
        CREATE TABLE delivery (
            number INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL, transition TEXT NOT NULL,
            type TEXT NOT NULL, body BLOB NOT NULL, timestamp INTEGER NOT NULL, subjects TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'dead')), queued REAL NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0,
            last_error TEXT NOT NULL DEFAULT ''
        )
        """,
        """
        CREATE INDEX delivery_state ON delivery (state, receiver, number)
        """,
        # Transitions that a receiver will hear of in a summary.
        """
        CREATE TABLE held (seq INTEGER PRIMARY KEY, receiver TEXT NOT NULL, transition TEXT NOT NULL,
            subjects TEXT NOT NULL, queued REAL NOT NULL)
        """,
        """
        CREATE INDEX held_receiver ON held (receiver, seq)
        """,
        """
        CREATE TABLE input (seq INTEGER PRIMARY KEY, name TEXT NOT NULL, body BLOB NOT NULL)
        """,
    ),
    (
        # What a receiver must know of what it told before: see `store/memory.py`.
        """
        CREATE TABLE remembered (owner TEXT, key TEXT, body BLOB NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
    ),
    (
        # What people did: see `core/act.py`. Rows are added and never changed. AUTOINCREMENT: as for deliveries.
        """
        CREATE TABLE act (
            number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, verb TEXT NOT NULL, author TEXT NOT NULL,
            reason TEXT NOT NULL, model TEXT NOT NULL, rule TEXT NOT NULL, signals TEXT NOT NULL, alerts TEXT NOT NULL,
            until INTEGER, lifts INTEGER REFERENCES act (number), via TEXT NOT NULL
        )
        """,
        # A person's word counts at once in the commit that follows: see `store/withheld.py`. `live`: the alerts in it
        # that have not ended since, with their rules and signals.
        """
        CREATE TABLE withheld (
            seq INTEGER PRIMARY KEY, receiver TEXT NOT NULL, transition TEXT NOT NULL, act INTEGER NOT NULL,
            live TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('waiting', 'told', 'ended'))
        )
        """,
        """
        CREATE INDEX withheld_state ON withheld (state, seq)
        """,
        """
        CREATE INDEX withheld_transition ON withheld (transition)
        """,
        # The alerts that a receiver was told of and not yet of their end.
        """
        CREATE TABLE told (alert TEXT, receiver TEXT, PRIMARY KEY (alert, receiver)) WITHOUT ROWID
        """,
        """
        INSERT OR IGNORE INTO told SELECT each.value, receiver FROM delivery, json_each(subjects) AS each
            WHERE delivery.type = 'driftd.alert.firing' AND each.value NOT IN (
                SELECT each.value FROM delivery, json_each(subjects) AS each
                WHERE delivery.type = 'driftd.alert.resolved')
        """,
    ),
)

VERSION: Final = len(MIGRATIONS)


def prepare(connection: sqlite3.Connection, directory: Path, group: str) -> None:
    """Makes the tables, or brings older ones up to date. Raises StoreError for what is not ours or not
    understood.
    """
    with transaction(connection):
        if _is_empty(connection):
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            have = 0
        else:
            have = _version(connection, directory)
        for version in range(have + 1, VERSION + 1):
            for statement in MIGRATIONS[version - 1]:
                connection.execute(statement)
            connection.execute("INSERT INTO migration (version) VALUES (?)", (version,))
            connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("INSERT OR IGNORE INTO installation VALUES ('group', ?)", (group,))
        owner = group_of(connection)
        if owner != group:
            raise StoreError(
                f"{directory} holds the state of group {owner!r}, and the settings say {group!r}: ids would change",
                "set kafka.group_id back, or use another state.directory",
            )


def check(connection: sqlite3.Connection, directory: Path) -> None:
    """For those that do not own the database and must not migrate it. Raises StoreError unless it is of this
    version.
    """
    if _is_empty(connection):
        raise StoreError(f"{directory / FILE} is empty", "start `driftd run` first")
    have = _version(connection, directory)
    if have < VERSION:
        raise StoreError(
            f"{directory / FILE} has schema {have}, older than this driftd's {VERSION}",
            "start `driftd run` once, it brings the tables up to date",
        )


def group_of(connection: sqlite3.Connection) -> str:
    (value,) = connection.execute("SELECT value FROM installation WHERE name = 'group'").fetchone()
    return str(value)


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return not tables and not version


def _version(connection: sqlite3.Connection, directory: Path) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(f"{directory / FILE} is a database of another program", "use another state.directory")
    if version > VERSION:
        raise StoreError(
            f"{directory / FILE} has schema {version}, written by a newer driftd; this one understands {VERSION}",
            "use the newer one, or another state.directory",
        )
    if version < 1:
        raise StoreError(
            f"{directory / FILE} has the unknown schema {version}",
            "use the driftd that wrote it, or another state.directory",
        )
    return int(version)
