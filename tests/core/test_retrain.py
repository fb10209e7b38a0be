"""When a retraining is asked for."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.retrain import Retraining, describe
from driftd.core.spec import DAY, HOUR, Retrain
from tests.core.streams import SEEDED


@pytest.mark.parametrize(
    ("when", "rule", "severity", "may"),
    [
        ((("drift", "critical"),), "drift", "critical", True),
        ((("drift", "critical"),), "drift", "warning", False),
        ((("drift", "warning"),), "drift", "critical", True),
        ((("drift", "warning"),), "gaps", "critical", False),
        ((("gaps", "critical"), ("drift", "warning")), "drift", "warning", True),
        ((), "drift", "critical", False),
    ],
)
def test_which_alerts_may_ask(when, rule, severity, may) -> None:
    assert Retraining(Retrain(when)).may_ask(rule, severity) is may


def test_an_alert_asks_once_in_its_life() -> None:
    asks = Retraining(Retrain(cool_down=0, budget_per_day=9))
    assert asks.ask(["a"], 0)
    assert not any(asks.ask(["a"], t * HOUR) for t in range(1, 200))
    assert asks.ask(["a", "b"], 200 * HOUR)
    assert not asks.ask(["b", "a"], 201 * HOUR)
    assert asks.total == 2
    assert not asks.ask([], 300 * HOUR)
    assert asks.ask(["c"], 400 * HOUR)
    assert not asks.ask(["a"], 500 * HOUR)


def test_the_next_alert_of_the_same_signal_asks_again() -> None:
    asks = Retraining(Retrain(cool_down=0, budget_per_day=9))
    assert asks.ask(["a"], 0)
    asks.forget("a")
    assert asks.answered == set()
    assert asks.ask(["a2"], HOUR)


def test_an_alert_that_fires_in_the_cool_down_asks_when_it_is_over() -> None:
    asks = Retraining(Retrain(cool_down=6 * HOUR, budget_per_day=9))
    assert asks.ask(["a"], 0)
    assert not asks.ask(["a", "b"], HOUR)
    assert not asks.ask(["a", "b"], 6 * HOUR - 1)
    assert asks.ask(["a", "b"], 6 * HOUR)
    assert not asks.ask(["a", "b"], 20 * HOUR)


def test_one_that_is_over_before_the_cool_down_never_asks() -> None:
    asks = Retraining(Retrain(cool_down=6 * HOUR, budget_per_day=9))
    assert asks.ask(["a"], 0)
    assert not asks.ask(["a", "b"], HOUR)
    asks.forget("b")
    assert not asks.ask(["a"], 7 * HOUR)


def test_a_cool_down_of_days_is_kept() -> None:
    asks = Retraining(Retrain(cool_down=5 * DAY, budget_per_day=1))
    assert asks.ask(["a"], 0)
    assert [asks.ask(["b"], t * DAY) for t in range(1, 7)] == [False] * 4 + [True, False]


def test_the_budget_is_of_any_24_hours() -> None:
    asks = Retraining(Retrain(cool_down=0, budget_per_day=2))
    granted = [t for t in range(100) if asks.ask([f"a{t}"], t * HOUR)]
    assert granted == [0, 1, 24, 25, 48, 49, 72, 73, 96, 97]


def test_event_time_that_falls_between_versions_grants_nothing_more() -> None:
    asks = Retraining(Retrain(cool_down=HOUR, budget_per_day=9))
    assert asks.ask(["a"], 100 * HOUR)
    assert not asks.ask(["b"], 10 * HOUR)


events = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abcdef"), st.booleans()), max_size=60)


@SEEDED
@given(events, st.integers(0, 30), st.integers(1, 4))
def test_never_sooner_than_the_cool_down_and_never_more_than_the_budget(steps, cool_down, budget) -> None:
    policy = Retrain(cool_down=cool_down * HOUR, budget_per_day=budget)
    asks, stored = Retraining(policy), Retraining(policy)
    now = 0
    granted: list[int] = []
    firing: set[str] = set()
    asked: set[str] = set()
    for wait, alert, over in steps:
        now += wait * HOUR
        if over and alert in firing:
            firing.discard(alert)
            asked.discard(alert)
            asks.forget(alert)
            stored.forget(alert)
        else:
            firing.add(alert)
        fresh = firing - asked
        may = bool(fresh) and (not granted or now - granted[-1] >= policy.cool_down)
        may = may and sum(t > now - DAY for t in granted) < budget
        assert asks.ask(sorted(firing), now) == may
        assert stored.ask(sorted(firing), now) == may
        if may:
            granted.append(now)
            asked |= firing
        again = Retraining(policy)
        again.load(msgspec.json.decode(msgspec.json.encode(stored.plain())))
        stored = again
    assert asks.total == stored.total == len(granted)


def test_the_policy_stands_in_the_request() -> None:
    assert describe(Retrain((("drift", "critical"), ("gaps", "warning")), 6 * HOUR, 2)) == {
        "when": ["drift.critical", "gaps.warning"],
        "cool_down_s": 21_600,
        "budget_per_day": 2,
    }
