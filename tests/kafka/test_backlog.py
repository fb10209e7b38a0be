"""What waits for schemas waits in its order, and nothing overtakes it."""

from driftd.core.event import Discovered, PartitionId, Tick
from driftd.kafka.backlog import Backlog
from tests.kafka.records import run_of

ONE, TWO = PartitionId("t", 0), PartitionId("t", 1)
FIRST, SECOND, OTHER = run_of([b"a"] * 3, ONE), run_of([b"b"] * 2, ONE, first=3), run_of([b"c"], TWO)
TICK = Tick({ONE: 7})
NEW = Discovered({TWO: ("prediction",)})


def test_all_behind_a_block_that_waits_waits_too_and_then_comes_in_its_order():
    unknown = {id(FIRST), id(OTHER)}
    backlog = Backlog(lambda run: id(run) not in unknown)
    assert list(backlog.through([TICK, FIRST, SECOND, TICK])) == [TICK]
    assert list(backlog.through([NEW, OTHER])) == []
    assert backlog
    assert (backlog.records, backlog.discovered) == ({ONE: 5, TWO: 1}, {TWO})
    unknown.discard(id(FIRST))
    assert list(backlog.through([TICK])) == [FIRST, SECOND, TICK, NEW]
    assert (backlog.records, backlog.discovered) == ({TWO: 1}, set())
    unknown.clear()
    assert list(backlog.through([])) == [OTHER, TICK]
    assert not backlog


def test_what_breaks_off_is_not_lost():
    backlog = Backlog(lambda _: True)
    for read in backlog.through([FIRST, SECOND]):
        assert read is FIRST
        break
    assert list(backlog.through([])) == [SECOND]
