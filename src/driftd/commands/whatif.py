"""`driftd replay --what-if`: what each rule would have told of recorded events, under the settings and under other rules.

The engine runs once under the settings, and once more for each file of rules that are laid over them: a rule's level
depends on how many there are, so none is judged beside those that would not be there.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftd.app import schemas_for
from driftd.commands.replay import Replay, open_inputs, told_of_refused
from driftd.core.action import rfc3339
from driftd.core.fault import printable
from driftd.core.review import read
from driftd.core.whatif import Drift, Overlap, Score, overlaps, scores
from driftd.files.drifts import read_drifts
from driftd.files.events import EventOptions
from driftd.settings.load import load
from driftd.settings.quantity import format_duration
from driftd.settings.schema import Settings

NOW: Final = "the settings"
WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Scenario:
    """What would have been told under some rules. `since`, `until`: of the log, ms."""

    name: str
    since: int
    until: int
    scores: list[Score]
    overlaps: list[Overlap]


def main(
    config: Path,
    events: list[str],
    rules: Sequence[Path],
    drifts: Path | None,
    output: Literal["text", "json"] = "text",
    options: EventOptions | None = None,
    span: tuple[int | None, int | None] = (None, None),
) -> int:
    """Prints a table for the settings and one for each of `rules`. Raises UserError."""
    known = read_drifts(drifts) if drifts is not None else None
    named = [(NOW, load(config, os.environ)), *((str(path), load(config, os.environ, path)) for path in rules)]
    found = [_scenario(name, settings, events, options or EventOptions(), span, known) for name, settings in named]
    if output == "json":
        document = {"drifts": None if known is None else len(known), "scenarios": [_document(one) for one in found]}
        sys.stdout.write(json.dumps(document, ensure_ascii=True, allow_nan=False) + "\n")
        return 0
    for one in found:
        _print(one, known)
    return 0


def _scenario(
    name: str,
    settings: Settings,
    events: list[str],
    options: EventOptions,
    span: tuple[int | None, int | None],
    drifts: Sequence[Drift] | None,
) -> Scenario:
    runs, kinds = open_inputs(settings, events, options, *span)
    bodies: list[dict[str, Any]] = []
    first, last = sys.maxsize, 0
    with contextlib.ExitStack() as stack:
        schemas = schemas_for(settings.kafka)
        if schemas is not None:
            stack.callback(schemas.close)
        replay = Replay(settings, kinds, schemas)
        for run in runs:
            first, last = min(first, *run.timestamps), max(last, *run.timestamps)
            bodies += [json.loads(action.body()) for action in replay.read(run)]
    bodies += [json.loads(action.body()) for action in replay.finish()]
    told_of_refused(replay)
    lives, told = read(bodies, frozenset())
    # Of all models: a rule that none of them has is in no table.
    watched = [settings.monitoring, *settings.models.values()]
    rules = sorted({rule for one in watched for rule in one.rules} | {life.rule for life in lives})
    first = min(first, last)
    return Scenario(name, first, last, scores(rules, lives, told, last - first, drifts), overlaps(rules, lives))


def _document(one: Scenario) -> dict[str, Any]:
    return {
        "rules_of": one.name,
        "since": rfc3339(one.since),
        "until": rfc3339(one.until),
        "rules": [_score(score) for score in one.scores],
        "overlaps": [asdict(overlap) for overlap in one.overlaps],
    }


def _score(one: Score) -> dict[str, Any]:
    return {
        "rule": one.rule,
        "notifications": one.notifications,
        "alerts": one.alerts,
        "alerts_a_week": None if one.a_week is None else round(one.a_week, 3),
        "open": one.open,
        "median_s": None if one.median is None else one.median / 1000,
        "drifts_found": one.found,
        "median_delay_s": None if one.delay is None else one.delay / 1000,
        "false": one.false,
    }


def _print(one: Scenario, drifts: Sequence[Drift] | None) -> None:
    sys.stdout.write(printable(f"Under {one.name}, {rfc3339(one.since)} to {rfc3339(one.until)}") + "\n")
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("rule")
    for name in ("sent", "alerts", "a week", "open", "median"):
        table.add_column(name, justify="right")
    if drifts is not None:
        for name in (f"found of {len(drifts)}", "delay", "false"):
            table.add_column(name, justify="right")
    for score in one.scores:
        table.add_row(*(Text(printable(cell)) for cell in _cells(score, known=drifts is not None)))
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=WIDTH)
    console.print(table)
    sys.stdout.write("".join(f"{printable(line)}\n" for line in _together(one.overlaps)) + "\n")


def _cells(score: Score, *, known: bool) -> Iterator[str]:
    yield score.rule
    yield str(score.notifications)
    yield str(score.alerts)
    yield "-" if score.a_week is None else f"{score.a_week:.3g}"
    yield str(score.open)
    yield "-" if score.median is None else format_duration(score.median)
    if known:
        yield str(score.found)
        yield "-" if score.delay is None else format_duration(score.delay)
        yield str(score.false)


def _together(found: Sequence[Overlap]) -> Iterator[str]:
    for one in found:
        if one.together:
            yield f"{one.rule}: {one.together} of {one.alerts} alerts while {one.other} fired too, of the same version."
