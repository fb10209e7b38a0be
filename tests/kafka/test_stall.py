import pytest

from driftd.core.event import PartitionId
from driftd.core.fault import UserError
from driftd.kafka.stall import GIVE_UP_S, REMADE_S, STALLED_S, Stalls

P, Q = PartitionId("t", 0), PartitionId("t", 1)


def look(stalls: Stalls, now: float, end: int, after: int) -> tuple[str, ...]:
    stalls.look(now, {P: end, Q: 7}, {P: after, Q: 7})
    return stalls.reasons


def test_reading_that_goes_on_is_no_stall_however_long_the_lag():
    stalls = Stalls()
    for i in range(1_000):
        assert look(stalls, 5.0 * i, 10**6 + i, 10 * i) == ()


def test_nothing_read_is_told_after_a_minute_and_ends_it_at_last():
    stalls = Stalls()
    assert look(stalls, 0, 350, 250) == ()
    assert look(stalls, STALLED_S - 1, 350, 250) == ()
    assert look(stalls, STALLED_S, 360, 250) == ("nothing of t[0] came for 60 s, though 110 records are there",)
    with pytest.raises(UserError, match=r"t\[0\] came for 1200 s, though 110 .*start driftd again") as fault:
        look(stalls, GIVE_UP_S, 360, 250)
    assert fault.value.exit_code == 1


def test_one_record_makes_it_well():
    stalls = Stalls()
    look(stalls, 0, 350, 250)
    assert look(stalls, STALLED_S, 350, 250) != ()
    assert look(stalls, STALLED_S + 5, 350, 251) == ()
    assert look(stalls, 2 * STALLED_S, 350, 251) == ()
    assert look(stalls, 2 * STALLED_S + 5, 350, 251) != ()


def test_a_partition_that_ends_before_what_was_read_of_it_was_made_again():
    stalls = Stalls()
    look(stalls, 0, 100, 250)
    assert look(stalls, REMADE_S - 1, 120, 250) == ()
    with pytest.raises(UserError, match=r"t\[0\] ends at 130, before .* 250.*: the topic was made again; start driftd"):
        look(stalls, REMADE_S, 130, 250)


def test_the_consumer_may_find_out_by_itself():
    stalls = Stalls()
    look(stalls, 0, 100, 250)
    look(stalls, REMADE_S - 1, 100, 0)  # it began anew
    assert look(stalls, REMADE_S + 5, 100, 100) == ()


def test_a_partition_that_is_not_read_now_cannot_stall():
    stalls = Stalls()
    stalls.look(0, {P: 350}, {P: 250})
    stalls.look(STALLED_S, {P: 350}, {})  # paused, or being assigned
    stalls.look(STALLED_S + 5, {P: 350}, {P: 250})
    assert stalls.reasons == ()
    stalls.look(2 * STALLED_S, {}, {P: 250})  # nobody says where it ends
    assert stalls.reasons == ()
