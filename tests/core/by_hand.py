"""One model, fed block by block: for tests that say themselves what comes when."""

from __future__ import annotations

import numpy as np

from driftd.core.baseline import GivenReference
from driftd.core.engine import Engine, Stimulus
from driftd.core.event import Block, Column, Columns, Discovered, Kind, PartitionId
from driftd.core.outcome import Outcome
from driftd.core.profile import profile
from driftd.core.spec import MINUTE, SECOND, Learn, Limits, Model, ReferenceFiles, Spec, Window
from tests.core.simulate import reference_of

P, Q = PartitionId("scored", 0), PartitionId("scored", 1)
WINDOW = Window(
    length=2 * MINUTE,
    every=MINUTE,
    min_samples=20,
    max_length=8 * MINUTE,
    allowed_lateness=10 * SECOND,
    max_wait=MINUTE,
)
PLAIN = Model("m", WINDOW, ReferenceFiles("a file"))


def give(engine: Engine, stimulus: Block | Stimulus) -> Outcome:
    if isinstance(stimulus, Block):
        return engine.apply(profile(stimulus, engine.plan_of))
    return engine.apply(stimulus)


def block(
    partition: PartitionId, first: int, stamp: int, times: list[int], version: str = "1", kind: Kind = "prediction"
) -> Block:
    """Events of one version, and as many records that are not ours as make the block move arrival time."""
    n = len(times)
    columns: dict[str, Column] = {
        "x": np.zeros(n),
        "prediction": np.full(n, 0.5),
        "colour": ["red"] * n,
        "label": np.zeros(n),
    }
    offsets = np.arange(first, first + n, dtype=np.int64)
    group = Columns("m", version, kind, np.array(times, np.int64), offsets, columns)
    return Block(partition, first, first + 64, 64, stamp, stamp, (group,))


def engine_of(
    model: Model = PLAIN, limits: Limits | None = None, versions: tuple[str, ...] = ()
) -> tuple[Spec, dict[str, dict[str, GivenReference]], Engine]:
    spec = Spec("g", {"m": model}, limits=limits or Limits())
    reference = reference_of(model)
    given = {"m": {"": reference} | {v: GivenReference(v, reference.reference) for v in versions}}
    if isinstance(model.reference, Learn):
        given = {}
    engine = Engine(spec, given)
    engine.apply(Discovered({P: ("prediction",)}))
    return spec, given, engine
