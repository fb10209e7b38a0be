"""A state directory as a daemon would have left it: the engine over events, and all that came out of it in the store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from driftd.commands.replay import Replay
from driftd.core.action import Action
from driftd.core.event import PartitionId
from driftd.core.outcome import ClosedPane, Outcome
from driftd.kafka.block import Cutter, RecordRun
from driftd.settings.load import load
from driftd.store.commit import Commit, PaneRow
from driftd.store.store import Store
from tests.e2e.daemon import event

PARTITION = PartitionId("predictions", 0)
START = 1_700_000_400_000
LEARNING = 10_800
"""Events, one a second: enough for a grid, and two hours of reference after it."""


@dataclass
class Lived(Replay):
    """`directory`: of settings and state. `rules`: those of the settings, which learn a reference in two hours."""

    directory: Path
    rules: dict[str, Any]
    panes: list[ClosedPane] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._write()
        super().__init__(load(self.config, {}), {PARTITION: ("prediction",)})

    def _write(self) -> None:
        document = {
            "state": {"directory": str(self.directory / "state")},
            "kafka": {"topics": {"predictions": [PARTITION.topic], "features": [], "labels": []}},
            "monitoring": {
                "window": {"length": "10m", "every": "2m"},
                "reference": {"learn": {"for": "2h", "min_samples": 1_000}},
                "rules": self.rules,
                "retrain": None,
            },
        }
        self.config.write_text(json.dumps(document))

    @property
    def config(self) -> Path:
        return self.directory / "driftd.yaml"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    def _follow(self, outcome: Outcome) -> list[Action]:
        self.panes += outcome.panes
        self.actions += outcome.actions
        return super()._follow(outcome)

    def lives(self, events: Iterable[tuple[int, bytes]]) -> Lived:
        for run in _blocks(events):
            self.read(run)
        self.finish()
        return self

    def stores(self) -> Lived:
        self.state.mkdir(parents=True, exist_ok=True)
        store = Store.open(self.state, group="driftd")
        try:
            panes = [PaneRow(p.model, p.version, p.kind, p.start, p.end, p.body()) for p in self.panes]
            actions = [(action, ("ops",), False) for action in self.actions]
            store.commit(Commit(rows=self.engine.changes(), panes=panes, actions=actions))
        finally:
            store.close()
        return self

    def copied(self, directory: Path) -> Lived:
        """The same life with a store of its own."""
        other = copy(self)
        other.directory = directory
        shutil.copytree(self.directory, directory)
        other._write()
        return other

    def alerts(self, rule: str, signal: str) -> list[str]:
        """The alerts of one signal that fired, in order."""
        named = [
            str(one["alert_id"])
            for action in self.actions
            if (action.type, action.rule) == ("driftd.alert.firing", rule)
            for one in action.data["signals"]  # type: ignore[attr-defined]
            if one["signal"] == signal
        ]
        return list(dict.fromkeys(named))


def _blocks(events: Iterable[tuple[int, bytes]]) -> Iterator[RecordRun]:
    cutter = Cutter(PARTITION)
    lines = list(events)
    nothing = [None] * len(lines)
    cutter.add(list(range(len(lines))), [time for time, _ in lines], [line for _, line in lines], nothing, nothing)
    while (run := cutter.cut()) is not None:
        yield run
    if (rest := cutter.flush()) is not None:
        yield rest


def stream(episodes: Sequence[tuple[str, float]], model: str = "m", each: int = 2_400) -> Iterator[tuple[int, bytes]]:
    """An event a second: two hours to learn from, then episodes of `each` events in which one signal's mean is moved by so
    much, and as many without after each.
    """
    chance = np.random.default_rng(11)
    plan = [("", 0.0)] * 4 + [part for episode in episodes for part in (episode, ("", 0.0))]
    sizes = [LEARNING // 4] * 4 + [each] * (len(plan) - 4)
    at = START
    for (signal, shift), size in zip(plan, sizes, strict=True):
        x, y = chance.normal(size=size), chance.normal(size=size)
        x, y = x + shift * (signal == "x"), y + shift * (signal == "y")
        for a, b in zip(x.tolist(), y.tolist(), strict=True):
            yield at, event(model, "1", at, {"x": a, "y": b}, 0.5)
            at += 1_000
