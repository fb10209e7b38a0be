"""Tick arithmetic, with the time as an argument."""

from driftd.core.event import PartitionId
from driftd.kafka.tick import Quiet

WALL = 1_000_000_000
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
    subject.read(B, 1, 1, 104.0)
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
    assert subject.arrival(100.0, WALL) is None
    subject.read(A, 1_000, 1_000, 101.0)
    assert subject.arrival(105.9, WALL) is None
    subject.read(A, 2_000, 2_000, 103.0)
    subject.read(B, 1_500, 1_500, 104.0)
    assert subject.arrival(106.0, WALL) == 1_000
    assert subject.arrival(107.9, WALL) == 1_000
    assert subject.arrival(108.0, WALL) == 2_000
    # Nothing was read anywhere since 104: the time waited counts from there on, once it is 5 s.
    assert subject.arrival(108.9, WALL) == 2_000
    assert subject.arrival(109.0, WALL) == 2_000 + 5_000
    assert subject.arrival(111.5, WALL) == 2_000 + 7_500


def test_a_trickle_with_timestamps_of_long_ago_is_the_clock():
    subject = quiet()
    for second in range(100):
        subject.read(A, 1_000 + second, 1_000 + second, 101.0 + second)
    assert subject.arrival(200.0, WALL) == 1_000 + 94


def test_after_a_restart_the_greatest_before_it_is_known():
    subject = quiet(greatest=9_000)
    assert subject.arrival(100.0, WALL) == 9_000
    subject.read(A, 5_000, 5_000, 101.0)  # read again
    assert subject.greatest == 9_000
    assert subject.arrival(105.0, WALL) == 9_000
    assert subject.arrival(107.0, WALL) == 9_000 + 6_000


def test_a_record_without_a_timestamp_tells_nothing():
    subject = quiet()
    subject.read(A, -1, -1, 101.0)
    assert subject.greatest is None
    assert subject.arrival(110.0, WALL) is None


def test_one_fast_clock_does_not_take_the_quiet_partitions_with_it():
    subject = quiet()
    for partition in (A, B, C):
        subject.read(partition, 9_000, 2_000, 101.0)  # its newest record is stamped 2,000, one before it 9,000
    assert subject.arrival(106.0, 2_500) == 2_500
    subject.read(C, 9_500, 9_500, 107.0)
    assert subject.arrival(112.0, 2_600) == 2_600


def test_a_stream_that_is_stamped_ahead_as_a_whole_is_followed():
    subject = quiet()
    for partition in (A, B, C):
        subject.read(partition, 9_000, 9_000, 101.0)
    assert subject.arrival(106.0, 2_500) == 9_000
