"""A nightly batch that its rows' tag names, through the real process on the real broker, and through replay.

Each night's scoring begins before midnight and ends after it; one row has a tag that is no date, and one night is scored
again and marked as a backfill.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftd.core.spec import DAY, HOUR, MINUTE
from tests.e2e.daemon import Daemon, Receiver, driftd, letters, produce, running, settings, wait_for
from tests.kafka_fixture import Kafka

FIRST = 20_000 * DAY
"""The day of the first batch; it is scored in the night after the next day."""
NIGHTS, ROWS, LEARNED, SHIFTED = 27, 300, 21, 25
"""The grid is born with the first batch, the reference learned from the 21 after it; the last two are shifted."""
AGAIN = 100
CLOSING = FIRST + (NIGHTS + 2) * DAY + 4 * HOUR


def day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def row(x: float, at: int, ds: object, **tags: object) -> bytes:
    """As serving writes it: its `time` is when it was scored."""
    document = {
        "model": "churn", "version": "7", "time": at, "features": {"x": x}, "prediction": 0.5, "tags": {"ds": ds, **tags},
    }  # fmt: skip
    return json.dumps(document).encode()


def nights() -> Iterator[tuple[int, int, bytes]]:
    rng = np.random.default_rng(1)
    for night in range(NIGHTS):
        begins = FIRST + (night + 1) * DAY + 23 * HOUR
        for i in range(ROWS):
            at = begins + i * 2 * HOUR // ROWS  # until one in the morning
            yield i % 2, at, row(rng.normal(1.0 if night >= SHIFTED else 0.0), at, day(FIRST + night * DAY))
    ended = CLOSING - 3 * HOUR
    yield 0, ended, row(9.0, ended, "latest")
    for i in range(AGAIN):
        at = ended + i * MINUTE // 10
        yield i % 2, at, row(9.0, at, day(FIRST + 3 * DAY), **{"driftd.backfill": True})
    for partition in (0, 1):  # another model, by which the log is known to have gone on
        document = {"model": "other", "features": {"x": 1}, "tags": {"ds": day(CLOSING)}}
        yield partition, CLOSING, json.dumps(document).encode()


def made(kafka: Kafka, directory: Path, topic: str, receiver: Receiver) -> dict[str, Any]:
    out = settings(
        kafka.bootstrap_servers,
        directory,
        topic,
        receiver,
        models={
            "churn": {
                "window": {"length": "1d", "every": "1d", "max_wait": "30m", "max_skew": "30d"},
                "reference": {"learn": {"for": f"{LEARNED}d", "min_samples": ROWS}},
                "rules": {"drift": {"persist": 1}, "jump": None},
                "expect": {"once": True, "between": ["22:00", "02:00"]},
            }
        },
    )
    out["kafka"]["mapping"] = {topic: {"model": {"path": "model"}, "time": {"path": "tags.ds"}}}
    out["kafka"]["dead_letters"] = {"topic": f"{topic}-dead"}
    out["kafka"]["group_id"] = topic
    out["state"]["keep_panes"] = "90d"
    return out


@pytest.mark.slow
def test_a_batch_is_one_pane_whenever_it_was_scored(
    real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    name = topic(partitions=2)
    produce(real_kafka.bootstrap_servers, name, nights())
    receiver = Receiver()
    daemon = Daemon(tmp_path, made(real_kafka, tmp_path, name, receiver))

    def judged() -> dict[str, Any] | None:
        """Once the last batch was judged."""
        document = daemon.get("/api/v1/models/churn") or {}
        (series,) = document.get("series") or [{}]
        window = series.get("window") or {}
        return document if window.get("end") == f"{day(FIRST + NIGHTS * DAY)}T00:00:00Z" else None

    with running(daemon):
        seen = wait_for("the last batch to be judged", judged)
        told = wait_for("the alert to be stored", lambda: daemon.transitions("churn"))
        wait_for("the alert to be heard", lambda: len(receiver.bodies) >= len(told))
        (letter,) = letters(real_kafka, f"{name}-dead", bool)
        panes = daemon.panes("churn")
        text = driftd("models", "churn", "--config", daemon.config).stdout
    receiver.close()

    (series,) = seen["series"]
    assert (series["events"], series["late"], seen["backfill"]) == (NIGHTS * ROWS, 0, AGAIN)
    assert f"{AGAIN} events of backfills, counted and in no window" in text
    assert letter[3] == "time"
    assert [(start, end) for _, _, start, end, _ in panes] == [
        (FIRST + night * DAY, FIRST + (night + 1) * DAY) for night in range(1, NIGHTS)
    ], "each batch but the first, which gave the grid its sample, in the pane of its day"
    assert series["window"]["events"] == ROWS
    assert {"uncalibrated"}.isdisjoint(flag for one in series["statistics"] for flag in one["flags"])
    firing = json.loads(told[0])
    assert firing["data"]["window_start"] == f"{day(FIRST + SHIFTED * DAY)}T00:00:00Z"
    assert {one["signal"] for one in firing["data"]["signals"]} == {"x"}
    (arrival,) = seen["arrivals"]
    assert (arrival["kind"], arrival["overdue"]) == ("prediction", True), "the night before the log ended brought none"

    replayed = driftd("replay", "--config", daemon.config, "--output", "json", f"kafka:{name}")
    assert replayed.stdout.encode().splitlines() == told, replayed.stderr
