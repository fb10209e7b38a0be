"""When a partition is quiet, and what arrival time it has reached then. Pure: the monotonic time is an argument.

A partition is quiet once its end was reached and nothing of it was read for `quiet_s`. Its arrival time is then the
greatest Kafka timestamp that was read anywhere before those seconds, plus, while nothing is read anywhere, the time
waited since. Timestamps that trail the wall are followed at their own pace; before anything was read nothing is known.

One producer whose clock runs ahead must not take every quiet partition with it: an arrival time beyond the wall is
believed only as far as the newest records of *all* partitions are beyond it too (as they are where the whole stream is
stamped ahead). Of a single partition that is no bound: one fast record in a trickle makes what comes after it late.
"""

from __future__ import annotations

from collections import deque

from driftd.core.event import PartitionId

_NEVER = float("-inf")


class Quiet:
    """`greatest`: the greatest Kafka timestamp that was read before this process, if it is known (ms)."""

    def __init__(self, quiet_s: float, greatest: int | None, now: float) -> None:
        self.quiet_s = quiet_s
        self.greatest = greatest
        self._history: deque[tuple[float, int]] = deque()
        """When each new greatest was read; all of the last `quiet_s`, and the newest before those."""
        if greatest is not None:
            self._history.append((_NEVER, greatest))
        self._read_anywhere = now
        self._read: dict[PartitionId, float] = {}
        self._ended: dict[PartitionId, bool] = {}
        self._ticked: dict[PartitionId, float] = {}
        self._newest: dict[PartitionId, int] = {}

    def assigned(self, partition: PartitionId, now: float) -> None:
        """The partition is read from now on."""
        self._read[partition] = now
        self._ended[partition] = False

    def revoked(self, partition: PartitionId) -> None:
        """The partition is read no more."""
        for table in (self._read, self._ended, self._ticked, self._newest):
            table.pop(partition, None)

    def read(self, partition: PartitionId, greatest: int, newest: int, now: float) -> None:
        """Records of this partition were read: the greatest timestamp among them, and that of the last of them."""
        self._newest[partition] = newest
        self._read[partition] = self._read_anywhere = now
        self._ended[partition] = False
        if greatest >= 0 and (self.greatest is None or greatest > self.greatest):
            self.greatest = greatest
            self._history.append((now, greatest))
            self._forget(now)

    def ended(self, partition: PartitionId, *, reached: bool = True) -> None:
        """The partition's end was reached; or it was found to lie further on."""
        if partition in self._ended:
            self._ended[partition] = reached

    def due(self, now: float) -> list[PartitionId]:
        """Partitions that are quiet, once one of them has not ticked for `quiet_s`.

        Those that ticked a little later than that one join it, so that ticks come together.
        """
        quiet = [p for p, ended in self._ended.items() if ended and now - self._read[p] >= self.quiet_s]
        since = {p: now - self._ticked.get(p, _NEVER) for p in quiet}
        if not quiet or max(since.values()) < self.quiet_s:
            return []
        return sorted(p for p in quiet if since[p] >= self.quiet_s / 2)

    def arrival(self, now: float, wall: int) -> int | None:
        """The arrival time that quiet partitions have reached, ms; None while nothing is known. `wall`: Unix time, ms."""
        self._forget(now)
        if not self._history or self._history[0][0] > now - self.quiet_s:
            return None
        known = self._history[0][1]
        waited = now - self._read_anywhere
        # While anything is read its timestamps are the clock, and not the wall.
        reached = known + int(1000 * waited) if waited >= self.quiet_s else known
        return min(reached, max(wall, min(self._newest.values(), default=0)))

    def ticked(self, partitions: list[PartitionId], now: float) -> None:
        """These have had their tick."""
        self._ticked.update(dict.fromkeys(partitions, now))

    def _forget(self, now: float) -> None:
        before = now - self.quiet_s
        while len(self._history) > 1 and self._history[1][0] <= before:
            self._history.popleft()
