"""What the demo calls good, what it calls missing, and what it calls wrong."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from rich.console import Console
from standardwebhooks.webhooks import Webhook

from driftd.core.spec import MINUTE
from driftd.core.view import Runtime, View
from driftd.demo.display import Scene, render
from driftd.demo.plan import DRIFTED, DRIFTING, STEADY
from driftd.demo.receiver import Arrival, Receiver
from driftd.demo.verdict import closing_lines, judge

AT = 1_795_428_000_000
SECRET = "whsec_" + "a" * 32


def alert(
    *names: str, model: str = DRIFTING, rule: str = "drift", after: int = 10, kind: str = "alert.firing"
) -> Arrival:
    signals = tuple((name, 0.3, 0.25) for name in names)
    return Arrival(f"{names}{after}{kind}", f"driftd.{kind}", model, rule, "critical", AT + after * MINUTE, signals)


URLS = ("http://127.0.0.1:65535/", "http://127.0.0.1:65535/metrics")
ALL = alert(*sorted(DRIFTED))
RETRAIN = alert("salary", rule="retrain", after=12, kind="retrain.requested")


def test_the_alert_and_the_retrain_request_are_good():
    verdict = judge([ALL, RETRAIN], 0, AT)
    assert verdict.good
    seen, when, following = closing_lines(verdict, AT, 9_000, (0.98, 0.6))
    assert "prediction, salary, zipcode of loans drifted" in seen
    assert "98%" in seen
    assert "first drift alert 10 min (1,200 events) after the drift" in when
    assert "retrain request after 12 min (1,440 events)" in when
    assert following.startswith("Next: driftd reference build")


def test_what_did_not_come_is_named():
    verdict = judge([alert("salary")], 0, AT)
    assert verdict.missing == ("no drift alert on prediction, zipcode of loans", "no retrain request for loans")
    (seen, *_) = closing_lines(verdict, AT, 9_000, None)
    assert "no retrain request for loans" in seen


@pytest.mark.parametrize(
    ("arrival", "says"),
    [
        pytest.param(alert("salary", after=-1), "before the drift", id="early"),
        pytest.param(alert("prediction", rule="jump", after=0), "before the drift", id="at-the-drift"),
        pytest.param(alert("age"), "age did not drift", id="another-feature"),
        pytest.param(alert("age", rule="gaps"), "age did not drift", id="another-rule"),
        pytest.param(alert("salary", model=STEADY), "steady did not drift", id="the-steady-model"),
    ],
)
def test_what_should_not_have_come_is_wrong(arrival: Arrival, says: str):
    verdict = judge([ALL, RETRAIN, arrival], 0, AT)
    assert not verdict.good
    assert says in verdict.wrong[0]


def test_a_forged_delivery_is_wrong():
    assert not judge([ALL, RETRAIN], 1, AT).good


def body(number: int) -> bytes:
    signal = {"signal": "salary", "effect": 0.3, "threshold": 0.25}
    data = {"model": "loans", "rule": "drift", "severity": "critical", "signals": [signal]}
    document = {"type": "driftd.alert.firing", "id": f"n{number}", "timestamp": "2026-11-24T12:00:00Z", "data": data}
    return json.dumps(document).encode()


def test_the_receiver_believes_only_signatures_that_hold_and_takes_each_once():
    told: list[Arrival] = []
    with Receiver(SECRET, told.append) as receiver:
        now = datetime.now(UTC)
        for secret in (SECRET, SECRET, "whsec_" + "b" * 32):
            signed = Webhook(secret).sign("n1", now, body(1).decode())
            headers = {
                "webhook-id": "n1",
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signed,
            }
            answer = httpx.post(receiver.url, content=body(1), headers=headers)
            assert answer.status_code == (204 if secret == SECRET else 401)
        assert httpx.post(receiver.url, content=body(2)).status_code == 401
    assert [one.id for one in told] == ["n1"]
    assert receiver.forged == 2


def test_the_screen_fits_a_terminal_of_80_by_24():
    many = [ALL] * 9
    # Lines that are too long would be wrapped, and so counted.
    scene = Scene(
        View(), Runtime(), many, AT, AT + 60 * MINUTE, AT + 105 * MINUTE, AT + 70 * MINUTE, 12_345, 120, 140, URLS
    )
    console = Console(width=80, height=24, record=True, file=None, force_terminal=True, quiet=False)
    with console.capture() as capture:
        console.print(render(scene))
    lines = capture.get().splitlines()
    assert len(lines) <= 23, "a line is left for the cursor"
