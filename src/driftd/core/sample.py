"""A sample that does not depend on the order: of all rows, the k whose hash of partition and offset is smallest.

Bottom-k sampling (Cohen & Kaplan, "Summarizing data using bottom-k sketches", PODC 2007). Two samples merge into the
sample of both, whatever was read first, and a row that is read twice is there once.
"""

from __future__ import annotations

import hashlib
from typing import cast

import numpy as np
from numpy.typing import NDArray

from driftd.core.event import PartitionId

SAMPLE = 4_096


def row_hashes(partition: PartitionId, offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One well-mixed 64-bit number for each offset of a partition (the finaliser of splitmix64 over both)."""
    seed = hashlib.blake2b(str(partition).encode("utf-8", "backslashreplace"), digest_size=8).digest()
    x = offsets.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(int.from_bytes(seed, "little"))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Sample:
    """The rows of one signal with the `size` smallest hashes, ascending by hash; rows that are absent are not kept."""

    def __init__(self, size: int = SAMPLE) -> None:
        self.size = size
        self.hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self.values: list[object] = []

    def add(self, hashes: NDArray[np.uint64], values: list[object]) -> None:
        """Offer rows: `hashes[i]` belongs to `values[i]`."""
        if len(self.values) == self.size:
            small = np.flatnonzero(hashes < self.hashes[-1])
            if not len(small):
                return
            hashes, values = hashes[small], [values[i] for i in small]
        joined, first = np.unique(np.concatenate((self.hashes, hashes)), return_index=True)
        order = first[: self.size]
        both = self.values + values
        self.hashes = joined[: self.size]
        self.values = [both[i] for i in order]

    def plain(self) -> dict[str, object]:
        return {"hashes": self.hashes.astype("<u8").tobytes(), "values": self.values}

    @classmethod
    def from_plain(cls, plain: dict[str, object], size: int = SAMPLE) -> Sample:
        sample = cls(size)
        sample.hashes = np.frombuffer(cast("bytes", plain["hashes"]), "<u8").astype(np.uint64)
        sample.values = cast("list[object]", plain["values"])
        return sample
