"""Predictions, features and labels, each on topics of their own: every kind is counted, judged, and heard by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.daemon import Daemon, Receiver, driftd, produce, settings, wait_for
from tests.kafka_fixture import Kafka

START = 1_700_000_000_000
TRAINING, SECONDS = 6_000, 9_000
LENGTH, EVERY = 1_000, 250
CLOSING = START + 1_000 * (SECONDS + 4 * LENGTH)
LEARNED, SAMPLES = 3_000, 1_000
X_DRIFTS, CLASS_DRIFTS, LABELS_DRIFT = 5_000, 6_000, 7_000
"""Seconds of the stream. Each of the three is of another kind of event."""
KINDS = {"predictions": "prediction", "features": "features", "labels": "label"}
PARTITIONS = {"predictions": 2, "features": 3, "labels": 1}
SIGNALS = {
    ("score", "prediction"): {"prediction"},
    ("score", "features"): {"x", "plan"},
    ("score", "label"): {"label"},
    ("class", "prediction"): {"class"},
    ("class", "features"): {"y"},
    ("class", "label"): {"label"},
}
DRIFTED = {("score", "features"): "x", ("class", "prediction"): "class", ("score", "label"): "label"}
Document = dict[str, Any]


@dataclass
class Row:
    """What is so in one second. `score` predicts a number and `class` a name, and so are their labels."""

    x: float
    y: float
    plan: str
    score: float
    defaulted: int
    class_: str
    truth: str


def rows(seed: int, count: int, *, drifts: bool) -> Iterator[Row]:
    chance = np.random.default_rng(seed)
    normal, uniform = chance.normal(size=(count, 2)), chance.random((count, 5))
    for i, ((x, y), (plan, score, label, class_, truth)) in enumerate(
        zip(normal.tolist(), uniform.tolist(), strict=True)
    ):
        yield Row(
            x=x + 0.8 * (drifts and i >= X_DRIFTS),
            y=y,
            plan=("free", "pro", "team")[int(3 * plan)],
            score=score,
            defaulted=int(label < (0.7 if drifts and i >= LABELS_DRIFT else 0.3)),
            class_="yes" if class_ < (0.8 if drifts and i >= CLASS_DRIFTS else 0.4) else "no",
            truth="yes" if truth < 0.4 else "no",
        )


def events(row: Row, i: int) -> Iterator[tuple[str, Document]]:
    """The events of one second, each with its topic. As serving sends them: a label says no version."""
    score, class_ = {"id": f"s{i}", "model": "score"}, {"id": f"c{i}", "model": "class"}
    one = {"version": "1"}
    # This one has features, too, and they are not what the model is fed: `features_from` says which count.
    yield "predictions", score | one | {"prediction": row.score, "features": {"x": 99.0, "z": i}}
    yield "predictions", class_ | one | {"prediction": row.class_}
    yield "features", score | one | {"features": {"x": row.x, "plan": row.plan}}
    yield "features", class_ | one | {"features": {"y": row.y}}
    if i % 2:  # not every label comes
        yield "labels", score | {"label": row.defaulted}
        yield "labels", class_ | {"label": row.truth}


def stream() -> dict[str, list[tuple[int, int, bytes]]]:
    """Records by topic; at the end of every partition one of another model that closes all panes."""
    out: dict[str, list[tuple[int, int, bytes]]] = {name: [] for name in KINDS}
    for i, row in enumerate(rows(2, SECONDS, drifts=True)):
        at = START + 1_000 * i
        for name, said in events(row, i):
            records = out[name]
            # Neither the kind, where a topic is listed under one alone, nor the time, which is Kafka's then, need be said.
            document = {**({"kind": KINDS[name]} if i % 3 else {}), **({"time": at} if i % 5 else {}), **said}
            records.append((len(records) % PARTITIONS[name], at, json.dumps(document).encode()))
    for name, records in out.items():
        closer = {"kind": KINDS[name], "model": "closer", "features": {"x": 1}, "label": 1, "time": CLOSING}
        records += [(number, CLOSING, json.dumps(closer).encode()) for number in range(PARTITIONS[name])]
    return out


def reference(directory: Path) -> Path:
    """One file for all kinds of signals of a model: what it was trained on, its predictions and labels."""
    training, out = directory / "training.parquet", directory / "score.json"
    seen = rows(1, TRAINING, drifts=False)
    table = [{"x": row.x, "plan": row.plan, "score": row.score, "defaulted": row.defaulted} for row in seen]
    pq.write_table(pa.Table.from_pylist(table), training)
    roles = ("--prediction", "score", "--label", "defaulted")
    done = driftd("reference", "build", "--model", "score", "--version", "1", *roles, "--output", out, training)
    assert done.returncode == 0, done.stderr
    return out


def made(kafka: Kafka, topics: dict[str, str], directory: Path, receiver: Receiver) -> dict[str, Any]:
    """`class` learns its references, one for each kind, from the stream."""
    out = settings(
        kafka.bootstrap_servers,
        directory,
        topics["predictions"],
        receiver,
        monitoring={
            "window": {"length": f"{LENGTH}s", "every": f"{EVERY}s", "max_skew": "1d"},
            "reference": {"learn": {"for": f"{LEARNED}s", "min_samples": SAMPLES}},
            "features_from": "features",
            "rules": {"jump": {"on": ["x", "prediction", "label"]}},
        },
        models={"score": {"reference": {"file": str(reference(directory))}}},
    )
    out["kafka"]["group_id"] = topics["predictions"]  # nobody has been in it, and so nobody is waited for
    out["kafka"]["topics"] = {name: [topic] for name, topic in topics.items()}
    return out


def values(metrics: str, name: str) -> dict[tuple[str, ...], float]:
    """The series of a metric, by the values of their labels."""
    found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", metrics, re.MULTILINE)
    return {tuple(re.findall(r'="([^"]*)"', labels)): float(value) for labels, value in found}


def all_is_over(metrics: str | None) -> str | None:
    arrivals = values(metrics or "", "driftd_arrival_timestamp_seconds")
    over = [key for key, value in arrivals.items() if 1_000 * value >= CLOSING]
    return metrics if len(over) == sum(PARTITIONS.values()) else None


def by_kind(bodies: list[bytes]) -> dict[tuple[str, str], list[bytes]]:
    """Each kind closes at its own pace, so that only within one the order of what is said is the same."""
    out: dict[tuple[str, str], list[bytes]] = {}
    for body in bodies:
        data = json.loads(body)["data"]
        out.setdefault((data["model"], data["kind"]), []).append(body)
    return out


def signals(body: bytes) -> set[str]:
    return {signal["signal"] for signal in json.loads(body)["data"]["signals"]}


@pytest.mark.slow
def test_every_kind_is_counted_judged_and_heard(real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path) -> None:
    topics = {name: topic(partitions=n) for name, n in PARTITIONS.items()}
    records = stream()
    for name, of_topic in records.items():
        produce(real_kafka.bootstrap_servers, topics[name], of_topic)
    receiver = Receiver()
    daemon = Daemon(tmp_path, made(real_kafka, topics, tmp_path, receiver))
    daemon.start()
    try:
        metrics = wait_for("the end of every partition", lambda: all_is_over(daemon.get("/metrics")))
        told = by_kind(daemon.transitions("score") + daemon.transitions("class"))
        sent = {body for bodies in told.values() for body in bodies}
        wait_for("every notification", lambda: sent == {body for _, body in receiver.bodies})
    finally:
        daemon.stop()
        receiver.close()

    versions = {"prediction": "1", "features": "1", "label": "unversioned"}
    counted = {key: n for key, n in values(metrics, "driftd_events_total").items() if key[0] != "closer"}
    each = {"prediction": SECONDS, "features": SECONDS, "label": SECONDS // 2}
    assert counted == {(model, versions[kind], kind): each[kind] for model, kind in SIGNALS}
    judged = {key: n for key, n in values(metrics, "driftd_evaluations_total").items() if key[0] != "closer"}
    # One at each pane's end, but those of the panes that a grid (of so many events) and then a reference is learned from.
    learning = {kind: LEARNED + SAMPLES * SECONDS // each[kind] for kind in each}
    assert judged == {
        (model, versions[kind], kind): (SECONDS - (learning[kind] if model == "class" else 0)) // EVERY
        for model, kind in SIGNALS
    }
    watched: dict[tuple[str, str], set[str]] = {}
    for model, _, kind, signal, *_ in values(metrics, "driftd_signal_state"):
        if model != "closer":
            watched.setdefault((model, kind), set()).add(signal)
    assert watched == SIGNALS

    assert {key: set().union(*map(signals, bodies)) for key, bodies in told.items()} == {
        key: {signal} for key, signal in DRIFTED.items()
    }
    begins = {"x": X_DRIFTS, "class": CLASS_DRIFTS, "label": LABELS_DRIFT}
    for key, bodies in told.items():
        first = json.loads(bodies[0])
        assert (first["type"], first["data"]["version"]) == ("driftd.alert.firing", versions[key[1]])
        drift = next(one for one in map(json.loads, bodies) if one["data"]["rule"] == "drift")
        end = np.datetime64(drift["data"]["window_end"].removesuffix("Z"), "ms").astype(int)
        assert 0 < (end - START) / 1_000 - begins[DRIFTED[key]] <= 2 * LENGTH + EVERY

    replayed = driftd(
        "replay", "--config", daemon.config, "--output", "json", *(f"kafka:{name}" for name in topics.values())
    )
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert by_kind([line.encode() for line in replayed.stdout.splitlines()]) == told
