"""When a partition is quiet, and what arrival time it has reached then. Pure: the monotonic time is an argument.

A partition is quiet once its end was reached and nothing of it was read for `quiet_s`. Its arrival time is then the
greatest Kafka timestamp that was read anywhere before those seconds, plus, while nothing is read anywhere, the time
waited since. Timestamps that trail the wall are followed at their own pace; before anything was read nothing is known.
"""

from __future__ import annotations

from collections import deque

from driftd.core.event import PartitionId


class Quiet:
    """`greatest`: the greatest Kafka timestamp that was read before this process, if it is known (ms)."""

    def __init__(self, quiet_s: float, greatest: int | None, now: float) -> None:
        self.quiet_s = quiet_s
        self.greatest = greatest
        self._history: deque[tuple[float, int]] = deque()
        if greatest is not None:
            self._history.append((now - quiet_s, greatest))
        self._read_anywhere = now
        self._read: dict[PartitionId, float] = {}
        self._ended: dict[PartitionId, bool] = {}
        self._ticked: dict[PartitionId, float] = {}

    def assigned(self, partition: PartitionId, now: float) -> None:
        self._read[partition] = now
        self._ended[partition] = False

    def revoked(self, partition: PartitionId) -> None:
        for table in (self._read, self._ended, self._ticked):
            table.pop(partition, None)

    def read(self, partition: PartitionId, greatest: int, now: float) -> None:
        """Records of this partition were read, the greatest timestamp among them `greatest`."""
        self._read[partition] = self._read_anywhere = now
        self._ended[partition] = False
        if self.greatest is None or greatest > self.greatest:
            self.greatest = greatest
            self._history.append((now, greatest))

    def ended(self, partition: PartitionId) -> None:
        """The partition's end was reached."""
        self._ended[partition] = True

    def due(self, now: float) -> list[PartitionId]:
        """Partitions that are quiet and have not been ticked for `quiet_s`."""
        out = []
        for partition, ended in self._ended.items():
            last = max(self._read[partition], self._ticked.get(partition, -1e18))
            if ended and now - last >= self.quiet_s:
                out.append(partition)
        return sorted(out)

    def arrival(self, partitions: list[PartitionId], now: float) -> int | None:
        """The arrival time that these quiet partitions have reached, ms; None while nothing is known."""
        before = now - self.quiet_s
        known: int | None = None
        while len(self._history) > 1 and self._history[1][0] <= before:
            self._history.popleft()
        if self._history and self._history[0][0] <= before:
            known = self._history[0][1]
        for partition in partitions:
            self._ticked[partition] = now
        if known is None:
            return None
        waited = now - self._read_anywhere
        # Something was read anywhere within these seconds: then its timestamps are the clock, not the wall.
        return known + int(1000 * waited) if waited >= self.quiet_s else known
