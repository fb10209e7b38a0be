"""Prediction events as Avro, framed for a registry."""

import io
import json
from decimal import Decimal
from typing import Any

import fastavro
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

AT = 1_795_428_000_123
FEATURES: dict[str, Any] = {"type": "record", "name": "Features", "fields": [
    {"name": "age", "type": ["null", "int"]},
    {"name": "plan", "type": {"type": "enum", "name": "Plan", "symbols": ["free", "pro"]}},
    {"name": "balance", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
]}  # fmt: skip
EVENT: dict[str, Any] = {"type": "record", "name": "Event", "namespace": "ml", "fields": [
    {"name": "model", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "features", "type": FEATURES},
    {"name": "prediction", "type": "double"},
]}  # fmt: skip


def register(client: SchemaRegistryClient, subject: str, schema: object, **more: Any) -> int:
    return client.register_schema(subject, Schema(json.dumps(schema), **{"schema_type": "AVRO", **more}))


def framed(number: int, data: bytes) -> bytes:
    return b"\0" + number.to_bytes(4) + data


def avro(number: int, schema: Any, value: object) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return framed(number, stream.getvalue())


def told(age: object = 41, **more: object) -> dict[str, Any]:
    features = {"age": age, "plan": "pro", "balance": Decimal("12.50")}
    return {"model": "churn", "version": "7", "time": AT * 1000, "features": features, "prediction": 0.5, **more}
