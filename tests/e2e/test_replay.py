"""`driftd replay` as a person uses it: files of every format, topics, bad lines, and what must not matter."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.daemon import Daemon, driftd, event, produce, settings
from tests.kafka_fixture import Kafka

START = 1_700_000_000_000
EVENTS, CHANGE = 12_000, 8_000
TRAINING = 4_000


def values(seed: int, count: int, change: int) -> list[dict[str, object]]:
    """Rows of a model: from `change` on x is higher and the plan is another mixture."""
    random = np.random.default_rng(seed)
    x = random.normal(size=count)
    x[change:] += 0.8
    plan = np.where(
        np.arange(count) < change,
        random.choice(["free", "pro"], count, p=[0.8, 0.2]),
        random.choice(["free", "pro"], count),
    )
    score = 1 / (1 + np.exp(-x))
    return [
        {"x": a, "plan": str(b), "score": c} for a, b, c in zip(x.tolist(), plan.tolist(), score.tolist(), strict=True)
    ]


ROWS = values(1, EVENTS, CHANGE)
STREAM = [
    event("m", "1", START + 1_000 * i, {"x": row["x"], "plan": row["plan"]}, row["score"]) for i, row in enumerate(ROWS)
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """Settings with a reference of rows before the stream's."""
    directory = tmp_path_factory.mktemp("replay")
    training = directory / "training.parquet"
    pq.write_table(pa.Table.from_pylist(values(2, TRAINING, TRAINING)), training)
    reference = directory / "m.json"
    built = driftd(
        "reference", "build", "--model", "m", "--version", "1", "--prediction", "score", "--output", reference, training
    )
    assert built.returncode == 0, built.stderr
    return Daemon(directory, replay_settings("localhost:1", directory, reference))


def replay_settings(bootstrap: str, directory: Path, reference: Path, topic: str = "unread") -> dict[str, object]:
    made = settings(
        bootstrap,
        directory,
        topic,
        monitoring={
            "window": {"length": "1000s", "every": "250s"},
            "rules": {"jump": {"detector": "adwin", "on": ["x", "prediction"]}},
        },
        models={"m": {"reference": {"file": str(reference)}}},
    )
    made["kafka"]["group_id"] = "replay"  # ids are made of it
    return made


def write(path: Path, lines: Sequence[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def replay(daemon: Daemon, *arguments: str | Path) -> list[str]:
    done = driftd("replay", "--config", daemon.config, "--output", "json", *arguments)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def expected(daemon: Daemon) -> list[str]:
    """What the whole stream in one file says."""
    told = replay(daemon, write(daemon.directory / "whole.jsonl", STREAM))
    fired = {(t["data"]["rule"], s["signal"]) for t in map(json.loads, told) for s in t["data"]["signals"]}
    assert fired == {
        ("drift", "x"), ("drift", "plan"), ("drift", "prediction"), ("jump", "x"), ("jump", "prediction"),
        ("retrain", "x"), ("retrain", "prediction"),
    }  # fmt: skip
    return told


def test_text_has_a_line_a_transition(daemon: Daemon, expected: list[str]) -> None:
    done = driftd("replay", "--config", daemon.config, daemon.directory / "whole.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(expected)
    for line, told in zip(lines, map(json.loads, expected), strict=True):
        assert line.startswith(told["timestamp"])
        assert told["type"].removeprefix("driftd.") in line
        assert all(signal["signal"] in line for signal in told["data"]["signals"])


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_table_of_rows_says_what_its_events_say(
    form: str, daemon: Daemon, expected: list[str], tmp_path: Path
) -> None:
    path = tmp_path / f"scored.{form}"
    rows = [{"at": START + 1_000 * i, "customer": f"c{i}", **row} for i, row in enumerate(ROWS)]
    if form == "parquet":
        table = pa.Table.from_pylist(rows)
        stamps = table.column("at").cast(pa.timestamp("ms", tz="UTC"))
        pq.write_table(table.set_column(0, "at", stamps), path)
    else:
        path.write_text("at,customer,x,plan,score\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows))
    options = ("--model", "m", "--version", "1", "--time", "at", "--prediction", "score", "--ignore", "customer")
    assert replay(daemon, *options, path) == expected


@pytest.mark.parametrize("files", [2, 5, 8])
def test_the_number_of_files_does_not_matter(files: int, daemon: Daemon, expected: list[str], tmp_path: Path) -> None:
    """The detector among all: it is fed the merged stream."""
    assert any('"statistic":"adwin"' in line for line in expected)
    paths = [write(tmp_path / f"p{n}.jsonl", STREAM[n::files]) for n in range(files)]
    assert replay(daemon, *paths) == expected


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    """Also not for a reference that is learned from them: samples are chosen by partition and offset."""
    made = settings(
        "localhost:1",
        tmp_path,
        "unread",
        monitoring={
            "window": {"length": "1000s", "every": "250s"},
            "reference": {"learn": {"for": "2000s", "min_samples": 4_500}},  # more than a sample holds
            "rules": {"jump": {"detector": "adwin", "on": ["x", "prediction"]}},
        },
    )
    daemon = Daemon(tmp_path, made)
    stream = [event("m", "1", START + 1_000 * i, row, None) for i, row in enumerate(values(4, 13_000, 10_000))]
    paths = [write(tmp_path / f"{name}.jsonl", stream[n::3]) for n, name in enumerate(["b", "c", "a"])]
    told = {tuple(replay(daemon, *order)) for order in permutations(paths)}
    assert len(told) == 1
    assert any('"signal":"x"' in line for line in told.pop())


def test_bad_lines_are_told_and_lose_nothing_else(daemon: Daemon, expected: list[str], tmp_path: Path) -> None:
    bad = [
        b"{", b"[1, 2]", b'{"model": "m"}', b'{"kind": "prediction", "features": {}}', b"\xff\xfe", b"nonsense",
        b'{"kind": "prediction", "model": "m", "time": "yesterday", "features": {"x": 1}}',
        b'{"kind": "prediction", "model": "m", "time": NaN}', b"[" * 2_000,
    ]  # fmt: skip
    lines = list(STREAM)
    for i, line in enumerate(bad):
        lines.insert(1_000 * (i + 1), line)
    done = driftd("replay", "--config", daemon.config, "--output", "json", write(tmp_path / "mixed.jsonl", lines))
    assert done.returncode == 0
    assert done.stdout.splitlines() == expected
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"{len(bad)} of {len(lines)} records could not be counted: ")
    assert "json " in said


def test_nothing_but_bad_lines_is_a_failure_with_a_remedy(daemon: Daemon, tmp_path: Path) -> None:
    done = driftd("replay", "--config", daemon.config, write(tmp_path / "bad.jsonl", [b'{"model": "m"}'] * 5))
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith("5 of 5 records could not be counted: kind_missing 5; ")
    assert "give `kind`" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl"),
        (["kafka:t", "whole.jsonl"], "not from both"),
        (["--since", "noon", "kafka:t"], "2026-11-23T10:00:00Z"),
        (["--config", "nowhere.yaml", "whole.jsonl"], "nowhere.yaml"),
        (["scored.parquet"], "--model"),
        (["--since", "2026-11-23T10:00:00Z", "whole.jsonl"], "--since"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments: list[str], said: str, daemon: Daemon, tmp_path: Path) -> None:
    write(tmp_path / "whole.jsonl", STREAM[:10])
    pq.write_table(pa.Table.from_pylist(ROWS[:10]), tmp_path / "scored.parquet")
    named = [str(tmp_path / a) if "." in a and not a.startswith(("kafka:", "2026")) else a for a in arguments]
    config = [] if "--config" in arguments else ["--config", str(daemon.config)]
    done = driftd("replay", *config, *named)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert said in line


def test_a_bad_configuration_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "driftd.yaml"
    config.write_text("monitoring: {window: {length: 5 parsecs}}\n")
    done = driftd("replay", "--config", config, write(tmp_path / "e.jsonl", STREAM[:10]))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "driftd.yaml:1" in line
    assert "monitoring.window.length" in line


def test_a_topic_from_one_time_to_another(
    daemon: Daemon, expected: list[str], real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    name = topic(partitions=3)
    calm = values(3, 2_000, 2_000)
    # Before and after the stream there is what would say something else: the same rows as another version.
    before = [event("m", "0", START - 1_000_000 + i, {"x": 99.0}, 0.5) for i in range(500)]
    after = [
        event("m", "1", START + 1_000 * (EVENTS + i), {"x": row["x"], "plan": row["plan"]}, row["score"])
        for i, row in enumerate(calm)
    ]
    records = [(i % 3, START - 1_000_000 + i, value) for i, value in enumerate(before)]
    records += [(i % 3, START + 1_000 * i, value) for i, value in enumerate(STREAM)]
    records += [(i % 3, START + 1_000 * (EVENTS + i), value) for i, value in enumerate(after)]
    produce(real_kafka.bootstrap_servers, name, records)
    reference = daemon.directory / "m.json"
    at_broker = Daemon(tmp_path, replay_settings(real_kafka.bootstrap_servers, tmp_path, reference, name))
    span = ("--since", str(START), "--until", str(START + 1_000 * EVENTS))
    assert replay(at_broker, *span, f"kafka:{name}") == expected
    whole = replay(at_broker, f"kafka:{name}")
    assert whole != expected
    assert any("driftd.alert.resolved" in line for line in whole)
    missing = driftd("replay", "--config", at_broker.config, f"kafka:{name}-not")
    assert missing.returncode == 1
    (line,) = missing.stderr.splitlines()
    assert f"{name}-not" in line
