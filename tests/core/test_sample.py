"""The sample of a stream is a function of its rows, not of how they were read."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.event import PartitionId
from driftd.core.sample import SAMPLE, Sample, row_hashes
from tests.core.streams import SEEDED

ONE, TWO = PartitionId("t", 0), PartitionId("t", 1)
Rows = list[tuple[int, int]]
"""Partition and offset."""


def offer(sample: Sample, rows: Rows) -> None:
    for number in (0, 1):
        offsets = np.array([offset for p, offset in rows if p == number], np.int64)
        sample.add(row_hashes(PartitionId("t", number), offsets), [f"{number}:{offset}" for offset in offsets])


def of(pieces: list[Rows], size: int = 20) -> Sample:
    sample = Sample(size)
    for piece in pieces:
        offer(sample, piece)
    return sample


def content(sample: Sample) -> tuple[list[int], list[object]]:
    return sample.hashes.tolist(), sample.values


@st.composite
def cut_rows(draw) -> tuple[Rows, list[Rows]]:
    """Rows, and the same rows in any order, in pieces of any size, some of them read twice."""
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10**12)), max_size=100, unique=True))
    again = draw(st.lists(st.sampled_from(rows), max_size=30)) if rows else []
    mixed = draw(st.permutations(rows + again))
    cuts = sorted(draw(st.lists(st.integers(0, len(mixed)), max_size=6)))
    return rows, [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]


@SEEDED
@given(cut_rows(), st.integers(1, 120))
def test_order_pieces_and_repeats_change_nothing(cut, size) -> None:
    rows, pieces = cut
    assert content(of(pieces, size)) == content(of([rows], size))


@SEEDED
@given(cut_rows(), st.integers(1, 120))
def test_it_is_the_rows_of_the_smallest_hashes(cut, size) -> None:
    rows, pieces = cut
    hashes = {f"{p}:{o}": int(row_hashes(PartitionId("t", p), np.array([o]))[0]) for p, o in rows}
    assert of(pieces, size).values == sorted(hashes, key=lambda row: hashes[row])[:size]


@SEEDED
@given(cut_rows())
def test_samples_of_parts_merge_into_the_sample_of_the_whole(cut) -> None:
    rows, pieces = cut
    merged = Sample(20)
    for piece in pieces:
        part = of([piece])
        merged.add(part.hashes, part.values)
    assert content(merged) == content(of([rows]))


def test_it_survives_being_stored() -> None:
    sample = of([[(0, i) for i in range(100)]])
    again = Sample.from_plain(sample.plain(), 20)
    assert content(again) == content(sample)
    for each in (sample, again):
        offer(each, [(1, i) for i in range(100)])
    assert content(again) == content(sample)


def test_every_row_has_the_same_chance() -> None:
    # Consecutive offsets of one partition: of 100,000 the sample takes 4,096, evenly along the stream.
    sample = Sample()
    sample.add(row_hashes(ONE, np.arange(100_000)), list(range(100_000)))
    assert len(sample.values) == SAMPLE
    counts = np.histogram(np.array(sample.values, np.int64), bins=10, range=(0, 100_000))[0]
    expected = SAMPLE / 10
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert 1.1 < chi2 < 33.7, counts  # the 0.001 and 0.9999 quantiles of chi-square with 9 degrees of freedom


def test_partitions_do_not_share_their_hashes() -> None:
    one, two = row_hashes(ONE, np.arange(10_000)), row_hashes(TWO, np.arange(10_000))
    assert len(np.unique(np.concatenate((one, two)))) == 20_000
    assert abs(np.corrcoef(one.astype(float), two.astype(float))[0, 1]) < 0.04


@pytest.mark.parametrize(("partition", "offset"), [(ONE, 0), (TWO, 1), (PartitionId("ü", 7), 2**62)])
def test_a_hash_is_splitmix64_of_partition_and_offset(partition, offset) -> None:
    # Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, in Python's own integers.
    word = 2**64 - 1
    seed = int.from_bytes(hashlib.blake2b(str(partition).encode(), digest_size=8).digest(), "little")
    x = (offset * 0x9E3779B97F4A7C15 + seed) & word
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & word
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & word
    assert int(row_hashes(partition, np.array([offset]))[0]) == x ^ (x >> 31)
