"""`driftd demo traffic` on the real broker: what arrives, that calm and drift take turns, how it ends."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from driftd import cli
from driftd.demo import live
from driftd.demo.live import Live, drifts_at
from driftd.demo.plan import DRIFTING, FEATURES, MODELS, STEADY, Plan
from driftd.demo.stream import Serving
from tests.broker import free_port
from tests.e2e.daemon import PROGRAM, driftd, wait_for
from tests.kafka_fixture import Kafka, Topics


def read(bootstrap: str, topic: str) -> list[tuple[int, int, dict[str, Any]]]:
    """All that is in a topic: partition, Kafka timestamp, event."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"read-{topic}", "enable.auto.commit": False})
    try:
        found = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in found}
        consumer.assign([TopicPartition(topic, p, 0) for p in found])
        records: list[tuple[int, int, dict[str, Any]]] = []
        while len(records) < sum(ends.values()):
            for message in consumer.consume(1000, 0.2):
                assert message.error() is None
                value = message.value()
                assert value is not None
                records.append((message.partition() or 0, message.timestamp()[1], json.loads(value)))
        return records
    finally:
        consumer.close()


def test_it_makes_its_topic_and_sends_both_models_now_by_turns_calm_and_drifting(real_kafka: Kafka):
    topic = f"traffic-{time.time_ns()}"
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap_servers})
    before = time.time() * 1000
    try:
        done = driftd(
            *("demo", "traffic", "--bootstrap", real_kafka.bootstrap_servers, "--topic", topic, "--partitions", "3"),
            *("--rate", "400", "--calm", "2s", "--drift", "2s", "--for", "6s"),
        )
        assert done.returncode == 0, done.stderr
        after = time.time() * 1000
        told = [line.partition(" ")[2] for line in done.stderr.splitlines()]
        assert told[1:] == ["all is calm", f"{DRIFTING} drifts", "all is calm"]
        records = read(real_kafka.bootstrap_servers, topic)
    finally:
        admin.delete_topics([topic])[topic].result(timeout=30)
    assert {partition for partition, _, _ in records} == {0, 1, 2}
    assert all(stamp == event["time"] and before <= stamp <= after for _, stamp, event in records)
    assert len({event["id"] for _, _, event in records}) == len(records)
    by_model = {name: [event for _, _, event in records if event["model"] == name] for name in MODELS}
    assert len(by_model[STEADY]) == len(by_model[DRIFTING]) > 800
    assert {tuple(event["features"]) for _, _, event in records} == {FEATURES}
    assert not [e for e in by_model[STEADY] if e["features"]["salary"] > 150_000]
    raised = [e["time"] for e in by_model[DRIFTING] if e["features"]["salary"] > 150_000]
    assert raised, "the drift came"
    assert min(raised) > min(e["time"] for e in by_model[DRIFTING])
    assert max(raised) < max(e["time"] for e in by_model[DRIFTING])


@pytest.mark.parametrize("shape", ["nested", "cloudevents"])
def test_a_past_in_a_form_of_its_own_is_understood_by_sniff_and_read_by_its_draft(
    shape: str, real_kafka: Kafka, tmp_path: Path
):
    topic = f"traffic-{time.time_ns()}"
    broker = real_kafka.bootstrap_servers
    try:
        done = driftd(
            *("demo", "traffic", "--bootstrap", broker, "--topic", topic, "--shape", shape, "--past", "20m"),
            *("--rate", "2", "--drift", "0s", "--for", "1s"),
        )
        assert done.returncode == 0, done.stderr
        assert "2,400 events of each model sent, of the 20 minutes before" in done.stderr
        done = driftd("sniff", "--brokers", broker, "--from", "earliest", "--output", "yaml", topic)
        assert done.returncode == 0, done.stderr
        assert "start: earliest" in done.stdout
        assert "# no field" not in done.stdout
        config = tmp_path / "driftd.yaml"
        config.write_text(done.stdout + f"state: {{directory: {tmp_path}}}\nreceivers: {{}}\n")
        done = driftd("replay", "--config", config, f"kafka:{topic}")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "could not be counted" not in done.stderr
    finally:
        admin = AdminClient({"bootstrap.servers": broker})
        admin.delete_topics([topic])[topic].result(timeout=30)


def test_it_goes_on_in_a_topic_that_is_there_until_sigterm(real_kafka: Kafka, topic: Topics):
    name = topic(partitions=2)
    command = [str(PROGRAM), "demo", "traffic", "--bootstrap", real_kafka.bootstrap_servers, "--topic", name]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for("events of both models", lambda: len(read(real_kafka.bootstrap_servers, name)) > 20)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert {partition for partition, _, _ in read(real_kafka.bootstrap_servers, name)} == {0, 1}


@pytest.fixture
def handlers() -> Iterator[None]:
    """Those of the tests are put back: the command sets its own."""
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def test_a_broker_that_is_not_there_is_named(
    handlers: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(live, "TIMEOUT_S", 1.0)
    address = f"127.0.0.1:{free_port()}"
    assert cli.main(["demo", "traffic", "--bootstrap", address]) == 1
    assert capsys.readouterr().err == (
        f"the brokers at {address} do not answer; are they there, and is it their own address?\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--client", "acks"], "'acks' is no setting; write security.protocol=SSL"),
        (["--client", "bootstrap.servers=x:1"], "--client cannot set bootstrap.servers; the brokers are --bootstrap"),
        (["--client", "no.such=1"], 'No such configuration property: "no.such"'),
        (["--calm", "soon"], "1h30m"),
        (["--rate", "0"], "--rate"),
    ],
)
def test_what_is_wrong_with_its_options_is_said(
    handlers: None, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["demo", "traffic", "--bootstrap", "127.0.0.1:1", *options]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1


def test_options_of_the_demo_do_not_go_with_traffic(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["demo", "--plain", "traffic", "--bootstrap", "127.0.0.1:1"]) == 2
    said = "options of driftd demo do not go with traffic; give traffic's own after its name\n"
    assert capsys.readouterr().err == said


def test_turns():
    turns = [drifts_at(s, 20, 10) for s in (0, 19.9, 20, 29.9, 30, 49.9, 50)]
    assert turns == [False, False, True, True, False, False, True]
    assert not drifts_at(20, 20, 0)
    assert drifts_at(0, 0, 10)


def test_only_the_drifting_model_has_two_worlds():
    plan = Plan(training=1_000, drift=False)
    loans, steady = (Live(Serving(name, plan)) for name in (DRIFTING, STEADY))
    raised = [json.loads(loans.event(1, drifted=True)[0])["features"]["salary"] for _ in range(500)]
    assert max(raised) > 150_000
    for one, drifted in ((loans, False), (steady, True), (steady, False)):
        assert max(json.loads(one.event(1, drifted=drifted)[0])["features"]["salary"] for _ in range(500)) <= 150_000
