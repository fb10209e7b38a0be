from __future__ import annotations

import json
import threading
import time

import pytest

from driftd.core.event import PartitionId
from driftd.core.view import Runtime
from driftd.deliver.heartbeat import Heartbeat
from driftd.deliver.webhook import Webhook
from tests.deliver import endpoint as answers
from tests.deliver.endpoint import SECRET, wait_until
from tests.deliver.test_sender import Scripted

NOW = 1_795_430_000.25
P0, P1 = PartitionId("predictions", 0), PartitionId("predictions", 1)


def beat(runtime: Runtime, *, every_s: float = 60.0, now: float = NOW) -> dict[str, object] | None:
    message = Heartbeat(
        Scripted("switch"), group="driftd", every_s=every_s, runtime=lambda: runtime, clock=lambda: now
    ).message()
    if message is None:
        return None
    document = json.loads(message.body)
    assert isinstance(document, dict)
    assert message.id == document["id"]
    return document


def test_what_it_says():
    document = beat(Runtime(unready=(), lag={P0: 5, P1: 7}, heartbeat=NOW - 1, last_commit=NOW - 8.25))
    assert document is not None
    assert document["type"] == "driftd.heartbeat"
    assert document["timestamp"] == "2026-11-23T10:33:20.250Z"
    assert document["data"] == {
        "group": "driftd",
        "unready": [],
        "partitions": 2,
        "lag_records": 12,
        "last_commit": "2026-11-23T10:33:12Z",
    }


@pytest.mark.parametrize("lag", [{}, {P0: None}, {P0: 5, P1: None}])
def test_a_lag_that_is_not_known_is_not_a_number(lag):
    document = beat(Runtime(unready=("lag unknown",), lag=lag, heartbeat=NOW))
    assert document is not None
    assert isinstance(document["data"], dict)
    assert document["data"]["lag_records"] is None
    assert document["data"]["unready"] == ["lag unknown"]


@pytest.mark.parametrize(
    ("age", "alive"), [(0, True), (60, True), (179, True), (181, False), (86_400, False), (-59, True), (-61, False)]
)
def test_it_is_silent_when_the_loop_hangs_or_the_clock_lies(age, alive):
    assert (beat(Runtime(heartbeat=NOW - age)) is not None) == alive


def test_it_is_silent_before_the_first_turn():
    assert beat(Runtime()) is None


def test_ids_differ_from_beat_to_beat():
    first, second = (beat(Runtime(heartbeat=NOW), now=NOW + i) for i in range(2))
    assert first is not None
    assert second is not None
    assert first["id"] != second["id"]


def test_it_beats_signed_and_falls_silent_with_the_loop(endpoint):
    asked: list[float] = []
    turning = threading.Event()

    def runtime() -> Runtime:
        asked.append(time.time())
        return Runtime(unready=(), heartbeat=asked[-1] if turning.is_set() else None)

    heart = Heartbeat(Webhook("switch", endpoint.url, secret=SECRET), group="driftd", every_s=0.05, runtime=runtime)
    heart.start()
    try:
        turning.set()
        requests = endpoint.wait_for(2)
        assert all(request.verify()["type"] == "driftd.heartbeat" for request in requests)
        turning.clear()
        stopped = len(asked)
        wait_until(lambda: len(asked) > stopped + 1)  # what was under way has come
        seen = len(endpoint.requests)
        wait_until(lambda: len(asked) > stopped + 5)
        assert len(endpoint.requests) == seen
    finally:
        assert heart.close(5.0)


def test_failures_and_a_slow_receiver_are_not_made_up_for(endpoint):
    endpoint.script = [answers.status(500), answers.hang, answers.status(204)]
    hook = Webhook("switch", endpoint.url, timeout_s=0.5)
    heart = Heartbeat(hook, group="driftd", every_s=0.1, runtime=lambda: Runtime(heartbeat=time.time()))
    heart.start()
    try:
        requests = endpoint.wait_for(5)
    finally:
        assert heart.close(5.0)
    assert len({request.id for request in requests}) == len(requests)  # none is repeated
    assert requests[4].at - requests[3].at > 0.05  # and no burst after the hang


def test_a_fault_does_not_end_it():
    receiver = Scripted("switch", [ZeroDivisionError()])
    heart = Heartbeat(receiver, group="driftd", every_s=0.02, runtime=lambda: Runtime(heartbeat=time.time()))
    heart.start()
    wait_until(lambda: len(receiver.sent) >= 3)
    assert heart.close(5.0)
    assert receiver.closed


def test_to_alertmanager_it_is_an_alert_that_always_fires(tmp_path):
    """As Prometheus' watchdog: it ends by itself when nobody sends it again."""
    from driftd.deliver.alertmanager import Alertmanager
    from driftd.deliver.memory import Volatile
    from driftd.deliver.receiver import Sent
    from tests.deliver.bodies import RENDERER
    from tests.deliver.cases import OfAlertmanager, case

    with case("alertmanager", tmp_path) as one:
        assert isinstance(one, OfAlertmanager)
        url = f"http://127.0.0.1:{one.service.port}"
        manager = Alertmanager("watchdog", RENDERER, Volatile(), urls=[url])
        beat = Heartbeat(manager, group="driftd", every_s=60.0, runtime=lambda: Runtime(heartbeat=time.time()))
        message = beat.message()
        assert message is not None
        assert isinstance(manager.send(message), Sent)
        (alert,) = one.alerts()
        assert alert["labels"]["alertname"] == "DriftdHeartbeat"
        assert manager.tend() is None, "it is not kept: a heartbeat that goes on by itself is a lie"
        manager.close()
        assert one.faults() == []
