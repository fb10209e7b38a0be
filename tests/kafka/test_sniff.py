"""`driftd sniff` on topics of librdkafka's own mock of a broker: its drafts are accepted, and read the topic."""

import json
import shlex
import uuid

import pytest
import yaml
from confluent_kafka import Producer

from driftd.cli import main

AT = 1_795_428_000_000
PLAIN = [
    {
        "meta": {"model": "churn", "release": "7", "at": AT + i},
        "request": {"id": f"r{i}", "inputs": {"age": 20 + i, "secret": f"card-{i}"}},
        "out": {"score": i / 100},
    }
    for i in range(50)
]
NATIVE = [{"model": "m", "time": AT + i, "features": {"a": i}, "prediction": 0.5} for i in range(20)]


def cloud(i: int, data: object, **more: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    told = {"specversion": "1.0", "id": f"e{i}", "source": "/s", "type": "t", "time": "2026-11-23T10:00:00Z", **more}
    return json.dumps(data).encode(), [(f"ce_{name}", text.encode()) for name, text in told.items()]


def tensor(name: str, values: list[float]) -> dict[str, object]:
    return {"name": name, "shape": [len(values)], "datatype": "FP64", "data": values}


CLOUD = [cloud(i, {"model": "churn", "score": 0.5, "features": {"age": i}}) for i in range(20)]
KSERVE = [
    cloud(i, body, inferenceservicename="fraud")
    for i in range(10)
    for body in ({"inputs": [tensor("age", [1, 2])]}, {"outputs": [tensor("p", [0.1, 0.9])], "model_version": "3"})
]


@pytest.fixture(scope="module")
def producer():
    return Producer({"bootstrap.servers": "-", "test.mock.num.brokers": 1, "log_level": 0})


@pytest.fixture
def sniff(producer, capsys):
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    brokers = f"{broker.host}:{broker.port}"

    def run(records, *options, topic=None):
        topic = topic or f"t-{uuid.uuid4().hex[:8]}"
        for record in records:
            value, headers = record if isinstance(record, tuple) else (record, None)
            value = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            producer.produce(topic, value, headers=headers, partition=0)
        assert producer.flush(10) == 0
        capsys.readouterr()
        code = main(["sniff", "--brokers", brokers, *options, topic])
        return (code, *capsys.readouterr(), topic)

    return run


@pytest.mark.parametrize(
    ("records", "mapping", "models"),
    [
        (NATIVE, None, {"m"}),
        (PLAIN, {"model": {"path": "meta.model"}, "version": {"path": "meta.release"}, "time": {"path": "meta.at"},
                 "id": {"path": "request.id"}, "prediction": {"path": "out.score"},
                 "features": {"path": "request.inputs"}}, {"churn"}),
        (CLOUD, {"format": "cloudevents", "model": {"path": "data.model"}, "prediction": {"path": "data.score"}},
         {"churn"}),
        (KSERVE, {"format": "kserve", "model": {"path": "inferenceservicename"},
                  "prediction": {"path": "data.outputs.p"}}, {"fraud"}),
    ],
    ids=["native", "plain", "cloudevents", "kserve"],
)  # fmt: skip
def test_a_draft_is_accepted_by_check_and_counts_every_record(sniff, tmp_path, capsys, records, mapping, models):
    code, out, _, topic = sniff(records, "--output", "yaml")
    assert code == 0
    drafted = yaml.safe_load(out)
    assert drafted["kafka"].get("mapping", {}).get(topic) == mapping
    assert set(drafted["models"]) == models
    assert out.startswith(f"# {len(records)} of {len(records)} records of the sample would be counted\n")
    config = tmp_path / "driftd.yaml"
    config.write_text(out + f"state: {{directory: {tmp_path}}}\n")
    assert main(["check", "--config", str(config)]) == 0
    capsys.readouterr()
    assert main(["replay", "--config", str(config), f"kafka:{topic}"]) == 0, capsys.readouterr()
    assert "could not be counted" not in capsys.readouterr().err


def test_what_is_shown_as_the_command_gives_the_draft_that_is_shown(sniff, tmp_path, capsys):
    _, out, _, topic = sniff(PLAIN, "--from", "earliest")
    shown, _, drafted = out.partition("\n---\n")
    command = shown.rpartition("draft (")[2].removesuffix(" > driftd.yaml):")
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out == drafted
    assert yaml.safe_load(drafted)["kafka"]["start"] == "earliest"
    config = tmp_path / "mine.yaml"
    config.write_text(drafted)
    assert main(["sniff", "--config", str(config), "--records", "9", "--model", "a b", topic]) == 0
    # Never into the file that the brokers are read from: the shell would have emptied it.
    words = f"sniff --config {config} --model 'a b' --records 9 --output yaml {topic} > draft.yaml"
    assert f"draft (driftd {words}):" in capsys.readouterr().out


def test_remarks_are_of_what_is_missing_or_in_doubt_alone(sniff):
    bare = [{"model": "m", "features": {"a": i}} for i in range(20)]
    assert "# no field is taken as time: the Kafka timestamp is taken\n" in sniff(bare)[1]
    assert "# no field" not in sniff(PLAIN)[1]
    assert "might also" not in sniff(PLAIN)[1]
    assert "might also" not in sniff(CLOUD)[1]
    doubtful = [{**one, "payload": {"a": 1, "b": 2}} for one in PLAIN]
    assert "# features are taken from request.inputs; they might also be in payload\n" in sniff(doubtful)[1]


def test_requests_and_responses_are_listed_under_both_kinds(sniff):
    _, out, _, topic = sniff(KSERVE, "--output", "json")
    told = json.loads(out)
    assert told["pairs"] == 10
    assert told["rows"] == 40
    assert told["draft"]["kafka"]["topics"] == {"predictions": [topic], "features": [topic], "labels": []}
    assert told["draft"]["monitoring"] == {"features_from": "features"}


def test_values_are_shown_on_request_alone(sniff):
    code, out, _, topic = sniff(PLAIN)
    assert (code, "card-" in out) == (0, False)
    assert "request.inputs.secret" in out
    assert "card-" in sniff([], "--values", topic=topic)[1]


def test_what_is_not_understood_is_counted_with_a_remedy(sniff):
    code, out, _, _ = sniff([*PLAIN, b"{", None, b"\0\0\0\0\x07abc"])
    assert code == 0
    assert "formats: json 50 (94.3%)" in out
    assert "not understood: 1 records: it looks framed for a schema registry (magic byte 0, schema id 7)" in out
    assert "# 50 of 53 records of the sample would be counted" in out


def test_a_sample_is_bounded_and_taken_from_the_end_or_the_beginning(sniff):
    _, out, _, topic = sniff(PLAIN, "--records", "5", "--output", "json", "--values")
    told = json.loads(out)
    first = next(f for f in told["fields"] if f["path"] == "request.id")["examples"]
    assert (told["records"], told["there"], first) == (5, 50, ["r45", "r46", "r47"])
    _, out, _, _ = sniff([], "--records", "5", "--output", "json", "--values", "--from", "earliest", topic=topic)
    assert next(f for f in json.loads(out)["fields"] if f["path"] == "request.id")["examples"] == ["r0", "r1", "r2"]


def test_a_topic_that_cannot_be_read_says_why_and_what_to_do(sniff):
    code, _, err, _ = sniff([b"\0\0\0\0\x07abc"] * 3)
    assert code == 1
    assert "can be read: it looks framed for a schema registry (magic byte 0, schema id 7); set kafka.schema_reg" in err


def test_no_such_topic_and_no_broker(sniff, capsys, monkeypatch):
    *_, topic = sniff(NATIVE)
    code, _, err, _ = sniff([], topic=f"{topic}x")
    assert code == 1
    assert f"there is no topic {topic}x on the broker; did you mean {topic}" in err
    monkeypatch.setattr("driftd.kafka.sample.TIMEOUT_S", 0.5)
    assert main(["sniff", "--brokers", "127.0.0.1:1", "t"]) == 1
    assert "the brokers at 127.0.0.1:1 do not answer" in capsys.readouterr().err


def test_hostile_names_are_only_text(sniff):
    record = {"model": "a\x1b[31m\nb", "features": {"\x1b]0;x\x07<script>": 1}, "prediction": 1}
    code, out, _, _ = sniff([record] * 3)
    assert code == 0
    assert "\x1b" not in out
    assert "\x07" not in out
