"""What the versions of one model are judged against: grids and references, from files or learned from live events.

Of each kind there is one grid; on it, a reference of the model's own, and where it was given or learned one of a version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from driftd.core.clock import NEVER
from driftd.core.event import KINDS, Columns, Kind, PartitionId
from driftd.core.grid import Grid
from driftd.core.learn import GridLearner, ReferenceLearner
from driftd.core.pane import Ints, Pane
from driftd.core.reference import PARTS, Reference
from driftd.core.spec import Learn, Limits, Model, SignalType

MOST_SLICES = 16
"""Of a pane, while a reference is learned."""


@dataclass(frozen=True, slots=True)
class GivenReference:
    """A reference from a file. `version` names the version it was built for, "" if none was."""

    version: str
    reference: Reference


@dataclass(frozen=True, slots=True, eq=False)
class LearnedReference:
    """A reference that is complete; `version` "": the model's own. `parts` int64[P, codes], for the disk."""

    model: str
    version: str
    kind: Kind
    reference: Reference
    end: int
    parts: Ints


class Baselines:
    """`given`: references from files by version, "" for the model's own. `dirty`: the rows to store are named there.

    `births`: when a grid that was learned began. `founders`: the versions that the model's own reference is of; the
    others are new. `references`: with the end of what they were learned from.
    """

    def __init__(
        self, model: Model, limits: Limits, given: Mapping[str, GivenReference], dirty: set[tuple[object, ...]]
    ) -> None:
        self.model, self.limits, self.given, self.dirty = model, limits, dict(given), dirty
        self.how = model.reference if isinstance(model.reference, Learn) else Learn()
        self.grids: dict[Kind, Grid] = {}
        self.births: dict[Kind, int] = {}
        self.samplers: dict[Kind, GridLearner] = {}
        self.dropped = 0
        """Values over the bound on signals, of the grids that are learned by now; see `dropped_signals`."""
        self.references: dict[tuple[str, Kind], tuple[Reference, int]] = {}
        self.learners: dict[tuple[str, Kind], ReferenceLearner] = {}
        self.founders: dict[Kind, set[str]] = {kind: set() for kind in KINDS}
        for version, one in given.items():
            self._give(version, one)

    def _give(self, version: str, given: GivenReference) -> None:
        for kind in KINDS:
            names = [n for n in given.reference.grid.names if self.model.source_of(n) == kind]
            chosen = given.reference.select(names)
            self.grids.setdefault(kind, chosen.grid)
            self.references[version, kind] = (chosen, -NEVER)
            if version == "" and given.version:
                self.founders[kind].add(given.version)

    # -- what is asked of them ---------------------------------------------------------------------------------------

    @property
    def slices(self) -> int:
        """Into how many a pane is cut while a reference is learned, so that it has enough parts to replay."""
        every = self.model.window.every
        wanted = -(-PARTS * every // max(self.how.duration, 1))
        return next(n for n in range(min(max(wanted, 1), MOST_SLICES), 0, -1) if every % n == 0)

    def learning(self) -> frozenset[Kind]:
        """The kinds of which a reference is learned, or may be."""
        return frozenset(
            kind
            for kind in KINDS
            if self.model.on_new_version == "learn"
            or ("", kind) not in self.references
            or any(k == kind for _, k in self.learners)
        )

    @property
    def dropped_signals(self) -> int:
        """Values of signals that came when there were too many already."""
        return self.dropped + sum(sampler.dropped for sampler in self.samplers.values())

    def types(self, kind: Kind) -> dict[str, SignalType]:
        """The signals of this kind that are counted, with their types, once there is a grid."""
        grid = self.grids[kind]
        return {name: "numeric" if grid.numeric[i] else "categorical" for i, name in enumerate(grid.names)}

    def source_of(self, version: str, kind: Kind) -> str | None:
        """Whose reference a version is judged against: its own, "" for the model's; None while it is held."""
        if (version, kind) in self.references or (version, kind) in self.learners:
            return version
        policy, founders = self.model.on_new_version, self.founders[kind]
        if ("", kind) not in self.references or policy == "inherit" or version in founders or not founders:
            return ""
        return version if policy == "learn" else None

    def of(self, version: str, kind: Kind) -> Reference | None:
        """What a version is judged against; None while it is held, or what it needs is learned."""
        source = self.source_of(version, kind)
        found = self.references.get((source, kind)) if source is not None else None
        return found[0] if found else None

    def of_model(self, kind: Kind) -> Reference | None:
        """The model's own reference."""
        found = self.references.get(("", kind))
        return found[0] if found else None

    # -- learning ----------------------------------------------------------------------------------------------------

    def sample(self, kind: Kind, end: int, columns: Iterable[tuple[PartitionId, Columns]]) -> Grid | None:
        """Take in the events of a pane for which there is no grid yet; the grid, if that was enough."""
        sampler = self.samplers.setdefault(kind, GridLearner(self.limits.signals))
        for partition, events in columns:
            self.founders[kind].add(events.version)
            sampler.feed(partition, self.own(events))
        self.dirty.add(("sampler", kind))
        if sampler.events < self.how.min_samples:
            return None
        types = {name: said.type for name, said in self.model.signals.items() if said.type is not None}
        grid = self.grids[kind] = sampler.grid(types, self.limits.categories)
        self.births[kind] = end
        self.dropped += sampler.dropped
        del self.samplers[kind]
        self.dirty.add(("grid", kind))
        return grid

    def own(self, events: Columns) -> Columns:
        """Only the signals whose declared source is this kind: no signal is counted twice."""
        columns = {n: c for n, c in events.columns.items() if self.model.source_of(n) == events.kind}
        return replace(events, columns=columns)

    def found(self, version: str, kind: Kind) -> None:
        """A version that is seen while the model's own reference is learned founds it, as does the first that is seen
        of a file that names none.
        """
        learning = ("", kind) not in self.references or not self.founders[kind]
        if learning and self.source_of(version, kind) == "":
            self.founders[kind].add(version)

    def learn(self, source: str, kind: Kind, end: int, slots: Mapping[int, Pane]) -> LearnedReference | None:
        """Take in what a pane has, by the starts of its slices; the reference, if that was enough."""
        learner = self.learners.get((source, kind))
        if learner is None:
            first = end - self.model.window.every
            start = self.births.get(kind, first) if source == "" else first
            learner = self.learners[source, kind] = ReferenceLearner(self.grids[kind], start)
        learner.add(slots[start] for start in sorted(slots))
        self.dirty.add(("learner", source, kind))
        if end < learner.start + self.how.duration or learner.events < self.how.min_samples:
            return None
        reference, parts = learner.reference()
        del self.learners[source, kind]
        self.references[source, kind] = (reference, end)
        self.dirty.add(("reference", source, kind))
        return LearnedReference(self.model.name, source, kind, reference, end, parts)

    def retire(self, version: str, kind: Kind) -> None:
        """Forget what was learned of a version; what was given stays."""
        self.learners.pop((version, kind), None)
        if version not in self.given:
            self.references.pop((version, kind), None)
        self.dirty |= {("reference", version, kind), ("learner", version, kind)}
