"""Records that name schemas of a real registry: decoded like native ones, through outages, by whoever may ask."""

import base64
import contextlib
import json
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import SchemaReference
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from driftd.app import decoder_for, schemas_for
from driftd.core.event import Block, Mark, PartitionId
from driftd.core.fault import UserError
from driftd.kafka import schemas as schemas_module
from driftd.kafka.decode import Decoder
from driftd.kafka.mapping import Source, TopicFormat, TopicMapping
from driftd.kafka.registry import Registry, RegistryConfig
from driftd.kafka.schemas import Schemas
from driftd.settings.load import load
from tests.components import openssl
from tests.deliver.cases import certificate
from tests.docs import pages
from tests.kafka.framed_events import AT, EVENT, FEATURES, avro, framed, register, told
from tests.kafka.records import event, flat, run_of
from tests.registry import Gate

LOG = PartitionId("log", 0)
NATIVE = PartitionId("native", 0)
MODEL = Source("path", "model")


@pytest.fixture
def opened() -> Iterator[Callable[..., Schemas]]:
    """Schemas of a registry at a URL, closed at the end."""
    made: list[Schemas] = []

    def of(url: str, timeout_s: float = 5.0, **client: object) -> Schemas:
        made.append(Schemas(Registry(RegistryConfig((url,), timeout_s, client))))
        return made[-1]

    yield of
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What waits between questions waits not long."""
    monkeypatch.setattr(schemas_module, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(schemas_module, "LONGEST_WAIT_S", 0.05)


def decoder(schemas: Schemas, mapping: TopicMapping) -> Decoder:
    return Decoder(
        {"log": TopicFormat(("prediction",), mapping), "native": TopicFormat(("prediction",))}, schemas=schemas
    )


def decoded(schemas: Schemas, values: list[bytes | None], mapping: TopicMapping | None = None) -> Block:
    subject = decoder(schemas, mapping or TopicMapping(model=MODEL, format="avro"))
    run = run_of(values, LOG)
    subject.wait(run)
    return subject.decode(LOG, run)


def reasons(block: Block) -> list[str]:
    return [refusal.reason for refusal in block.malformed]


def test_what_confluents_serializer_writes_reads_like_native_events(registry, client, opened):
    write = AvroSerializer(client, json.dumps(EVENT))
    context = SerializationContext("log", MessageField.VALUE)
    values = [write(told(age), context) for age in (41, None, 43)]
    features = [{"age": age, "plan": "pro", "balance": 12.5} for age in (41, None, 43)]
    native = [event(features=one, time=AT, prediction=0.5) for one in features]
    schemas = opened(registry.url)
    found = decoded(schemas, values)
    assert found.malformed == ()
    expected = decoder(schemas, TopicMapping(model=MODEL)).decode(NATIVE, run_of(native, NATIVE))
    assert flat(found)["groups"] == flat(expected)["groups"]
    assert flat(decoded(opened(registry.url), values)) == flat(found), "whoever asks, the answer is the same"


def test_the_settings_of_the_docs_read_what_they_say(registry, client, tmp_path):
    text = pages.block("docs/events.md", "yaml", 3)
    assert "https://registry.example.com" in text
    config = tmp_path / "driftd.yaml"
    config.write_text(text.replace("https://registry.example.com", registry.url))
    (tmp_path / "registry-password").write_text("nobody asks for it here")
    settings = load(config, {})
    fields = [{"name": "release", "type": {"type": "record", "name": "Release", "fields": [{"name": "name", "type": "string"}]}},
              {"name": "inputs", "type": {"type": "map", "values": ["null", "int"]}},
              {"name": "model", "type": "string"}]  # fmt: skip
    schema = {"type": "record", "name": "Scored", "fields": fields}
    number = register(client, "scored-of-the-docs", schema)
    value = avro(number, schema, {"model": "churn", "release": {"name": "r7"}, "inputs": {"age": 41, "gone": None}})
    schemas = schemas_for(settings.kafka)
    assert schemas is not None
    subject = decoder_for(settings, schemas=schemas)
    run = run_of([value], PartitionId("scored", 0))
    subject.wait(run)
    (group,) = subject.decode(run.partition, run).groups
    schemas.close()
    assert (group.model, group.version) == ("churn", "r7")
    assert {name: list(column) for name, column in group.columns.items()}["age"] == [41]
    assert list(group.columns["gone"]) == [None]


def test_a_date_is_an_event_time_and_a_time_without_a_zone_is_none(registry, client, opened):
    days = (datetime.fromtimestamp(AT / 1000, UTC).date() - date(1970, 1, 1)).days
    for name, kind, logical, raw, refused in (
        ("day", "int", "date", days, []),
        ("local", "long", "local-timestamp-millis", AT, ["time"]),
    ):
        time_of = {"name": "time", "type": {"type": kind, "logicalType": logical}}
        schema = {"type": "record", "name": f"At_{name}", "fields": [EVENT["fields"][0], time_of]}
        number = register(client, f"at-{name}", schema)
        plain = {**schema, "fields": [EVENT["fields"][0], {"name": "time", "type": kind}]}
        found = decoded(opened(registry.url), [avro(number, plain, {"model": "churn", "time": raw})])
        assert reasons(found) == refused
        assert [group.time.tolist() for group in found.groups] == ([] if refused else [[days * 86_400_000]])


def test_json_behind_a_frame_reads_like_json(registry, client, opened):
    schema = json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", "title": "Event", "type": "object"})
    write = JSONSerializer(schema, client)
    native = json.loads(event(time=AT))
    values = [write(native, SerializationContext("log-json", MessageField.VALUE))]
    schemas = opened(registry.url)
    found = decoded(schemas, values, TopicMapping(model=MODEL, format="json_schema"))
    expected = decoder(schemas, TopicMapping(model=MODEL)).decode(NATIVE, run_of([event(time=AT)], NATIVE))
    assert flat(found)["groups"] == flat(expected)["groups"]
    number = int.from_bytes(values[0][1:5])
    bad = decoded(
        schemas, [framed(number, b"{"), framed(number, b"[]")], TopicMapping(model=MODEL, format="json_schema")
    )
    assert reasons(bad) == ["json", "not_object"]
    (other,) = decoded(schemas, values).malformed
    assert (other.reason, other.detail) == (
        "schema",
        f"schema {number} is json_schema, and the mapping's format is avro",
    )


def test_a_schema_that_grew_and_one_with_another_name_are_read_in_one_block(registry, client, opened):
    first = register(client, "evolving", EVENT)
    region = {"name": "region", "type": "string", "default": "eu"}
    renamed = {"name": "years", "aliases": ["age"], "type": ["null", "int"]}
    features = {**FEATURES, "fields": [renamed, *FEATURES["fields"][1:], region]}
    fields = [{**field, "type": features} if field["name"] == "features" else field for field in EVENT["fields"]]
    grown = {**EVENT, "fields": fields}
    second = register(client, "evolving-too", grown)
    assert first != second
    later = told()
    later["features"] = {"years": 43, "plan": "free", "balance": later["features"]["balance"], "region": "us"}
    found = decoded(opened(registry.url), [avro(first, EVENT, told()), avro(second, grown, later)])
    assert found.malformed == ()
    (group,) = found.groups
    columns = {name: list(column) for name, column in group.columns.items()}
    assert (columns["age"], columns["years"]) == ([41, Mark.ABSENT], [Mark.ABSENT, 43])
    assert (columns["plan"], columns["region"]) == (["pro", "free"], [Mark.ABSENT, "us"])


def test_a_schema_may_name_others_of_the_registry(registry, client, opened):
    plan = FEATURES["fields"][1]["type"]
    register(client, "ml.Plan", {**plan, "namespace": "ml"})
    features = {**FEATURES, "namespace": "ml", "fields": [FEATURES["fields"][0], {"name": "plan", "type": "ml.Plan"}]}
    register(client, "ml.Features", features, references=[SchemaReference("ml.Plan", "ml.Plan", 1)])
    model = {"name": "model", "type": "string"}
    outer = {**EVENT, "fields": [model, {"name": "features", "type": "ml.Features"}]}
    number = register(client, "naming", outer, references=[SchemaReference("ml.Features", "ml.Features", 1)])
    inner = {**features, "fields": [FEATURES["fields"][0], {"name": "plan", "type": plan}]}
    whole = {**EVENT, "fields": [model, {"name": "features", "type": inner}]}
    value = avro(number, whole, {"model": "churn", "features": {"age": 41, "plan": "pro"}})
    found = decoded(opened(registry.url), [value])
    assert found.malformed == ()
    assert {name: list(column) for name, column in found.groups[0].columns.items()}["plan"] == ["pro"]


def test_each_fault_of_a_record_has_a_reason_of_its_own(registry, client, opened):
    number = register(client, "faults", EVENT)
    good = avro(number, EVENT, told())
    text = register(client, "a-string", "string")
    values = [good, None, b"", b"{}", b"\0\0", framed(999_999, b""), good[:-1], good + b"x", avro(text, "string", "x")]
    found = decoded(opened(registry.url), values)
    assert reasons(found) == ["empty", "empty", "frame", "frame", "schema", "avro", "avro", "not_object"]
    assert [len(group.offset) for group in found.groups] == [1]
    assert found.malformed[4].detail == "the registry has no schema of its id"


def test_a_schema_is_asked_for_once_and_an_unknown_id_again_after_a_while(gate, client, opened, monkeypatch):
    number = register(client, "once", EVENT)
    good = avro(number, EVENT, told())
    schemas = opened(gate.url)
    for _ in range(3):
        decoded(schemas, [good, good, framed(999_998, b"")])
    beyond = decoded(schemas, [framed(2**32 - 1, b"")])
    assert reasons(beyond) == ["schema"], "no registry is asked for what none can have"
    assert sorted(gate.asked) == [f"/schemas/ids/{number}", "/schemas/ids/999998"]
    monkeypatch.setattr(schemas_module, "UNKNOWN_S", -1.0)
    other = opened(gate.url)
    other.wait([999_998, *range(990_000, 990_010)])  # each is out of date before the next is there
    until(lambda: gate.asked.count("/schemas/ids/999998") > 2, "it is asked for again", lambda: other.ready([999_998]))


def test_what_is_remembered_has_a_bound_and_holds_the_block_at_hand(registry, client, opened, monkeypatch):
    monkeypatch.setattr(schemas_module, "MOST_SCHEMAS", 2)
    numbers = [register(client, f"bound-{i}", {**EVENT, "name": f"Event{i}"}) for i in range(4)]
    schemas = opened(registry.url)
    schemas.wait(numbers)
    assert len(schemas._known) == 4
    schemas.wait(numbers[:1])
    assert (len(schemas._known), schemas.known(numbers[0]) is not None) == (2, True)


LOGINS: dict[str, tuple[str, dict[str, str]]] = {
    "basic": ("Basic " + base64.b64encode(b"me:pa:ss").decode(), {"username": "me", "password_file": "secret"}),
    "bearer": ("Bearer pa:ss", {"token_file": "secret", "logical_cluster": "lsrc-1"}),
}
"""What the registry demands, and settings that give it: the file holds `pa:ss`."""


def set_up(folder: Path, **said: str) -> Schemas:
    """As the settings say."""
    (folder / "secret").write_text("pa:ss\n")
    (folder / "driftd.yaml").write_text(json.dumps({"kafka": {"schema_registry": said}}))
    schemas = schemas_for(load(folder / "driftd.yaml", {}).kafka)
    assert schemas is not None
    return schemas


@pytest.mark.parametrize(("demands", "login"), LOGINS.values(), ids=LOGINS)
def test_who_shows_itself_is_let_in_and_who_does_not_waits(gate, client, opened, tmp_path, demands, login):
    number = register(client, "guarded", EVENT)
    gate.demands = demands
    with contextlib.closing(set_up(tmp_path, url=gate.url, **login)) as known:
        assert decoded(known, [avro(number, EVENT, told())]).malformed == ()
    stranger = opened(gate.url)
    with pytest.raises(UserError, match=r"does not know who asks \(401\); mend username and password_file"):
        decoded(stranger, [avro(number, EVENT, told())])
    assert stranger.state.problem.endswith("does not know who asks (401)")
    gate.demands = None
    until(lambda: stranger.ready([number]), "the schema")
    assert stranger.state.problem == ""


def problem_of(schemas: Schemas, number: int) -> str:
    """Why it gives no schema."""
    assert not schemas.ready([number])
    until(lambda: schemas.state.problem, "an answer that is none")
    return schemas.state.problem


def test_both_sides_show_certificates(registry, client, tmp_path):
    number = register(client, "sealed", EVENT)
    key, cert = certificate(tmp_path)
    locked = tmp_path / "locked.pem"
    lock = [openssl(), "ec", "-in", key, "-aes256", "-passout", "pass:pa:ss", "-out", locked]
    subprocess.run(lock, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cert)
    context.verify_mode = ssl.CERT_REQUIRED
    with contextlib.closing(Gate(registry.url, context)) as sealed:
        shown = {"certificate_file": "cert.pem", "key_file": "locked.pem", "key_password_file": "secret"}
        with contextlib.closing(set_up(tmp_path, url=sealed.url, ca_file="cert.pem", **shown)) as known:
            assert decoded(known, [avro(number, EVENT, told())]).malformed == ()
        for some in ({"ca_file": "cert.pem"}, shown):
            with contextlib.closing(set_up(tmp_path, url=sealed.url, **some)) as stranger:
                assert "does not answer: " in problem_of(stranger, number)
    with pytest.raises(UserError, match=r"kafka\.schema_registry: "):
        set_up(tmp_path, url="https://localhost", **{**shown, "key_password_file": "cert.pem"})


def until(holds: Callable[[], object], what: str, turn: Callable[[], object] = lambda: None) -> None:
    end = time.monotonic() + 20
    while not holds():
        turn()
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("failing", "fails: 503"),
        ("hanging", "does not answer: timed out"),
        ("page", "what answers at .* is no schema registry"),
    ],
)
def test_an_outage_holds_the_block_and_nothing_of_it_is_refused(gate, client, opened, mode, problem):
    number = register(client, "outage", EVENT)
    schemas = opened(gate.url, 0.3)
    subject = decoder(schemas, TopicMapping(model=MODEL, format="avro"))
    run = run_of([avro(number, EVENT, told())] * 3, LOG)
    gate.mode = mode
    assert not subject.ready(run)
    until(lambda: schemas.state.failures >= 2, "two failures")
    assert not subject.ready(run)
    assert re.search(problem, schemas.state.problem)
    gate.mode = "open"
    until(lambda: subject.ready(run), "the schema")
    assert (subject.decode(LOG, run).malformed, schemas.state.problem) == ((), "")


def test_nobody_there_is_no_answer(opened, monkeypatch):
    monkeypatch.setattr(schemas_module, "PATIENCE_S", 0.3)
    schemas = opened("http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"the schema registry at http://127.0.0.1:9 does not answer: .*refused"):
        schemas.wait([1])


def test_an_answer_that_does_not_come_is_told_before_the_time_is_out(gate, opened, monkeypatch):
    monkeypatch.setattr(schemas_module, "SLOW_S", 0.1)
    schemas = opened(gate.url, 60)
    gate.mode = "hanging"
    assert problem_of(schemas, 1) == f"the schema registry at {gate.url} has not answered yet"
    assert schemas.state.failures == 0


def test_closing_does_not_wait_for_an_answer(gate, opened):
    schemas = opened(gate.url, 60)
    gate.mode = "hanging"
    assert not schemas.ready([1])
    began = time.monotonic()
    schemas.close()
    assert time.monotonic() - began < 5, "it would have waited for 60 s"
