"""Which reader the features of a (model, kind) have: by the types that are known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping

from driftd.core.event import KINDS, Kind
from driftd.kafka.features import AnyFeatures, KnownFeatures, SignalType
from driftd.kafka.names import feature_of

FeatureReader = KnownFeatures | AnyFeatures


class Readers:
    """`any`: the reader of all models whose types are not known."""

    def __init__(self) -> None:
        self.any = AnyFeatures()
        self._types: dict[tuple[str, Kind], dict[str, SignalType]] = {}
        self._known: dict[tuple[str, Kind], KnownFeatures] = {}

    def learn(self, model: str, kind: Kind, types: Mapping[str, SignalType] | None) -> None:
        """The types of a (model, kind); None: they are not known any more."""
        self._types.pop((model, kind), None)
        if types is not None:
            self._types[model, kind] = dict(types)
        for each in KINDS:  # what is strange to another kind may have changed too
            self._known.pop((model, each), None)

    def types(self, model: str, kind: Kind) -> Mapping[str, SignalType] | None:
        """The types of its signals, if they are known."""
        return self._types.get((model, kind))

    def reader(self, model: str, kind: Kind) -> FeatureReader:
        """The reader of its features. A feature counted from another kind of event is no stranger to it."""
        types = self._types.get((model, kind))
        if types is None:
            return self.any
        reader = self._known.get((model, kind))
        if reader is None:
            others = [self._types.get((model, other), {}) for other in KINDS if other != kind]
            elsewhere = (feature_of(signal) for signals in others for signal in signals)
            reader = KnownFeatures(types, frozenset(name for name in elsewhere if name is not None))
            self._known[model, kind] = reader
        return reader


class LeftOut:
    """Counts what readers leave out, by model: `unknown` by those that know their types, `dropped` by the other."""

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    def of(self, models: Container[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Copies for these models, unknown and dropped; what is counted of others goes."""
        for counter in (self.unknown, self.dropped):
            for model in [name for name in counter if name not in models]:
                del counter[model]
        return dict(self.unknown), dict(self.dropped)

    def count(self, model: str, reader: FeatureReader, before: int) -> None:
        """What this reader has left out since it stood at `before`."""
        if left_out := reader.left_out - before:
            counter = self.unknown if isinstance(reader, KnownFeatures) else self.dropped
            counter[model] += left_out
