"""`driftd review`: was a rule worth it, and which threshold would have been. From the store, also while the daemon runs.

Counts come from the transitions and from what people did, which are kept for good; the threshold from the closed panes,
which are kept for `state.keep_panes`: they are judged again by `core.backtest`, against the references of now.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from driftd.app import references
from driftd.commands.review_output import Output, print_review
from driftd.core.backtest import FEW, MANY, Backtest, Evidence, Tried, candidates, suggestion, threshold_of
from driftd.core.engine import Engine
from driftd.core.event import Kind
from driftd.core.monitor import Monitor
from driftd.core.outcome import ClosedPane
from driftd.core.review import Life, Marks, Series, Tally, flapping, read, tally
from driftd.core.spec import DAY, DetectorRule, Model, WindowRule
from driftd.settings.load import load
from driftd.store.commit import PaneRow
from driftd.store.reader import Reader

USUAL: Final = 30 * DAY
ALL: Final = 1 << 62
Step = Callable[[str, float], None]
"""Told which model is replayed, and how much of all is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One rule of one model. `now` None: the settings have no such rule (any more), or it has no threshold."""

    model: str
    rule: str
    tally: Tally
    now: float | None
    suggested: float | None
    because: str
    tried: Sequence[Tried] = ()
    weeks: float = 0.0


@dataclass(frozen=True, slots=True)
class Review:
    """`replayed`: by model from when to when there were panes to judge again, ms. `total`: by rule, over all models."""

    since: int
    until: int
    rules: Sequence[Reviewed]
    replayed: Mapping[str, tuple[int, int]]
    total: Mapping[str, Tally]


def main(
    config: Path, since: int | None = None, until: int | None = None, model: str | None = None, output: Output = "text"
) -> int:
    """Raises UserError where there is no state."""
    settings = load(config, os.environ)
    spec = settings.spec()
    now = round(time.time() * 1000)
    start, end = now - USUAL if since is None else since, now if until is None else until
    with Reader.open_read_only(settings.state.directory) as reader, _progress() as step:
        engine = Engine(spec, references(spec))
        engine.restore(reader.load_rows())
        found = _review(reader, engine, start, end, now, model, step)
    print_review(found, output)
    return 0


def _review(
    reader: Reader, engine: Engine, since: int, until: int, now: int, model: str | None, step: Step
) -> Review:  # fmt: skip
    marks = Marks.of(reversed(reader.acts(ALL)))
    withheld = reader.withheld_for_mutes()
    lives, told = read(map(json.loads, reader.bodies(model, since, ALL)), withheld)
    flapped = flapping(lives, lambda life: _settings(engine, life.model).window.length)
    lives = [life for life in lives if since <= life.fired < until]
    told = [one for one in told if since <= one.at < until]
    rules: list[Reviewed] = []
    replayed: dict[str, tuple[int, int]] = {}
    names = sorted({life.model for life in lives} | {one.series[0] for one in told})
    for i, name in enumerate(names):
        mine = [life for life in lives if life.model == name]
        again = _Again(reader, engine.monitors.get(name), mine, marks, since, until)
        again.replay(lambda share, i=i, name=name: step(name, (i + share) / len(names)))  # type: ignore[misc]
        if again.span is not None:
            replayed[name] = again.span
        for rule in _rules(_settings(engine, name), mine):
            of_it = [life for life in mine if life.rule == rule]
            said = [one for one in told if (one.series[0], one.rule) == (name, rule)]
            rules.append(_reviewed(name, rule, tally(of_it, said, marks, flapped, now), again))
    total = {
        rule: tally(
            [life for life in lives if life.rule == rule],
            [one for one in told if one.rule == rule],
            marks,
            flapped,
            now,
        )
        for rule in sorted({one.rule for one in rules})
    }
    return Review(since, until, rules, replayed, total)


def _settings(engine: Engine, name: str) -> Model:
    monitor = engine.monitors.get(name)
    return engine.spec.default if monitor is None else monitor.model


def _rules(model: Model, lives: Sequence[Life]) -> list[str]:
    """Those of the settings, and those that only their alerts are left of."""
    named = [rule.name for rule in model.window_rules] + [rule.name for rule in model.detector_rules]
    return list(dict.fromkeys([*named, *sorted(life.rule for life in lives)]))


def _reviewed(model: str, rule: str, found: Tally, again: _Again) -> Reviewed:
    now = again.now.get(rule)
    if now is None:
        return Reviewed(model, rule, found, None, None, "no rule of this name has a threshold in the settings")
    if not found.alerts:
        return Reviewed(model, rule, found, now, None, "nothing fired")
    if rule in again.beside:
        return Reviewed(model, rule, found, now, None, "no change: a rule against the champion is not replayed")
    evidence = again.evidence.get(rule)
    if evidence is None:
        return Reviewed(model, rule, found, now, None, again.why)
    suggested, because = suggestion(evidence)
    missing = f"; {evidence.missing} of {found.alerts} alerts could not be replayed" if evidence.missing else ""
    return Reviewed(model, rule, found, now, suggested, because + missing, evidence.tried, evidence.weeks)


class _Again:
    """The stored panes of one model, judged again. `now`: the threshold of each rule in the settings."""

    def __init__(
        self, reader: Reader, monitor: Monitor | None, lives: Sequence[Life], marks: Marks, since: int, until: int
    ) -> None:
        self.reader, self.monitor, self.marks, self.since, self.until = reader, monitor, marks, since, until
        rules: list[WindowRule | DetectorRule] = []
        if monitor is not None:
            rules = [*monitor.model.window_rules, *monitor.model.detector_rules]
        self.now = {rule.name: threshold_of(rule) for rule in rules}
        beside = {rule.name for rule in rules if isinstance(rule, WindowRule) and rule.against == "champion"}
        self.lives = [life for life in lives if life.rule in self.now.keys() - beside]
        self.beside = beside
        self.evidence: dict[str, Evidence] = {}
        self.span: tuple[int, int] | None = None
        self.why = "no closed pane of that time is stored any more (state.keep_panes): nothing can be replayed"
        self.thresholds = {
            rule: candidates(self.now[rule], MANY if self._is_marked(rule) else FEW)
            for rule in {life.rule for life in self.lives}
        }

    def _is_marked(self, rule: str) -> bool:
        return any(life.alert in self.marks.false for life in self.lives if life.rule == rule)

    def replay(self, step: Callable[[float], None]) -> None:
        """Only what fired is replayed: under a higher threshold nothing else would."""
        series = sorted({life.series for life in self.lives})
        for i, one in enumerate(series):
            self._series(one, lambda share, i=i: step((i + share) / len(series)))  # type: ignore[misc]
        if self.span is not None:
            since, until = self.span
            for evidence in self.evidence.values():
                evidence.weeks = max(until - since, 1) / (7 * DAY)

    def _series(self, series: Series, step: Callable[[float], None]) -> None:
        assert self.monitor is not None
        name, version, kind = series[0], series[1], cast("Kind", series[2])
        baselines, model = self.monitor.baselines, self.monitor.model
        grid, reference = baselines.grids.get(kind), baselines.of(version, kind)
        if grid is None or reference is None:
            self.why = "it has no reference now: nothing can be replayed"
            return
        source = baselines.source_of(version, kind) or ""
        first = max(self.since - model.window.max_length, baselines.references[source, kind][1])
        mine = [life for life in self.lives if life.series == series]
        tried = {rule: self.thresholds[rule] for rule in {life.rule for life in mine}}
        test = Backtest(model, version, kind, grid, reference, tried)
        start = end = None
        for row in self._rows(name, version, kind, first):
            pane, _ = ClosedPane.read(row.body)
            # One of another grid or another length is of before the settings changed.
            if len(pane.counts) != grid.codes or row.end - row.start != model.window.every:
                continue
            start, end = row.start if start is None else start, row.end
            test.close(row.end, pane)
            step((row.start - first) / max(self.until - first, 1))
        if start is None or end is None:
            return
        test.finish()
        begun = max(start, self.since)
        self.span = (begun, end) if self.span is None else (min(begun, self.span[0]), max(end, self.span[1]))
        for rule in tried:
            evidence = self.evidence.setdefault(rule, Evidence([Tried(one) for one in self.thresholds[rule]]))
            would = {one: test.would[rule, one] for one in self.thresholds[rule]}
            of_it = [life for life in mine if life.rule == rule]
            evidence.add(would, of_it, begun, self.until, self.marks.false, self.marks.acknowledged)

    def _rows(self, model: str, version: str, kind: Kind, first: int) -> Iterator[PaneRow]:
        """A day at a time: a reader that stays in the middle of the store keeps its log from being taken back."""
        for start in range(first, self.until, DAY):
            yield from list(self.reader.panes(model, version, kind, start, min(start + DAY, self.until)))


@contextmanager
def _progress() -> Iterator[Step]:
    """A bar on stderr, where that is a terminal."""
    columns = TextColumn("replaying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda _, share: progress.update(task, completed=share)
