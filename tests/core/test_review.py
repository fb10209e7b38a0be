from typing import Any

import pytest

from driftd.core.act import Act
from driftd.core.action import rfc3339
from driftd.core.review import Life, Marks, flapping, read, tally

HOUR = 3_600_000
FIRING, RESOLVED, REQUEST = "driftd.alert.firing", "driftd.alert.resolved", "driftd.retrain.requested"


def body(hour: int, type_: str, *alerts: tuple[str, str], rule: str = "drift", model: str = "m") -> dict[str, Any]:
    """`alerts`: pairs of signal and id."""
    signals = [{"signal": signal, "alert_id": alert} for signal, alert in alerts]
    data = {"model": model, "version": "1", "kind": "prediction", "rule": rule, "signals": signals}
    return {"type": type_, "id": f"ntf_{hour}", "timestamp": rfc3339(hour * HOUR), "data": data}


def life(alert: str, fired: int, resolved: int | None, signal: str = "age") -> Life:
    end = None if resolved is None else resolved * HOUR
    return Life(("m", "1", "prediction"), "drift", signal, alert, fired * HOUR, end)


def test_an_alert_lives_from_its_first_word_to_its_end():
    bodies = [
        body(1, RESOLVED, ("age", "before")),
        body(2, FIRING, ("age", "a"), ("plan", "b")),
        body(3, FIRING, ("age", "a")),  # its severity rose
        body(3, REQUEST, ("age", "a")),
        body(5, RESOLVED, ("age", "a")),
        body(6, FIRING, ("age", "c")),
    ]
    lives, told = read(bodies, frozenset({"ntf_6"}))
    assert lives == [life("a", 2, 5), life("b", 2, None, "plan"), life("c", 6, None)]
    assert [(one.at // HOUR, one.alerts, one.withheld) for one in told] == [
        (2, ("a", "b"), False), (3, ("a",), False), (6, ("c",), True),
    ]  # fmt: skip


@pytest.mark.parametrize(("again", "flaps"), [(7, True), (8, False)])
def test_what_fires_again_within_two_windows_flapped(again: int, *, flaps: bool):
    lives = [life("a", 2, 5), life("b", 5, 6, "plan"), life("c", again, None)]
    assert flapping(lives, lambda _: HOUR) == (frozenset({"a"}) if flaps else frozenset())


def act(verb: Any, number: int, at: int, **more: Any) -> Act:
    return Act(verb, "ada", "why", "m", number=number, at=at * HOUR, **more)


def test_what_people_did_counts_until_it_is_taken_back():
    marks = Marks.of(
        [
            act("false", 1, 3, alerts=("a",)),
            act("false", 2, 3, alerts=("b",)),
            act("acknowledge", 3, 4, alerts=("c", "d")),
            act("lift", 4, 5, lifts=2, alerts=("b",)),
        ]
    )
    assert (sorted(marks.false), sorted(marks.acknowledged)) == (["a"], ["c", "d"])


@pytest.mark.parametrize(
    ("mute", "lifted", "is_muted"),
    [
        ({"at": 1, "until": 2 * HOUR}, None, False),  # over before it fired
        ({"at": 1, "until": 4 * HOUR}, None, True),
        ({"at": 4, "until": 9 * HOUR}, None, True),
        ({"at": 5, "until": 9 * HOUR}, None, False),  # when it had resolved
        ({"at": 1, "until": 9 * HOUR}, 2, False),  # taken back before
        ({"at": 1, "until": 9 * HOUR}, 4, True),
        ({"at": 1, "until": 9 * HOUR, "rule": "gaps"}, None, False),
        ({"at": 1, "until": 9 * HOUR, "signals": ("plan",)}, None, False),
        ({"at": 1, "until": 9 * HOUR, "rule": "drift", "signals": ("age",)}, None, True),
    ],
)
def test_an_alert_is_muted_where_a_mute_of_it_held_while_it_fired(
    mute: dict[str, Any], lifted: int | None, *, is_muted: bool
):
    acts = [act("mute", 1, **mute)]
    if lifted is not None:
        acts.append(act("lift", 2, lifted, lifts=1))
    assert Marks.of(acts).muted(life("a", 3, 5), 20 * HOUR) == is_muted


def test_a_tally_counts_alerts_and_notifications_apart():
    bodies = [
        body(2, FIRING, ("age", "a"), ("plan", "b")),
        body(3, FIRING, ("x", "c")),
        body(4, RESOLVED, ("age", "a")),
        body(8, RESOLVED, ("plan", "b")),
    ]
    lives, told = read(bodies, frozenset({"ntf_3"}))
    marks = Marks(frozenset({"a"}), frozenset({"b"}))
    found = tally(lives, told, marks, frozenset({"a"}), 9 * HOUR)
    assert (found.notifications, found.alerts, found.acknowledged, found.false) == (2, 3, 1, 1)
    assert (found.muted, found.flapped, found.open, found.median) == (1, 1, 1, 4 * HOUR)
    assert tally([], [], marks, frozenset(), 0).median is None
