"""Over which event time each model was judged: what another instance can be compared with."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from driftd.core.record import SEPARATOR
from driftd.core.view import Judged

_PREFIX = f"model{SEPARATOR}"


def judged(connection: sqlite3.Connection) -> list[Judged]:
    """By model and kind. It is one stretch: what was missed while nobody ran is caught up."""
    tables: dict[str, dict[tuple[str, ...], Any]] = {}
    select = "SELECT key FROM state WHERE key >= ? AND key < ? ORDER BY key"
    keys = [key for (key,) in connection.execute(select, (_PREFIX, f"model{chr(ord(SEPARATOR) + 1)}")).fetchall()]
    for key in keys:
        _, model, table, *rest = key.split(SEPARATOR)
        if table in ("core", "series") or (table == "reference" and rest[0] == ""):
            row = connection.execute("SELECT body FROM state WHERE key = ?", (key,)).fetchone()
            if row is not None:  # a commit came between
                tables.setdefault(model, {})[table, *rest] = msgspec.msgpack.decode(row[0], strict=False)
    return [one for model, rows in tables.items() for one in _of_model(connection, model, rows)]


def _of_model(connection: sqlite3.Connection, model: str, rows: dict[tuple[str, ...], Any]) -> list[Judged]:
    if ("core",) not in rows:
        return []
    out = []
    for kind, until in sorted(rows["core",]["closed_until"].items()):
        versions = [key[1] for key, row in rows.items() if key[0] == "series" and key[2] == kind and row["panes"]]
        if not versions:
            continue  # it learns, or is held
        learned = rows.get(("reference", "", kind), {}).get("end", 0)
        found = [_first_pane(connection, model, version, kind) for version in versions]
        # Panes are forgotten before the transitions that they led to.
        found += connection.execute("SELECT min(timestamp) FROM transition WHERE model = ? AND kind = ?", (model, kind))
        starts = [start for (start,) in found if start is not None]
        if starts:
            out.append(Judged(model, kind, max(learned, min(starts)), until))
    return out


def _first_pane(connection: sqlite3.Connection, model: str, version: str, kind: str) -> tuple[int | None]:
    select = "SELECT min(start) FROM pane WHERE model = ? AND version = ? AND kind = ?"
    (start,) = connection.execute(select, (model, version, kind)).fetchone()
    return (start,)
