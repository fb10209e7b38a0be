"""A published stream with a known drift: what fires, when, and that every way of reading it says the same."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.car_loan import (
    DRIFTED,
    EVERY,
    LENGTH,
    START,
    STEADY,
    CarLoan,
    car_loan,
    parsed,
    row_of,
    signals_of,
)
from tests.e2e.daemon import Daemon, driftd, event, produce, settings, wait_for
from tests.kafka_fixture import Kafka


@pytest.fixture(scope="module")
def stream(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> CarLoan:
    return car_loan(shared_data, tmp_path_factory.mktemp("car_loan"))


@pytest.fixture(scope="module")
def replayed(stream: CarLoan, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The transitions that `driftd replay` prints, in the settings of a group that all cases share."""
    daemon = Daemon(tmp_path_factory.mktemp("replay"), case_settings("localhost:1", Path("/nowhere"), "t", stream))
    done = driftd("replay", "--config", daemon.config, "--output", "json", stream.lines)
    assert done.returncode == 0, done.stderr
    return [line.encode() for line in done.stdout.splitlines()]


def case_settings(bootstrap: str, directory: Path, topic: str, stream: CarLoan) -> dict[str, object]:
    made = settings(bootstrap, directory, topic, **stream.monitoring())
    made["kafka"]["group_id"] = "car-loan"  # ids are made of it: all cases must share it
    # The case before was another installation of the same group, whose place is free only when its session ends.
    made["kafka"]["client"] = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"}
    return made


def test_what_drifts_fires_after_the_drift_and_stays(replayed: list[bytes]) -> None:
    transitions = parsed(replayed)
    drift = [t for t in transitions if t["data"]["rule"] == "drift"]
    fired: dict[str, int] = {}
    for transition in drift:
        assert transition["type"] == "driftd.alert.firing", "nothing resolves"
        for name in signals_of(transition):
            fired.setdefault(name, row_of(transition))
    assert fired.keys() == DRIFTED
    assert min(fired.values()) > 25_000
    assert max(fired.values()) <= 30_000
    assert not any(signals_of(t) & STEADY for t in transitions if t["data"]["rule"] != "jump")
    assert all(row_of(t) > 25_000 for t in transitions)


def test_adwin_finds_the_jumps_within_a_thousand_rows(replayed: list[bytes]) -> None:
    jumps = [t for t in parsed(replayed) if t["data"]["rule"] == "jump" and t["type"] == "driftd.alert.firing"]
    found = {name: row_of(t) for t in reversed(jumps) for name in signals_of(t)}
    for name in ("car_value", "loan_length"):
        assert 25_000 < found[name] <= 26_000
    assert not found.keys() & {"debt_to_income_ratio", "driver_tenure"}


def test_a_drift_asks_for_a_retraining_once_a_day(replayed: list[bytes]) -> None:
    requests = [t for t in parsed(replayed) if t["type"] == "driftd.retrain.requested"]
    assert len(requests) == 1
    (first,) = requests
    assert first["data"]["signals"][0]["signal"] in DRIFTED
    assert first["data"]["policy"]["cool_down_s"] == 86_400


def keyed(n: int) -> Callable[[int], int]:
    return lambda i: zlib.crc32(str(i * 7919).encode()) % n


def round_robin(n: int) -> Callable[[int], int]:
    return lambda i: i % n


@pytest.mark.parametrize(
    ("partitions", "where", "ahead"),
    [
        pytest.param(1, round_robin(1), False, id="1"),
        pytest.param(4, round_robin(4), False, id="4-round-robin"),
        pytest.param(4, keyed(4), True, id="4-keyed-one-ahead"),
        pytest.param(7, keyed(7), False, id="7-keyed"),
        pytest.param(7, round_robin(7), True, id="7-round-robin-one-ahead"),
    ],
)
def test_run_says_what_replay_says(
    *,
    partitions: int,
    where: Callable[[int], int],
    ahead: bool,
    stream: CarLoan,
    replayed: list[bytes],
    real_kafka: Kafka,
    topic: Callable[..., str],
    tmp_path: Path,
) -> None:
    name = topic(partitions=partitions)
    daemon = Daemon(tmp_path, case_settings(real_kafka.bootstrap_servers, tmp_path, name, stream))
    rows = list(range(len(stream.events)))
    if ahead:
        # Partition 0 is written, and so read, an hour of event time ahead of the others.
        rows.sort(key=lambda i: (i - 3600 if where(i) == 0 else i, i))
    daemon.start()
    try:
        produce(real_kafka.bootstrap_servers, name, ((where(i), START + 1000 * i, stream.events[i]) for i in rows))
        closing = START + 1000 * (len(rows) + 2 * LENGTH)
        produce(
            real_kafka.bootstrap_servers,
            name,
            ((p, closing, event("other", "1", closing, {"x": 1}, 0.5)) for p in range(partitions)),
        )
        wait_for("every pane to close", lambda: daemon.pane_count("car_loan") >= -(-len(rows) // EVERY), timeout=120)
        wait_for("the last commit", lambda: len(daemon.transitions("car_loan")) >= len(replayed))
    finally:
        daemon.stop()
    assert [json.loads(b)["id"] for b in daemon.transitions("car_loan")] == [json.loads(b)["id"] for b in replayed]
    assert daemon.transitions("car_loan") == replayed
