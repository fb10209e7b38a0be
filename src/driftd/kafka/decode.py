"""From a run of records to a block: the columns of each (model, version, kind) in it, and what was refused.

Pure: the same records, with the same types known, give the same block. Three steps: the envelope of every record;
groups of events; the features of each group as columns. What the fast reader of a step does not accept whole is read
again by the exact one, so that a record's fate does not depend on what was read before it.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET

from driftd.core.event import KINDS, UNVERSIONED, Block, Column, Columns, Kind, Mark, PartitionId, Refusal
from driftd.core.grid import category
from driftd.kafka.block import RecordRun
from driftd.kafka.envelope import (
    Envelope,
    NativeReader,
    Score,
    envelope_of,
    event_time,
    is_backfill,
    parse_object,
)
from driftd.kafka.features import AnyFeatures, KnownFeatures, SignalType, feature_of, good_name, numbers
from driftd.kafka.mapping import Compiled, TopicFormat, compile_mapping, format_of
from driftd.kafka.mapping import is_backfill as header_says_backfill
from driftd.kafka.reasons import Reason, Refused

_NOT_JSON: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)


@dataclass(slots=True)
class _Topic:
    kinds: tuple[Kind, ...]
    mapping: Compiled | None


@dataclass(slots=True)
class _Group:
    """Events of one (model, version, kind). `refused`: why none of them counts, if none does."""

    model: str
    version: str
    kind: Kind
    refused: tuple[Reason, str] | None = None
    rows: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    events: list[Envelope] = field(default_factory=list)


class _Work:
    """What one call of `decode` gathers."""

    def __init__(self, topic: _Topic, run: RecordRun) -> None:
        self.topic = topic
        self.run = run
        self.groups: dict[tuple[str, str, str], _Group] = {}
        self.lookup: dict[tuple[str | None, str | int | None, str | None], _Group] = {}
        self.refusals: dict[int, tuple[Reason, str]] = {}
        self.unknown: dict[int, int] = {}
        self.backfill: Counter[str] = Counter()

    def group_of(self, event: Envelope) -> _Group:
        """The group of an event, by what it says; looked up by the caller first."""
        said = (event.model, event.version, event.kind)
        version = UNVERSIONED if event.version is None else str(event.version)
        try:
            model, kind = _check(event.model, version, event.kind, self.topic.kinds)
            key = (model, version, kind)
            group = self.groups.get(key)
            if group is None:
                group = self.groups[key] = _Group(model, version, kind)
        except Refused as why:
            group = _Group("", "", "prediction", (why.reason, why.detail))
        self.lookup[said] = group
        return group


def _check(model: str | None, version: str, kind: str | None, kinds: tuple[Kind, ...]) -> tuple[str, Kind]:
    if not model:
        raise Refused(Reason.MODEL_MISSING)
    for what, name in (("model", model), ("version", version)):
        if not good_name(name):
            raise Refused(Reason.NAME, f"{what} is not 1 to 256 characters without control characters")
    if kind is None:
        if len(kinds) == 1:
            return model, kinds[0]
        raise Refused(Reason.KIND_MISSING, f"the topic carries {', '.join(kinds) or 'no kind'}")
    for known in KINDS:
        if kind == known:
            if known not in kinds:
                raise Refused(Reason.KIND_UNEXPECTED, f"{known} is not among the topic's: {', '.join(kinds)}")
            return model, known
    raise Refused(Reason.KIND, "not one of prediction, features, label")


class Decoder:
    """Decodes the records of all topics. `formats`: by topic name or ^expression (see `mapping.topic_formats`).

    `unknown_features`, `dropped_features` count values by model: of features that have no type in `learn_types`; of
    features of a model without types, over the bound of 2,000 names or with a bad name.
    """

    def __init__(self, formats: Mapping[str, TopicFormat]) -> None:
        self._formats = formats
        self._topics: dict[str, _Topic] = {}
        self._native = NativeReader()
        self._types: dict[tuple[str, Kind], dict[str, SignalType]] = {}
        self._known: dict[tuple[str, Kind], KnownFeatures] = {}
        self._any = AnyFeatures()
        self.unknown_features: Counter[str] = Counter()
        self.dropped_features: Counter[str] = Counter()

    def learn_types(self, model: str, kind: Kind, types: Mapping[str, SignalType]) -> None:
        """From now on the columns of this (model, kind) are these signals, numeric ones as float64."""
        self._types[model, kind] = dict(types)
        for known in KINDS:  # the others' strangers change too
            self._known.pop((model, known), None)

    def forget_types(self, model: str, kind: Kind) -> None:
        """From now on every feature of this (model, kind) is a column of objects."""
        self._types.pop((model, kind), None)
        for known in KINDS:
            self._known.pop((model, known), None)

    def decode(self, partition: PartitionId, run: RecordRun) -> Block:
        """The block of a run that is not empty. Never raises for what is in a record."""
        collecting = gc.isenabled()
        gc.disable()  # thousands of new objects and no cycles: the collector would only look
        try:
            return self._decode(partition, run)
        finally:
            if collecting:
                gc.enable()

    def _decode(self, partition: PartitionId, run: RecordRun) -> Block:
        work = _Work(self._topic(partition.topic), run)
        self._group(work, self._envelopes(work) if work.topic.mapping is None else self._mapped(work))
        columns = [self._columns(work, work.groups[key]) for key in sorted(work.groups)]
        refusals = work.refusals
        return Block(
            partition,
            run.first,
            run.next,
            len(run),
            min(run.timestamps),
            max(run.timestamps),
            tuple(group for group in columns if group is not None),
            tuple(Refusal(run.offsets[i], str(r), detail) for i, (r, detail) in sorted(refusals.items())),
            dict(sorted(work.backfill.items())),
            sum(n for i, n in work.unknown.items() if i not in refusals),
        )

    def _topic(self, name: str) -> _Topic:
        found = self._topics.get(name)
        if found is None:
            form = format_of(self._formats, name)
            mapping = compile_mapping(form.mapping, name) if form.mapping is not None else None
            found = self._topics[name] = _Topic(form.kinds, mapping)
        return found

    def _envelopes(self, work: _Work) -> list[Envelope | None]:
        """The envelope of every record of the native form; None where it was refused."""
        native = self._native
        fast = native.fast
        events: list[Envelope | None] = []
        for i, value in enumerate(work.run.values):
            try:
                event = fast(value)  # type: ignore[arg-type]  # None is a TypeError, and so is read exactly
                if native.learned and (n := native.unknown_keys(event)):
                    if n > 0:
                        work.unknown[i] = n
                    else:
                        event = self._exactly(work, i)
            except _NOT_JSON:
                try:
                    event = self._exactly(work, i)
                except Refused as why:
                    work.refusals[i] = (why.reason, why.detail)
                    event = None  # type: ignore[assignment]
                fast = native.fast
            except Refused as why:
                work.refusals[i] = (why.reason, why.detail)
                event = None  # type: ignore[assignment]
            events.append(event)
        return events

    def _mapped(self, work: _Work) -> list[Envelope | None]:
        """The same for a topic with a mapping."""
        events: list[Envelope | None] = []
        for i in range(len(work.run)):
            try:
                events.append(self._exactly(work, i))
            except Refused as why:
                work.refusals[i] = (why.reason, why.detail)
                events.append(None)
        return events

    def _group(self, work: _Work, events: list[Envelope | None]) -> None:
        """Every event to its group, unless it is refused or a backfill."""
        stamps, lookup = work.run.timestamps, work.lookup
        backfill = {i for i, pairs in enumerate(work.run.headers) if pairs and header_says_backfill(pairs)}
        for i, event in enumerate(events):
            if event is None:
                continue
            try:
                group = lookup.get((event.model, event.version, event.kind)) or work.group_of(event)
                if group.refused is not None:
                    raise Refused(*group.refused)
                time = event_time(event, stamps[i])
                if event.tags is not None or backfill:
                    if i in backfill or is_backfill(event):
                        self._check_unused(work, i, event)
                        work.backfill[group.model] += 1
                        continue
                if group.kind == "label":
                    if event.label is UNSET:
                        raise Refused(Reason.LABEL_MISSING)
                    self._check_unused(work, i, event)
            except Refused as why:
                self._refuse(work, i, why)
                continue
            group.rows.append(i)
            group.times.append(time)
            group.events.append(event)

    def _exactly(self, work: _Work, i: int) -> Envelope:
        """The event of a record by the exact reader; raises Refused."""
        value, mapping = work.run.values[i], work.topic.mapping
        if mapping is not None:
            return envelope_of(mapping(parse_object(value), work.run.headers[i] if work.run.headers else None))
        event, unknown = self._native.exact(value)
        if unknown:
            work.unknown[i] = unknown
        return event

    def _check_unused(self, work: _Work, i: int, event: Envelope) -> None:
        """Features that are not counted must be right all the same: the exact reader would have refused them."""
        features = event.features
        if isinstance(features, msgspec.Raw) and len(features) and self._any.fast(features) is None:
            self._exactly(work, i)

    def _refuse(self, work: _Work, i: int, why: Refused) -> None:
        """A record has one reason, whichever reader found a fault first: the exact reader's, if it finds one."""
        if work.topic.mapping is None:
            try:
                self._exactly(work, i)
            except Refused as first:
                why = first
        work.refusals[i] = (why.reason, why.detail)

    def _columns(self, work: _Work, group: _Group) -> Columns | None:
        types = self._types.get((group.model, group.kind))
        columns: dict[str, Column] = {}
        if group.kind != "label":
            columns = self._feature_columns(work, group)
        if not group.rows:
            return None
        if group.kind == "prediction":
            columns |= zip(("prediction", "class"), _predictions(group.events), strict=True)
        elif group.kind == "label":
            columns["label"] = _labels(group.events)
        if types is None:
            absent = [n for n in ("prediction", "class") if set(columns.get(n, ())) == {Mark.ABSENT}]
            for name in absent:
                del columns[name]
        else:
            columns = _typed(columns, types)
        offsets = work.run.offsets
        return Columns(
            group.model,
            group.version,
            group.kind,
            np.array(group.times, np.int64),
            np.array([offsets[i] for i in group.rows], np.int64),
            columns,
        )

    def _feature_columns(self, work: _Work, group: _Group) -> dict[str, Column]:
        """Reads the features of a group; events whose features cannot be read are taken out of it."""
        reader = self._reader(group.model, group.kind)
        before = reader.left_out
        rows: list[Any] = []
        keep = [True] * len(group.rows)
        needed = group.kind == "features"
        for at, event in enumerate(group.events):
            features: object = event.features
            try:
                row = reader.fast(event.features) if isinstance(features, msgspec.Raw) else None
                if row is None or (needed and not features):
                    if isinstance(features, msgspec.Raw):
                        features = self._exactly(work, group.rows[at]).features
                    if needed and features is None:
                        raise Refused(Reason.FEATURES, "a features event has none")
                    row = reader.exact(features)
                rows.append(row)
            except Refused as why:
                keep[at] = False
                self._refuse(work, group.rows[at], why)
        if not all(keep):
            group.rows = list(compress(group.rows, keep))
            group.times = list(compress(group.times, keep))
            group.events = list(compress(group.events, keep))
        columns = reader.columns(rows) if rows else {}
        counter = self.unknown_features if isinstance(reader, KnownFeatures) else self.dropped_features
        counter[group.model] += reader.left_out - before
        return columns

    def _reader(self, model: str, kind: Kind) -> KnownFeatures | AnyFeatures:
        types = self._types.get((model, kind))
        if types is None:
            return self._any
        reader = self._known.get((model, kind))
        if reader is None:
            others = [self._types.get((model, other), {}) for other in KINDS if other != kind]
            elsewhere = {feature_of(signal) for signals in others for signal in signals}
            reader = self._known[model, kind] = KnownFeatures(types, frozenset(elsewhere - {None}))
        return reader


def _predictions(events: list[Envelope]) -> tuple[list[object], list[object]]:
    """The columns `prediction` and `class`. A number is a prediction, a name or a bool a class, null is both."""
    scores: list[object] = [event.prediction for event in events]
    absent = Mark.ABSENT
    classes: list[object] = [absent] * len(scores)
    if set(map(type, scores)) == {float}:
        return scores, classes
    for i, value in enumerate(scores):
        if isinstance(value, Score):
            scores[i] = absent if value.score is UNSET else value.score
            classes[i] = absent if value.class_ is UNSET else _named(value.class_)
        elif isinstance(value, str | bool):
            scores[i], classes[i] = absent, _named(value)
        elif value is None:
            classes[i] = None
        elif value is UNSET:
            scores[i] = absent
    return scores, classes


def _labels(events: list[Envelope]) -> list[object]:
    """A number stays one, a name is itself, a bool is `true` or `false`."""
    return [_named(event.label) if isinstance(event.label, bool) else event.label for event in events]


def _named(value: object) -> object:
    return value if isinstance(value, str | Mark) or value is None else category(value)


def _typed(columns: dict[str, Column], types: Mapping[str, SignalType]) -> dict[str, Column]:
    """Those columns that have a type, in that type's form."""
    found: dict[str, Column] = {}
    for signal in sorted(columns.keys() & types.keys()):
        column = columns[signal]
        if types[signal] == "numeric" and not isinstance(column, np.ndarray):
            column = numbers(column)
        found[signal] = column
    return found
