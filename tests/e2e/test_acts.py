"""A night on the real program: muted by the link in a message, killed, told when the mute ends, marked as false."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from driftd.core.action import Delivery
from driftd.outlet import acts_of
from driftd.settings.load import load
from driftd.store import link_key
from tests.e2e.daemon import driftd, wait_for
from tests.e2e.test_reload import FIRING, RESOLVED, START, Running
from tests.kafka_fixture import Kafka


class Night(Running):
    """A rule that fires for `m-1`, and an address of the pages that is not this port."""

    def __init__(self, kafka: Kafka, topic: str, folder: Path) -> None:
        super().__init__(kafka, topic, folder)
        rules = {"drift": {"warning": 0.1, "critical": None}, "gaps": None, "jump": None}
        self.change(
            monitoring={**self.daemon.settings["monitoring"], "rules": rules},
            http={"listen": "127.0.0.1:0", "external_url": "https://driftd.example/at"},
        )

    def starts(self) -> None:
        self.daemon.log.write_bytes(b"")
        self.daemon.start()
        wait_for("the start", lambda: self.daemon.get("/readyz") == {"ready": True})

    def stored(self, count: int) -> list[str]:
        """The ids of all transitions, once there are so many."""
        ids = [json.loads(body)["id"] for body in self.daemon.transitions("m-1")]
        return ids if len(ids) >= count else []

    def heard(self, *ids: str) -> None:
        """Until just these have been told, in this order."""
        wait_for(f"{ids} to be told", lambda: list(dict.fromkeys(id_ for id_, _ in self.first.bodies)) == list(ids))

    def shows(self, metric: str, value: float) -> None:
        wait_for(f"{metric} {value}", lambda: self.daemon.metric(metric) == value)

    def types(self, *words: str) -> str:
        done = driftd(*words, "--config", self.daemon.config)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def firing(self) -> dict[str, Any]:
        (alert,) = self.daemon.get("/api/v1/models/m-1")["firing"]
        assert isinstance(alert, dict)
        return alert

    def link_in_message(self, id_: str) -> str:
        """The one to mute it, at the port where this daemon happens to listen."""
        settings = load(self.daemon.config, {})
        lines = acts_of(settings, link_key.load_or_create(self.daemon.state))(Delivery(0, "", id_, FIRING, b"", 0))
        url = lines[0].removeprefix("To mute it: ")
        assert url.startswith("https://driftd.example/at/act/mute/")
        parts = urlsplit(url)
        return f"{self.daemon.url()}{parts.path.removeprefix('/at')}?{parts.query}"


@pytest.fixture
def night(real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path) -> Iterator[Night]:
    it = Night(real_kafka, topic(partitions=1), tmp_path)
    try:
        it.starts()
        yield it
    finally:
        if it.daemon.process is not None and it.daemon.process.poll() is None:
            it.daemon.kill()
        it.first.close()
        it.second.close()


def test_a_night(night: Night) -> None:
    night.feed("m-1", shift=1.0)
    (first,) = wait_for("the first firing", lambda: night.stored(1))
    night.heard(first)

    link = night.link_in_message(first)
    assert httpx.get(link).status_code == 200
    assert night.daemon.metric("driftd_mutes") == 0
    assert httpx.post(link, data={"author": "ada", "reason": "a load test", "hours": "12"}).status_code == 200
    night.shows("driftd_mutes", 1)

    night.feed("m-1")
    night.feed("m-1", shift=1.0)
    _, end, again = wait_for("an end and another firing", lambda: night.stored(3))
    night.shows("driftd_withheld_notifications", 1)
    night.heard(first, end)
    assert "withheld from here for act 1, and waits for its end" in night.types("explain", again)
    assert night.firing()["muted_until"] is not None

    night.daemon.kill()
    night.starts()
    night.shows("driftd_mutes", 1)
    night.shows("driftd_withheld_notifications", 1)
    night.heard(first, end)
    assert "m-1: drift, x  by ada: a load test" in night.types("mutes")

    night.types("unmute", "1", "--reason", "it is over")
    night.heard(first, end, again)
    assert dict(night.first.bodies)[again] == night.daemon.transitions("m-1")[2]
    night.shows("driftd_withheld_notifications", 0)

    night.types("false", again, "--reason", "the loader", "--author", "grace")
    night.shows('driftd_acts_total{rule="drift",verb="false"}', 1)
    wait_for("the mark", lambda: night.firing()["marked_false_by"] == "grace")
    night.feed("m-1")
    *_, last = wait_for("its end", lambda: night.stored(4))
    night.heard(first, end, again, last)
    assert [type_ for type_, _, _ in night.told(night.first)] == [FIRING, RESOLVED, FIRING, RESOLVED]
    (drift,) = json.loads(night.types("review", "--since", str(START), "--output", "json"))["rules"]
    counts = {name: drift[name] for name in ("alerts", "muted", "marked_false", "open")}
    assert counts == {"alerts": 2, "muted": 1, "marked_false": 1, "open": 0}
    assert drift["because"].startswith(("at ", "no change"))
    assert night.daemon.stop() == 0
