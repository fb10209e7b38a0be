"""The text that a person reads: whatever the names and numbers are, and in which words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.action import Delivery
from driftd.deliver import words
from driftd.deliver.message import LINE_CHARS, MOST_LINES, Renderer
from tests.core.streams import SEEDED
from tests.deliver.bodies import RENDERER, delivery, requested, signal, summary

NAMES = st.text(st.characters(exclude_categories=()), max_size=300)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
MOVED = st.one_of(
    st.fixed_dictionaries({"what": st.just("mean"), "from": NUMBERS, "to": NUMBERS}),
    st.fixed_dictionaries({"what": st.just("share"), "category": NAMES, "from": NUMBERS, "to": NUMBERS}),
    st.fixed_dictionaries(
        {"what": st.just("share"), "above": st.none() | NUMBERS, "up_to": st.none() | NUMBERS, "from": NUMBERS, "to": NUMBERS}
    ),
    st.fixed_dictionaries(
        {"what": st.sampled_from(["null_rate", "absent_rate", "new_rate", "share_of_new", "share_of_rare", "else"]),
         "from": NUMBERS, "to": NUMBERS}
    ),
)  # fmt: skip
SIGNALS = st.lists(
    st.builds(
        lambda name, moved, p, onset: signal(name, moved=moved, p_value=p, onset=onset),
        NAMES, MOVED, st.none() | st.floats(0, 1, exclude_min=True),
        st.sampled_from(["2026-11-24T11:40:00Z", "2026-11-24T11:55:00Z"]),
    ),
    max_size=12,
)  # fmt: skip


@SEEDED
@given(
    what=st.sampled_from(["firing", "resolved"]),
    signals=SIGNALS,
    model=NAMES,
    version=NAMES,
    rule=NAMES,
    runbook=NAMES,
    versions=st.lists(
        st.fixed_dictionaries({"version": NAMES, "since": st.none() | st.just("2026-11-24T11:30:00Z")}), max_size=3
    ),
    budget=st.sampled_from(
        [
            None,
            {"false_alarms_per_year": 12.0},
            {"detector": "adwin", "delta": 0.002},
            {"detector": "kswin", "parameters": {"alpha": 0.005}},
        ]
    ),
    reason=st.sampled_from(["calm", "retired", "re-baselined", "another"]),
)
def test_whatever_the_names_and_numbers_are_it_is_a_few_lines_of_text(what, signals, runbook, **more):
    message = RENDERER.message(delivery(what, signals, labels={"runbook": runbook}, **more))
    lines = [message.title, *message.lines, *message.links()]
    assert message.text.split("\n") == lines
    assert len(lines) <= MOST_LINES
    assert all(one.isprintable() and one for one in lines)
    assert all(len(one) <= LINE_CHARS for one in lines[:-1])
    message.text.encode()  # nothing in it that no file could hold
    for url in (message.link, message.runbook):
        assert url is None or (url.isascii() and url.isprintable() and " " not in url and url.startswith("http"))


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ({"what": "mean", "from": 41.058, "to": 46.4812}, "mean 41.06 → 46.48"),
        ({"what": "mean", "from": 1234567.0, "to": 0.00012}, "mean 1,234,567 → 0.00012"),
        ({"what": "share", "category": "pro", "from": 0.31, "to": 0.58}, "share of 'pro' 31 % → 58 %"),
        ({"what": "share", "above": 88.0, "up_to": None, "from": 0.1, "to": 1.0}, "share above 88 10 % → 100 %"),
        ({"what": "share", "above": 1.0, "up_to": 2.0, "from": 0.1, "to": 0.5}, "share above 1 up to 2 10 % → 50 %"),
        ({"what": "share", "above": None, "up_to": 2.0, "from": 0.1, "to": 0.5}, "share up to 2 10 % → 50 %"),
        ({"what": "null_rate", "from": 0.0, "to": 0.034}, "null 0 % → 3.4 %"),
        ({"what": "absent_rate", "from": 0.0, "to": 1.0}, "absent 0 % → 100 %"),
        ({"what": "new_rate", "from": 0.0004, "to": 0.2}, "of categories never seen before below 0.1 % → 20 %"),
        ({"what": "type_error_rate", "from": 0.0, "to": 1.0}, "of another type 0 % → 100 %"),
        (None, ""),
    ],
)
def test_from_what_to_what(moved, said):
    assert words.moved(moved) == said


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (1e-30, "less than one window in a billion"),
        (2.4e-5, "about one window in 40,000"),
        (0.03, "about one window in 30"),
        (1.0, "about one window in 1"),
    ],
)
def test_how_often_it_would_be_nothing(p, said):
    assert words.chance(p) == said


def test_what_is_said_when_the_prediction_moved_and_nothing_was_deployed():
    told = {
        "signal": "prediction",
        "effect": 0.31,
        "threshold": 0.1,
        "moved": {"what": "mean", "from": 0.2, "to": 0.34},
    }
    lines = RENDERER.message(delivery(prediction=told, versions=[{"version": "7", "since": None}])).lines
    assert "The prediction moved too: mean 0.2 → 0.34 (effect 0.31, threshold 0.1)." in lines
    assert not any(one.startswith("Deployed") for one in lines)
    assert "Next: find out at the source why; if the world has changed, check fresh labels and retrain." in lines


def test_a_version_that_came_just_before_is_named_and_suspected():
    lines = RENDERER.message(delivery()).lines
    assert "Deployed: version 8 first seen 2026-11-24 11:30 UTC (10 min before)." in lines
    assert any(one.startswith("Next: compare with the version before") for one in lines)


def test_gaps_are_for_whoever_fills_the_field():
    gone = signal(statistic="null_rate", moved={"what": "null_rate", "from": 0.0, "to": 0.4})
    lines = RENDERER.message(delivery(signals=[gone], versions=[])).lines
    assert lines[0] == "age: null 0 % → 40 % (null rate effect 0.278, threshold 0.25)"
    assert any(one.startswith("Next: ask whoever fills this field what changed") for one in lines)


def test_signals_that_did_not_begin_together_are_told_so():
    for odd, said in ((45, "the others later"), (35, "the first since 2026-11-24 11:35 UTC")):
        signals = [signal(f"f{i}", onset=f"2026-11-24T11:{odd if i == 3 else 40}:00Z") for i in range(4)]
        lines = RENDERER.message(delivery(signals=signals)).lines
        assert f"Also f3. 3 of 4 signals since 2026-11-24 11:40 UTC, {said}." in lines


def test_without_pages_the_command_is_told():
    one = delivery()
    text = Renderer().message(one).text
    assert text.endswith(f"Look: driftd explain {one.id}   Runbook: https://wiki.example.com/churn")


@pytest.mark.parametrize("reason", ["calm", "retired", "re-baselined", "rule removed"])
def test_an_end_says_why_and_how_long(reason):
    lines = RENDERER.message(delivery("resolved", reason=reason)).lines
    assert lines[-1].startswith("Began 2026-11-24 11:40 UTC, over 2026-11-24 12:00 UTC: ")
    assert reason == "calm" or not lines[0].startswith("age:"), "the numbers of what is not looked at say nothing"


def test_a_request_and_a_summary_are_told_in_words():
    assert RENDERER.message(requested()).text.splitlines()[:3] == [
        "[retrain] churn 7: a retraining is asked for",
        "age: psi effect 0.278, threshold 0.25",
        "By the policy: when drift.critical; 1 a day at most.",
    ]
    assert RENDERER.message(summary()).text.splitlines()[:3] == [
        "[summary] 153 transitions of the past, told at once",
        "churn: drift alert.firing 80 times",
        "from 2026-11-24 10:00 UTC to 2026-11-24 12:00 UTC",
    ]


def test_a_body_that_is_no_object_is_refused():
    broken = delivery()
    with pytest.raises(ValueError, match="a body is a JSON object"):
        RENDERER.message(type(broken)(1, "ops", "x", broken.type, b"[]", 0))


def test_a_change_of_columns_is_told_column_by_column():
    def column(name: str, statistic: str, what: str, **more: object) -> dict[str, object]:
        return {
            "signal": name,
            "alert_id": f"alt_{name}",
            "severity": "critical",
            "statistic": statistic,
            "effect": 1.0,
            "threshold": 0.9,
            "p_value": None,
            "flags": [],
            "onset": "2026-11-23T10:00:00Z",
            "moved": {"what": what, "from": 0, "to": 1},
            **more,
        }

    signals = [
        column("age", "removed", "absent_rate"),
        column("plan", "renamed", "absent_rate", renamed_to="tariff"),
        column("income", "retyped", "type_error_rate"),
        column("region", "added", "present_rate"),
    ]
    data = {"model": "churn", "version": "7", "kind": "prediction", "rule": "schema", "severity": "critical",
            "window_end": "2026-11-23T10:05:00Z", "signals": signals, "versions": [], "missing": ["age"]}  # fmt: skip
    body = json.dumps({"type": "driftd.alert.firing", "id": "ntf_1", "timestamp": "", "data": data}).encode()
    message = Renderer().message(Delivery(1, "chat", "ntf_1", "driftd.alert.firing", body, 0))
    assert message.title == "[critical] churn 7: schema in age and 3 more signals"
    assert list(message.lines[:3]) == [
        "age: is gone (absent 0 % → 100 %)",
        "plan: looks renamed to 'tariff' (absent 0 % → 100 %)",
        "income: has another type (of another type 0 % → 100 %)",
    ]
    assert message.lines[3].startswith("Also region. All 4 signals moved together, since 2026-11-23 10:00 UTC")
    assert message.lines[-1] == (
        "Next: ask whoever sends these events what changed; if it is meant, build a new reference."
    )


def test_a_canary_is_told_beside_whom_it_was_seen():
    signal = {"signal": "age", "alert_id": "alt_1", "severity": "warning", "statistic": "psi", "effect": 0.2,
              "threshold": 0.1, "p_value": 1e-9, "flags": [], "onset": "2026-11-23T10:00:00Z"}  # fmt: skip
    data = {"model": "churn", "version": "8", "rule": "version-skew", "severity": "warning", "champion": "7",
            "signals": [signal], "versions": [{"version": "8", "since": "2026-11-23T09:50:00Z"}]}  # fmt: skip
    body = json.dumps({"type": "driftd.alert.firing", "id": "ntf_1", "timestamp": "", "data": data}).encode()
    message = Renderer().message(Delivery(1, "chat", "ntf_1", "driftd.alert.firing", body, 0))
    assert message.lines[1] == "Compared with the champion, version 7, in the same hours. Since 2026-11-23 10:00 UTC."
    assert message.lines[-1] == "Next: if this version is not meant to differ from the champion, stop its rollout."
    assert len(message.text.splitlines()) <= 12
