"""The Clock, and the watermarks of one (model, kind), against their definitions."""

import random
from dataclasses import dataclass, field

import pytest

from driftd.core.clock import NEVER, Clock, Progress
from driftd.core.event import Kind, PartitionId

A, B, C = (PartitionId("t", i) for i in range(3))
EVERY, LATENESS, MAX_WAIT = 10, 3, 7


def clock_of(**arrivals: int) -> Clock:
    clock = Clock()
    clock.discover(dict.fromkeys((A, B, C), ("prediction",)))
    for name, arrival in arrivals.items():
        clock.advance({"a": A, "b": B, "c": C}[name], arrival)
    return clock


# -- the clock -------------------------------------------------------------------------------------------------------


def test_arrival_time_never_falls_and_small_blocks_do_not_move_it():
    clock = clock_of()
    assert clock.arrival(A) == -NEVER
    clock.read(A, 63, 100)
    assert clock.arrival(A) == -NEVER
    clock.read(A, 64, 100)
    assert clock.arrival(A) == 100
    clock.read(A, 8_192, 50)
    clock.advance(A, 99)
    assert clock.arrival(A) == 100
    clock.discover({A: ("prediction", "label")})
    assert clock.arrival(A) == 100
    assert clock.kinds == {"prediction": (A, B, C), "features": (), "label": (A,)}


def test_who_asked_is_woken_once_when_the_time_has_come():
    clock = clock_of()
    clock.wake_at(A, 20, "m", "prediction")
    clock.wake_at(A, 30, "n", "prediction")
    clock.wake_at(B, 5, "b", "prediction")
    clock.advance(A, 19)
    assert clock.due([A]) == set()
    clock.advance(A, 20)
    assert clock.due([A]) == {("m", "prediction")}
    assert clock.due([A]) == set()
    clock.advance(A, NEVER)
    assert clock.due([A]) == {("n", "prediction")}
    assert clock.due([A, B, C]) == set()


@pytest.mark.parametrize("seed", range(20))
def test_nobody_oversleeps_and_wakes_do_not_pile_up(seed: int):
    """Whoever is woken before its time asks again, as a Monitor does; so one wake a partition is enough for each."""
    rng = random.Random(seed)
    clock = clock_of()
    wanted: dict[tuple[str, Kind], int] = {}
    now = 0
    for _ in range(2_000):
        who: tuple[str, Kind] = (rng.choice("mnop"), "prediction")
        wanted[who] = now + rng.randrange(1, 50)
        clock.wake_at(A, wanted[who], *who)
        now += rng.randrange(3)
        clock.advance(A, now)
        for woken in clock.due([A]):
            if wanted[woken] <= now:
                wanted[woken] = NEVER
            else:
                clock.wake_at(A, wanted[woken], *woken)
        assert all(at > now for at in wanted.values())
        assert len(clock._wakes[A]) <= 4 * 8
    clock.advance(A, NEVER)
    clock.due([A])
    assert not clock._wakes[A]
    assert not clock._asked[A]


def test_a_partition_far_ahead_of_the_slowest_is_held():
    assert clock_of(a=100, b=105, c=111).ahead(10) == {C}
    assert clock_of(a=100, b=105, c=110).ahead(10) == set()
    assert clock_of().ahead(10) == set()
    assert Clock().ahead(10) == set()


def test_a_partition_that_is_never_read_holds_the_others_in_the_end():
    """Its leader may be away for a day; nothing closes, and what is open must not grow for a day."""
    clock = clock_of(a=100, b=104)
    assert clock.ahead(10) == set()
    clock.advance(A, 114)
    assert clock.ahead(10) == set()
    clock.advance(A, 115)
    assert clock.ahead(10) == {A}
    clock.advance(C, 20)
    assert clock.ahead(10) == {A, B}


def test_a_clock_is_put_back_as_it_was():
    clock = clock_of(a=100, b=-5)
    clock.discover({PartitionId("u", 9): ("features", "label")})
    again = Clock.from_plain(clock.plain())
    assert (again.arrivals, again.kinds, again.plain()) == (clock.arrivals, clock.kinds, clock.plain())


# -- watermarks ------------------------------------------------------------------------------------------------------


def progress_of(*blocks: tuple[int, int, int]) -> Progress:
    """Partition A, by blocks of (greatest event time, arrival time after it, greatest Kafka timestamp)."""
    progress, before = Progress(EVERY, LATENESS, MAX_WAIT), -NEVER
    for greatest, after, latest in blocks:
        progress.observe(A, greatest, before, after, latest)
        before = after
    return progress


def test_a_watermark_is_bounded_by_event_time():
    progress = progress_of((112, 500, 500))
    assert progress.reached_at(A, 100) == 500
    assert progress.reached_at(A, 110) == 507, "112 less the lateness has not reached 110: only silence does"


def test_a_watermark_is_bounded_by_arrival_time():
    """A producer far ahead: each end is reached at its own instant, whenever the clock was looked at."""
    progress = progress_of((900, 50, 50))
    assert [progress.reached_at(A, end) for end in (40, 50, 60, 70)] == [50, 53, 63, 73]


def test_a_silent_model_is_done_with_its_newest_pane():
    progress = progress_of((112, 500, 502))
    assert progress.reached_at(A, 120) == 509, "silence is counted from the greatest Kafka timestamp of its block"
    assert progress.reached_at(A, 130) == NEVER


def test_silence_does_not_end_a_pane_that_arrival_time_is_still_in():
    """An event every few minutes and panes of an hour: the pane once closed `max_wait` after its first event."""
    progress = progress_of((101, 101, 101))
    assert progress.reached_at(A, 110) == 110 + LATENESS


def test_silence_of_a_producer_that_is_ahead_does_not_end_what_others_are_still_in():
    """Its newest pane is an hour away, and so once were all panes before it, for every partition."""
    progress, clock = progress_of((400, 101, 101)), clock_of(a=200, b=200)
    assert progress.reached_at(A, 300) == 300 + LATENESS
    assert progress.passed_at(clock, (A, B), 300) == NEVER
    assert progress.passed_at(clock, (A, B), 150) == 150 + LATENESS


def test_silence_that_was_is_remembered():
    progress = progress_of((112, 500, 500))
    progress.observe(A, 113, 507, 600, 600)
    assert progress.reached_at(A, 120) == 507
    progress = progress_of((112, 500, 500))
    progress.observe(A, 113, 506, 600, 600)
    assert progress.reached_at(A, 120) == 607, "it spoke before anyone could say that it was silent"


def test_a_block_that_does_not_move_arrival_time_does_not_make_its_model_silent():
    """After an hour away: arrival time stands an hour back, a few events are there, then a tick."""
    progress = Progress(EVERY, LATENESS, MAX_WAIT)
    progress.observe(A, 112, 500, 500, 4_100)
    assert progress.reached_at(A, 120) == 4_107


def test_who_waits_for_whom():
    progress, clock = progress_of((112, 500, 500)), clock_of(a=500, b=480, c=507)
    assert progress.passed_at(clock, (A, B, C), 100) == 500
    assert progress.waiting_for(clock, (A, B, C), 100) == [(B, 507)]
    assert progress.waiting_for(clock, (A, B, C), 200) == [(A, NEVER), (B, NEVER), (C, NEVER)]


@dataclass
class Plain:
    """The definitions, tried out at every instant. `blocks` of a partition: (before, after, latest, greatest)."""

    blocks: dict[PartitionId, list[tuple[int, int, int, int]]] = field(default_factory=dict)

    def covered(self, partition: PartitionId, end: int, at: int, now: int) -> bool:
        """Whether W of this partition had reached `end` at arrival time `at`, when it is `now`."""
        blocks, greatest = self.blocks.get(partition, []), -NEVER
        for i, (_, after, latest, one) in enumerate(blocks):
            greatest = max(greatest, one)
            quiet_from = max(after, latest) + MAX_WAIT
            following = blocks[i + 1][0] if i + 1 < len(blocks) else max(now, at)
            by_event = at >= after and greatest - LATENESS >= end
            by_silence = quiet_from <= min(at, following) and (greatest // EVERY + 1) * EVERY >= end
            if at - LATENESS >= end and (by_event or by_silence):
                return True
        return False

    def reached_at(self, partition: PartitionId, end: int, now: int) -> int:
        return next((at for at in range(-30, 150) if self.covered(partition, end, at, now)), NEVER)


@pytest.mark.parametrize("seed", range(40))
def test_progress_is_what_the_definitions_say(seed: int):
    """And every answer that counted as final stays: who is done stays done, and no deadline falls below its bound."""
    rng = random.Random(seed)
    clock, progress, plain = clock_of(), Progress(EVERY, LATENESS, MAX_WAIT), Plain()
    partitions = (A, B, C)[: rng.randint(1, 3)]
    behind = {p: rng.choice((0, 0, 25)) for p in partitions}
    ends = range(-20, 130, EVERY)
    wall, bounds, done = 0, dict.fromkeys(ends, -NEVER), set()
    while wall < 100:
        wall += rng.randrange(4)
        partition = rng.choice(partitions)
        before = clock.arrival(partition)
        if rng.random() < 0.5:
            clock.advance(partition, wall - rng.randrange(4) - behind[partition])
        if rng.random() < 0.3:
            latest = max(clock.arrival(partition), 0) + rng.choice((0, 0, 3, 12))
            greatest = wall + rng.choice((0, -5, -40, 20))
            progress.observe(partition, greatest, before, clock.arrival(partition), latest)
            plain.blocks.setdefault(partition, []).append((before, clock.arrival(partition), latest, greatest))
        for end in rng.sample(ends, 3):
            found = {p: progress.reached_at(p, end) for p in partitions}
            assert found == {p: plain.reached_at(p, end, clock.arrival(p)) for p in partitions}
            passed = progress.passed_at(clock, partitions, end)
            assert passed == min((at for p, at in found.items() if at <= clock.arrival(p)), default=NEVER)
            assert min(passed, NEVER - MAX_WAIT) + MAX_WAIT >= bounds[end]
            bounds[end] = max(bounds[end], progress.deadline_at_least(clock, partitions, end))
            waiting = {p for p, _ in progress.waiting_for(clock, partitions, end)}
            assert not any((p, end) in done for p in waiting)
            done |= {(p, end) for p in partitions if p not in waiting}


@pytest.mark.parametrize("seed", range(20))
def test_how_often_the_clock_is_looked_at_changes_nothing(seed: int):
    rng = random.Random(seed)
    blocks = sorted((rng.randrange(200), rng.randrange(200)) for _ in range(12))
    answers = []
    for ticks in (0, 3, 30):
        clock, progress = clock_of(), Progress(EVERY, LATENESS, MAX_WAIT)
        chance = random.Random(seed + ticks)
        for arrival, greatest in blocks:
            for tick in sorted(chance.randrange(arrival + 1) for _ in range(ticks)):
                clock.advance(A, tick)
            before = max(clock.arrival(A), arrival)
            clock.advance(A, before)
            progress.observe(A, greatest, before, before, before)
        clock.advance(A, 400)
        answers.append([progress.passed_at(clock, (A,), end) for end in range(0, 220, EVERY)])
    assert answers[0] == answers[1] == answers[2]


def test_what_closed_panes_needed_is_forgotten_and_nothing_else():
    progress = progress_of(*((t, t, t) for t in range(100, 400, 5)))
    before = [progress.reached_at(A, end) for end in range(310, 400, EVERY)]
    progress.forget(300)
    assert [progress.reached_at(A, end) for end in range(310, 400, EVERY)] == before
    assert progress.marks[A].steps[0][0] >= 310
    progress.forget(1_000)
    assert len(progress.marks[A].steps) == 1


def test_progress_is_put_back_as_it_was():
    progress = progress_of((112, 500, 500), (113, 600, 640))
    again = Progress(EVERY, LATENESS, MAX_WAIT)
    again.load(progress.plain())
    assert again.marks == progress.marks
