"""The cut depends on the records alone."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.event import PartitionId
from driftd.kafka.block import MOST_BYTES, NO_TIMESTAMP, Cutter, RecordRun

P = PartitionId("p", 0)
FULL = 8_192


def cut(
    stamps: list[int],
    sizes: Sequence[int | None] = (),
    polls: Sequence[int] = (),
    first: int = 0,
    gaps: Sequence[int] = (),
) -> tuple[list[RecordRun], RecordRun | None]:
    """All blocks of these records and the rest, fed by polls of these sizes (cycling)."""
    n = len(stamps)
    offsets = [first + i + sum(g <= i for g in gaps) for i in range(n)]
    values = [None if s is None else bytes(s) for s in (sizes or [1] * n)]
    cutter, at, turn = Cutter(P), 0, 0
    out: list[RecordRun] = []
    polls = polls or [n]
    while at < n:
        size = polls[turn % len(polls)]
        turn += 1
        part = slice(at, at + size)
        cutter.add(offsets[part], stamps[part], values[part], [b"k"] * len(offsets[part]), [None] * len(offsets[part]))
        at += size
        while (run := cutter.cut()) is not None:
            out.append(run)
    rest = cutter.flush()
    assert len(cutter) == 0
    assert cutter.flush() is None
    return out, rest


def sizes_of(runs: list[RecordRun]) -> list[int]:
    return [len(run) for run in runs]


def test_a_block_is_full_at_8192_records():
    runs, rest = cut([0] * (2 * FULL + 5))
    assert sizes_of(runs) == [FULL, FULL]
    assert rest is not None
    assert (rest.first, rest.next, len(rest)) == (2 * FULL, 2 * FULL + 5, 5)


def test_a_block_is_cut_after_5_s_of_timestamps_but_not_below_64_records():
    assert sizes_of(cut([100 * i for i in range(200)])[0]) == [64, 64, 64]
    assert sizes_of(cut([50 * i for i in range(303)])[0]) == [101, 101, 101]
    assert sizes_of(cut([0] * 63)[0]) == []
    assert sizes_of(cut([0] * 62 + [9_000, 9_000])[0]) == [64]
    assert sizes_of(cut([4_999] * 80 + [0] + [9_998] + [9_999])[0]) == [82]


def test_the_span_is_greatest_less_smallest_in_any_order():
    assert sizes_of(cut([10_000] * 70 + [5_001] + [5_000] + [0])[0]) == [72]


def test_a_block_is_cut_at_32_mib():
    half = MOST_BYTES // 2
    assert sizes_of(cut([0] * 5, [half, half, half, None, half])[0]) == [2, 3]


def test_a_record_without_timestamp_has_the_greatest_before_it_in_its_block():
    _, rest = cut([NO_TIMESTAMP, 5, NO_TIMESTAMP, 3, NO_TIMESTAMP])
    assert rest is not None
    assert rest.timestamps == [NO_TIMESTAMP, 5, 5, 3, 5]


def test_offsets_may_have_gaps():
    runs, rest = cut([0] * (FULL + 2), gaps=[10, FULL], first=100)
    assert rest is not None
    assert [(r.first, r.next) for r in (*runs, rest)] == [(100, 100 + FULL + 1), (100 + FULL + 2, 100 + FULL + 4)]


steps = st.sampled_from([0, 1, 40, 78, 100, 5_000, -200, -6_000, None])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(steps, st.integers(1, 120)), min_size=1, max_size=12),
    st.lists(st.integers(1, 400), min_size=1, max_size=8),
    st.integers(0, 3),
    st.data(),
)
def test_any_poll_sizes_give_the_same_cuts_and_so_does_a_start_at_any_cut(shape, polls, large, data):
    stamps: list[int] = []
    now = 100_000
    for step, n in shape:
        for _ in range(n):
            now += step or 0
            stamps.append(NO_TIMESTAMP if step is None else max(now, 0))
    sizes = [MOST_BYTES // 3 if large and i % 301 == large else 0 for i in range(len(stamps))]
    whole, rest = cut(stamps, sizes)
    for turn in (polls, [1], [7]):
        assert cut(stamps, sizes, turn) == (whole, rest)
    if whole:
        at = data.draw(st.sampled_from(whole)).next
        assert cut(stamps[at:], sizes[at:], polls, first=at) == ([run for run in whole if run.first >= at], rest)
