"""`driftd run` as the person who runs it sees it: what goes wrong, what it says then, and what it does all the same."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from driftd.commands.replay import Replay, open_inputs
from driftd.core.event import PartitionId
from driftd.core.profile import profile
from driftd.files.events import EventOptions
from driftd.kafka.block import Cutter, RecordRun
from driftd.settings.load import load
from driftd.store.commit import Commit, PaneRow
from driftd.store.reader import Reader
from driftd.store.store import Store
from tests.broker import ANY_TIME, LocalKafka
from tests.e2e.daemon import Daemon, Receiver, driftd, event, produce, running, settings, wait_for
from tests.kafka_fixture import Kafka

START = 1_700_000_000_000
BLOCK = 64
"""Records a second apart are read in blocks of so many; what is left over waits until the partition has been quiet."""
QUICK = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"}


def made(bootstrap: str, directory: Path, topic: str, receiver: Receiver | None = None, **kafka: object) -> Daemon:
    """A daemon that learns from 2,000 events for windows of 1,000 s; `kafka`: over the settings of that section."""
    all_ = settings(
        bootstrap,
        directory,
        topic,
        receiver,
        monitoring={
            "window": {"length": "1000s", "every": "200s", "max_skew": "10d"},
            "reference": {"learn": {"for": "2000s", "min_samples": 1_000}},
        },
    )
    all_["kafka"] |= {"client": QUICK, **kafka}
    all_["state"]["commit_every"] = "200ms"
    return Daemon(directory, all_)


def stream(count: int, change: int, partitions: int = 1) -> list[tuple[int, int, bytes]]:
    """Records a second apart; from `change` on x is higher."""
    random = np.random.default_rng(1)
    x = random.normal(size=count)
    x[change:] += 2
    return [
        (i % partitions, START + 1000 * i, event("m", "1", START + 1000 * i, {"x": x[i]}, x[i] / 10))
        for i in range(count)
    ]


def ready(daemon: Daemon) -> bool:
    return bool(daemon.get("/readyz") == {"ready": True})


def reasons(daemon: Daemon) -> str:
    answer = daemon.get("/readyz")
    return "; ".join(answer.get("reasons", [])) if answer else ""


def metric(daemon: Daemon, series: str) -> float | None:
    """The value of a series, named with its labels; None while it is not there."""
    for line in (daemon.get("/metrics") or "").splitlines():
        name, _, value = line.rpartition(" ")
        if name == series:
            return float(value)
    return None


def events_read(daemon: Daemon) -> float | None:
    return metric(daemon, 'driftd_events_total{model="m",version="1",kind="prediction"}')


def logged(daemon: Daemon) -> list[dict[str, Any]]:
    return [json.loads(line) for line in daemon.log.read_text().splitlines() if line.startswith("{")]


def the_error(said: str) -> str:
    """The one line that is no log line."""
    lines = [line for line in said.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, said
    assert "; " in lines[0], "the problem; the remedy"
    return lines[0]


def run(daemon: Daemon) -> tuple[int, str]:
    """Run it to its end: its exit code and its one line."""
    done = driftd("run", "--config", daemon.config, timeout=60)
    assert not done.stdout
    return done.returncode, the_error(done.stderr)


# -- it does not start ---------------------------------------------------------------------------------------------


def test_no_broker(tmp_path: Path) -> None:
    """Whoever asks it first: the dead letters' topic, or where reading begins."""
    daemons = [
        made("127.0.0.1:1", tmp_path / str(topic), "t", dead_letters={"topic": topic}) for topic in (None, "dead")
    ]
    with ThreadPoolExecutor() as pool:
        for code, said in pool.map(run, daemons):
            assert code == 1
            assert "127.0.0.1:1 do not answer" in said
            assert "kafka.bootstrap_servers" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kafka": {"bootstrap_server": "localhost:9092"}}, "bootstrap_servers"),
        ({"models": {"m": {"reference": {"file": "nowhere.json"}}}}, "nowhere.json"),
        ({"monitoring": {"window": {"length": "an hour"}}}, "monitoring.window.length"),
        ({"kafka": {"client": {"no.such.setting": 1}, "bootstrap_servers": "127.0.0.1:1"}}, "no.such.setting"),
        ({"routes": [{"receiver": "nobody"}]}, "nobody"),
    ],
)
def test_a_bad_configuration(change: dict[str, object], said: str, tmp_path: Path) -> None:
    all_ = {"state": {"directory": str(tmp_path / "state")}, "http": {"listen": "127.0.0.1:0"}, **change}
    code, line = run(Daemon(tmp_path, all_))
    assert code == 2
    assert said in line


def test_a_state_that_another_process_holds(kafka: Kafka, topic: Callable[..., str], tmp_path: Path) -> None:
    with running(made(kafka.bootstrap_servers, tmp_path, topic())) as first:
        wait_for("the start", first.url)
        code, said = run(first)
        assert first.process is not None
        assert (code, f"process {first.process.pid}" in said) == (1, True)
        assert "state.directory" in said
        first.check_alive()


def test_a_port_that_is_taken(kafka: Kafka, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = made(kafka.bootstrap_servers, tmp_path, "t")
        daemon.settings["http"]["listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = run(Daemon(tmp_path, daemon.settings))
    assert code == 1
    assert "Address already in use" in said
    assert "http.listen" in said


# -- what it waits for ---------------------------------------------------------------------------------------------


def test_a_topic_that_comes_later(real_kafka: Kafka, tmp_path: Path) -> None:
    """`start: latest` is of what was there at the first start: this one is read from its beginning."""
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap_servers})
    name = f"later-{tmp_path.name}"
    with running(made(real_kafka.bootstrap_servers, tmp_path, name, start="latest")) as daemon:
        wait_for("the reason", lambda: f"topic {name} does not exist" in reasons(daemon))
        admin.create_topics([NewTopic(name, 2, 1, config=ANY_TIME)])[name].result(30)
        try:
            produce(real_kafka.bootstrap_servers, name, stream(8 * BLOCK, 8 * BLOCK, 2))
            wait_for("all of it", lambda: events_read(daemon) == 8 * BLOCK)
            wait_for("readiness", lambda: ready(daemon))
            said = [line for line in logged(daemon) if line["event"] in {"not_ready", "ready"}]
            assert any(f"topic {name} does not exist" in line.get("reasons", []) for line in said)
            assert said[-1]["event"] == "ready"
        finally:
            admin.delete_topics([name])[name].result(30)


def test_a_partition_that_comes_later(real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path) -> None:
    name = topic(partitions=1)
    produce(real_kafka.bootstrap_servers, name, stream(300, 300))  # before the first start: not ours
    daemon = made(real_kafka.bootstrap_servers, tmp_path, name, start="latest")
    with running(daemon):
        wait_for("readiness", lambda: ready(daemon))
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap_servers})
    admin.create_partitions([NewPartitions(name, 2)])[name].result(30)
    wait_for("the partition", lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == 2)
    produce(real_kafka.bootstrap_servers, name, [(1, at, value) for _, at, value in stream(6 * BLOCK, 6 * BLOCK)])
    with running(daemon):
        wait_for("all of the new one", lambda: events_read(daemon) == 6 * BLOCK)
        wait_for("readiness", lambda: ready(daemon))


def test_another_member_of_the_group(real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path) -> None:
    name = topic(partitions=4)
    first, second = (made(real_kafka.bootstrap_servers, tmp_path / n, name, group_id=name) for n in "ab")
    with running(first):
        wait_for("the first", lambda: ready(first))
        with running(second):
            wait_for("the second to say so", lambda: "has another member" in reasons(second))
            wait_for("the first to say so", lambda: "has another member" in reasons(first))
        wait_for("the first to have all again", lambda: ready(first))


def test_a_broker_that_goes_and_comes_back(local_kafka: LocalKafka, tmp_path: Path) -> None:
    name = "t"
    admin = AdminClient({"bootstrap.servers": local_kafka.bootstrap_servers, "log_level": 0})
    admin.create_topics([NewTopic(name, 1, 1, config=ANY_TIME)])[name].result(30)
    with running(made(local_kafka.bootstrap_servers, tmp_path, name)) as daemon:
        half = 5 * BLOCK
        records = stream(2 * half, 2 * half)
        produce(local_kafka.bootstrap_servers, name, records[:half])
        wait_for("the first half", lambda: events_read(daemon) == half)
        local_kafka.kill()
        wait_for("the reason", lambda: "do not answer" in reasons(daemon))
        assert daemon.get("/livez") == {"alive": True}
        local_kafka.start()
        produce(local_kafka.bootstrap_servers, name, records[half:])
        wait_for("the other half", lambda: events_read(daemon) == 2 * half)
        wait_for("readiness", lambda: ready(daemon))


# -- how it ends ---------------------------------------------------------------------------------------------------


def test_a_signal_commits_what_was_read(kafka: Kafka, topic: Callable[..., str], tmp_path: Path) -> None:
    name = topic()
    daemon = made(kafka.bootstrap_servers, tmp_path, name)
    daemon.settings["state"]["commit_every"] = "1h"
    daemon = Daemon(tmp_path, daemon.settings)
    with running(daemon):
        wait_for("readiness", lambda: ready(daemon))
        produce(kafka.bootstrap_servers, name, [(0, at, value) for _, at, value in stream(8 * BLOCK, 8 * BLOCK)])
        wait_for("all to be read", lambda: events_read(daemon) == 8 * BLOCK)
        assert daemon.stop() == 0
    assert logged(daemon)[-1]["event"] == "stopped"
    with Reader.open_read_only(daemon.state) as reader:
        assert sum(reader.positions().values()) == 8 * BLOCK


def test_killed_at_its_very_first_start_it_loses_nothing(
    real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    """With `start: latest` "now" is when it was first started, not when it got further than that."""
    name = topic(partitions=3)
    produce(real_kafka.bootstrap_servers, name, stream(200, 200, 3))
    daemon = made(real_kafka.bootstrap_servers, tmp_path, name, start="latest")
    daemon.start()

    def pinned() -> bool:
        try:
            with Reader.open_read_only(daemon.state) as reader:
                return len(reader.positions()) == 3
        except Exception:  # noqa: BLE001 - the file or its tables are not there yet
            return False

    wait_for("where reading begins", pinned)
    daemon.kill()
    assert not any(line["event"] == "ready" for line in logged(daemon)), "it was killed before it read anything"
    later = [(p, at + 10**6, value) for p, at, value in stream(15 * BLOCK, 15 * BLOCK, 3)]
    produce(real_kafka.bootstrap_servers, name, later)
    with running(daemon):
        wait_for("all since the first start", lambda: events_read(daemon) == 15 * BLOCK)


# -- what it does all the same -------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_receiver_that_is_down_hears_later_and_holds_nothing_up(
    kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    port, heard = free_port(), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    name = topic()
    daemon = made(kafka.bootstrap_servers, tmp_path, name)
    daemon.settings["receivers"] = {"ops": {"webhook": {"url": f"http://127.0.0.1:{port}/hook"}}}
    daemon = Daemon(tmp_path, daemon.settings)
    with running(daemon):
        records = [(0, at, value) for _, at, value in stream(6_000, 4_500)]
        wait_for("readiness", lambda: ready(daemon))
        produce(kafka.bootstrap_servers, name, records[:5_500])
        wait_for("a failed attempt", lambda: metric(daemon, 'driftd_deliveries_total{receiver="ops",result="failed"}'))
        produce(kafka.bootstrap_servers, name, records[5_500:])
        wait_for("the rest to be read", lambda: (events_read(daemon) or 0) > 6_000 - BLOCK)
        assert (metric(daemon, 'driftd_outbox_waiting{receiver="ops"}') or 0) >= 2
        assert ready(daemon)
        shown = driftd("outbox", "list", "--config", daemon.config)
        assert "waiting  ops  driftd.alert.firing" in shown.stdout
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            told = {json.loads(body)["id"] for body in daemon.transitions("m")}
            wait_for("every notification", lambda: told <= {one["id"] for one in heard})
            wait_for("an empty outbox", lambda: metric(daemon, 'driftd_outbox_waiting{receiver="ops"}') == 0)
        finally:
            server.shutdown()
            server.server_close()
    types = [one["type"] for one in heard]
    assert types.index("driftd.alert.firing") >= 0
    assert "driftd.retrain.requested" in types


def letters(bootstrap: str, topic: str, count: int) -> list[tuple[bytes | None, dict[str, bytes]]]:
    """All of a topic, once there are so many: values and headers."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "letters", "enable.auto.commit": False})
    consumer.assign(
        [TopicPartition(topic, p, 0) for p in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
    )
    found: list[tuple[bytes | None, dict[str, bytes]]] = []

    def read() -> bool:
        for message in consumer.consume(100, 0.2):
            if message.error() is None:
                headers: Any = message.headers() or []
                found.append((message.value(), dict(headers)))
        return len(found) >= count

    try:
        wait_for("the dead letters", read)
    finally:
        consumer.close()
    return found


def test_what_cannot_be_read_goes_to_the_dead_letters(
    real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    name, dead = topic(partitions=2), topic(partitions=1)
    bad: list[tuple[bytes, str]] = [
        (b"{oops", "json"),
        (b'{"kind":"prediction","features":{}}', "model_missing"),
        (b"\xff\xfe", "utf8"),
        (b'{"kind":"prediction","model":"m","time":"yesterday","features":{}}', "time"),
        (b"[" * 5_000 + b"]" * 5_000, "depth"),
        (b"[1]", "not_object"),
        (event("m", "1", START + 400 * 86_400_000, {"x": 1.0}, 0.5), "ahead"),
    ]
    records = stream(800, 800, 2)
    for i, (value, _) in enumerate(bad):
        records.insert(100 * (i + 1), (1, START + 100_000 * (i + 1), value))
    produce(real_kafka.bootstrap_servers, name, records)
    with running(made(real_kafka.bootstrap_servers, tmp_path, name, dead_letters={"topic": dead})) as daemon:
        wait_for("all that can be read", lambda: events_read(daemon) == 800)
        found = letters(real_kafka.bootstrap_servers, dead, len(bad))
        assert {(value, headers["driftd.reason"].decode()) for value, headers in found} == set(bad)
        lines: list[bytes | None] = [value for p, _, value in records if p == 1]
        for body, headers in found:
            assert headers["driftd.topic"].decode() == name
            assert headers["driftd.partition"] == b"1"
            assert int(headers["driftd.offset"]) == lines.index(body)
        wait_for("the counts", lambda: metric(daemon, "driftd_dead_letters_total") == len(bad))
        for _, reason in bad:
            series = f'driftd_refused_records_total{{topic="{name}",partition="1",reason="{reason}"}}'
            assert metric(daemon, series) == 1, daemon.get("/metrics")
        assert ready(daemon)


def test_a_partition_that_is_mostly_poison_halts_loudly(
    real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    name = topic(partitions=2)
    produce(real_kafka.bootstrap_servers, name, [(0, START + i, b"<xml/>") for i in range(1_500)])
    daemon = made(real_kafka.bootstrap_servers, tmp_path, name)
    code, said = run(daemon)
    assert code == 1
    assert f"{name}[0]" in said
    assert "driftd.reason" in said
    with Reader.open_read_only(daemon.state) as reader:
        assert sum(reader.positions().values()) == 0, "nothing has passed: started again it says it again"


# -- versions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "rules", "state"),
    [("inherit", {"drift"}, "ready"), ("learn", set(), "ready"), ("hold", set(), "held")],
)
def test_a_new_version_is_treated_as_the_settings_say(policy: str, rules: set[str], state: str, tmp_path: Path) -> None:
    """Version 2 has other features than version 1, from its first event; and something else again at its end."""
    random = np.random.default_rng(3)
    lines = []
    for i in range(14_000):
        x = float(random.normal()) + (1.5 if i >= 5_000 else 0.0)
        lines.append(event("m", "1" if i < 5_000 else "2", START + 1000 * i, {"x": x}, None))
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines))
    daemon = made("localhost:1", tmp_path, "unread")
    daemon.settings["monitoring"]["on_new_version"] = policy
    daemon = Daemon(tmp_path, daemon.settings)
    runs, kinds = open_inputs(load(daemon.config, {}), [str(path)], EventOptions(), None, None)
    replay = Replay(load(daemon.config, {}), kinds)
    told = [action for one in runs for action in replay.read(one)]
    told += replay.finish()
    assert {a.rule for a in told if a.version == "2" and a.rule != "retrain"} == rules
    assert not [a for a in told if a.version == "1"]
    (series,) = (s for s in replay.engine.view().models[0].series if s.version == "2" and s.kind == "prediction")
    assert series.reference == state
    assert series.events == 9_000
    if policy == "learn":
        assert series.reference_events == 2_000
        assert series.evaluations > 0
    if policy == "hold":
        assert series.evaluations == 0


def test_a_learned_version_is_watched_like_any_other(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    lines = []
    for i in range(14_000):
        x = float(random.normal()) + (1.5 if i >= 5_000 else 0.0) + (1.5 if i >= 11_000 else 0.0)
        lines.append(event("m", "1" if i < 5_000 else "2", START + 1000 * i, {"x": x}, None))
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines))
    daemon = made("localhost:1", tmp_path, "unread")
    daemon.settings["monitoring"]["on_new_version"] = "learn"
    daemon = Daemon(tmp_path, daemon.settings)
    done = driftd("replay", "--config", daemon.config, "--output", "json", path)
    told: Sequence[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    (firing,) = (t for t in told if t["type"] == "driftd.alert.firing")
    assert (firing["data"]["version"], firing["data"]["rule"]) == ("2", "drift")
    assert firing["timestamp"] >= "2023-11-15T01:16:40Z", "11,000 s after the start"


def test_help_has_examples(tmp_path: Path) -> None:
    for command in ([], ["run"], ["replay"], ["explain"], ["check"], ["reference", "build"], ["outbox"], ["receivers"]):
        done = driftd(*command, "--help")
        assert done.returncode == 0
        assert "Example" in done.stdout or "Start here" in done.stdout
        assert subprocess.list2cmdline(["driftd", *command]) in done.stdout


# -- settings that change while nobody runs ------------------------------------------------------------------------


def built(directory: Path, name: str, columns: Sequence[str], rows: int) -> Path:
    """A reference file of standard normal columns, as a person builds it."""
    random = np.random.default_rng(rows)
    training = directory / f"{name}.csv"
    lines = [",".join(columns), *(",".join(map(str, row)) for row in random.normal(size=(rows, len(columns))).tolist())]
    training.write_text("\n".join(lines) + "\n")
    path = directory / f"{name}.json"
    done = driftd("reference", "build", "--model", "m", "--version", "1", "--output", path, training)
    assert done.returncode == 0, done.stderr
    return path


def continued(directory: Path, monitoring: dict[str, object], runs: Sequence[RecordRun]) -> list[dict[str, Any]]:
    """What is told when the state in this directory is gone on with, under these settings, over these records."""
    directory.mkdir(exist_ok=True)
    daemon = Daemon(directory, {**settings("localhost:1", directory, "unread"), "monitoring": monitoring})
    made_of = load(daemon.config, {})
    with Store.open(daemon.state, group="driftd") as store:
        replay = Replay(made_of, {} if store.load_rows() else {runs[0].partition: ("prediction",)})
        engine = replay.engine
        engine.restore(store.load_rows())
        replay._teach()
        told: list[dict[str, Any]] = []
        for run in runs:
            outcome = engine.apply(profile(replay.decoder.decode(run.partition, run), engine.plan_of))
            told += [json.loads(action.body()) for action in replay._follow(outcome)]
            panes = [PaneRow(p.model, p.version, p.kind, p.start, p.end, p.body()) for p in outcome.panes]
            store.commit(Commit(rows=engine.changes(), panes=panes))
    return told


def signals(told: list[dict[str, Any]], type_: str) -> list[tuple[str, str, str]]:
    """(rule, signal, reason) of each alert that is told of."""
    return [
        (t["data"]["rule"], signal["signal"], t["data"].get("reason", ""))
        for t in told
        if t["type"] == f"driftd.alert.{type_}"
        for signal in t["data"]["signals"]
    ]


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RecordRun], list[RecordRun]]:
    """A folder with reference files; records up to where x has been firing; and those after that."""
    directory = tmp_path_factory.mktemp("settings")
    built(directory, "first", ["x", "z"], 4_000)
    built(directory, "again", ["x", "z"], 5_000)
    built(directory, "wider", ["x", "z", "w"], 4_000)
    random = np.random.default_rng(6)
    cutter = Cutter(PartitionId("unread", 0))
    for i in range(9_000):
        at = START + 1000 * i
        features: dict[str, object] = {
            "x": random.normal() + (1 if i >= 3_000 else 0),
            "z": random.normal(),
            "w": random.normal(),
        }
        cutter.add([i], [at], [event("m", "1", at, features, None)], [None], [None])
    runs = []
    while (run_ := cutter.cut()) is not None:
        runs.append(run_)
    before = [run_ for run_ in runs if run_.next <= 5_000]
    return directory, before, runs[len(before) :]


WINDOW = {"length": "1000s", "every": "200s"}
LEARNED = {"learn": {"for": "1000s", "min_samples": 500}}


@pytest.mark.parametrize(
    ("before", "after", "fires"),
    [
        ("first.json", "again.json", ["x"]),
        ("first.json", "wider.json", ["x"]),
        ("first.json", None, []),
        (None, "again.json", ["x"]),
    ],
)
def test_another_reference_begins_afresh(
    before: str | None,
    after: str | None,
    fires: list[str],
    drifting: tuple[Path, list[RecordRun], list[RecordRun]],
    tmp_path: Path,
) -> None:
    """A file that is built anew, one that takes the place of what was learned, and the other way round."""
    directory, first, rest = drifting

    def monitoring(file: str | None) -> dict[str, object]:
        return {"window": WINDOW, "reference": {"file": str(directory / file)} if file else LEARNED}

    assert signals(continued(tmp_path, monitoring(before), first), "firing") == [("drift", "x", "")] * 1
    told = continued(tmp_path, monitoring(after), rest[:40])
    assert signals(told, "resolved") == [("drift", "x", "re-baselined")]
    assert [signal for _, signal, _ in signals(told, "firing")] == fires
    assert signals(continued(tmp_path, monitoring(after), rest[40:]), "resolved") == [], "and that was told once"


@pytest.mark.parametrize("file", ["first.json", None])
def test_another_window_goes_on(
    file: str | None, drifting: tuple[Path, list[RecordRun], list[RecordRun]], tmp_path: Path
) -> None:
    """Panes of another length: none overlaps one that is stored, and the alert stands as it stood."""
    directory, first, rest = drifting
    reference = {"file": str(directory / file)} if file else LEARNED
    continued(tmp_path, {"window": WINDOW, "reference": reference}, first)
    for every, length in (("300s", "1200s"), ("100s", "3000s"), ("250s", "250s")):
        now, rest = rest[:20], rest[20:]
        other: dict[str, object] = {"window": {"length": length, "every": every}, "reference": reference}
        told = continued(tmp_path, other, now)
        assert signals(told, "resolved") == []
        assert signals(told, "firing") == []


def test_a_rule_that_is_removed_resolves(
    drifting: tuple[Path, list[RecordRun], list[RecordRun]], tmp_path: Path
) -> None:
    directory, first, rest = drifting
    reference = {"file": str(directory / "first.json")}
    continued(tmp_path, {"window": WINDOW, "reference": reference}, first)
    only_z = {"drift": {"statistic": "psi", "warning": 0.1, "critical": 0.25, "on": ["z"]}}
    told = continued(tmp_path, {"window": WINDOW, "reference": reference, "rules": only_z}, rest)
    assert signals(told, "resolved") == [("drift", "x", "rule removed")]
    assert signals(told, "firing") == []
