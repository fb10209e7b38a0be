"""From a run of records to a block: the columns of each (model, version, kind) in it, and what was refused.

Pure: the same records, with the same types known, give the same block. Three steps: the envelope of every record;
groups of events; the features of each group as columns. What the fast reader of a step does not accept whole is read
again by the exact one, so that a record's fate does not depend on what was read before it.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Container, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from driftd.core.event import Block, Columns, Kind, PartitionId
from driftd.kafka.alike import Expected
from driftd.kafka.block import RecordRun
from driftd.kafka.envelope import (
    EPOCH,
    LATEST_MS,
    MILLISECOND,
    NOT_SO,
    Envelope,
    NativeReader,
    envelope_of,
    event_time,
    is_backfill,
)
from driftd.kafka.features import KnownFeatures, SignalType
from driftd.kafka.framed import schema_ids
from driftd.kafka.grouping import Fold, Gathered, Group, Topic, topic_of
from driftd.kafka.mapping import READS, TopicFormat
from driftd.kafka.readers import FeatureReader, LeftOut, Readers
from driftd.kafka.reasons import Reason, Refused
from driftd.kafka.signals import labels, predictions, seen, typed

if TYPE_CHECKING:  # it brings the registry's client along: half a second and 16 MB that most need not
    from driftd.kafka.schemas import RegistryState, Schemas

_CHUNK: Final = 512
"""Records decoded at a time: their objects are taken apart while they are in the cache, and freed for the next."""
_ENOUGH: Final = 256
"""Events of a group that are taken apart together before the block's end: arrays of a few are not worth it."""


class Decoder:
    """Decodes the records of all topics. `formats`: by topic name or ^expression (see `mapping.topic_formats`).

    `schemas`: of the topics whose records name schemas of a registry; those of a run must be known when it is decoded.
    """

    def __init__(
        self,
        formats: Mapping[str, TopicFormat],
        fold: Fold = lambda _, version: version,
        schemas: Schemas | None = None,
    ) -> None:
        self._formats, self._fold = formats, fold
        self._schemas = schemas
        self._reads = READS if schemas is None else {**READS, **schemas.reads}
        self._topics: dict[str, Topic] = {}
        self._native = NativeReader()
        self._readers = Readers()
        self._left_out = LeftOut()
        self._expected = Expected(self._readers, self._native)

    @property
    def unknown_features(self) -> Counter[str]:
        """Values of features that have no type though the model's are known, by model."""
        return self._left_out.unknown

    @property
    def dropped_features(self) -> Counter[str]:
        """Values of features over the bound of 2,000 names, or with a name that is no good one, by model."""
        return self._left_out.dropped

    def left_out(self, models: Container[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Both, of these models; those of all others are forgotten: events may name any number of them."""
        return self._left_out.of(models)

    def learn_types(self, model: str, kind: Kind, types: Mapping[str, SignalType]) -> None:
        """From now on the columns of this (model, kind) are these signals, numeric ones as float64."""
        self._readers.learn(model, kind, types)

    def forget_types(self, model: str, kind: Kind) -> None:
        """From now on every feature of this (model, kind) is a column of objects."""
        self._readers.learn(model, kind, None)

    @property
    def registry(self) -> RegistryState | None:
        """How the schema registry fares; None where no records name schemas."""
        return None if self._schemas is None else self._schemas.state

    def ready(self, run: RecordRun) -> bool:
        """Whether a run can be decoded: all schemas that it names are known. Those that are not are asked for."""
        if self._schemas is None or not self._topic(run.partition.topic).framed:
            return True
        return self._schemas.ready(schema_ids(run.values))

    def wait(self, run: RecordRun) -> None:
        """Until it can. Raises UserError where the registry does not say."""
        if self._schemas is not None and self._topic(run.partition.topic).framed:
            self._schemas.wait(schema_ids(run.values))

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
        got = Gathered(self._topic(partition.topic), run, self._fold)
        alike = expected = self._expected.reader(got)
        for start in range(0, len(run), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(run)))
            if alike is not None:
                before = alike.reader.left_out
                if alike.read(got, chunk):
                    self._left_out.count(alike.model, alike.reader, before)
                    continue
            alike = None
            if got.unfolded:
                self._group(got, *self._mapped(got, run, chunk))
            else:
                self._group(got, chunk, self._envelopes(got, chunk))
            for group in got.groups.values():
                if len(group.events) >= _ENOUGH:
                    self._take(got, group)
        self._expected.note(got, failed=alike is not expected)
        columns = [self._columns(got, got.groups[key]) for key in sorted(got.groups)]
        return Block(
            partition,
            run.first,
            run.next,
            len(run),
            min(run.timestamps),
            max(run.timestamps),
            tuple(group for group in columns if group is not None),
            tuple(got.refused()),
            dict(sorted(got.backfill.items())),
            sum(n for i, n in got.unknown.items() if i not in got.refusals),
        )

    def _topic(self, name: str) -> Topic:
        found = self._topics.get(name)
        if found is None:
            found = self._topics[name] = topic_of(self._formats, name, self._reads)
        return found

    # -- envelopes ---------------------------------------------------------------------------------------------------

    def _envelopes(self, got: Gathered, chunk: range) -> list[Envelope | None]:
        """The envelope of every record of the native form; None where it is refused."""
        native = self._native
        fast, learned = native.fast, native.learned
        events: list[Envelope | None] = []
        if not learned:
            try:
                return list(map(fast, got.run.values[chunk.start : chunk.stop]))
            except NOT_SO:
                pass  # one by one, then
        for i, value in zip(chunk, got.run.values[chunk.start : chunk.stop], strict=True):
            event: Envelope | None
            try:
                event = fast(value)
            except NOT_SO:
                event = self._exact_or_refused(got, i)
                fast, learned = native.fast, native.learned
            else:
                if learned and (n := native.unknown_keys(event)):
                    if n > 0:
                        got.unknown[i] = n
                    else:
                        event = self._exact_or_refused(got, i)
            events.append(event)
        return events

    def _mapped(self, got: Gathered, run: RecordRun, chunk: range) -> tuple[range, list[Envelope | None]]:
        """The same for a topic with a mapping, and the rows of the events: a record is read whole or not at all."""
        first = len(got.run)
        events: list[Envelope | None] = []
        assert got.topic.mapping is not None
        for i in chunk:
            try:
                found = map(envelope_of, got.topic.mapping(run.values[i], run.headers[i] if run.headers else None))
                rows: list[Envelope | None] = list(found)
            except Refused as why:
                got.refusals[first + len(events)] = why
                rows = [None]
            got.unfold(run, i, len(rows))
            events += rows
        return range(first, first + len(events)), events

    def _exact_or_refused(self, got: Gathered, i: int) -> Envelope | None:
        try:
            return self._exactly(got, i)
        except Refused as why:
            got.refusals[i] = why
            return None

    def _exactly(self, got: Gathered, i: int) -> Envelope:
        """The event of a record of the native form by the exact reader; raises Refused."""
        event, unknown = self._native.exact(got.run.values[i])
        if unknown:
            got.unknown[i] = unknown
        return event

    def _refuse(self, got: Gathered, i: int, why: Refused) -> None:
        """A record has one reason, whichever reader found a fault first: the exact one's, if it finds one."""
        if got.unfolded or self._exact_or_refused(got, i) is not None:
            got.refusals[i] = why

    # -- groups ------------------------------------------------------------------------------------------------------

    def _group(self, got: Gathered, chunk: range, events: list[Envelope | None]) -> None:
        """Every event to its group, unless it is refused or a backfill."""
        timestamps, said, backfill = got.run.timestamps, got.said, got.told_backfill
        for i, event in zip(chunk, events, strict=True):
            if event is None:
                continue
            group = said.get((event.model, event.version, event.kind)) or got.open(event)
            time = event.time
            # What is usual is written out here: a call for every event is what this costs most.
            if type(time) is datetime:
                time = (time - EPOCH) // MILLISECOND
            elif time is None:
                time = timestamps[i]
            if (
                type(time) is not int
                or not 0 <= time <= LATEST_MS
                or not group.plain
                or i in backfill
                or (event.tags is not None and "driftd.backfill" in event.tags)
            ):
                try:
                    admitted = self._admit(got, group, i, event)
                except Refused as why:
                    self._refuse(got, i, why)
                    continue
                if admitted is None:
                    continue
                time = admitted
            group.rows.append(i)
            group.times.append(time)
            group.events.append(event)

    def _admit(self, got: Gathered, group: Group, i: int, event: Envelope) -> int | None:
        """The event's time, or None if it is a backfill, and counted; raises Refused."""
        group.check(event)
        time = event_time(event, got.run.timestamps[i])
        backfill = i in got.told_backfill or is_backfill(event)
        if backfill or group.kind == "label":
            self._check_unused(got, i, event)
        if backfill:
            got.backfill[group.model] += 1
            return None
        return time

    def _check_unused(self, got: Gathered, i: int, event: Envelope) -> None:
        """Features that are not counted must be right all the same: the exact reader would refuse them."""
        features: object = event.features
        if isinstance(features, msgspec.Raw) and len(features) and self._readers.any.fast(features) is None:
            self._exactly(got, i)

    # -- columns -----------------------------------------------------------------------------------------------------

    def _columns(self, got: Gathered, group: Group) -> Columns | None:
        """The columns of a group; None if none of its events is left."""
        self._take(got, group)
        if not group.rows:
            return None
        reader = self._readers.reader(group.model, group.kind)
        before = reader.left_out
        columns = group.columns.columns() if group.columns is not None else {}
        self._left_out.count(group.model, reader, before)
        if group.kind == "prediction":
            columns["prediction"], columns["class"] = predictions(group.said)
        elif group.kind == "label":
            columns["label"] = labels(group.said)
        types = self._readers.types(group.model, group.kind)
        return Columns(
            group.model,
            group.version,
            group.kind,
            np.fromiter(group.times, np.int64, len(group.times)),
            got.offsets(group),
            seen(columns) if types is None else typed(columns, types),
            got.run.timestamps[group.rows[-1]],
            group.strangers,
        )

    def _take(self, got: Gathered, group: Group) -> None:
        """Take the events of a group apart; those whose features cannot be read are dropped from it."""
        if group.kind != "label" and group.events:
            self._take_features(got, group)
        group.take()

    def _take_features(self, got: Gathered, group: Group) -> None:
        reader = self._readers.reader(group.model, group.kind)
        before, needed = reader.left_out, group.kind == "features"
        raws: list[Any] = [event.features for event in group.events]
        rows: Any = reader.all_fast(raws) if all(raws) or not needed else None
        if rows is None:
            rows = self._rows(got, group, reader, needed=needed)
        elif isinstance(reader, KnownFeatures):
            group.note_all(reader, len(group.rows) - len(group.events))
        if rows:
            if group.columns is None:
                group.columns = reader.gather()
            group.columns.add(rows)
        self._left_out.count(group.model, reader, before)

    def _rows(self, got: Gathered, group: Group, reader: FeatureReader, *, needed: bool) -> list[Any]:
        """The same one by one; events whose features cannot be read are dropped from the group."""
        rows: list[Any] = []
        bad: set[int] = set()
        first = len(group.rows) - len(group.events)
        for at, event in enumerate(group.events):
            features: Any = event.features
            row = reader.fast(features) if type(features) is msgspec.Raw and (features or not needed) else None
            if row is None:
                i = group.rows[first + at]
                try:
                    row = reader.exact(self._features_of(got, i, event, needed=needed))
                except Refused as why:
                    bad.add(at)
                    self._refuse(got, i, why)
                    continue
            if isinstance(reader, KnownFeatures):
                for name, is_number in reader.strangers:
                    row_of = (first + len(rows),)
                    group.note(name, row_of if is_number else (), () if is_number else row_of)
            rows.append(row)
        group.drop(bad)
        return rows

    def _features_of(self, got: Gathered, i: int, event: Envelope, *, needed: bool) -> dict[str, object] | None:
        """The features of one event as a generic object; raises Refused."""
        features: Any = event.features
        if isinstance(features, msgspec.Raw):
            # Often one value is of a wrong type, and nothing else is wrong.
            features = (self._readers.any.fast(features) if features else None) or self._exactly(got, i).features
        if features is None and needed:
            raise Refused(Reason.FEATURES, "a features event has none")
        return features  # type: ignore[no-any-return]
