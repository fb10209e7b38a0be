"""What a schema says of the fields of its records, for eyes: by path, a type in words. Never needed to read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fastavro

from driftd.kafka.avro import Json
from driftd.kafka.registry import Schema

_DEEP = 8


def name_of(schema: Schema) -> str:
    """What its author called it; empty where it says nothing."""
    document = schema.document
    if not isinstance(document, dict):
        return ""
    if schema.format != "avro":
        return str(document.get("title", ""))
    name, space = str(document.get("name", "")), document.get("namespace")
    return name if "." in name or not space else f"{space}.{name}"


def fields_of(schema: Schema) -> dict[str, str]:
    """Types by path, as a mapping writes it."""
    found: dict[str, str] = {}
    if schema.format == "json_schema":
        _properties(schema.document, "", 0, found)
        return found
    named: dict[str, Any] = {}
    try:
        for document in schema.references.values():
            fastavro.parse_schema(document, named_schemas=named, _ignore_default_error=True)
        parsed = fastavro.parse_schema(schema.document, named_schemas=named, _ignore_default_error=True)
    except Exception:  # noqa: BLE001 - it can be read all the same
        return found
    _avro(parsed, named, "", 0, found)
    return found


def _avro(schema: Json, named: Mapping[str, Json], path: str, depth: int, found: dict[str, str]) -> None:
    if path:
        found[path] = _words(schema, named)
    for branch in schema if isinstance(schema, list) else [schema]:
        whole = named.get(branch) if isinstance(branch, str) else branch
        if depth < _DEEP and isinstance(whole, dict):
            for field in whole.get("fields", ()):
                _avro(field["type"], named, f"{path}.{field['name']}" if path else field["name"], depth + 1, found)


def _words(schema: Json, named: Mapping[str, Json]) -> str:
    if isinstance(schema, list):
        return " or ".join(_words(branch, named) for branch in schema)
    if isinstance(schema, str):
        return str(named[schema]["type"]) if schema in named else schema
    logical = schema.get("logicalType")
    if logical == "decimal":
        return f"decimal({schema.get('precision')}, {schema.get('scale', 0)})"
    if schema["type"] in ("array", "map"):
        return f"{schema['type']} of {_words(schema.get('items', schema.get('values')), named)}"
    return str(logical or schema["type"])


def _properties(schema: Json, path: str, depth: int, found: dict[str, str]) -> None:
    if not isinstance(schema, dict):
        return
    if path:
        kinds = schema.get("type", "anything")
        text = " or ".join(map(str, kinds)) if isinstance(kinds, list) else str(kinds)
        found[path] = f"{text} ({schema['format']})" if "format" in schema else text
    properties = schema.get("properties")
    if depth < _DEEP and isinstance(properties, dict):
        for name, inner in properties.items():
            _properties(inner, f"{path}.{name}" if path else name, depth + 1, found)
