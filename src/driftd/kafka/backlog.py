"""What was read and is not applied yet, in its order: while a block waits for its schemas, so does all behind it.

A tick must not overtake the records before it: they would be late.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator

from driftd.core.event import Discovered, PartitionId
from driftd.kafka.block import RecordRun
from driftd.kafka.source import Read


class Backlog:
    """`ready`: whether a run can be decoded now."""

    def __init__(self, ready: Callable[[RecordRun], bool]) -> None:
        self._ready = ready
        self._reads: deque[Read] = deque()

    def __bool__(self) -> bool:
        return bool(self._reads)

    def through(self, reads: Iterable[Read]) -> Iterator[Read]:
        """What can be applied now, these behind what was there before."""
        self._reads.extend(reads)
        while self._reads:
            first = self._reads[0]
            if isinstance(first, RecordRun) and not self._ready(first):
                return
            yield self._reads.popleft()

    @property
    def discovered(self) -> set[PartitionId]:
        """Partitions that the engine has not heard of yet."""
        return {p for read in self._reads if isinstance(read, Discovered) for p in read.partitions}

    @property
    def records(self) -> Counter[PartitionId]:
        """How many wait, by partition."""
        waiting: Counter[PartitionId] = Counter()
        for read in self._reads:
            if isinstance(read, RecordRun):
                waiting[read.partition] += len(read)
        return waiting
