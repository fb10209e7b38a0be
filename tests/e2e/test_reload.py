"""The settings change under the running program: taken over whole between two commits, or not at all."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.e2e.daemon import Daemon, Receiver, driftd, event, produce, settings, wait_for
from tests.kafka_fixture import Kafka

START = 1_700_000_000_000
MINUTE = 60_000
TRAINING, EACH = 4_000, 3_000


class Running:
    """A daemon that watches `m-1` by a reference file, and models `m-2`, `x-1`, `x-2` that only come in the events."""

    def __init__(self, kafka: Kafka, topic: str, folder: Path) -> None:
        self.kafka, self.topic, self.at = kafka.bootstrap_servers, topic, START
        self.random = np.random.default_rng(5)
        self.first, self.second = Receiver(), Receiver()
        self.sent = 0
        lines = folder / "training.jsonl"
        lines.write_bytes(b"\n".join(self.events(("m-1",), 0.0, TRAINING)))
        self.at = START + TRAINING * 1_000
        built = driftd("reference", "build", "--model", "m-1", "--output", folder / "m.json", lines)
        assert built.returncode == 0, built.stderr
        made = settings(self.kafka, folder, topic, self.first)
        made["monitoring"] = {
            "window": {"length": "10m", "every": "2m", "max_wait": "1m"},
            "rules": {"drift": {"warning": 20.0, "critical": None}, "gaps": None, "jump": None},
            "retrain": None,
        }
        made["models"] = {"m-1": {"reference": {"file": str(folder / "m.json")}}}
        self.daemon = Daemon(folder, made)

    def events(self, models: tuple[str, ...], shift: float, count: int) -> list[bytes]:
        out = []
        for _ in range(count):
            for model in models:
                x, y = self.random.normal(shift), self.random.normal()
                out.append(event(model, "1", self.at, {"x": float(x), "y": float(y)}, float(y)))
            self.at += 1_000
        return out

    def feed(self, *models: str, shift: float = 0.0) -> None:
        """Events a second apart, and what closes their panes."""
        at, values = self.at, self.events(models, shift, EACH)
        produce(self.kafka, self.topic, ((0, at + i * 1_000 // len(models), value) for i, value in enumerate(values)))
        self.sent += len(values)
        wait_for("all events to be counted", lambda: self.counted() >= self.sent)

    def counted(self) -> float:
        return sum(self.daemon.metric(name) for name in ("driftd_events_total", "driftd_ignored_events_total"))

    def change(self, **more: Any) -> None:
        self.daemon.settings.update(more)
        self.daemon.config.write_text(json.dumps(self.daemon.settings))

    def hang_up(self) -> None:
        before = self.daemon.metric("driftd_config_last_reload_success_timestamp_seconds")
        assert self.daemon.process is not None
        self.daemon.process.send_signal(signal.SIGHUP)
        wait_for(
            "the reload", lambda: self.daemon.metric("driftd_config_last_reload_success_timestamp_seconds") > before
        )

    def turned_after(self, turn: float) -> None:
        """Until what is shown is of after the reload."""
        wait_for("two turns", lambda: self.daemon.metric("driftd_heartbeat_timestamp_seconds") > turn + 2)

    def post(self, **headers: str) -> httpx.Response:
        return httpx.post(f"{self.daemon.url()}/-/reload", headers=headers, timeout=60)

    def told(self, receiver: Receiver) -> list[tuple[str, str, str]]:
        bodies = {id_: json.loads(body) for id_, body in receiver.bodies}
        return [(b["type"], b["data"]["model"], b["data"].get("reason", "")) for b in bodies.values()]


@pytest.fixture
def running(real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path) -> Iterator[Running]:
    it = Running(real_kafka, topic(partitions=1), tmp_path)
    it.daemon.start()
    try:
        wait_for("the start", lambda: it.daemon.get("/readyz") == {"ready": True})
        yield it
    finally:
        if it.daemon.process is not None and it.daemon.process.poll() is None:
            it.daemon.stop()
        it.first.close()
        it.second.close()


FIRING, RESOLVED = "driftd.alert.firing", "driftd.alert.resolved"


def test_what_is_changed_holds_from_then_on(running: Running) -> None:
    running.feed("m-1", "x-1", shift=1.0)  # a drift, far below the threshold
    assert running.told(running.first) == []
    watched = running.daemon.settings["monitoring"]
    usual = {**watched, "rules": {**watched["rules"], "drift": {"warning": 0.1, "critical": None}}}
    (running.daemon.directory / "models.d").mkdir()
    (running.daemon.directory / "models.d" / "more.yaml").write_text(
        json.dumps({"^m-": {"reference": {"file": str(running.daemon.directory / "m.json")}, "labels": {"team": "m"}}})
    )
    running.change(
        monitoring=usual,
        unknown_models="ignore",
        receivers={"there": {"webhook": {"url": running.second.url}}},
    )
    running.hang_up()
    running.feed("m-1", "m-2", "x-1", "x-2", shift=1.0)
    wait_for("both to be told", lambda: len(running.told(running.second)) >= 2)
    assert {(FIRING, "m-1", ""), (FIRING, "m-2", "")} == set(running.told(running.second))
    assert running.told(running.first) == []
    # x-1 was watched before and is watched on; x-2 is left out, and known by its name.
    assert running.daemon.metric("driftd_ignored_events_total") == EACH
    listed = driftd("models", "--config", running.daemon.config, "--output", "json")
    assert listed.returncode == 0, listed.stderr
    document = json.loads(listed.stdout)
    assert {one["model"]: (one["settings"], one["state"]) for one in document["models"]} == {
        "m-1": ("m-1", "firing"), "m-2": ("^m-", "firing"), "x-1": ("monitoring", "unknown"),
    }  # fmt: skip
    assert document["ignored"] == [{"model": "x-2", "events": EACH}]
    text = driftd("models", "--config", running.daemon.config).stdout
    assert [line.split()[0] for line in text.splitlines()] == ["model", "m-1", "m-2", "x-1", "x-2"]

    # A rule that goes resolves what it fired, also by HTTP; and a kill right then forgets nothing.
    running.change(monitoring={**watched, "rules": {"drift": None, "gaps": None, "jump": None}})
    assert running.post().json() == {"reloaded": True}
    running.daemon.kill()
    running.daemon.start()
    wait_for("the start", lambda: running.daemon.get("/readyz") == {"ready": True})
    running.feed("m-1", "m-2", shift=1.0)
    gone = {(RESOLVED, "m-1", "rule removed"), (RESOLVED, "m-2", "rule removed")}
    wait_for("both to be over", lambda: gone <= set(running.told(running.second)))
    ids = [one for one, _ in running.second.bodies]
    bodies = dict(running.second.bodies)
    assert len(bodies) == 4
    assert all(bodies[one] == body for one, body in running.second.bodies), ids


def test_what_is_at_fault_changes_nothing(running: Running) -> None:
    good = dict(running.daemon.settings)
    for more, said in (
        ({"notify_max_age": "soon"}, "driftd.yaml:1: notify_max_age: 'soon' is not a duration"),
        ({"models": {"m-1": {"reference": {"file": "/nowhere.json"}}}}, "/nowhere.json"),
        ({"kafka": {**good["kafka"], "start": "latest"}}, "kafka: changed, and fixed while driftd runs"),
        ({"http": {"listen": "127.0.0.1:1"}, "state": {"directory": "elsewhere"}}, "state, http: changed, and fixed"),
    ):
        running.change(**good | more)
        answer = running.post()
        assert answer.status_code == 400
        assert said in answer.json()["error"]
    wait_for("the metric", lambda: running.daemon.metric("driftd_config_reloads_failed_total") == 4)
    assert running.daemon.metric("driftd_config_last_reload_successful") == 0
    assert running.daemon.metric("driftd_ready") == 1
    running.change(**good)
    page = running.post(**{"Sec-Fetch-Site": "cross-site"})
    assert page.status_code == 403
    running.feed("m-1")
    assert running.post().status_code == 200
    wait_for("the metric", lambda: running.daemon.metric("driftd_config_last_reload_successful") == 1)
    assert running.daemon.metric("driftd_config_reloads_failed_total") == 4


def test_a_reload_that_changes_nothing_is_not_heard(running: Running) -> None:
    """Counts, panes and verdicts go on as if it had not been."""
    for _ in range(4):
        running.feed("m-1", "m-2", shift=0.5)
        turn, before = (
            running.daemon.metric("driftd_heartbeat_timestamp_seconds"),
            running.daemon.get("/api/v1/models/m-1"),
        )
        assert running.post().status_code == 200
        running.turned_after(turn)
        assert running.daemon.get("/api/v1/models/m-1") == before
    assert running.daemon.metric("driftd_events_total") == 8 * EACH
    assert running.daemon.metric("driftd_late_events_total") == 0
    panes = running.daemon.panes("m-1")
    starts = [start for _, _, start, _, _ in panes]
    assert starts == list(range(starts[0], starts[0] + len(starts) * 2 * MINUTE, 2 * MINUTE))
