"""Chunks of events that are all of one model, version and kind: read in one step, features and all, none looked at alone.

Most topics carry one model. What a block of a topic held is expected of the next one. What is accepted here the other
readers accept too, with the same result; where anything else is met, in any part of a chunk, they read all of it. So an
expectation that fails costs time, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from types import NoneType
from typing import Any

import msgspec

from driftd.core.event import Kind
from driftd.kafka.envelope import EPOCH, LATEST_MS, MILLISECOND, NOT_SO, NativeReader
from driftd.kafka.features import KnownFeatures
from driftd.kafka.grouping import Gathered
from driftd.kafka.readers import Readers


class Alike:
    """Reads chunks of events of one (model, kind), whose features `reader` knows."""

    def __init__(self, model: str, kind: Kind, reader: KnownFeatures, decode: Callable[[bytes | None], Any]) -> None:
        self.model, self._kind, self.reader = model, kind, reader
        self._decode = decode

    def read(self, got: Gathered, chunk: range) -> bool:
        """Take a chunk into its group, or leave everything as it is: False."""
        astuple = msgspec.structs.astuple
        try:
            events = list(map(self._decode, got.run.values[chunk.start : chunk.stop]))
            read = [astuple(event.features) for event in events]
        except NOT_SO:
            return False
        first, n = events[0], len(events)
        same = (
            [event.model for event in events].count(first.model) == n
            and [event.version for event in events].count(first.version) == n
            and [event.kind for event in events].count(first.kind) == n
        )
        if not same or any(event.tags for event in events):
            return False
        times = _times([event.time for event in events], got.run.timestamps[chunk.start : chunk.stop])
        if times is None:
            return False
        group = got.said.get((first.model, first.version, first.kind)) or got.open(first)
        if not group.plain or group.model != self.model or group.kind != self._kind:
            return False
        rows = self.reader.known(read)
        if rows is None:
            return False
        group.note_all(self.reader, len(group.rows))
        group.rows += chunk
        group.times += times
        if group.kind == "prediction":
            group.said += [event.prediction for event in events]
        if group.columns is None:
            group.columns = self.reader.gather()
        group.columns.add(rows)  # type: ignore[arg-type]  # columns of one reader take the rows that it read
        return True


def _times(said: list[Any], stamps: list[int]) -> Sequence[int] | None:
    """Event times in ms, all given in the same way and all good; None otherwise."""
    kinds = set(map(type, said))
    if kinds == {datetime}:
        said = [(time - EPOCH) // MILLISECOND for time in said]
    elif kinds == {NoneType}:
        said = stamps
    elif kinds != {int}:
        return None
    return said if min(said) >= 0 and max(said) <= LATEST_MS else None


class Expected:
    """By topic: the (model, kind) that all events of its last block were of."""

    def __init__(self, readers: Readers, native: NativeReader) -> None:
        self._readers, self._native = readers, native
        self._one: dict[str, tuple[str, Kind]] = {}

    def reader(self, got: Gathered) -> Alike | None:
        """What to try on the chunks of this block."""
        expected = self._one.get(got.run.partition.topic)
        if expected is None or got.told_backfill or self._native.learned:
            return None
        reader = self._readers.reader(*expected)
        decode = reader.whole(needed=expected[1] == "features") if isinstance(reader, KnownFeatures) else None
        return None if decode is None else Alike(*expected, reader, decode)  # type: ignore[arg-type]

    def note(self, got: Gathered, *, failed: bool) -> None:
        """What a block held. After a failure one block is read without an expectation, or it might fail every time."""
        topic = got.run.partition.topic
        groups = list(got.groups.values())
        if failed or got.topic.mapping is not None or len(groups) != 1 or groups[0].kind == "label":
            self._one.pop(topic, None)
        else:
            self._one[topic] = (groups[0].model, groups[0].kind)
