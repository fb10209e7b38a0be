from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from driftd.deliver.backoff import Backoff
from driftd.deliver.route import Route, Routes
from tests.store.examples import action

FIRING = action(1)


def told(*routes: tuple[dict[str, str], str]) -> tuple[str, ...]:
    return Routes([Route(*it) for it in routes], ("ops", "chat")).receivers_for(FIRING)


def test_without_routes_everybody_hears_of_everything():
    assert told() == ("ops", "chat")


def test_every_route_that_matches_is_followed_and_each_receiver_told_once():
    assert told(({"team": "risk"}, "chat"), ({"team": "risk"}, "ops"), ({}, "chat")) == ("chat", "ops")
    assert told(({"team": "growth"}, "chat")) == ()


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
    assert Route({"model": "churn"}, "ops").matches(disguised)
    assert not Route({"model": "fraud"}, "ops").matches(disguised)


@given(st.text(max_size=12))
def test_any_value_matches_itself(value):
    tagged = replace(FIRING, labels={"team": value})
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
