"""What people did: stored, counted, and what it withholds from whom."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftd.core.act import LONGEST_MUTE, Act, Standing, bounded, said_by
from driftd.core.action import Action, ActionType
from driftd.core.fault import UserError
from driftd.store import acts as module
from driftd.store.acts import ActLog
from driftd.store.database import FILE, StoreError
from driftd.store.outbox import Outbox
from driftd.store.reader import Reader
from driftd.store.store import Store
from tests.store.examples import action, owed

FIRING: Final = "driftd.alert.firing"
RESOLVED: Final = "driftd.alert.resolved"
REQUEST: Final = "driftd.retrain.requested"
BEGIN = 1_795_430_000.0
HOUR = 3_600


@dataclass
class Night:
    """A store with a clock that is set by hand, and what the receivers were owed, in order."""

    directory: Path
    now: float = BEGIN

    def __post_init__(self) -> None:
        self.store = Store.open(self.directory, group="driftd", clock=lambda: self.now)

    def happens(self, *actions: Action, receivers: tuple[str, ...] = ("ops",), old: bool = False) -> None:
        self.store.commit(owed(*actions, receivers=receivers, old=old))

    def does(self, act: Act) -> Act:
        """As another process would."""
        with ActLog(self.directory) as log:
            return log.add(act)

    def mutes(self, hours: float = 4, **of: Any) -> Act:
        now = round(self.now * 1000)
        return self.does(Act("mute", "ada", "why", "churn", at=now, until=now + round(hours * HOUR * 1000), **of))

    def marks_false(self, *alerts: str) -> Act:
        return self.does(Act("false", "ada", "why", "churn", "drift", alerts=alerts, at=round(self.now * 1000)))

    def lifts(self, act: Act) -> Act:
        return self.does(Act("lift", "ada", "why", "", lifts=act.number, at=round(self.now * 1000)))

    def passes(self, hours: float, receivers: tuple[str, ...] = ("ops", "chat")) -> None:
        """Time, at the end of which the daemon's loop turns."""
        self.now += hours * HOUR
        if self.store.owes_withheld():
            self.store.tell_withheld(receivers)

    def told(self, receiver: str = "ops") -> list[str]:
        with Outbox(self.directory, read_only=True) as outbox:
            return [one.delivery.id for one in outbox.entries("waiting") if one.delivery.receiver == receiver]

    def withheld(self, one: Action) -> list[tuple[str, str]]:
        with Reader.open_read_only(self.directory) as reader:
            found = reader.transition(one.id)
        assert found is not None
        return [(row["receiver"], row["state"]) for row in found["withheld"]]


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    it = Night(tmp_path / "state")
    yield it
    it.store.close()


def fires(number: int, *alerts: str, **more: Any) -> Action:
    return action(number, FIRING, alerts=alerts, **more)


def ends(number: int, *alerts: str) -> Action:
    return action(number, RESOLVED, alerts=alerts)


# What is withheld.


def test_a_mute_withholds_and_records(night: Night) -> None:
    mute = night.mutes()
    night.happens(fires(1, "a"), receivers=("ops", "chat"))
    assert night.told() == night.told("chat") == []
    with Reader.open_read_only(night.directory) as reader:
        found = reader.transition(fires(1, "a").id)
        assert found is not None
        assert found["body"] == fires(1, "a").body()
        assert found["withheld"] == [
            {"receiver": name, "act": mute.number, "state": "waiting"} for name in ("ops", "chat")
        ]
        assert reader.transitions()[0]["withheld"] == found["withheld"]
    assert night.store.acts_now()[1] == 2


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ({}, 0),
        ({"rule": "drift"}, 0),
        ({"rule": "gaps"}, 1),
        ({"signals": ("feature a", "feature b")}, 0),
        ({"signals": ("feature a",)}, 1),  # b is told, and a with it: a body is not cut
    ],
)
def test_a_notification_is_withheld_only_where_all_its_signals_are_muted(night: Night, of: Any, told: int) -> None:
    night.mutes(**of)
    night.happens(fires(1, "a", "b"))
    assert night.told() == ([fires(1, "a", "b").id] * told)


def test_two_mutes_together_silence_what_neither_does_alone(night: Night) -> None:
    night.mutes(2, signals=("feature a",))
    night.mutes(4, signals=("feature b",))
    night.happens(fires(1, "a", "b"))
    assert night.told() == []
    night.passes(1)
    assert night.told() == []
    night.passes(1)
    assert night.told() == [fires(1, "a", "b").id]


def test_another_models_mute_is_none(night: Night) -> None:
    night.mutes()
    night.happens(fires(1, "z", model="fraud"))
    assert night.told() == [fires(1, "z", model="fraud").id]


# Who was told that it fires is told of its end.


def test_the_end_of_what_was_told_is_told_though_muted(night: Night) -> None:
    night.happens(fires(1, "a"))
    night.mutes()
    night.happens(fires(2, "a"))  # its severity rose
    assert night.told() == [fires(1, "a").id]
    night.happens(ends(3, "a"))
    assert night.told() == [fires(1, "a").id, ends(3, "a").id]
    night.passes(5)
    assert night.told() == [fires(1, "a").id, ends(3, "a").id]
    assert night.withheld(fires(2, "a")) == [("ops", "ended")]


def test_the_end_of_what_nobody_was_told_is_told_to_nobody(night: Night) -> None:
    night.mutes()
    night.happens(fires(1, "a"))
    night.happens(ends(2, "a"))
    night.passes(5)
    assert night.told() == []
    assert (night.withheld(fires(1, "a")), night.withheld(ends(2, "a"))) == ([("ops", "ended")], [("ops", "ended")])


def test_each_receiver_has_heard_what_it_has_heard(night: Night) -> None:
    night.happens(fires(1, "a"), receivers=("ops",))
    night.mutes()
    night.happens(fires(2, "a"), receivers=("ops", "chat"))
    night.happens(ends(3, "a"), receivers=("ops", "chat"))
    assert night.told("ops") == [fires(1, "a").id, ends(3, "a").id]
    assert night.told("chat") == []


def test_old_transitions_in_a_summary_are_told_of_too(night: Night) -> None:
    night.happens(fires(1, "a"), old=True)
    night.mutes()
    night.happens(ends(2, "a"))
    assert len(night.told()) == 2  # the summary, and the end


# When the mute ends.


def test_what_still_fires_is_told_when_the_mute_ends(night: Night) -> None:
    night.mutes(4)
    night.happens(fires(1, "a"), fires(2, "b"), receivers=("ops", "chat"))
    night.happens(ends(3, "b"), receivers=("ops", "chat"))
    night.passes(3.9)
    assert night.told() == []
    night.passes(0.2)
    assert night.told() == night.told("chat") == [fires(1, "a").id]
    assert night.withheld(fires(1, "a")) == [("ops", "told"), ("chat", "told")]
    night.passes(1)
    night.happens(ends(4, "a"), receivers=("ops", "chat"))
    assert night.told() == night.told("chat") == [fires(1, "a").id, ends(4, "a").id]


def test_a_mute_that_is_taken_back_ends_at_once(night: Night) -> None:
    mute = night.mutes()
    night.happens(fires(1, "a"))
    night.lifts(mute)
    night.passes(0)
    assert night.told() == [fires(1, "a").id]


def test_only_the_newest_word_of_an_alert_is_told(night: Night) -> None:
    night.mutes(4)
    night.happens(fires(1, "a"))
    night.happens(fires(2, "a"))
    night.passes(5)
    assert night.told() == [fires(2, "a").id]
    assert night.withheld(fires(1, "a")) == [("ops", "ended")]


def test_what_ended_of_it_meanwhile_is_told_after_it(night: Night) -> None:
    night.mutes(4)
    night.happens(fires(1, "a", "b"))
    night.happens(ends(2, "a"))
    night.passes(5)
    assert night.told() == [fires(1, "a", "b").id, ends(2, "a").id]


def test_a_newer_word_that_is_told_first_makes_the_withheld_one_stale(night: Night) -> None:
    night.mutes(4)
    night.happens(fires(1, "a"))
    night.now += 5 * HOUR
    night.happens(fires(2, "a"))  # in a commit before the loop looks
    night.passes(0)
    assert night.told() == [fires(2, "a").id]


def test_a_receiver_that_is_gone_is_owed_nothing(night: Night) -> None:
    night.mutes(4)
    night.happens(fires(1, "a"), receivers=("ops", "gone"))
    night.passes(5, receivers=("ops",))
    assert night.told() == [fires(1, "a").id]
    assert night.withheld(fires(1, "a")) == [("ops", "told"), ("gone", "ended")]
    assert not night.store.owes_withheld()


def test_a_request_to_retrain_waits_like_its_alerts(night: Night) -> None:
    night.mutes(4)
    request, other = action(2, REQUEST, alerts=("a",)), action(3, REQUEST, alerts=("b",))
    night.happens(fires(1, "a", "b"), request, other)
    night.happens(ends(4, "b"))
    night.passes(5)
    assert night.told() == [fires(1, "a", "b").id, request.id, ends(4, "b").id]


# Marked as false.


def test_of_what_is_false_only_the_end_is_told(night: Night) -> None:
    night.happens(fires(1, "a"))
    night.marks_false("a")
    night.happens(fires(2, "a"), action(3, REQUEST, alerts=("a",)))
    night.passes(10_000)
    assert night.told() == [fires(1, "a").id]
    night.happens(ends(4, "a"))
    assert night.told() == [fires(1, "a").id, ends(4, "a").id]
    night.happens(fires(5, "a2"))  # the next time it is another alert
    assert night.told()[-1] == fires(5, "a2").id


def test_a_mark_that_is_taken_back_no_longer_silences(night: Night) -> None:
    night.happens(fires(1, "a"))
    mark = night.marks_false("a")
    night.happens(fires(2, "a"))
    night.lifts(mark)
    night.passes(0)
    assert night.told() == [fires(1, "a").id, fires(2, "a").id]


# The acts themselves.


def test_acts_are_kept_in_order_and_counted_by_rule(night: Night) -> None:
    mute, mark = night.mutes(rule="drift", signals=("x",)), night.marks_false("a", "b")
    seen = night.does(Act("acknowledge", "grace", "", "churn", "gaps", alerts=("c",), at=round(night.now * 1000)))
    every = night.mutes()
    lift = night.lifts(mute)
    assert [act.number for act in (mute, mark, seen, every, lift)] == [1, 2, 3, 4, 5]
    with Reader.open_read_only(night.directory) as reader:
        assert reader.acts(10) == [lift, every, seen, mark, mute]
        assert reader.acts(2) == [lift, every]
        standing = reader.standing(round(night.now * 1000))
    assert standing.mutes == (every,)
    assert standing.false == {"a": mark, "b": mark}
    assert standing.acknowledged == {"c": seen}
    assert standing.counts == {
        ("drift", "mute"): 1, ("drift", "false"): 1, ("gaps", "acknowledge"): 1, ("*", "mute"): 1, ("drift", "lift"): 1,
    }  # fmt: skip
    assert night.store.acts_now()[0] == standing


def test_the_same_said_again_is_not_counted_again(night: Night) -> None:
    first = night.marks_false("a", "b")
    assert night.marks_false("b", "a") == first
    assert night.marks_false("a", "c").number == first.number + 1
    night.lifts(first)
    assert night.marks_false("b").number > first.number + 1


def test_what_cannot_be_taken_back_says_why(night: Night) -> None:
    mute, other = night.mutes(1), night.mutes(4)
    lift = night.lifts(other)
    night.now += 2 * HOUR
    with pytest.raises(UserError, match="has the number 99; `driftd mutes --all` lists them"):
        night.does(Act("lift", "ada", "why", "", lifts=99))
    with pytest.raises(UserError, match=f"has the number {lift.number};"):
        night.lifts(lift)
    with pytest.raises(UserError, match=f"act {other.number} has been taken back before"):
        night.lifts(other)
    with pytest.raises(UserError, match=f"mute {mute.number} has ended by itself"):
        night.lifts(mute)


def test_what_an_id_speaks_of(night: Night) -> None:
    night.happens(fires(1, "a", "b"), ends(2, "b"), action(3, REQUEST, alerts=("a",)))
    with ActLog(night.directory) as log:
        model, rule, named = log.spoken_of(fires(1, "a", "b").id) or pytest.fail("not found")
        assert (model, rule, [(one.signal, one.alert) for one in named]) == (
            "churn", "drift", [("feature a", "a"), ("feature b", "b")],
        )  # fmt: skip
        found = log.spoken_of("b")
        assert found is not None
        assert [one.alert for one in found[2]] == ["b"]
        for unknown in ("", "feature a", ends(2, "b").id, action(3, REQUEST, alerts=("a",)).id, "%", "churn"):
            assert log.spoken_of(unknown) is None
        assert (log.has_model("churn"), log.has_model("chur")) == (True, False)


def test_marks_beyond_those_kept_in_mind_do_not_count(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_IN_MIND", 2)
    for alert in ("a", "b", "c"):
        night.marks_false(alert)
    standing, _ = night.store.acts_now()
    assert standing.false.keys() == {"b", "c"}
    assert standing.counts == {("drift", "false"): 3}


def test_without_a_state_nothing_can_be_done(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing has been stored there yet"):
        ActLog(tmp_path)


@pytest.mark.parametrize(
    ("author", "reason", "said"),
    [("", "why", "no author"), (" ", "why", "no author"), ("ada", " ", "no reason"),
     ("a" * 101, "why", "an author has at most 100"), ("ada", "w" * 501, "a reason has at most 500")],
)  # fmt: skip
def test_an_act_has_an_author_and_a_reason(author: str, reason: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        said_by(author, reason, verb="mute")
    assert said_by(" ada\x1b[2J\n", "", verb="acknowledge") == (r"ada\x1b[2J", "")


def test_nobody_mutes_for_ever() -> None:
    assert bounded(LONGEST_MUTE + 5, 5) == LONGEST_MUTE + 5
    with pytest.raises(UserError, match="a mute lasts at most 30 days"):
        bounded(LONGEST_MUTE + 6, 5)
    for end in (5, 4):
        with pytest.raises(UserError, match="a mute ends in the future"):
            bounded(end, 5)


# Whatever happens in whatever order.

ALERTS = ("a", "b", "c")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("fires"), st.sets(st.sampled_from(ALERTS), min_size=1)),
        st.tuples(st.just("ends"), st.sets(st.sampled_from(ALERTS), min_size=1)),
        st.tuples(st.just("mute"), st.sampled_from([(), ("feature a",), ("feature b", "feature c")])),
        st.tuples(st.just("passes"), st.sampled_from([0.5, 5])),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(steps)
@example([("fires", {"a"}), ("mute", ()), ("fires", {"a", "b"}), ("ends", {"a"})])
def test_every_receiver_hears_a_story_that_holds(tmp_path_factory: Any, steps: Sequence[tuple[str, Any]]) -> None:
    """At the end of all mutes a receiver believes to fire what fires, and heard no end without a beginning."""
    night = Night(tmp_path_factory.mktemp("night"))
    try:
        episodes: dict[str, str] = {}
        bodies: dict[str, Action] = {}

        def happens(it: Action) -> None:
            bodies[it.id] = it
            night.happens(it)

        for count, (what, of) in enumerate([*steps, ("passes", 24)]):
            if what == "fires":
                episodes |= {one: f"{one}{count}" for one in of if one not in episodes}
                happens(_of(count, FIRING, {one: episodes[one] for one in of}))
            elif what == "ends" and (over := {one: episodes.pop(one) for one in of if one in episodes}):
                happens(_of(count, RESOLVED, over))
            elif what == "mute":
                night.mutes(4, signals=of)
            elif what == "passes":
                night.passes(of)
        believed: set[str] = set()
        for id_ in night.told():
            alerts = {str(one["alert_id"]) for one in json.loads(bodies[id_].body())["data"]["signals"]}
            if bodies[id_].type == FIRING:
                believed |= alerts
            else:
                assert alerts & believed, "an end without a beginning"
                believed -= alerts
        assert believed == set(episodes.values())
        assert night.store.acts_now()[1] == 0
    finally:
        night.store.close()


def _of(number: int, what: ActionType, alerts: dict[str, str]) -> Action:
    it = action(number, what, alerts=tuple(alerts.values()))
    signals = [{"signal": f"feature {one}", "alert_id": alert} for one, alert in sorted(alerts.items())]
    return Action(**{name: getattr(it, name) for name in Action.__slots__} | {"data": {**it.data, "signals": signals}})


# A state of before there were acts.


def test_who_was_told_before_the_upgrade_is_told_of_the_end(
    tmp_path: Path, before_acts: Callable[[Path], None]
) -> None:
    night = Night(tmp_path / "state")
    night.happens(fires(1, "a"), fires(2, "b"), ends(3, "b"))
    night.store.close()
    before_acts(night.directory)
    night = Night(tmp_path / "state")
    try:
        with closing(sqlite3.connect(night.directory / FILE)) as connection:
            assert connection.execute("SELECT alert, receiver FROM told").fetchall() == [("a", "ops")]
        assert night.store.acts_now() == (Standing(), 0)
        night.mutes()
        night.happens(fires(4, "a"))
        night.happens(ends(5, "a"))
        assert night.told()[-1] == ends(5, "a").id
    finally:
        night.store.close()


@pytest.fixture
def before_acts() -> Callable[[Path], None]:
    """Takes the newest migration off a state, as an older driftd would have left it."""

    def undo(directory: Path) -> None:
        with closing(sqlite3.connect(directory / FILE, isolation_level=None)) as connection:
            for table in ("act", "withheld", "told"):
                connection.execute(f"DROP TABLE {table}")
            connection.execute("DELETE FROM migration WHERE version = 3")
            connection.execute("PRAGMA user_version = 2")

    return undo
