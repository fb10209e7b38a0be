"""What a schema registry is asked, and how its answers are told apart: a schema, none, or no answer that can be used.

Only what the registry itself says of an id is held against a record. Whatever else goes wrong passes: an outage, a wrong
password, a proxy's page of errors say nothing of records.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka.schema_registry import Schema as Registered
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from driftd.kafka.avro import Json, Unreadable, reader
from driftd.kafka.reasons import Reason, Refused
from driftd.kafka.strict import parse

NO_SUCH_SCHEMA: Final = 40403
GONE: Final = (40401, 40402, NO_SUCH_SCHEMA)
"""Codes of a subject, a version and a schema that are not there."""
MOST_REFERENCES: Final = 200
ANY_ID: Final = 2**31 - 1
"""The greatest, which hardly any registry has given yet: to be told that it is not there is an answer, too."""
FORMATS: Final[Mapping[str, str]] = {"AVRO": "avro", "JSON": "json_schema"}
"""What registries call what a mapping's `format` calls otherwise."""


class Unavailable(Exception):  # noqa: N818 - it passes
    """The registry does not say. `remedy`: what a person may do. `refused`: asking again will not help by itself."""

    def __init__(self, problem: str, remedy: str, *, refused: bool = False) -> None:
        super().__init__(problem)
        self.problem, self.remedy, self.refused = problem, remedy, refused


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """`urls`: of one registry. `client`: settings of the library's client, secrets among them."""

    urls: tuple[str, ...]
    timeout_s: float = 5.0
    client: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def where(self) -> str:
        return ", ".join(self.urls)


@dataclass(frozen=True, slots=True)
class Schema:
    """What an id stands for. `format`: of a mapping, or what the registry calls it. `document`: as JSON gives it.

    `references`: the documents that it names, by the name under which it does, those that need no other first.
    """

    number: int
    format: str
    document: Json
    references: Mapping[str, Json]
    read: Callable[[bytes], object]
    """What a record's data gives; raises Refused."""


class Registry:
    """Asks; remembers nothing. One thread at a time."""

    def __init__(self, config: RegistryConfig) -> None:
        self.config = config
        self._client = SchemaRegistryClient(
            {"url": ",".join(config.urls), "timeout": config.timeout_s, "max.retries": 0, **config.client}
        )

    def fetch(self, number: int) -> Schema | Refused:
        """The schema of an id, or why no record can be read by it. Raises Unavailable."""
        if number > ANY_ID:  # a registry that is asked for it may answer as if it were none
            return Refused(Reason.SCHEMA, "no registry gives such an id")
        try:
            try:
                found = self._client.get_schema(number)
            except SchemaRegistryError as fault:
                if fault.http_status_code == 404 and fault.error_code == NO_SUCH_SCHEMA:
                    return Refused(Reason.SCHEMA, "the registry has no schema of its id")
                raise
            return self._schema(number, found)
        except SchemaRegistryError as fault:
            raise self._told(fault) from fault
        except Unavailable:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as fault:  # of the library: an answer that is none
            raise self._no_registry() from fault
        except Exception as fault:  # of either of the HTTP clients that the library may use
            raise Unavailable(
                f"the schema registry at {self.config.where} does not answer: {str(fault) or type(fault).__name__}",
                "start it, or mend kafka.schema_registry",
            ) from fault
        finally:
            self._client.clear_caches()  # type: ignore[no-untyped-call]  # they have no bound, and what is needed is remembered elsewhere

    def subjects(self, number: int) -> list[str]:
        """Under which subjects a schema is registered; empty where the registry does not say."""
        try:
            return sorted(map(str, self._client.get_subjects_by_schema_id(number)))
        except Exception:  # noqa: BLE001 - it is only told, and older registries cannot say
            return []

    def close(self) -> None:
        self._client.close()

    def _schema(self, number: int, found: Registered) -> Schema | Refused:
        form = FORMATS.get(str(found.schema_type), str(found.schema_type).lower())
        if not isinstance(found.schema_str, str):
            raise self._no_registry()
        if form not in FORMATS.values():
            return Schema(number, form, None, {}, _never)
        try:
            document = json.loads(found.schema_str)
            references = self._references(found) if form == "avro" else {}
            return Schema(number, form, document, references, reader(document, references) if form == "avro" else parse)
        except (Unreadable, RecursionError, json.JSONDecodeError) as fault:
            return Refused(Reason.SCHEMA, f"schema {number} cannot be used: {str(fault)[:200]}")

    def _references(self, schema: Registered) -> dict[str, Json]:
        """What a schema names, and what that names, depth first: so each stands behind all that it needs."""
        documents: dict[str, Json] = {}
        under_way: set[tuple[str, int]] = set()

        def add(one: Registered) -> None:
            for reference in one.references or ():
                name, place = str(reference.name), (str(reference.subject), int(reference.version or 0))
                if name in documents:
                    continue
                if place in under_way or len(under_way) >= MOST_REFERENCES:
                    raise Unreadable(f"its references go in a circle, or are more than {MOST_REFERENCES}")
                under_way.add(place)
                try:
                    needed = self._client.get_version(*place, deleted=True).schema
                except SchemaRegistryError as fault:
                    if fault.http_status_code == 404 and fault.error_code in GONE:
                        raise Unreadable(f"version {place[1]} of {place[0]}, which it names, is gone") from fault
                    raise
                add(needed)
                documents[name] = json.loads(needed.schema_str or "")

        add(schema)
        return documents

    def _told(self, fault: SchemaRegistryError) -> Unavailable:
        status = fault.http_status_code
        if status in (401, 403):
            what = "does not know who asks (401)" if status == 401 else "lets it not be read (403)"
            remedy = "mend username and password_file, token_file or the certificate of kafka.schema_registry"
            return Unavailable(f"the schema registry at {self.config.where} {what}", remedy, refused=True)
        if status < 500 and status not in (408, 429):
            return self._no_registry(f" ({status})")
        return Unavailable(
            f"the schema registry at {self.config.where} fails: {status} {str(fault.error_message)[:200]}",
            "look at its log",
        )

    def _no_registry(self, status: str = "") -> Unavailable:
        return Unavailable(
            f"what answers at {self.config.where} is no schema registry{status}",
            "give the whole address, path included, such as http://apicurio:8080/apis/ccompat/v7",
            refused=True,
        )


def _never(_data: bytes) -> object:
    raise AssertionError("its format is asked for first")
