"""Old events, at the first start and after hours of being down: nobody is paged, one summary says what was missed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.deliver.endpoint import serving
from tests.deliver.services import KEY, PagerDuty
from tests.e2e.daemon import Daemon, Receiver, driftd, event, produce, running, settings, wait_for
from tests.kafka_fixture import Kafka

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
SUMMARY, FIRING, RESOLVED = "driftd.transitions.summary", "driftd.alert.firing", "driftd.alert.resolved"
TRAINING = 6_000


class Watched:
    """A model with a reference, a chat that takes webhooks and a pager, and traffic at any time that is wanted."""

    def __init__(self, kafka: Kafka, topic: str, folder: Path, pager: PagerDuty, **window: str) -> None:
        self.kafka, self.topic, self.pager = kafka.bootstrap_servers, topic, pager
        self.random = np.random.default_rng(3)
        self.chat = Receiver()
        self.sent = 0
        lines = folder / "training.jsonl"
        lines.write_bytes(b"\n".join(value for _, value in self.traffic(0, TRAINING * SECOND, SECOND)))
        built = driftd("reference", "build", "--model", "churn", "--output", folder / "churn.json", lines)
        assert built.returncode == 0, built.stderr
        (folder / "key").write_text(KEY)
        made = settings(self.kafka, folder, topic, self.chat, notify_max_age="1h")
        made["monitoring"] = {"window": {"max_wait": "1m", **window}, "rules": {"gaps": None, "jump": None}}
        made["models"] = {"churn": {"reference": {"file": str(folder / "churn.json")}}}
        made["receivers"]["pager"] = {
            "pagerduty": {"routing_key_file": str(folder / "key"), "url": f"http://127.0.0.1:{pager.port}"}
        }
        self.daemon = Daemon(folder, made)

    def traffic(
        self, start: int, end: int, every: int, drifts: Callable[[int], bool] = lambda _: False
    ) -> Iterator[tuple[int, bytes]]:
        for at in range(start, end, every):
            age = self.random.normal(3.0 if drifts(at) else 0.0)
            yield at, event("churn", "7", at, {"age": float(age)}, float(self.random.random()))

    def sends(self, start: int, end: int, every: int, drifts: Callable[[int], bool] = lambda _: False) -> None:
        """With the event's time as Kafka's timestamp, as if it had been sent then."""
        values = list(self.traffic(start, end, every, drifts))
        produce(self.kafka, self.topic, ((0, at, value) for at, value in values))
        self.sent += len(values)

    def reads_all(self) -> None:
        wait_for("all events", lambda: self.daemon.metric("driftd_events_total") == self.sent)
        wait_for("no lag", lambda: self.daemon.get("/readyz") == {"ready": True})

    def transitions(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.daemon.transitions("churn")]

    def told(self) -> list[dict[str, Any]]:
        """What the chat heard, each once."""
        return [json.loads(body) for body in dict(self.chat.bodies).values()]

    def has_one_summary_and_no_page(self) -> None:
        wait_for("the summary, in the chat and beside the pager's alerts", lambda: self.told() and self.pager.changes)
        stored = self.transitions()
        counts = Counter(one["type"] for one in stored)
        assert counts[FIRING] == counts[RESOLVED] > 0, "something was, and all of it is over"
        (summary,) = self.told()
        assert summary["type"] == SUMMARY
        assert summary["data"]["transitions"] == len(stored)
        assert summary["data"]["ids"] == [one["id"] for one in stored]
        assert sum(one["count"] for one in summary["data"]["counts"]) == len(stored)
        assert len(self.pager.changes) == 1, "what pages nobody"
        assert self.pager.shown == [], "nobody is paged, and no page is taken back"
        assert self.pager.faults == []


@pytest.fixture
def watched(real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []
    pager = PagerDuty()
    with serving(pager):

        def make(**window: str) -> Watched:
            made.append(Watched(real_kafka, topic(partitions=1), tmp_path, pager, **window))
            return made[-1]

        yield make
        for one in made:
            one.chat.close()


def test_seven_days_of_old_events_at_the_first_start(watched: Callable[..., Watched]) -> None:
    """Each day has six hours of a drift; the last of them ended before the last hour."""
    one = watched(length="1h", every="15m")
    now = round(time.time() * 1000) // HOUR * HOUR
    start = now - 7 * DAY
    one.sends(start, now, 20 * SECOND, lambda at: 6 * HOUR <= (at - start) % DAY < 12 * HOUR)
    with running(one.daemon):
        one.reads_all()
        one.has_one_summary_and_no_page()
        stored = one.transitions()
        firing = [at for at in stored if at["type"] == FIRING and at["data"]["severity"] == "critical"]
        assert len(firing) >= 7, "a drift a day"

        # What comes now is told by itself, and pages.
        before = len(stored)
        one.sends(now, now + 4 * MINUTE * 15, 2 * SECOND, lambda _: True)
        wait_for("a page", lambda: one.pager.shown, timeout=120)
        assert one.transitions()[before]["type"] == FIRING
        assert [told["type"] for told in one.told()][:2] == [SUMMARY, FIRING]


def test_a_restart_after_two_hours_down(watched: Callable[..., Watched]) -> None:
    """Calm until it was stopped; while it was down a drift came and went."""
    one = watched(length="5m", every="1m", allowed_lateness="10s")
    now = round(time.time() * 1000) // MINUTE * MINUTE
    stopped = now - 2 * HOUR
    one.sends(stopped - HOUR, stopped, SECOND)
    with running(one.daemon):
        one.reads_all()
        assert one.daemon.stop() == 0
    assert one.transitions() == []
    for part in range(2):  # the topic goes on without it
        begin = stopped + part * HOUR
        one.sends(begin, begin + HOUR, SECOND, lambda at: 5 * MINUTE <= at - stopped < 25 * MINUTE)
    with running(one.daemon):
        one.reads_all()
        one.has_one_summary_and_no_page()
