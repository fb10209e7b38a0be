"""What is stored of one model: rows of plain data (numbers, text, bytes, lists, dicts), and back.

A row is written only when it changed; closed panes and columns are written once and dropped once. Keys are made of names
joined by a control character that no name may hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np

from driftd.core.clock import NEVER
from driftd.core.event import Kind, PartitionId
from driftd.core.grid import Grid
from driftd.core.learn import GridLearner, ReferenceLearner
from driftd.core.monitor import Monitor, Totals
from driftd.core.openpane import Contribution, OpenPane, Sure, column_bytes, columns_from_plain, plain_columns
from driftd.core.pane import Pane, pack_ints, unpack_ints
from driftd.core.reference import Reference, Replay
from driftd.core.schema import Schema
from driftd.core.series import Series

SEPARATOR: Final = "\x1f"
_KIND_AT: Final = {
    "grid": 1,
    "sampler": 1,
    "sure": 1,
    "apart": 1,
    "schema": 1,
    "learner": 2,
    "reference": 2,
    "series": 2,
    "block": 2,
}
"""Where the name of a row has its kind."""


def changes_of(monitor: Monitor) -> dict[str, object | None]:
    """The rows of this model that changed since the last call; None for a row that is gone."""
    rows: dict[str, object | None] = {}
    for key in sorted(monitor.dirty, key=str):
        rows[_name(*key)] = _row(monitor, key)
        if key[0] == "series":
            rows |= _block_changes(monitor, str(key[1]), cast("Kind", key[2]))
    monitor.dirty.clear()
    return rows


def _name(*parts: object) -> str:
    return SEPARATOR.join(str(part) for part in parts)


def _row(monitor: Monitor, key: tuple[Any, ...]) -> object | None:  # noqa: PLR0911 - one table a case
    match key:
        case ("core",):
            return _core(monitor)
        case ("sure", kind, end, version, start):
            pane = monitor.open[kind].get(end)
            sure = pane.sure.get((version, start)) if pane else None
            return (
                {"pane": sure.pane.pack(), "cover": {p: list(c) for p, c in sorted(sure.cover.items())}}
                if sure
                else None
            )
        case ("apart", kind, end, *rest):
            pane = monitor.open[kind].get(end)
            part = pane.apart.get(tuple(rest)) if pane else None
            return _contribution(part) if part else None
        case ("grid", kind):
            return monitor.baselines.grids[kind].plain() if kind in monitor.baselines.births else None
        case ("sampler", kind):
            sampler = monitor.baselines.samplers.get(kind)
            return sampler.plain() if sampler else None
        case ("learner", source, kind):
            learner = monitor.baselines.learners.get((source, kind))
            return learner.plain() if learner else None
        case ("reference", source, kind):
            found = monitor.baselines.references.get((source, kind))
            return (
                {"end": found[1], **reference_plain(found[0])}
                if found and source not in monitor.baselines.given
                else None
            )
        case ("schema", kind):
            return monitor.schemas[kind].plain()
        case ("series", version, kind):
            series = monitor.series.get((version, kind))
            return series.plain() if series else None
    raise ValueError(f"no row is named {key!r}")


def _core(monitor: Monitor) -> dict[str, object]:
    return {
        "progress": {kind: progress.plain() for kind, progress in monitor.progress.items()},
        "closed_until": monitor.closed_until,
        "births": monitor.baselines.births,
        "founders": {kind: sorted(founders) for kind, founders in monitor.baselines.founders.items()},
        "totals": [[version, kind, t.events, t.late] for (version, kind), t in sorted(monitor.totals.items())],
        **monitor.versions.plain(),
        "backfill": monitor.backfill,
        "retired": monitor.retired,
        "dropped": monitor.baselines.dropped,
        "retraining": {kind: retraining.plain() for kind, retraining in monitor.telling.retraining.items()},
        "transitions": [[*key, n] for key, n in sorted(monitor.telling.transitions.items())],
        "sampled": monitor.sampled,
        "every": monitor.model.window.every,
        "grids": {kind: grid.hash for kind, grid in monitor.baselines.grids.items()},
    }


def _contribution(part: Contribution) -> dict[str, object]:
    body = part.body
    return {
        "partition": [part.partition.topic, part.partition.number],
        "version": part.version,
        "start": part.start,
        "before": part.before,
        "events": part.events,
        "offsets": [part.low, part.high],
        "pane": body.pack() if isinstance(body, Pane) else None,
        "columns": None if isinstance(body, Pane) else plain_columns(body),
    }


def _block_changes(monitor: Monitor, version: str, kind: Kind) -> dict[str, object | None]:
    series = monitor.series.get((version, kind))
    now = series.windows.rows() if series else {}
    stored = monitor.stored_blocks.get((version, kind), set())
    rows: dict[str, object | None] = {_name("block", version, kind, *key): None for key in sorted(stored - now.keys())}
    rows |= {_name("block", version, kind, *key): list(now[key]) for key in sorted(now.keys() - stored)}
    if series:
        monitor.stored_blocks[version, kind] = set(now)
    else:
        monitor.stored_blocks.pop((version, kind), None)
    return rows


def restore_monitor(monitor: Monitor, rows: Mapping[str, object]) -> None:
    """Put a model's rows back into a fresh Monitor. What the settings have ended since is told at the next close."""
    split = _carried(monitor, rows)
    _restore_core(monitor, cast("Any", rows["core"]))
    by_table: dict[str, list[tuple[tuple[str, ...], Any]]] = {}
    for key, value in split:
        by_table.setdefault(key[0], []).append((key[1:], value))
    for (kind,), plain in by_table.get("grid", []):
        monitor.baselines.grids[cast("Kind", kind)] = Grid.from_plain(plain)
    for (kind,), plain in by_table.get("sampler", []):
        sampler = monitor.baselines.samplers[cast("Kind", kind)] = GridLearner(monitor.limits.signals)
        sampler.load(plain)
    for (source, kind), plain in by_table.get("learner", []):
        grid = monitor.baselines.grids[cast("Kind", kind)]
        monitor.baselines.learners[source, cast("Kind", kind)] = ReferenceLearner.from_plain(grid, plain)
    for (source, kind), plain in by_table.get("reference", []):
        reference = reference_from_plain(monitor.baselines.grids[cast("Kind", kind)], plain)
        monitor.baselines.references[source, cast("Kind", kind)] = (reference, plain["end"])
    for (kind, end, version, start), plain in by_table.get("sure", []):
        pane = monitor.open[cast("Kind", kind)].setdefault(int(end), OpenPane())
        cover = {p: (low, high) for p, (low, high) in plain["cover"].items()}
        pane.sure[version, int(start)] = Sure(Pane.unpack(plain["pane"]), cover)
    for (kind,), plain in by_table.get("schema", []):
        monitor.schemas[cast("Kind", kind)].load(plain)
        if monitor.model.schema is None:
            monitor.end_schema(monitor.schemas[cast("Kind", kind)], "rule removed")
            monitor.schemas[cast("Kind", kind)] = Schema(monitor.group, monitor.model, cast("Kind", kind))
            monitor.dirty.add(("schema", kind))
    for key, plain in by_table.get("apart", []):
        _restore_apart(monitor, cast("Kind", key[0]), int(key[1]), plain)
    _without_strangers(monitor, cast("Any", rows["core"]))
    blocks: dict[tuple[str, Kind], dict[tuple[int, int], tuple[int, bytes]]] = {}
    for (version, kind, level, end), plain in by_table.get("block", []):
        blocks.setdefault((version, cast("Kind", kind)), {})[int(level), int(end)] = (plain[0], plain[1])
    for (version, kind), plain in by_table.get("series", []):
        key2 = (version, cast("Kind", kind))
        series = Series(monitor.group, monitor.model, version, key2[1], monitor.baselines.grids[key2[1]])
        series.reference = monitor.baselines.of(*key2)
        law = series.reference or monitor.baselines.of_model(key2[1])
        series.load(plain, blocks.get(key2, {}), law)
        monitor.series[key2] = series
        monitor.stored_blocks.setdefault(key2, set()).update(series.windows.rows())
        monitor.end(series.without_rules(), "rule removed")
        series.recall(law)


def _without_strangers(monitor: Monitor, core: Mapping[str, Any]) -> None:
    """A state from before strangers were counted has none in its open panes."""
    if "champions" not in core:
        for kind, panes in monitor.open.items():
            monitor.schemas[kind].blind_until = max(panes, default=-NEVER)


def _carried(monitor: Monitor, rows: Mapping[str, object]) -> list[tuple[tuple[str, ...], Any]]:
    """The rows that hold under the settings of now, in order; the others leave the store.

    A kind whose grid is another (its reference file was built anew, or is no more, or is new) begins afresh. Where
    `window.every` is another, what lies in open panes and windows ends, and new panes begin after the last one.
    """
    core = cast("Any", rows["core"])
    split = sorted((tuple(key.split(SEPARATOR)), cast("Any", value)) for key, value in rows.items())
    learned = {key[1] for key, _ in split if key[0] == "grid"}
    afresh: set[Kind] = {
        kind
        for kind, known in core["grids"].items()
        if (monitor.baselines.grids[kind].hash != known if kind in monitor.baselines.grids else kind not in learned)
    }
    every = monitor.model.window.every
    kept = []
    for key, value in split:
        table, kind = key[0], cast("Kind", key[_KIND_AT.get(key[0], 0)])
        unlearned = kind in monitor.baselines.grids and table in {"grid", "sampler"}
        repaced = core["every"] != every and table in {"sure", "apart", "block"}
        if kind not in afresh and not unlearned and not repaced:
            kept.append((key, value))
            continue
        if table == "block":
            monitor.stored_blocks.setdefault((key[1], kind), set()).add((int(key[3]), int(key[4])))
        else:
            monitor.dirty.add(key)
        if table == "schema":
            schema = Schema(monitor.group, monitor.model, kind)
            schema.load({**value, "pending": {}})
            monitor.end_schema(schema, "re-baselined")
        if table == "series":
            ended = Series(monitor.group, monitor.model, key[1], kind, Grid([]))
            ended.load({**value, "detectors": []}, {})
            monitor.end(ended, "re-baselined")
    if core["every"] != every:
        core["closed_until"] = {kind: -(-end // every) * every for kind, end in core["closed_until"].items()}
        monitor.dirty |= {key for key, _ in kept if key[0] == "series"}
    for kind in afresh:
        core["births"].pop(kind, None)
        core["founders"][kind] = sorted(monitor.baselines.founders[kind])
    return kept


def _restore_core(monitor: Monitor, core: Mapping[str, Any]) -> None:
    for kind, plain in core["progress"].items():
        monitor.progress[kind].load(plain)
    monitor.closed_until = dict(core["closed_until"])
    monitor.baselines.births = dict(core["births"])
    monitor.baselines.founders = {kind: set(founders) for kind, founders in core["founders"].items()}
    monitor.totals = {(version, kind): Totals(events, late) for version, kind, events, late in core["totals"]}
    monitor.versions.load(core)
    monitor.backfill, monitor.retired, monitor.sampled = core["backfill"], core["retired"], core["sampled"]
    monitor.baselines.dropped = core.get("dropped", 0)  # a state from before it was counted has none
    for kind, plain in core["retraining"].items():
        monitor.telling.retraining[kind].load(plain)
    monitor.telling.transitions = {(rule, kind, severity): n for rule, kind, severity, n in core["transitions"]}


def _restore_apart(monitor: Monitor, kind: Kind, end: int, plain: Mapping[str, Any]) -> None:
    version = plain["version"]
    if plain["pane"] is not None:
        body: Any = Pane.unpack(plain["pane"])
    else:
        body = columns_from_plain(monitor.model.name, version, kind, plain["columns"])
        monitor.learning_bytes += column_bytes(body)
    part = Contribution(
        version, plain["start"], PartitionId(*plain["partition"]), plain["before"], plain["events"],
        plain["offsets"][0], plain["offsets"][1], body,
    )  # fmt: skip
    monitor.open[kind].setdefault(end, OpenPane()).apart[part.key()] = part


def reference_plain(reference: Reference) -> dict[str, object]:
    """A reference without its grid, as plain data. Replays that are the same arrays are stored once."""
    sets: list[bytes] = []
    known: dict[int, int] = {}
    keys: list[list[int]] = []
    for (size, n), replay in sorted(reference.replays.items()):
        if id(replay) not in known:
            known[id(replay)] = len(sets)
            arrays = (replay.windows, replay.mean, replay.variance, replay.worst, replay.inflation, replay.worst_rate)
            sets.append(np.concatenate([a.reshape(-1, len(reference.grid)) for a in arrays]).astype("<f8").tobytes())
        keys.append([size, n, known[id(replay)]])
    return {
        "events": reference.events,
        "counts": pack_ints(reference.counts),
        "moments": pack_ints(reference.moments),
        "new_expected": pack_ints(reference.new_expected),
        "parts": reference.parts,
        "replays": keys,
        "replay_sets": sets,
    }


def reference_from_plain(grid: Grid, plain: Mapping[str, Any]) -> Reference:
    """The reverse. Raises ValueError where the numbers do not fit the grid."""
    sets = []
    for body in plain["replay_sets"]:
        rows = np.frombuffer(body, "<f8").astype(np.float64).reshape(10, len(grid))
        sets.append(Replay(rows[0], rows[1], rows[2], rows[3], rows[4:7], rows[7:10]))
    counts, moments = unpack_ints(plain["counts"]), unpack_ints(plain["moments"]).reshape(3, -1)
    if len(counts) != grid.codes or moments.shape[1] != len(grid):
        raise ValueError("the reference's counts do not fit its grid")
    return Reference(
        grid,
        plain["events"],
        counts,
        moments,
        new_expected=unpack_ints(plain["new_expected"]),
        parts=plain["parts"],
        replays={(size, n): sets[i] for size, n, i in plain["replays"]},
    )
