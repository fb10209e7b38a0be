import copy
from typing import Any

import pytest

from driftd.core.difference import Difference, differences, key_of

BODY: dict[str, Any] = {
    "type": "driftd.alert.firing",
    "id": "ntf_a",
    "timestamp": "2026-11-24T12:00:00Z",
    "data": {
        "model": "churn", "version": "7", "kind": "prediction", "rule": "drift", "severity": "critical",
        "labels": {"team": "risk"}, "window_start": "2026-11-24T11:00:00Z", "window_end": "2026-11-24T12:00:00Z",
        "signals": [
            {"signal": "age", "alert_id": "alt_1", "severity": "critical", "effect": 0.278, "threshold": 0.25,
             "p_value": 3.6e-33, "n": 2500, "streak": 1, "flags": ["extrapolated"], "moved": {"what": "mean", "to": 4.5}},
            {"signal": "plan", "alert_id": "alt_2", "severity": "warning", "effect": 0.12, "threshold": 0.1,
             "p_value": None, "n": 2500, "streak": 2, "flags": [], "moved": {"what": "mean", "to": 1.0}},
        ],
        "versions": [{"version": "7", "since": None}],
    },
}  # fmt: skip


def changed(**data: Any) -> dict[str, Any]:
    return {**copy.deepcopy(BODY), "data": {**copy.deepcopy(BODY["data"]), **data}}


def signal(number: int, **fields: Any) -> dict[str, Any]:
    signals = copy.deepcopy(BODY["data"]["signals"])
    signals[number] |= fields
    return changed(signals=signals)


def found(other: dict[str, Any]) -> list[tuple[str, object, object]]:
    return [(d.field, d.a, d.b) for d in differences(BODY["data"], other["data"])]


def test_what_an_instance_says_of_itself_is_no_difference():
    other = signal(0, alert_id="alt_9")
    other["data"]["versions"] = [{"version": "7", "since": "2026-11-24T00:00:00Z"}]
    assert found(other) == []
    assert key_of({**other, "id": "ntf_b"}) == key_of(BODY)


def test_the_order_of_signals_is_none():
    assert found(changed(signals=BODY["data"]["signals"][::-1])) == []


def test_rounding_is_none_and_a_thousandth_is():
    value = BODY["data"]["signals"][0]["effect"]
    assert found(signal(0, effect=value * (1 + 1e-8))) == []
    assert found(signal(0, effect=value * 1.001)) == [("signals.age.effect", value, value * 1.001)]


def test_a_tail_that_is_far_smaller_is_told_by_the_level_alone():
    """Below a billionth two p-values pass every level there is."""
    assert found(signal(0, p_value=1e-30)) == []
    assert found(signal(0, p_value=1e-3))[0][0] == "signals.age.p_value"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"severity": "warning"}, ("signals.age.severity", "critical", "warning")),
        ({"threshold": 0.3}, ("signals.age.threshold", 0.25, 0.3)),
        ({"n": 2501}, ("signals.age.n", 2500, 2501)),
        ({"flags": []}, ("signals.age.flags", ["extrapolated"], [])),
        ({"moved": {"what": "mean", "to": 5.0}}, ("signals.age.moved.to", 4.5, 5.0)),
        ({"p_value": None}, ("signals.age.p_value", 3.6e-33, None)),
        ({"streak": True}, ("signals.age.streak", 1, True)),
    ],
)
def test_a_field_is_named(fields: dict[str, Any], told: tuple[str, object, object]):
    assert found(signal(0, **fields)) == [told]


def test_a_signal_of_one_alone_is_named_with_its_severity():
    assert found(changed(signals=BODY["data"]["signals"][:1])) == [("signals.plan", "warning", None)]
    assert differences(changed(signals=[])["data"], BODY["data"]) == [
        Difference("signals.age", None, "critical"),
        Difference("signals.plan", None, "warning"),
    ]


def test_a_signal_of_two_rules_in_a_request_is_two():
    both = changed(
        rule="retrain",
        signals=[
            {"signal": "age", "rule": rule, "alert_id": rule, "severity": "critical"} for rule in ("drift", "jump")
        ],
    )
    one = changed(rule="retrain", signals=both["data"]["signals"][:1])
    assert [(d.field, d.b) for d in differences(both["data"], one["data"])] == [("signals.age (jump)", None)]


def test_an_end_of_its_own_reason_is_another_than_one_that_a_window_tells():
    calm, retired = ({**changed(reason=reason), "type": "driftd.alert.resolved"} for reason in ("calm", "retired"))
    assert key_of(calm) != key_of(retired)
    assert key_of(calm)[-1] == ""
