"""Too much of everything, through the real process on the real broker: of what waits, of poison, of models."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from driftd.store.reader import Reader
from tests.e2e.daemon import (
    Daemon,
    Letter,
    driftd,
    event,
    letters,
    produce,
    read_up,
    running,
    settings,
    sums,
    wait_for,
    when,
)
from tests.kafka_fixture import Kafka

START = 1_700_000_000_000
BLOCK = 64
"""Records that span 5 s are read in blocks of so many; what is left over would wait until the partition is quiet."""
AWAY_S = 2
"""The session of a member, and how long it may do without polling: one that does not poll is out after both."""


class Hook:
    """A receiver that refuses, with 503, until it is `open`. `heard`: what it took, body by id.

    It is slow to refuse, as one that has too much to do is: of many refusals in a row one waits long, by chance.
    """

    def __init__(self) -> None:
        self.open = threading.Event()
        self.heard: dict[str, bytes] = {}
        self.refused = 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken = hook.open.wait(1.5)
                if taken:
                    assert hook.heard.setdefault(self.headers["webhook-id"], body) == body
                else:
                    hook.refused += 1
                self.send_response(204 if taken else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def daemon_of(bootstrap: str, directory: Path, topic: str, **sections: Mapping[str, object]) -> Daemon:
    """A daemon that learns from 1,000 s for windows of 1,000 s; `sections`: what else the settings say."""
    made = settings(
        bootstrap,
        directory,
        topic,
        monitoring={
            "window": {"length": "1000s", "every": "200s"},
            "reference": {"learn": {"for": "1000s", "min_samples": 500}},
            "rules": {"jump": None, "gaps": None},
        },
    )
    made["state"]["commit_every"] = "200ms"
    made["kafka"]["client"] = {
        "session.timeout.ms": str(1000 * AWAY_S),
        "max.poll.interval.ms": str(1000 * AWAY_S),
        "heartbeat.interval.ms": "300",
    }
    for name, section in sections.items():
        made[name] = {**made.get(name, {}), **section}
    return Daemon(directory, made)


# -- what waits ----------------------------------------------------------------------------------------------------

MODELS = [f"m{i}" for i in range(4)]
LIMIT = 3


def waves() -> list[tuple[int, int, bytes]]:
    """Four models, four records a second in all; x of one after another goes up for 1,500 s and comes down again."""
    random = np.random.default_rng(5)
    records = []
    for i in range(450 * BLOCK):
        second, k = i // 4, i % len(MODELS)
        x = float(random.normal()) + (2.0 if 2_000 + 300 * k <= second < 3_500 + 300 * k else 0.0)
        at = START + 250 * i
        records.append((0, at, event(MODELS[k], "1", at, {"x": x}, None)))
    return records


def members(kafka: Kafka, group: str) -> list[tuple[str, int]]:
    """Who is in the group, and of how many partitions each reads."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    found = admin.describe_consumer_groups([group])[group].result(10)
    return [(one.member_id, len(one.assignment.topic_partitions)) for one in found.members]


def test_a_full_outbox_costs_lag_and_nothing_else(
    real_kafka: Kafka, topic: Callable[..., str], hook: Hook, tmp_path: Path
) -> None:
    name, records = topic(partitions=1), waves()
    produce(real_kafka.bootstrap_servers, name, records)
    receivers = {"here": {"webhook": {"url": hook.url}}}
    group = f"group-{name}"  # one for both runs: it is in the ids

    calm = daemon_of(
        real_kafka.bootstrap_servers, tmp_path / "calm", name, receivers=receivers, kafka={"group_id": group}
    )
    hook.open.set()
    with running(calm):
        wait_for("the calm run", lambda: read_up(calm, len(records)))
        expected = [body for model in MODELS for body in calm.transitions(model)]
        wait_for("all that it tells", lambda: len(hook.heard) == len(expected))
    assert len(expected) >= 3 * len(MODELS), "each drifts, asks for a retraining, and calms"
    told_calmly = dict(hook.heard)
    hook.heard.clear()
    hook.open.clear()

    full = daemon_of(
        real_kafka.bootstrap_servers,
        tmp_path / "full",
        name,
        receivers=receivers,
        kafka={"group_id": group},
        state={"outbox_limit": LIMIT},
    )
    with running(full):
        paused = when(full, "the pause", lambda now: now["driftd_partition_paused"] == now["driftd_lag_known"] == 1)
        (partition,) = full.get("/api/v1/partitions")["partitions"]
        assert partition["paused"] is True
        before = members(real_kafka, group)
        assert [count for _, count in before] == [1]
        # The loop turns on for longer than a consumer that does not poll stays in the group.
        until = paused["driftd_heartbeat_timestamp_seconds"] + 2.5 * AWAY_S
        still = when(full, "the loop to turn", lambda now: now["driftd_heartbeat_timestamp_seconds"] > until)
        assert members(real_kafka, group) == before, "the same member under the same id: no rebalance"
        # One poll brings 2,000 records at most: the outbox is not overfilled by more than what they tell.
        assert LIMIT <= still["driftd_outbox_waiting"] < len(expected) / 2
        for unmoved in ("driftd_next_offset", "driftd_outbox_waiting", "driftd_lag_records"):
            assert still[unmoved] == paused[unmoved] > 0, unmoved
        assert full.get("/readyz") == {"ready": True}, "held back is not unready"
        assert hook.refused > 0
        hook.open.set()
        wait_for("the lag to go", lambda: read_up(full, len(records)))
        wait_for("all to be told", lambda: len(hook.heard) == len(told_calmly))
        end = when(full, "an empty outbox", lambda now: not now["driftd_outbox_waiting"])
        assert not end["driftd_partition_paused"]
        assert not end["driftd_outbox_dead"]
    assert hook.heard == told_calmly
    assert [body for model in MODELS for body in full.transitions(model)] == expected
    assert "not_ready" not in full.log.read_text().partition('"ready"')[2], "once it was ready"


# -- of poison -----------------------------------------------------------------------------------------------------

POISON = {b"{oops": "json", b"[1]": "not_object", b"\xff\xfe": "utf8"}


def plain(at: int, model: str = "m", x: float = 0.5) -> bytes:
    return event(model, "1", at, {"x": x}, x / 10)


def positions(daemon: Daemon) -> int:
    """Records that a commit has passed."""
    with Reader.open_read_only(daemon.state) as reader:
        return sum(reader.positions().values())


def test_poison_among_good_records_is_set_aside_and_a_kill_loses_none_of_it(
    real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    name, dead = topic(partitions=2), topic(partitions=1)
    records: list[tuple[int, int, bytes]] = []
    expected: set[Letter] = set()
    for p in range(2):
        for i in range(20 * BLOCK):
            at, value = START + 1000 * i, plain(START + 1000 * i)
            if i % 7 == p:
                value = list(POISON)[i % len(POISON)]
                expected.add((name, p, i, POISON[value], value))
            records.append((p, at, value))
    produce(real_kafka.bootstrap_servers, name, records)
    good = len(records) - len(expected)

    def daemon(commit_every: str) -> Daemon:
        return daemon_of(
            real_kafka.bootstrap_servers,
            tmp_path,
            name,
            kafka={"dead_letters": {"topic": dead}},
            state={"commit_every": commit_every},
        )

    killed = daemon("1h")
    killed.start()
    first = letters(real_kafka, dead, lambda found: len(found) >= len(expected))
    killed.kill()
    assert positions(killed) == 0, "no commit has passed them"
    assert set(first) == expected
    with running(daemon("200ms")) as again:
        wait_for("all to be read", lambda: read_up(again, len(records)))
        wait_for("the commit", lambda: positions(again) == len(records))
        again.kill()
    # Set aside before the commit that passes them, they are all there the moment that it has.
    found = letters(real_kafka, dead, lambda found: len(found) >= 2 * len(expected))
    assert Counter(found) == dict.fromkeys(expected, 2), "once for each time that they were read, and the same"
    with running(again):
        wait_for("what was stored", lambda: read_up(again, len(records)))
        now = sums(again)
    assert (now["driftd_events_total"], now["driftd_refused_records_total"]) == (good, len(expected))


def test_a_partition_that_is_mostly_poison_halts_until_the_person_lets_it_pass(
    real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    name, dead = topic(partitions=2), topic(partitions=1)
    poison = [(1, START + 1000 * i, b"<xml/>") for i in range(40 * BLOCK)]
    after = [(1, at, plain(at)) for at in range(START + 10_000_000, START + 10_000_000 + 10_000 * BLOCK, 1000)]
    other = [(0, at, value) for _, at, value in after]
    produce(real_kafka.bootstrap_servers, name, [*poison, *after, *other])
    letter = {"topic": dead}
    halting = daemon_of(real_kafka.bootstrap_servers, tmp_path, name, kafka={"dead_letters": letter})
    for _ in range(2):
        done = driftd("run", "--config", halting.config, timeout=60)
        assert done.returncode == 1
        said = done.stderr.splitlines()[-1]
        assert f"{name}[1]: " in said
        assert "records cannot be counted (100%)" in said
        assert "driftd.reason" in said
        assert "set kafka.dead_letters.halt_share (now 0.5) to null" in said
        assert positions(halting) < len(poison)
    passing = daemon_of(
        real_kafka.bootstrap_servers, tmp_path, name, kafka={"dead_letters": {**letter, "halt_share": None}}
    )
    with running(passing):
        wait_for("all to be read", lambda: read_up(passing, len(poison) + len(after) + len(other)))
        now = sums(passing)
    assert (now["driftd_events_total"], now["driftd_refused_records_total"]) == (len(after) + len(other), len(poison))
    # The first of them are there more than once: they were read at more than one start.
    letters(real_kafka, dead, lambda found: {one[1:3] for one in found} == {(1, i) for i in range(len(poison))})


# -- of models -----------------------------------------------------------------------------------------------------


def test_more_models_than_the_bound_are_dropped_counted_and_hold_nobody_up(
    real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    """Two that the settings name, the first of the others, and a thousand names more than there is room for."""
    name, random = topic(partitions=1), np.random.default_rng(8)
    records: list[tuple[int, int, bytes]] = []
    over = 0
    for i in range(200 * BLOCK):
        at = START + 500 * i
        x = float(random.normal()) + (2.0 if at >= START + 3_500_000 else 0.0)
        model = ("churn", "fraud", "first", f"junk-{i % 1_000}")[i % 4] if i > 4 else "first"
        over += model.startswith("junk")
        value = plain(at, model, x if model == "churn" else float(random.normal()))
        if model == "first":  # and more signals than the bound, while it has no grid and after that
            value = event(model, "1", at, {f"f{i}": 1.0 for i in range(9)}, 0.5)
        records.append((0, at, value))
    produce(real_kafka.bootstrap_servers, name, records)
    daemon = daemon_of(
        real_kafka.bootstrap_servers,
        tmp_path,
        name,
        limits={"models": 3, "signals": 4},
        models={"churn": {}, "fraud": {}},
    )
    with running(daemon):
        wait_for("all to be read", lambda: read_up(daemon, len(records)))
        before = sums(daemon)
        watched = {one["model"]: one["state"] for one in daemon.get("/api/v1/models")["models"]}
        daemon.kill()
    assert watched == {"churn": "firing", "first": "ok", "fraud": "ok"}
    assert before["driftd_models"] == 3
    assert before["driftd_dropped_models_total"] == over
    assert before["driftd_events_total"] == len(records) - over
    assert before["driftd_dropped_signals_total"] > 0
    assert before["driftd_unknown_features_total"] > 0
    told = [json.loads(body) for body in daemon.transitions("churn")]
    firing = [one for one in told if one["type"] == "driftd.alert.firing"]
    assert "x" in {signal["signal"] for one in firing for signal in one["data"]["signals"]}
    with running(daemon):
        wait_for("the same after a kill", lambda: read_up(daemon, len(records)))
        after = sums(daemon)
    for same in (
        "driftd_models",
        "driftd_dropped_models_total",
        "driftd_dropped_signals_total",
        "driftd_events_total",
    ):
        assert after[same] == before[same], same


def test_records_that_the_brokers_dropped_are_counted(
    real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    name = topic(partitions=1)
    daemon = daemon_of(real_kafka.bootstrap_servers, tmp_path, name)
    with running(daemon):
        when(daemon, "readiness", lambda now: now["driftd_ready"] == 1)
    times = range(START, START + 10_000 * BLOCK, 1000)
    produce(real_kafka.bootstrap_servers, name, ((0, at, plain(at)) for at in times))
    gone = TopicPartition(name, 0, 4 * BLOCK)  # as retention takes them
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap_servers})
    admin.delete_records([gone])[gone].result(10)
    with running(daemon):
        now = when(daemon, "the rest", lambda now: now["driftd_events_total"] == len(times) - 4 * BLOCK)
        assert now["driftd_lost_records_total"] == 4 * BLOCK
