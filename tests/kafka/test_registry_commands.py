"""`driftd sniff`, `check` and `replay` of a topic whose records name schemas of a real registry."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Producer

from driftd.cli import main
from tests.kafka.framed_events import EVENT, FEATURES, avro, register, told
from tests.registry import Gate

Ran = tuple[int, str, str]


@pytest.fixture(scope="module")
def producer() -> Producer:
    return Producer({"bootstrap.servers": "-", "test.mock.num.brokers": 1, "log_level": 0})


@pytest.fixture
def brokers(producer) -> str:
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    return f"{broker.host}:{broker.port}"


@pytest.fixture
def topic_of(producer) -> Callable[[list[bytes]], str]:
    def write(values: list[bytes]) -> str:
        topic = f"t-{uuid.uuid4().hex[:8]}"
        for value in values:
            producer.produce(topic, value, partition=0)
        assert producer.flush(10) == 0
        return topic

    return write


@pytest.fixture
def run(capsys) -> Callable[..., Ran]:
    def driftd(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return driftd


@pytest.fixture
def scored(client, topic_of) -> str:
    """A topic of 20 events of the model churn."""
    number = register(client, "scored-value", EVENT)
    topic: str = topic_of([avro(number, EVENT, told(20 + i)) for i in range(20)])
    return topic


def test_sniff_tells_the_schema_and_drafts_what_check_accepts_and_replay_reads(
    registry, brokers, scored, run, tmp_path
):
    code, out, _ = run("sniff", "--brokers", brokers, "--schema-registry", registry.url, scored)
    assert code == 0
    assert "formats: avro 20 (100.0%)" in out
    assert ": avro ml.Event (subjects: " in out
    assert "scored-value" in out
    rows = {line.split()[0]: line for line in out.splitlines() if "schema: " in line}
    assert rows["time"].endswith("integer (a time in ms)  schema: timestamp-micros")
    assert rows["features.age"].endswith("integer  schema: null or int")
    assert rows["features.balance"].endswith("number  schema: decimal(9, 2)")
    assert rows["features.plan"].endswith("string  schema: enum")

    code, out, _ = run("sniff", "--brokers", brokers, "--schema-registry", registry.url, "--output", "yaml", scored)
    drafted = yaml.safe_load(out)
    assert out.startswith("# 20 of 20 records of the sample would be counted\n")
    assert drafted["kafka"]["mapping"] == {scored: {"format": "avro", "model": {"path": "model"}}}
    assert drafted["kafka"]["schema_registry"] == {"url": registry.url}
    assert drafted["models"] == {"churn": {}}
    config = tmp_path / "driftd.yaml"
    config.write_text(out + f"state: {{directory: {tmp_path}}}\n")
    assert run("check", "--config", config)[0] == 0
    assert run("check", "--connect", "--config", config)[0] == 0
    code, _, err = run("replay", "--config", config, f"kafka:{scored}")
    assert (code, "could not be counted" in err) == (0, False)


def test_sniff_takes_the_registry_of_the_settings_and_drafts_it_by_its_files(gate, brokers, scored, run, tmp_path):
    gate.demands = "Basic bWU6c2VjcmV0LXBhc3M="
    (tmp_path / "password").write_text("secret-pass\n")
    config = tmp_path / "driftd.yaml"
    said = {"url": gate.url, "username": "me", "password_file": "password"}
    config.write_text(json.dumps({"kafka": {"bootstrap_servers": brokers, "schema_registry": said}}))
    code, out, _ = run("sniff", "--config", config, "--output", "json", scored)
    assert code == 0
    found = json.loads(out)
    assert found["draft"]["kafka"]["schema_registry"] == {**said, "password_file": str(tmp_path / "password")}
    assert found["counted"] == 20
    (schema,) = found["schemas"]
    assert (schema["format"], schema["name"], schema["records"]) == ("avro", "ml.Event", 20)
    assert "secret-pass" not in out


def test_sniff_knows_json_behind_a_frame(client, registry, brokers, topic_of, run):
    properties = {"model": {"type": "string"}, "score": {"type": ["number", "null"]},
                  "at": {"type": "string", "format": "date-time"}}  # fmt: skip
    schema = {"title": "Scored", "type": "object", "properties": properties}
    number = register(client, f"json-{uuid.uuid4()}", schema, schema_type="JSON")
    event = {"model": "fraud", "score": 0.5, "at": "2026-11-24T10:00:00Z", "age": 41}
    topic = topic_of([b"\0" + number.to_bytes(4) + json.dumps(event).encode()] * 3)
    code, out, _ = run("sniff", "--brokers", brokers, "--schema-registry", registry.url, topic)
    assert code == 0
    assert f"schema {number}: json_schema Scored" in out
    assert "schema: number or null" in out
    assert "schema: string (date-time)" in out
    mapping = yaml.safe_load(out.partition("---\n")[2])["kafka"]["mapping"][topic]
    assert mapping == {"format": "json_schema", "model": {"path": "model"}, "time": {"path": "at"},
                       "prediction": {"path": "score"}, "features": {"path": "."}}  # fmt: skip


def test_sniff_says_what_is_framed_and_cannot_be_read(registry, brokers, scored, topic_of, run):
    code, _, err = run("sniff", "--brokers", brokers, scored)
    assert code == 1
    assert "it looks framed for a schema registry (magic byte 0, schema id" in err
    assert "set kafka.schema_registry: {url: ...}, or give --schema-registry URL" in err
    strange = topic_of([b"\0\0\0\xff\xffabc"] * 3)
    code, _, err = run("sniff", "--brokers", brokers, "--schema-registry", registry.url, strange)
    assert code == 1
    assert "can be read: schema: the registry has no schema of its id; register the schema" in err
    code, _, err = run("sniff", "--brokers", brokers, "--schema-registry", "registry:8081", scored)
    assert (code, "--schema-registry: " in err, "write the whole address" in err) == (2, True, True)


def test_sniff_tells_what_holds_bytes(client, registry, brokers, topic_of, run):
    features = {**FEATURES, "fields": [*FEATURES["fields"], {"name": "picture", "type": "bytes"}]}
    fields = [{**field, "type": features} if field["name"] == "features" else field for field in EVENT["fields"]]
    schema = {**EVENT, "name": "Pictured", "fields": fields}
    number = register(client, f"bytes-{uuid.uuid4()}", schema)
    value = told()
    value["features"]["picture"] = b"\x89PNG"
    topic = topic_of([avro(number, schema, value)] * 3)
    _, out, _ = run("sniff", "--brokers", brokers, "--schema-registry", registry.url, topic)
    assert "# of the features features.picture are objects, arrays or bytes, which are errors of these" in out


@pytest.mark.parametrize(
    ("mode", "demands", "problem"),
    [
        ("failing", None, "fails: 503"),
        ("page", None, "is no schema registry; give the whole address, path included"),
        ("open", "Bearer x", "does not know who asks (401); mend username and password_file, token_file"),
    ],
)
def test_check_asks_the_registry_and_says_what_is_wrong(
    gate: Gate, brokers, topic_of, run, tmp_path, mode, demands, problem
):
    gate.mode, gate.demands = mode, demands
    config = written(tmp_path, topic_of([b"x"]), brokers, {"url": gate.url})
    assert run("check", "--config", config)[0] == 0
    code, _, err = run("check", "--connect", "--config", config)
    assert code == 1
    assert "kafka.schema_registry.url: " in err
    assert problem in err


def test_check_finds_nobody_and_no_path(registry, brokers, topic_of, run, tmp_path):
    topic = topic_of([b"x"])
    config = written(tmp_path, topic, brokers, {"url": "http://127.0.0.1:9"})
    assert (
        "the schema registry at http://127.0.0.1:9 does not answer: "
        in run("check", "--connect", "--config", config)[2]
    )
    config = written(tmp_path, topic, brokers, {"url": registry.url.removesuffix("/apis/ccompat/v7")})
    assert "is no schema registry (404); give the whole address" in run("check", "--connect", "--config", config)[2]


def written(folder: Path, topic: str, brokers: str, registry: dict[str, str]) -> Path:
    """Settings for this topic as Avro."""
    config = folder / "driftd.yaml"
    kafka = {"bootstrap_servers": brokers, "topics": {"predictions": [topic], "features": [], "labels": []},
             "dead_letters": {"topic": None}, "mapping": {topic: {"format": "avro", "model": {"const": "m"}}},
             "schema_registry": registry}  # fmt: skip
    config.write_text(json.dumps({"kafka": kafka, "state": {"directory": str(folder)}}))
    return config
