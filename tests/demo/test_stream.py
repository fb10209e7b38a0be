"""The stream: the same in every run, drifting in what it says it drifts in and in nothing else."""

import itertools
import json
from dataclasses import replace

from driftd.demo.plan import DRIFTING, FEATURES, MODELS, PERIOD, SIGNALS, STEADY, Plan
from driftd.demo.stream import Application, Serving, applications

SMALL = Plan(training=2_000, calm=1_000)
AT = SMALL.training + SMALL.calm


def rows(model: str, plan: Plan, start: int, stop: int) -> list[Application]:
    return list(itertools.islice(applications(model, plan), start, stop))


def test_the_stream_is_the_same_in_every_run():
    for name in MODELS:
        assert rows(name, SMALL, 0, AT + 500) == rows(name, SMALL, 0, AT + 500)


def test_the_models_read_different_streams():
    assert rows(DRIFTING, SMALL, 0, 100) != rows(STEADY, SMALL, 0, 100)


def test_the_trained_model_says_the_same_in_every_run():
    one, other = Serving(DRIFTING, SMALL), Serving(DRIFTING, SMALL)
    assert [one.serve(i) for i in range(1_500)] == [other.serve(i) for i in range(1_500)]


def test_only_salary_and_zip_code_change_and_only_from_the_drift_on():
    drifting, calm = rows(DRIFTING, SMALL, 0, AT + 500), rows(DRIFTING, replace(SMALL, drift=False), 0, AT + 500)
    early = AT - 4 * 200
    assert [one.features for one in drifting[:early]] == [one.features for one in calm[:early]]
    # Nearer to it the later concept's generator mixes in: the same laws, other draws. So laws are compared.
    assert not [one for one in drifting[:AT] if float(one.features["salary"]) > 150_000]
    mean = {name: _mean(drifting[AT:], name) / _mean(calm[AT:], name) for name in ("salary", "age", "loan")}
    assert mean["salary"] > 1.25
    assert 0.9 < mean["age"] < 1.1
    assert 0.85 < mean["loan"] < 1.15
    two = [one.features["zipcode"] in {"zip 0", "zip 1"} for one in drifting[AT:]]
    assert 0.5 < sum(two) / len(two) < 0.75


def test_the_concept_changes_which_no_feature_shows():
    serving = Serving(DRIFTING, SMALL)
    for i in range(SMALL.calm):
        serving.serve(i)
    assert serving.accuracy > 0.9
    serving.forget_accuracy()
    for i in range(1_000):
        serving.serve(i)
    assert serving.accuracy < 0.75


def test_events_are_native_predictions():
    event = json.loads(Serving(STEADY, SMALL).serve(1_795_428_000_123))
    assert event["kind"] == "prediction"
    assert event["time"] == 1_795_428_000_123
    assert tuple(event["features"]) == FEATURES
    assert 0 <= event["prediction"] <= 1
    assert {*event["features"], "prediction"} == set(SIGNALS)


def test_the_plan_ends_about_now_and_begins_at_the_edge_of_a_pane():
    plan, now = Plan(), 1_795_428_000_123
    start = plan.start(now)
    assert start % 120_000 == 0
    assert abs(plan.drift_at(start) + plan.enough - now) < 120_000
    assert (plan.drift_at(start) - start) // PERIOD == plan.calm


def _mean(found: list[Application], name: str) -> float:
    return sum(float(one.features[name]) for one in found) / len(found)
