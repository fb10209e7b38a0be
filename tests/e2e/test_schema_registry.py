"""Avro through the real daemon, broker and registry: the registry goes, and comes back; some records never had a schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.e2e.daemon import Daemon, driftd, letters, produce, read_up, running, settings, wait_for, when
from tests.kafka_fixture import Kafka
from tests.registry import LocalRegistry

START = 1_700_000_000_000
BLOCK = 64
"""Records that span 5 s are read in blocks of so many."""
AWAY_S = 2
"""The session of a member, and how long it may do without polling."""

FIELDS: list[dict[str, Any]] = [
    {"name": "model", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "prediction", "type": "double"},
]


def schema(*features: str) -> str:
    fields = [{"name": name, "type": ["null", "double"], "default": None} for name in features]
    inner = {"name": "features", "type": {"type": "record", "name": "Features", "fields": fields}}
    return json.dumps({"type": "record", "name": "Event", "fields": [*FIELDS, inner]})


def written(client: SchemaRegistryClient, subject: str, first: int, *features: str) -> Iterator[tuple[int, int, bytes]]:
    """Two blocks for each of two partitions, one record a second from `first` on."""
    write = AvroSerializer(client, schema(*features))
    for i in range(2 * BLOCK):
        for partition in range(2):
            at = START + 1000 * (first + i)
            body = {"model": "m", "version": "1", "time": at, "prediction": 0.5}
            value = write(
                {**body, "features": {name: float(i) for name in features}},
                SerializationContext(subject, MessageField.VALUE),
            )
            yield partition, at, value


def test_an_outage_of_the_registry_costs_lag_and_nothing_else(
    real_kafka: Kafka, registry: LocalRegistry, topic: Callable[..., str], tmp_path: Path
) -> None:
    name, dead = topic(partitions=2), topic(partitions=1)
    said = settings(real_kafka.bootstrap_servers, tmp_path, name)
    said["state"]["commit_every"] = "200ms"
    said["kafka"] |= {
        "dead_letters": {"topic": dead},
        "client": {
            "session.timeout.ms": str(1000 * AWAY_S),
            "max.poll.interval.ms": str(1000 * AWAY_S),
            "heartbeat.interval.ms": "300",
        },
        "mapping": {name: {"format": "avro", "model": {"path": "model"}}},
        "schema_registry": {"url": registry.url},
    }
    daemon = Daemon(tmp_path, said)
    client = SchemaRegistryClient({"url": registry.url})
    before = list(written(client, name, 0, "x"))
    after = [*written(client, name, 2 * BLOCK, "x", "y"), *written(client, name, 4 * BLOCK, "x")]
    n = len(before)
    produce(real_kafka.bootstrap_servers, name, before)
    with running(daemon):
        wait_for("what has a schema", lambda: read_up(daemon, n))
        registry.stop()
        try:
            produce(real_kafka.bootstrap_servers, name, after)
            first = when(daemon, "the outage", lambda now: now["driftd_schema_registry_failures_total"] >= 2)
            # The loop turns on for longer than a consumer that does not poll stays in the group.
            until = first["driftd_heartbeat_timestamp_seconds"] + 2.5 * AWAY_S
            still = when(daemon, "the loop to turn", lambda now: now["driftd_heartbeat_timestamp_seconds"] > until)
            assert (still["driftd_schema_registry_up"], still["driftd_schema_registry_waiting"]) == (0, 1)
            assert (still["driftd_partition_paused"], still["driftd_ready"]) == (2, 0)
            assert still["driftd_records_total"] == n
            # The brokers were asked where it ends after it was written.
            wait_for("the lag", lambda: daemon.metric("driftd_lag_records") == len(after))
            (why,) = daemon.get("/readyz")["reasons"]
            assert why.startswith(f"the schema registry at {registry.url} does not answer: ")
            assert daemon.stop() == 0, "told to end while it waits, it ends"
            daemon.start()
            when(daemon, "the outage again", lambda now: now["driftd_schema_registry_waiting"] == 1)
        finally:
            registry.start()
        wait_for("all", lambda: read_up(daemon, n + len(after)))
        end = when(daemon, "readiness", lambda now: now["driftd_ready"] == 1)
        assert (end["driftd_schema_registry_up"], end["driftd_schema_registry_waiting"]) == (1, 0)
        assert end["driftd_events_total"] == n + len(after)
        for nothing in ("dead_letters_total", "refused_records_total", "late_events_total", "partition_paused"):
            assert end[f"driftd_{nothing}"] == 0, nothing

        bad = b"\0" + (999_999).to_bytes(4) + b"?"
        good = [(0, at + 10_000_000, value) for partition, at, value in before if partition == 0][: BLOCK - 1]
        produce(real_kafka.bootstrap_servers, name, [(0, START + 10_000_000, bad), *good])
        end = when(daemon, "the dead letter", lambda now: now["driftd_dead_letters_total"] == 1)
        (letter,) = letters(real_kafka, dead, bool)
        assert (letter[0], letter[3:]) == (name, ("schema", bad))
        assert end["driftd_refused_records_total"] == 1
    replayed = driftd("replay", "--config", daemon.config, f"kafka:{name}")
    assert replayed.returncode == 0, replayed.stderr
    assert f"1 of {n + len(after) + BLOCK} records could not be counted: schema 1; schema: register" in replayed.stderr
