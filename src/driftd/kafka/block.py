"""Blocks: runs of consecutive records of one partition, cut by a rule that knows only the records.

The cut does not depend on how many records a poll brings: same records from the same offset, same blocks. A block ends
with the first record at which it has 8,192 of them, or at least 64 whose Kafka timestamps span 5 s, or 32 MiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from driftd.core.event import PartitionId

MOST_RECORDS: Final = 8_192
FEWEST_RECORDS: Final = 64
SPAN_MS: Final = 5_000
MOST_BYTES: Final = 32 * 1024 * 1024
NO_TIMESTAMP: Final = -1
_FEW: Final = 16
"""Records that are looked at one by one."""

Header = tuple[str, bytes | str | None]


@dataclass(slots=True)
class RecordRun:
    """Parallel lists, a row a record, offsets strictly rising (they may have gaps). Timestamps in ms.

    `keys`, `headers`: empty where the source was told not to keep them.
    """

    partition: PartitionId
    offsets: list[int]
    timestamps: list[int]
    values: list[bytes | None]
    keys: list[bytes | None] = field(default_factory=list)
    headers: list[list[Header] | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def first(self) -> int:
        return self.offsets[0]

    @property
    def next(self) -> int:
        return self.offsets[-1] + 1


class Cutter:
    """Cuts the records of one partition, in the order of their offsets. Memory: at most what was added and not cut."""

    def __init__(self, partition: PartitionId) -> None:
        self._partition = partition
        self._held = RecordRun(partition, [], [], [])
        self._seen = 0
        """Records of `_held` that the next three tell of; it does not end within them."""
        self._earliest = self._latest = self._bytes = 0

    def __len__(self) -> int:
        """Records held: added and not yet cut."""
        return len(self._held)

    def add(
        self,
        offsets: Sequence[int],
        timestamps: Sequence[int],
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] = (),
        headers: Sequence[list[Header] | None] = (),
    ) -> None:
        """Append records. A timestamp of -1 (none) counts as the greatest before it in its block."""
        held = self._held
        held.offsets += offsets
        held.timestamps += timestamps
        held.values += values
        held.keys += keys
        held.headers += headers

    def cut(self) -> RecordRun | None:
        """The next whole block, if it is there."""
        n = self._end()
        return None if n is None else self._take(n)

    def flush(self) -> RecordRun | None:
        """What is there, as a block: for the tick, when the partition's end has been reached and quiet."""
        return self.cut() or (self._take(len(self._held)) if len(self._held) else None)

    def _end(self) -> int | None:
        """How many records the next block has; None if its end is not there yet."""
        stamps, values = self._held.timestamps, self._held.values
        # A run that holds no end does so with everything before it. So look at ever longer runs until one holds the end,
        # and then halve that one, down to a few records.
        length = FEWEST_RECORDS
        while self._holds_no_end(stamps[self._seen : self._seen + length], values[self._seen : self._seen + length]):
            length *= 2
        stop = min(self._seen + length, len(stamps))
        while stop - self._seen > _FEW:
            middle = (self._seen + stop) // 2
            if not self._holds_no_end(stamps[self._seen : middle], values[self._seen : middle]):
                stop = middle
        earliest, latest, size = self._earliest, self._latest, self._bytes
        for i in range(self._seen, len(stamps)):
            stamp, value = stamps[i], values[i]
            if stamp < 0:
                stamp = stamps[i] = latest if i else NO_TIMESTAMP
            if stamp > latest or not i:
                latest = stamp
            if stamp < earliest or earliest < 0 or not i:
                earliest = stamp
            if value is not None:
                size += len(value)
            n = i + 1
            if n == MOST_RECORDS or size >= MOST_BYTES or (n >= FEWEST_RECORDS and latest - earliest >= SPAN_MS):
                self._seen = self._earliest = self._latest = self._bytes = 0
                return n
        self._seen, self._earliest, self._latest, self._bytes = len(stamps), earliest, latest, size
        return None

    def _holds_no_end(self, stamps: list[int], values: list[bytes | None]) -> bool:
        """Whether these, as a whole, do not end the block: then they are told of. What the loop finds, but faster."""
        n = self._seen + len(stamps)
        if not stamps or n >= MOST_RECORDS:
            return False
        least, most = min(stamps), max(stamps)
        if self._seen:
            least, most = min(least, self._earliest), max(most, self._latest)
        size = self._bytes + sum(map(len, filter(None, values)))
        if least < 0 or size >= MOST_BYTES or (n >= FEWEST_RECORDS and most - least >= SPAN_MS):
            return False
        self._seen, self._earliest, self._latest, self._bytes = n, least, most, size
        return True

    def _take(self, n: int) -> RecordRun:
        held = self._held
        self._seen = 0
        parts = (held.offsets[:n], held.timestamps[:n], held.values[:n], held.keys[:n], held.headers[:n])
        for whole in (held.offsets, held.timestamps, held.values, held.keys, held.headers):
            del whole[:n]
        return RecordRun(self._partition, *parts)
