"""`driftd check --connect`, against librdkafka's own mock of a broker: metadata is all that is asked for."""

import pytest

from driftd.cli import main


@pytest.fixture(scope="module")
def broker():
    """The address of a broker that has the topic `predictions`."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": "-", "test.mock.num.brokers": 1, "log_level": 0})
    producer.produce("predictions", b"{}")
    producer.flush(10)
    (found,) = producer.list_topics(timeout=10).brokers.values()
    yield f"{found.host}:{found.port}"
    del producer


@pytest.fixture
def check(tmp_path, capsys):
    def run(text: str) -> tuple[int, str]:
        config = tmp_path / "driftd.yaml"
        config.write_text(f"state: {{directory: {tmp_path}}}\n{text}")
        code = main(["check", "--connect", "--config", str(config)])
        out, err = capsys.readouterr()
        return code, (out + err).replace(str(tmp_path), "")

    return run


def test_all_is_there(broker, check):
    text = f"kafka: {{bootstrap_servers: '{broker}', topics: {{predictions: [predictions, ^pred.*]}}}}\n"
    text += "receivers: {ops: {webhook: {url: 'http://127.0.0.1:1/hook'}}}\n"
    code, said = check(text)
    assert code == 0, said
    assert "/driftd.yaml: 0 models, 3 rules, 1 receiver; nothing is wrong\n" in said
    assert "note: there is no topic driftd.dead-letters" in said


def test_topics_are_not_there(broker, check):
    topics = "{predictions: [prediction, ^x], labels: nowhere}"
    code, said = check(f"kafka:\n  bootstrap_servers: '{broker}'\n  topics: {topics}\n")
    assert code == 1
    assert (
        "/driftd.yaml:4: kafka.topics.predictions: there is no topic `prediction` on the broker; did you mean" in said
    )
    assert "/driftd.yaml:4: kafka.topics.predictions: no topic matches `^x` on the broker; create it" in said
    assert "/driftd.yaml:4: kafka.topics.labels: there is no topic `nowhere`" in said
    assert "kafka.topics.features" not in said  # nobody wrote it down


def test_no_broker(check, monkeypatch):
    monkeypatch.setattr("driftd.commands.check.TIMEOUT_S", 0.5)
    code, said = check("kafka: {bootstrap_servers: '127.0.0.1:1'}\n")
    assert code == 1
    assert "/driftd.yaml:2: kafka.bootstrap_servers: no broker answers at 127.0.0.1:1" in said
    assert "start it, or mend the address" in said


def test_unknown_host(broker, check, monkeypatch):
    import socket

    def no_such_host(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("driftd.commands.check.socket.getaddrinfo", no_such_host)
    hook = "{ops: {webhook: {url: 'https://nowhere.invalid/secret-path'}}}"
    code, said = check(f"kafka: {{bootstrap_servers: '{broker}'}}\nreceivers: {hook}\n")
    assert code == 1
    assert "/driftd.yaml:3: receivers.ops.webhook.url: the host nowhere.invalid is not known here; mend" in said
    assert "secret-path" not in said
    code, said = check(
        f"kafka: {{bootstrap_servers: '{broker}'}}\notlp: {{endpoint: 'https://otel.invalid/v1/metrics'}}\n"
    )
    assert code == 1
    assert "/driftd.yaml:3: otlp.endpoint: the host otel.invalid is not known here; mend" in said


def test_a_state_directory_that_cannot_be_made(broker, check, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    config = tmp_path / "other.yaml"
    config.write_text(f"kafka: {{bootstrap_servers: '{broker}'}}\nstate:\n  directory: deep/er\n")
    assert main(["check", "--config", str(config)]) == 0
    assert main(["check", "--connect", "--config", str(config)]) == 1


def test_faults_of_the_settings_go_first(broker, check):
    code, said = check(f"kafka: {{bootstrap_servers: '{broker}', start: now}}\n")
    assert code == 2
    assert "kafka.start" in said
