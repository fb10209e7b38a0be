from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.deliver.backoff import Backoff
from driftd.deliver.route import Matcher, Route, Routes, facts_of
from tests.store.examples import action

FIRING = action(1)


def told(*routes: tuple[dict[str, str], str]) -> tuple[str, ...]:
    return Routes([Route(*it) for it in routes], ("ops", "chat")).receivers_for(FIRING)


def test_without_routes_everybody_hears_of_everything():
    assert told() == ("ops", "chat")


def test_the_first_route_that_matches_decides():
    assert told(({"team": "risk"}, "chat"), ({"team": "risk"}, "ops"), ({}, "ops")) == ("chat",)
    assert told(({"team": "growth"}, "chat"), ({}, "ops")) == ("ops",)
    assert told(({"team": "growth"}, "chat")) == ()


def test_a_route_that_continues_lets_the_next_ones_be_heard_and_each_receiver_is_told_once():
    routes = Routes(
        [
            Route({"team": "risk"}, "chat", goes_on=True),
            Route({"team": "growth"}, "other", goes_on=True),
            Route({}, "chat", goes_on=True),
            Route({"severity": "critical"}, "ops"),
            Route({}, "last"),
        ],
        ("ops", "chat", "other", "last"),
    )
    assert routes.decide(facts_of(FIRING)) == {"chat": 0, "ops": 3}
    assert routes.receivers_for(FIRING) == ("chat", "ops")
    assert routes.receivers_for(replace(FIRING, severity="warning")) == ("chat", "last")


@pytest.mark.parametrize(
    ("matcher", "holds"),
    [
        (Matcher("model", "=", "churn"), True),
        (Matcher("model", "=", "chur"), False),
        (Matcher("model", "!=", "churn"), False),
        (Matcher("model", "!=", "fraud"), True),
        (Matcher("model", "=~", "chur"), False),  # an expression matches the whole
        (Matcher("model", "=~", "chur.*|fraud"), True),
        (Matcher("model", "!~", "chur"), True),
        (Matcher("model", "!~", "chur."), False),
        (Matcher("region", "=", ""), True),
        (Matcher("region", "!=", ""), False),
        (Matcher("region", "=~", ".+"), False),
        (Matcher("type", "=~", r"driftd\.alert\..*"), True),
    ],
)
def test_matchers_mean_what_they_mean_to_alertmanager(matcher, holds):
    assert matcher.holds(facts_of(FIRING)) == holds
    both = Route({"team": "risk"}, "ops", [matcher])
    assert both.matches(facts_of(FIRING)) == holds
    assert not Route({"team": "growth"}, "ops", [matcher]).matches(facts_of(FIRING))


def test_all_of_a_match_must_hold():
    every = {
        "team": "risk", "model": "churn", "version": "7", "kind": "prediction", "rule": "drift",
        "severity": "critical", "type": "driftd.alert.firing",
    }  # fmt: skip
    assert told((every, "ops")) == ("ops",)
    for name in every:
        assert told((every | {name: "other"}, "ops")) == ()


def test_a_plain_value_is_compared_whole_and_an_expression_from_the_beginning():
    assert told(({"model": "chur"}, "ops")) == ()
    assert told(({"model": "c.*"}, "ops")) == ()
    assert told(({"model": "^chur"}, "ops")) == ("ops",)
    assert told(({"model": "^chur$"}, "ops")) == ()
    assert told(({"type": r"^driftd\.alert\."}, "ops")) == ("ops",)
    assert told(({"severity": "^(warning|critical)$"}, "ops")) == ("ops",)


def test_a_label_that_is_not_there_is_empty():
    assert told(({"region": ""}, "ops")) == ("ops",)
    assert told(({"region": "^$"}, "ops")) == ("ops",)
    assert told(({"region": "^."}, "ops")) == ()


def test_a_label_cannot_pretend_to_be_the_model():
    disguised = replace(FIRING, labels={"model": "fraud"})
    assert Route({"model": "churn"}, "ops").matches(facts_of(disguised))
    assert not Route({"model": "fraud"}, "ops").matches(facts_of(disguised))


@given(st.text(max_size=12))
def test_any_value_matches_itself(value):
    tagged = facts_of(replace(FIRING, labels={"team": value}))
    assert value.startswith("^") or Route({"team": value}, "ops").matches(tagged)
    assert Route({"team": f"^{re.escape(value)}$"}, "ops").matches(tagged)


@given(st.integers(-5, 10**9), st.randoms())
def test_a_wait_is_within_its_bounds(failures, chance):
    backoff = Backoff(1.0, 300.0, chance)
    assert 0.0 <= backoff.delay_s(failures) <= min(300.0, 2.0 ** min(max(failures - 1, 0), 60))


def test_waits_are_spread_over_the_whole_interval():
    backoff = Backoff(1.0, 300.0)
    waits = [backoff.delay_s(20) for _ in range(2_000)]
    assert min(waits) < 15
    assert max(waits) > 285
    assert 130 < sum(waits) / len(waits) < 170
