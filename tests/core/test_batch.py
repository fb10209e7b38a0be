"""Batches: rows that are named by a day lie in the pane of that day, which closes soon after the last of them came.

Given as blocks, as the source cuts them: some hundred rows, or what is there when the end was reached and quiet.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from driftd.core.engine import Engine
from driftd.core.event import Block, Columns, Discovered, PartitionId, Tick
from driftd.core.outcome import ClosedPane
from driftd.core.profile import profile
from driftd.core.spec import DAY, HOUR, MINUTE, SECOND, Expect, Learn, Model, Spec, Window

DAILY = Window(DAY, DAY, min_samples=50, max_length=7 * DAY, max_wait=30 * MINUTE)
PARTITIONS = tuple(PartitionId("scored", i) for i in range(2))


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class Batches:
    """A model, its events in two partitions, and the panes that have closed. `now`: how far the log has come."""

    def __init__(self, window: Window = DAILY, learn: Learn | None = None) -> None:
        model = Model("churn", window=window, reference=learn or Learn(DAY, 100), expect=Expect(once=True))
        self.engine = Engine(Spec(models={"churn": model}))
        self.engine.apply(Discovered(dict.fromkeys(PARTITIONS, ("prediction",))))
        self.rng = np.random.default_rng(1)
        self.closed: list[tuple[ClosedPane, int]] = []
        self.now = 0

    def rows(self, at: int, time: int | None, n: int = 100, shift: float = 0.0) -> None:
        """Rows that come within a minute. `time` None: that of their scoring."""
        for partition in PARTITIONS:
            first = self.engine.counts[partition].next_offset
            arrival = at + np.arange(n, dtype=np.int64) * (MINUTE // n)
            times = arrival if time is None else np.full(n, time, np.int64)
            columns = {"prediction": self.rng.normal(shift, 1, n)}
            group = Columns("churn", "1", "prediction", times, np.arange(first, first + n), columns)
            block = Block(partition, first, first + n, n, int(arrival[0]), int(arrival[-1]), (group,), (), {}, 0)
            self._apply(profile(block, self.engine.plan_of), int(arrival[-1]))

    def quiet(self, until: int) -> None:
        """Nothing comes; a tick every minute, as the source gives them."""
        for at in range(max(self.now + 5 * SECOND, until - 2 * DAY), until, MINUTE):
            self._apply(Tick(dict.fromkeys(PARTITIONS, at)), at)

    def _apply(self, stimulus, at: int) -> None:
        self.now = max(self.now, at)
        self.closed += [(pane, self.now) for pane in self.engine.apply(stimulus).panes]

    @property
    def late(self) -> int:
        return self.engine.view().models[0].series[0].late


def nights(batches: Batches, first: str, count: int) -> Iterator[tuple[int, int]]:
    """The start of the batch of each night, and the day that it is named by: the one before."""
    for i in range(count):
        yield ms(first) + i * DAY, (ms(first) // DAY - 1 + i) * DAY
    batches.quiet(batches.now + 2 * HOUR)


def test_a_batch_that_is_named_by_its_day_is_one_pane_that_closes_soon_after_it_ended() -> None:
    """The scoring of each night takes from 22:30 until 01:30, past midnight, and is of the day before it began."""
    batches = Batches()
    ended = {}
    for start, day in nights(batches, "2026-11-02T22:30", 6):
        batches.quiet(start)
        for step in range(0, 3 * HOUR, 10 * MINUTE):
            batches.rows(start + step, day)
            batches.quiet(start + step + 9 * MINUTE)
        ended[day] = start + 3 * HOUR - 9 * MINUTE
    panes = [(pane, at) for pane, at in batches.closed if pane.start >= ms("2026-11-02T00:00")]
    assert [pane.start for pane, _ in panes] == list(ended)[1:], "the first gave the grid its sample"
    assert {pane.pane.events for pane, _ in panes} == {2 * 100 * 18}
    waited = {at - ended[pane.start] for pane, at in panes}
    assert max(waited) <= DAILY.max_wait + MINUTE
    assert batches.late == 0
    (series,) = batches.engine.view().models[0].series
    assert (series.window_start, series.window_end) == (panes[-1][0].start, panes[-1][0].end)
    assert series.evaluations == 4


@pytest.mark.parametrize(("pause", "late"), [(29, 0), (33, 200)])
def test_rows_after_a_pause_of_more_than_max_wait_are_late_and_counted(pause: int, late: int) -> None:
    batches = Batches()
    for start, day in nights(batches, "2026-11-02T02:00", 4):
        batches.quiet(start)
        batches.rows(start, day)
        batches.quiet(start + MINUTE + pause * MINUTE)
        batches.rows(batches.now, day)
    assert batches.late == 4 * late


def test_rows_of_their_own_time_are_told_at_the_end_of_the_day_and_not_before() -> None:
    """What a day holds is known when it is over: a batch of 02:00 in panes of a day is told 22 hours later, in panes of
    an hour within the hour.
    """
    for every, waits in ((DAY, 22 * HOUR), (HOUR, HOUR)):
        batches = Batches(Window(DAY, every, min_samples=50, max_length=7 * DAY, max_wait=30 * MINUTE))
        for start, _ in nights(batches, "2026-11-02T02:00", 4):
            batches.quiet(start)
            batches.rows(start, None)
        batches.quiet(batches.now + DAY)
        starts = [ms("2026-11-02T02:00") + i * DAY for i in range(1, 4)]
        waited = [at - start for (_, at), start in zip(batches.closed, starts, strict=True)]
        assert all(waits < wait <= waits + 5 * MINUTE for wait in waited), waited


@pytest.mark.parametrize(("learned", "calibrated"), [(7, False), (21, True)])
def test_a_reference_of_batches_is_calibrated_from_twenty_of_them(learned: int, calibrated: bool) -> None:  # noqa: FBT001
    """All rows of a batch have one time: it is one part, and a replay needs twenty."""
    batches = Batches(learn=Learn(learned * DAY, 100))
    for start, day in nights(batches, "2026-11-02T02:00", learned + 4):
        batches.quiet(start)
        batches.rows(start, day)
    (series,) = batches.engine.view().models[0].series
    assert series.reference == "ready"
    assert {"uncalibrated" in one.flags for one in series.statistics if one.state == "ok"} == {not calibrated}
