"""A model that is fed minute by minute, whatever its columns are: what is told, and an engine put back from what is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from driftd.core.action import Action
from driftd.core.baseline import GivenReference
from driftd.core.engine import Engine
from driftd.core.event import Block, Column, Columns, Discovered
from driftd.core.profile import profile
from driftd.core.spec import HOUR, MINUTE, Limits, Model, Spec
from tests.core.by_hand import P

BEGIN = 1_000 * HOUR
Rng = np.random.Generator


class Life:
    """`reference`: the model's, None: it learns one."""

    def __init__(self, rng: Rng, model: Model, reference: GivenReference | None, limits: Limits | None = None) -> None:
        self.rng = rng
        self.spec = Spec("g", {"m": model}, limits=limits or Limits())
        self.given = {"m": {"": reference}} if reference is not None else {}
        self.engine = Engine(self.spec, self.given)
        self.engine.apply(Discovered({P: ("prediction",)}))
        self.minute = self.offset = 0
        self.told: list[Action] = []
        self.rows: dict[str, object] = {}

    def turn(self, versions: Mapping[str, tuple[int, Callable[[int], Mapping[str, Column]]]]) -> list[Action]:
        """One minute: of each version so many events, with these columns."""
        at = BEGIN + self.minute * MINUTE
        groups = []
        for version, (n, columns) in versions.items():
            if n:
                times = at + np.sort(self.rng.integers(0, MINUTE, n))
                offsets = np.arange(self.offset, self.offset + n, dtype=np.int64)
                groups.append(Columns("m", version, "prediction", times, offsets, columns(n)))
                self.offset += n
        block = Block(P, self.offset, self.offset + 64, 64, at + MINUTE, at + MINUTE, tuple(groups))
        self.offset += 64
        told = self.engine.apply(profile(block, self.engine.plan_of)).actions
        self.minute += 1
        self.rows |= self.engine.changes()
        self.told += told
        return told

    def again(self, model: Model | None = None) -> Engine:
        """An engine that is put back from what is stored, under these settings if they are others."""
        spec = replace(self.spec, models={"m": model}) if model is not None else self.spec
        engine = Engine(spec, self.given)
        engine.restore({key: row for key, row in self.rows.items() if row is not None})
        return engine
