"""Which events belong together: groups of one (model, version, kind), and what is gathered while a block is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from driftd.core.event import KINDS, ROW, STRANGERS, UNVERSIONED, Kind, Refusal, record_offset
from driftd.kafka.block import RecordRun
from driftd.kafka.columns import AnyColumns, KnownColumns
from driftd.kafka.envelope import Envelope
from driftd.kafka.features import KnownFeatures
from driftd.kafka.mapping import FRAMED, READS, Compiled, Reads, TopicFormat, compile_mapping, format_of, is_backfill
from driftd.kafka.names import good_name, signal_of
from driftd.kafka.reasons import Reason, Refused

Fold = Callable[[str, str], str]
"""Of a model and a version: the version under which it is counted."""
_KINDS: Final[dict[str, Kind]] = {kind: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Topic:
    """`kinds`: those that it carries. `mapping` None: the native form, one event a record. `framed`: its records name
    schemas of a registry.
    """

    kinds: tuple[Kind, ...]
    mapping: Compiled | None
    framed: bool = False


def topic_of(formats: Mapping[str, TopicFormat], name: str, reads: Reads = READS) -> Topic:
    """A topic by its format; see `mapping.topic_formats`."""
    form = format_of(formats, name)
    if form.mapping is None:
        return Topic(form.kinds, None)
    return Topic(form.kinds, compile_mapping(form.mapping, name, reads), form.mapping.format in FRAMED)


@dataclass(slots=True)
class Group:
    """Events of one (model, version, kind), in the order of their offsets. `refused`: why none counts, if none does.

    `rows` are indices into the run, `times` event times in ms; of all events that were admitted. The last of them are
    `events`: their features, and what they say of prediction or label (`said`), are still to be taken. Few events are
    held at a time, so that their objects are still in the cache when they are taken apart.
    """

    model: str
    version: str
    kind: Kind
    refused: Refused | None = None
    rows: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    events: list[Envelope] = field(default_factory=list)
    said: list[object] = field(default_factory=list)
    columns: KnownColumns | AnyColumns | None = None
    strangers: dict[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    """See `Columns.strangers`."""
    plain: bool = field(init=False)
    """Whether an event of it is admitted if it has a good time and is no backfill."""

    def __post_init__(self) -> None:
        self.plain = self.refused is None and self.kind != "label"

    def check(self, event: Envelope) -> None:
        """Raises Refused if the event cannot be counted, whatever its features are."""
        if self.refused is not None:
            raise Refused(self.refused.reason, self.refused.detail)
        if self.kind == "label" and event.label is UNSET:
            raise Refused(Reason.LABEL_MISSING)

    def note(self, feature: str, numbers: Iterable[int], others: Iterable[int]) -> None:
        """The rows of the columns whose events have a feature without a type: as a number, and as anything else."""
        name = signal_of(feature)
        rows = self.strangers.get(name)
        if rows is None:
            if not good_name(name):
                return
            if len(self.strangers) >= STRANGERS:
                last = max(self.strangers)
                if name > last:
                    return
                del self.strangers[last]
            rows = self.strangers[name] = ([], [])
        rows[0].extend(numbers)
        rows[1].extend(others)

    def note_all(self, reader: KnownFeatures, first: int) -> None:
        """Those of the rows that were read together last, of which the first is this one of the columns."""
        for feature, numbers, others in reader.of_all:
            self.note(feature, (first + i for i in numbers), (first + i for i in others))

    def drop(self, bad: set[int]) -> None:
        """Take events out again: `bad` are places in `events`."""
        first = len(self.rows) - len(self.events)
        for at in sorted(bad, reverse=True):
            del self.rows[first + at], self.times[first + at], self.events[at]

    def take(self) -> None:
        """Keep of the events what the columns of prediction and label are made of."""
        if self.kind == "prediction":
            self.said += [event.prediction for event in self.events]
        elif self.kind == "label":
            self.said += [event.label for event in self.events]
        self.events = []


class Gathered:
    """What one block gives. `unknown`: keys not in the contract, by row. `refusals` by row.

    A row is an event. Of a topic with a mapping, whose records may hold several, `run` is filled as they are read.
    `told_backfill`: rows whose Kafka header says so.
    """

    def __init__(self, topic: Topic, run: RecordRun, fold: Fold) -> None:
        self.topic, self._fold = topic, fold
        self.unfolded = topic.mapping is not None
        self.run = RecordRun(run.partition, [], [], []) if self.unfolded else run
        self.groups: dict[tuple[str, str, str], Group] = {}
        self.refusals: dict[int, Refused] = {}
        self.unknown: dict[int, int] = {}
        self.backfill: Counter[str] = Counter()
        self.told_backfill = (
            {i for i, pairs in enumerate(run.headers) if pairs and is_backfill(pairs)}
            if any(run.headers) and not self.unfolded
            else set()
        )
        self.said: dict[tuple[str | None, str | int | None, str | None], Group] = {}
        """The groups by what events say of themselves: that is checked once for all that say the same."""

    def unfold(self, run: RecordRun, i: int, events: int) -> None:
        """Rows for the events of the i-th record of `run`."""
        first, offset = len(self.run), run.offsets[i]
        self.run.offsets += [offset + k * ROW for k in range(events)]
        self.run.timestamps += [run.timestamps[i]] * events
        if run.headers and (pairs := run.headers[i]) and is_backfill(pairs):
            self.told_backfill.update(range(first, first + events))

    def refused(self) -> list[Refusal]:
        """One a record, by offset."""
        found: dict[int, Refusal] = {}
        for i, why in sorted(self.refusals.items()):
            offset = record_offset(self.run.offsets[i])
            found.setdefault(offset, Refusal(offset, why.reason.value, why.detail))
        return list(found.values())

    def offsets(self, group: Group) -> NDArray[np.int64]:
        """The offsets of the events of a group."""
        all_offsets, rows = self.run.offsets, group.rows
        first, n = all_offsets[0], len(all_offsets)
        if len(rows) == n and not self.unfolded and all_offsets[-1] - first == n - 1:  # they rise, so none is missing
            return np.arange(first, first + n)
        return np.fromiter((all_offsets[i] for i in rows), np.int64, len(rows))

    def open(self, event: Envelope) -> Group:
        """The group of an event that says what none has said before it."""
        group = self._open(event.model, event.version, event.kind)
        self.said[event.model, event.version, event.kind] = group
        return group

    def _open(self, model: str | None, said_version: str | int | None, said_kind: str | None) -> Group:
        version = UNVERSIONED if said_version is None else str(said_version)
        try:
            model = _model(model, version)
            kind = _kind(said_kind, self.topic.kinds)
            version = self._fold(model, version)
        except Refused as why:
            return Group("", "", "prediction", why)
        return self.groups.setdefault((model, version, kind), Group(model, version, kind))


def _model(model: str | None, version: str) -> str:
    if not model:
        raise Refused(Reason.MODEL_MISSING)
    for what, name in (("model", model), ("version", version)):
        if not good_name(name):
            raise Refused(Reason.NAME, f"{what} is not 1 to 256 characters without control characters")
    return model


def _kind(said: str | None, kinds: tuple[Kind, ...]) -> Kind:
    listed = ", ".join(kinds) or "none"
    if said is None:
        if len(kinds) == 1:
            return kinds[0]
        raise Refused(Reason.KIND_MISSING, f"the topic's kinds: {listed}")
    kind = _KINDS.get(said)
    if kind is None:
        raise Refused(Reason.KIND, "not one of prediction, features, label")
    if kind not in kinds:
        raise Refused(Reason.KIND_UNEXPECTED, f"{kind} is not among the topic's kinds: {listed}")
    return kind
