"""Tick arithmetic, with the time as an argument."""

from driftd.core.event import PartitionId
from driftd.kafka.tick import Quiet

A, B, C = (PartitionId("p", i) for i in range(3))


def quiet(greatest: int | None = None, now: float = 100.0) -> Quiet:
    subject = Quiet(5.0, greatest, now)
    for partition in (A, B, C):
        subject.assigned(partition, now)
        subject.ended(partition)
    return subject


def test_a_partition_is_due_when_its_end_was_reached_and_it_was_silent_for_5_s():
    subject = quiet()
    assert subject.due(104.9) == []
    subject.read(B, 1, 104.0)
    assert subject.due(105.0) == [A, C]
    assert subject.due(109.0) == [A, C]  # B was read and its end not reached again
    subject.ended(B)
    assert subject.due(109.0) == [A, B, C]
    subject.ended(A, reached=False)
    subject.revoked(C)
    assert subject.due(109.0) == [B]


def test_ticks_repeat_every_5_s_and_draw_together():
    subject = quiet()
    subject.ticked([A, C], 105.0)
    subject.ticked([B], 107.0)
    assert subject.due(109.9) == []
    assert subject.due(110.0) == [A, B, C]
    subject.ticked([B], 107.6)
    assert subject.due(110.0) == [A, C]


def test_the_arrival_is_the_greatest_that_was_read_anywhere_before_the_5_s():
    subject = quiet()
    assert subject.arrival(100.0) is None
    subject.read(A, 1_000, 101.0)
    assert subject.arrival(105.9) is None
    subject.read(A, 2_000, 103.0)
    subject.read(B, 1_500, 104.0)
    assert subject.arrival(106.0) == 1_000
    assert subject.arrival(107.9) == 1_000
    assert subject.arrival(108.0) == 2_000
    # Nothing was read anywhere since 104: the time waited counts from there on, once it is 5 s.
    assert subject.arrival(108.9) == 2_000
    assert subject.arrival(109.0) == 2_000 + 5_000
    assert subject.arrival(111.5) == 2_000 + 7_500


def test_a_trickle_with_timestamps_of_long_ago_is_the_clock():
    subject = quiet()
    for second in range(100):
        subject.read(A, 1_000 + second, 101.0 + second)
    assert subject.arrival(200.0) == 1_000 + 94


def test_after_a_restart_the_greatest_before_it_is_known():
    subject = quiet(greatest=9_000)
    assert subject.arrival(100.0) == 9_000
    subject.read(A, 5_000, 101.0)  # read again
    assert subject.greatest == 9_000
    assert subject.arrival(105.0) == 9_000
    assert subject.arrival(107.0) == 9_000 + 6_000


def test_a_record_without_a_timestamp_tells_nothing():
    subject = quiet()
    subject.read(A, -1, 101.0)
    assert subject.greatest is None
    assert subject.arrival(110.0) is None
