"""Partitions of which nothing is read although there is something, or that end before what was read of them.

A topic that is deleted and made again can look outdated to the consumer, which then reads nothing and says nothing: its
lag may even be 0. Only a new consumer helps, so driftd ends, to be started again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from driftd.core.event import PartitionId
from driftd.core.fault import UserError

STALLED_S: Final = 60.0
"""So long without a record until it is told as a reason to be unready."""
GIVE_UP_S: Final = 1_200.0
"""And until the process ends: longer than a transaction may stay open, behind which nothing is read either."""
REMADE_S: Final = 30.0
"""How long a partition may end before what was read of it: the consumer may still find out and begin anew."""


class Stalls:
    """Shown, from time to time, where each partition ends and what comes next of it."""

    def __init__(self) -> None:
        self._since: dict[PartitionId, tuple[float, int]] = {}
        self.reasons: tuple[str, ...] = ()

    def look(self, now: float, ends: Mapping[PartitionId, int], after: Mapping[PartitionId, int]) -> None:
        """`after`: the next offset of every partition that is read now. Raises UserError when it has lasted too long."""
        behind = {p: offset for p, offset in after.items() if p in ends and ends[p] != offset}
        self._since = {
            p: known if (known := self._since.get(p)) is not None and known[1] == offset else (now, offset)
            for p, offset in behind.items()
        }
        reasons = []
        for partition, (since, offset) in sorted(self._since.items()):
            end, lasted = ends[partition], now - since
            if end < offset and lasted >= REMADE_S:
                raise UserError(
                    f"{partition} ends at {end}, before what was read of it (up to {offset}): the topic was made again",
                    "start driftd again; it reads the new topic from its beginning",
                    exit_code=1,
                )
            if lasted >= GIVE_UP_S:
                raise UserError(
                    f"nothing of {partition} came for {lasted:.0f} s, though {end - offset} records are there",
                    "start driftd again; if it stays, look at the brokers' logs",
                    exit_code=1,
                )
            if lasted >= STALLED_S:
                reasons.append(
                    f"nothing of {partition} came for {lasted:.0f} s, though {end - offset} records are there"
                )
        self.reasons = tuple(reasons)
