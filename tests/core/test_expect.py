"""When events are expected, and when their silence is overdue: spans against a minute-by-minute count, and whole models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from driftd.core.engine import Engine
from driftd.core.event import Block, Columns, Discovered, Kind, PartitionId, Tick
from driftd.core.expect import after, due
from driftd.core.profile import profile
from driftd.core.spec import DAY, HOUR, MINUTE, Expect, Learn, Model, Spec, Window
from driftd.core.view import ArrivalView, ModelView

BERLIN, HAVANA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Havana")
OFFICE = Expect(30 * MINUTE, between=(8 * 60, 18 * 60), days=(0, 1, 2, 3, 4), timezone=BERLIN)
NIGHTLY = Expect(once=True, between=(22 * 60, 4 * 60), timezone=BERLIN)
WEEKLY = Expect(once=True, between=(0, 6 * 60), days=(6,))
P = PartitionId("scored", 0)


def ms(text: str, zone: ZoneInfo | None = None) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp() * 1000)


def expected(expect: Expect, at: int) -> bool:
    """Whether events are expected at this instant: read off the local clock, with none of the code's arithmetic."""
    local = datetime.fromtimestamp(at / 1000, expect.timezone)
    opens, closes = expect.between or (0, 24 * 60)
    minute, weekday = 60 * local.hour + local.minute, local.weekday()
    if closes > opens:
        return opens <= minute < closes and weekday in expect.days
    return (minute >= opens and weekday in expect.days) or (minute < closes and (weekday - 1) % 7 in expect.days)


@pytest.mark.parametrize("between", [None, (8 * 60, 18 * 60), (22 * 60, 4 * 60)])
@pytest.mark.parametrize("days", [(0, 1, 2, 3, 4), (6,), (0, 1, 2, 3, 4, 5, 6)])
@pytest.mark.parametrize("zone", [UTC, BERLIN, ZoneInfo("Asia/Kolkata"), ZoneInfo("Pacific/Auckland")])
def test_silence_is_counted_where_events_are_expected(between, days, zone) -> None:
    """Minute by minute over five weeks that have no change of clocks."""
    expect = Expect(HOUR, between=between, days=days, timezone=zone)
    start = ms("2026-11-09T00:00")
    minutes = [at for at in range(start, start + 35 * DAY, MINUTE) if expected(expect, at)]
    ends = np.array(minutes) + MINUTE
    for since in range(start, start + 7 * DAY, 7 * HOUR + 13 * MINUTE):
        for length in (MINUTE, 90 * MINUTE, 11 * HOUR):
            later = ends[np.searchsorted(ends, since, side="right") :]
            whole = later[length // MINUTE - 1]
            assert after(expect, since, length) == whole, (since, length)


@pytest.mark.parametrize(
    ("expect", "heard", "overdue"),
    [
        (Expect(), "2026-11-24T10:00", "2026-11-24T11:00"),
        (OFFICE, "2026-11-24T10:00", "2026-11-24T10:30"),
        (OFFICE, "2026-11-24T17:50", "2026-11-25T08:20"),
        (OFFICE, "2026-11-27T17:50", "2026-11-30T08:20"),  # over a weekend
        (OFFICE, "2026-11-28T12:00", "2026-11-30T08:30"),
        (OFFICE, "2026-03-27T17:50", "2026-03-30T08:20"),  # clocks went forward on the Sunday
        (NIGHTLY, "2026-11-24T02:30", "2026-11-25T04:00"),
        (NIGHTLY, "2026-11-24T23:30", "2026-11-26T04:00"),  # it is tonight's
        (NIGHTLY, "2026-11-24T04:30", "2026-11-25T04:00"),  # a late one is not the next night's
        (NIGHTLY, "2026-11-24T12:00", "2026-11-25T04:00"),
        (NIGHTLY, "2026-10-24T23:00", "2026-10-26T04:00"),  # over the night that has an hour more
        (Expect(once=True, timezone=BERLIN), "2026-11-24T12:00", "2026-11-26T00:00"),
    ],
)
def test_when_it_is_overdue(expect: Expect, heard: str, overdue: str) -> None:
    zone = expect.timezone if isinstance(expect.timezone, ZoneInfo) else None
    assert due(expect, ms(heard, zone)) == ms(overdue, zone)


def test_a_weekly_batch_is_waited_for_a_week() -> None:
    assert due(WEEKLY, ms("2026-11-22T03:00")) == ms("2026-11-29T06:00")
    assert due(WEEKLY, ms("2026-11-22T07:00")) == ms("2026-11-29T06:00")


def test_never() -> None:
    assert due(Expect(None), 0) is None
    assert due(Expect(None, between=(0, 60)), 0) is None
    assert due(Expect(90 * DAY, between=(0, 1), days=(0,)), 0) is None, "thousands of years from now"
    assert due(WEEKLY, ms("9999-12-30T00:00")) is None, "the calendar ends"


def test_times_that_clocks_skip_or_show_twice_are_waited_for() -> None:
    """In Berlin 02:30 does not exist on 2026-03-29 and exists twice on 2026-10-25; in Havana that is so of midnight."""
    night = Expect(once=True, between=(60, 2 * 60 + 30), timezone=BERLIN)
    assert due(night, ms("2026-03-28T12:00")) == ms("2026-03-29T01:30"), "half past two of the old clock"
    assert due(night, ms("2026-10-24T12:00")) == ms("2026-10-25T01:30"), "the second half past two"
    whole = Expect(36 * HOUR, days=(5, 6, 0), timezone=HAVANA)
    for change in ("2026-03-08", "2026-11-01"):
        noon = datetime.fromisoformat(change).replace(hour=12, tzinfo=HAVANA) - timedelta(days=1)
        since = round(noon.timestamp() * 1000)
        assert after(whole, since, 36 * HOUR) == since + 36 * HOUR, "no hour counts twice or not at all"


# -- whole models ----------------------------------------------------------------------------------------------------


def engine(expect: Expect, window: Window | None = None) -> Engine:
    model = Model("churn", window=window or Window(), reference=Learn(HOUR, 200), expect=expect)
    out = Engine(Spec(models={"churn": model}))
    out.apply(Discovered({P: ("prediction", "label")}))
    return out


def send(engine: Engine, at: int, kind: Kind = "prediction", n: int = 100, time: int | None = None) -> None:
    """A block of events that arrive then, a second apart."""
    first = engine.counts[P].next_offset
    times = at + np.arange(n, dtype=np.int64) * 1000 if time is None else np.full(n, time, np.int64)
    name = "prediction" if kind == "prediction" else "label"
    columns = Columns("churn", "1", kind, times, np.arange(first, first + n), {name: np.linspace(0, 1, n)})
    block = Block(P, first, first + n, n, at, at + (n - 1) * 1000, (columns,), (), {}, 0)
    engine.apply(profile(block, engine.plan_of))


def seen(engine: Engine, at: int) -> ModelView:
    engine.apply(Tick({P: at}))
    return engine.view().models[0]


def arrival(engine: Engine, at: int, kind: Kind = "prediction") -> ArrivalView:
    return next(one for one in seen(engine, at).arrivals if one.kind == kind)


def test_a_model_is_overdue_once_its_silence_is_longer_than_expected_and_no_longer_when_it_speaks() -> None:
    monday = ms("2026-11-23T17:50", BERLIN)
    model = engine(OFFICE)
    send(model, monday)
    night, morning = ms("2026-11-24T03:00", BERLIN), ms("2026-11-24T08:21:40", BERLIN)
    newest = monday + 99_000
    assert arrival(model, night) == ArrivalView("prediction", newest, morning - 1_000, overdue=False)
    assert not arrival(model, morning - 1_000).overdue, "the side that waits"
    assert arrival(model, morning).overdue
    send(model, morning + MINUTE)
    assert not arrival(model, morning + 4 * MINUTE).overdue


def test_a_label_is_not_expected_unless_the_settings_say_so() -> None:
    start = ms("2026-11-23T12:00")
    for expect, due_at in ((Expect(), None), (Expect(kinds=("label",)), start + 99_000 + HOUR)):
        model = engine(expect)
        send(model, start, "label")
        assert arrival(model, start + DAY, "label") == ArrivalView(
            "label", start + 99_000, due_at, overdue=due_at is not None
        )


def test_the_end_of_a_recorded_input_is_no_silence() -> None:
    model = engine(Expect())
    send(model, ms("2026-11-23T12:00"))
    model.finish()
    assert not any(one.overdue for one in model.view().models[0].arrivals)


def test_after_a_restart_it_is_overdue_still() -> None:
    start = ms("2026-11-23T12:00")
    first = engine(Expect())
    send(first, start)
    assert arrival(first, start + 2 * HOUR).overdue
    kept = {key: row for key, row in first.changes().items() if row is not None}
    rows = msgspec.msgpack.decode(msgspec.msgpack.encode(kept), strict=False)
    second = Engine(first.spec)
    second.restore(rows)
    assert second.view().models[0].arrivals == first.view().models[0].arrivals


def test_the_verdict_of_a_nightly_batch_stands_until_the_next_is_overdue() -> None:
    """Between two batches there is no newer one: it is `unknown` once the next has not come by its time."""
    model = engine(NIGHTLY, Window(DAY, DAY, min_samples=10, max_length=7 * DAY))
    first = ms("2026-11-01T02:00", BERLIN)
    for night in range(5):
        send(model, first + night * DAY, n=200, time=ms("2026-10-31") + night * DAY)
        seen(model, first + night * DAY + HOUR)
    at = first + 4 * DAY
    deadline = at + DAY + 2 * HOUR

    def states(when: int) -> set[str]:
        return {one.state for one in seen(model, when).series[0].statistics}

    assert states(at + HOUR) == {"ok"}
    assert states(deadline) == {"ok"}
    assert not arrival(model, deadline).overdue
    assert states(deadline + 1) == {"unknown"}
    assert arrival(model, deadline + 1).overdue
