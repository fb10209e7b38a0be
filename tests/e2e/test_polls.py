"""How many records a poll brings changes nothing that anybody can tell: the whole daemon, on the real broker.

The logs are those of the time contract (see `tests.core.simulate`), with late events, and with records and values that
cannot be decoded strewn in. librdkafka has no setting for what `consume` gives at most, so the daemon runs in a thread
of the test, where the source's constant can be changed.
"""

from __future__ import annotations

import gc
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, Message

from driftd import app
from driftd.core.event import PartitionId
from driftd.core.spec import DAY, HOUR, Learn, Model
from driftd.kafka import source
from driftd.settings.load import load
from tests.core.simulate import COLOURS, Log, Record, Traits, make_log
from tests.e2e.daemon import Daemon, driftd, event, produce, settings, wait_for
from tests.e2e.test_kill import counts
from tests.kafka_fixture import Kafka

POLLS = (8_192, 7, 1)
QUIET_S = 1.0
CLOSER = "closer"
"""The model that closes the panes of all others; what is said of it hangs on when one looks."""
JUNK = (
    b"",
    b"{",
    b"[1]",
    b"\xff\xfe",
    b'{"model": "dense", "kind": "prediction", "time": "yesterday"}',
    b'{"kind": 1}',
)
BAD = ("text", {"a": 1}, [1], True, 10**400, "\ud800")


@dataclass(frozen=True)
class Said:
    """What came of one run."""

    panes: dict[str, list[tuple[str, str, int, int, bytes]]]
    transitions: dict[tuple[str, str], list[bytes]]
    counts: dict[str, str]
    late: dict[str, str]


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The daemon sets the collector to its own needs, for the whole process."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Called with a size, it makes that the most that a poll brings; what it gives are the sizes of those that follow."""

    def limit(size: int) -> list[int]:
        sizes: list[int] = []

        class Watched(Consumer):
            def consume(self, *args: Any, **kwargs: Any) -> list[Message]:
                messages = super().consume(*args, **kwargs)
                sizes.append(len(messages))
                return messages

        monkeypatch.setattr(source, "MESSAGES_A_POLL", size)
        monkeypatch.setattr(source, "Consumer", Watched)
        return sizes

    return limit


def encoded(record: Record, chance: random.Random) -> bytes:
    """A record of the simulation as an event; one value in a hundred is none that the model knows."""
    values: dict[str, object] = {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in record.values.items()
    }
    for name in values:
        if chance.random() < 0.01:
            values[name] = chance.choice(BAD)
    document: dict[str, object] = {
        "kind": record.kind, "model": record.model, "version": record.version, "time": record.time,
    }  # fmt: skip
    document |= {name: values.pop(name) for name in ("prediction", "label") if name in values}
    if record.kind != "label":
        document["features"] = values
    if record.backfill:
        document["tags"] = {"driftd.backfill": True}
    return json.dumps(document).encode()


def records_of(log: Log, topics: Mapping[str, str], seed: int) -> dict[str, list[tuple[int, int, bytes]]]:
    """The log as it is produced, by topic: a record in sixty is junk, the last of every partition closes the panes."""
    chance = random.Random(f"junk {seed}")
    out: dict[str, list[tuple[int, int, bytes]]] = {name: [] for name in topics.values()}
    for partition, records in sorted(log.records.items()):
        to = out[topics[partition.topic]]
        for record in records:
            if chance.random() < 1 / 60:
                to.append((partition.number, record.stamp, chance.choice(JUNK)))
            to.append((partition.number, record.stamp, encoded(record, chance)))
        at = closing(log)
        to.append((partition.number, at, event(CLOSER, "1", at, {"x": 1.0}, 0.5)))
    return out


def closing(log: Log) -> int:
    """A day after all is over, and at the beginning of a pane: that one does not end while the test looks."""
    last = max(max(r.stamp, r.wall) for rs in log.records.values() for r in rs)
    return ((last + DAY) // DAY + 1) * DAY


def reference_file(directory: Path) -> Path:
    """The world of the simulation before it shifts, as a file; one for all models, for all live in it."""
    chance = np.random.default_rng(7)
    x = chance.normal(size=4_000).round(3)
    rows = [
        {"x": None if null else value, "colour": colour, "score": min(max(0.5 + 0.1 * value, 0.0), 1.0), "label": label}
        for value, null, colour, label in zip(
            x.tolist(),
            (chance.random(len(x)) < 0.02).tolist(),
            chance.choice(COLOURS, len(x)).tolist(),
            (chance.random(len(x)) < 0.3).astype(float).tolist(),
            strict=True,
        )
    ]
    training, out = directory / "training.parquet", directory / "reference.json"
    pq.write_table(pa.Table.from_pylist(rows), training)
    roles = ("--prediction", "score", "--label", "label")
    built = driftd("reference", "build", "--model", "dense", "--version", "1", *roles, "--output", out, training)
    assert built.returncode == 0, built.stderr
    return out


def model_settings(model: Model, file: Path) -> dict[str, object]:
    """A model of the simulation in the words of the settings."""
    window, reference = (
        model.window,
        {"file": str(file)}
        if not isinstance(model.reference, Learn)
        else {"learn": {"for": f"{model.reference.duration}ms", "min_samples": model.reference.min_samples}},
    )
    return {
        "window": {
            "length": f"{window.length}ms",
            "every": f"{window.every}ms",
            "min_samples": window.min_samples,
            "max_length": f"{window.max_length}ms",
            "allowed_lateness": f"{window.allowed_lateness}ms",
            "max_wait": f"{window.max_wait}ms",
        },
        "reference": reference,
        "features_from": model.features_from,
        "on_new_version": model.on_new_version,
        "retrain": {"cool_down": f"{model.retrain.cool_down}ms", "budget_per_day": model.retrain.budget_per_day},
        "rules": {"jump": {"on": ["x", "prediction"]}},
    }


def read(made: dict[str, Any], directory: Path, models: list[str], ends: dict[PartitionId, int], until: int) -> Said:
    """The whole of the topics, through a daemon that began with nothing."""
    made = {**made, "state": {"directory": str(directory / "state"), "commit_every": "200ms"}}
    files = Daemon(directory, made)
    files.state.mkdir()
    # One installation for all runs: its place in the group is its own, and it need not wait for that of another.
    (files.state / "instance-id").write_text("polls\n")
    daemon, stop = app.Daemon(load(files.config, {}), quiet_s=QUIET_S), Event()

    def over() -> bool:
        if running.done():
            running.result()
        seen = daemon.published.view.partitions
        there = {p.partition: p.next_offset for p in seen if p.arrival is not None and p.arrival >= until}
        return there == ends

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(daemon.run, stop)
        try:
            wait_for("the end of every partition", over)
            metrics = httpx.get(f"http://127.0.0.1:{daemon.http_port}/metrics", timeout=30).text
        finally:
            stop.set()
        running.result()
    transitions: dict[tuple[str, str], list[bytes]] = {}
    for model in models:
        for body in files.transitions(model):
            # In what order those of several kinds come hangs on which partition was read first: nobody waits for both.
            transitions.setdefault((model, json.loads(body)["data"]["kind"]), []).append(body)
    late = {
        series: value
        for series, _, value in (line.rpartition(" ") for line in metrics.splitlines())
        if series.startswith("driftd_late_events_total")
    }
    return Said({model: files.panes(model) for model in models}, transitions, counts(metrics), late)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "traits"),
    [
        pytest.param(193, Traits(late=True, hours=1.5, create_time=True), id="one-producer-stamps-an-hour-ahead"),
        pytest.param(62, Traits(late=True, hours=1.5, trailing=2 * HOUR), id="all-stamps-trail"),
    ],
)
def test_the_size_of_polls_changes_nothing(
    seed: int,
    traits: Traits,
    real_kafka: Kafka,
    topic: Callable[..., str],
    polls: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    log = make_log(seed, traits)
    numbers: dict[str, int] = {}
    for partition in log.kinds:
        numbers[partition.topic] = max(numbers.get(partition.topic, 0), partition.number + 1)
    topics = {name: topic(partitions=n) for name, n in numbers.items()}
    records = records_of(log, topics, seed)
    ends: dict[PartitionId, int] = {}
    for name, rows in records.items():
        produce(real_kafka.bootstrap_servers, name, rows)
        for number, _, _ in rows:
            ends[PartitionId(name, number)] = ends.get(PartitionId(name, number), 0) + 1
    file = reference_file(tmp_path)
    made = settings(real_kafka.bootstrap_servers, tmp_path, topics["scored"])
    # A group of the test's own: ids are made of it, and it remembers topics that are gone.
    made["kafka"]["group_id"] = topics["scored"]
    made["kafka"]["topics"] = {
        "predictions": [topics["scored"]],
        "features": [topics["side"]],
        "labels": [topics["side"]],
    }
    # Of an hour and a half that lies there already one partition is read before another: now and then one is paused.
    made["monitoring"] = {"window": {"max_skew": "1h"}}
    made["models"] = {name: model_settings(model, file) for name, model in log.spec.models.items()}
    said = {}
    for size in POLLS:
        sizes = polls(size)
        said[size] = read(made, tmp_path / f"poll{size}", sorted(log.spec.models), ends, closing(log))
        assert max(sizes) == size if size < 100 else max(sizes) > 100
    first = said[POLLS[0]]
    for size, one in said.items():
        for part in ("panes", "transitions", "counts", "late"):
            assert getattr(one, part) == getattr(first, part), f"{part} with polls of {size}"
    assert_it_has_in_it_what_it_is_for(first)


def assert_it_has_in_it_what_it_is_for(said: Said) -> None:
    """Else it proves little."""
    assert all(said.panes.values()), "every model has panes"
    panes = [pane for of_model in said.panes.values() for pane in of_model]
    assert {version for version, *_ in panes} == {"1", "2"}
    assert {kind for _, kind, *_ in panes} == {"prediction", "features", "label"}
    told = [json.loads(body) for bodies in said.transitions.values() for body in bodies]
    types = {"driftd.alert.firing", "driftd.alert.resolved", "driftd.retrain.requested"}
    assert {one["type"] for one in told} == types
    assert sum(map(int, said.late.values())) > 50
    for name in ("refused_records_total", "signal_errors_total", "backfill_events_total"):
        assert sum(float(n) for series, n in said.counts.items() if series.startswith(f"driftd_{name}")) >= 5, name
