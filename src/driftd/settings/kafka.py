"""The `kafka` section: the brokers, what is read from which topic, and how other formats are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from driftd.core.event import Kind
from driftd.settings.quantity import refuse, shortened
from driftd.settings.registry import SchemaRegistry
from driftd.settings.secret import Secret
from driftd.settings.section import Many, Named, Section, expression

OWNED = {
    "bootstrap.servers": "set kafka.bootstrap_servers",
    "metadata.broker.list": "set kafka.bootstrap_servers",
    "group.id": "set kafka.group_id",
    "auto.offset.reset": "set kafka.start",
    "group.instance.id": "remove it: driftd keeps one in its state directory",
    "enable.auto.commit": "remove it: offsets are committed after the state",
    "enable.auto.offset.store": "remove it: offsets are committed after the state",
    "partition.assignment.strategy": "remove it: driftd uses cooperative-sticky",
    "enable.partition.eof": "remove it: driftd looks for the ends of partitions",
}
"""librdkafka's settings that are driftd's own, and what to do instead."""
BROKERS_OWN = ("session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type")
"""Settings that `group.protocol: consumer` leaves to the broker: librdkafka refuses them."""
SECRET = re.compile(r"(password|secret|\.pem|jaas|basic\.auth|oauthbearer\.config)")
"""librdkafka's settings that are secrets, by their names."""

_SERVER = re.compile(r"(?:[A-Z_]+://)?(\[[0-9A-Fa-f:.%\w]+\]|[\w.-]+)(?::(\d{1,5}))?")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def is_expression(topic: str) -> bool:
    """Topics are named, or matched by a regular expression that begins with ^."""
    return topic.startswith("^")


def covers(pattern: str, topic: str) -> bool:
    """Whether a name or ^expression of the settings means this topic; of Kafka's own only one that begins with ^__."""
    if not is_expression(pattern):
        return pattern == topic
    return (pattern.startswith("^__") or not topic.startswith("__")) and re.search(pattern, topic) is not None


def _servers(text: str) -> str:
    for server in text.split(","):
        match = _SERVER.fullmatch(server.strip())
        if match is None or not 0 < int(match[2] or 9092) < 65536:
            refuse(f"{shortened(server)} is not an address", "write host:port, several with commas between them")
    return text


def _topic(text: str) -> str:
    if not _TOPIC.fullmatch(text) or text in (".", ".."):
        refuse(
            f"{shortened(text)} cannot be a topic",
            "write a topic's name (letters, digits, dots, _ and -)",
        )
    return text


def _pattern(text: str) -> str:
    if is_expression(text):
        expression(text)
        return text
    if not _TOPIC.fullmatch(text):
        refuse(
            f"{shortened(text)} cannot be a topic", "write a topic's name, or a regular expression that begins with ^"
        )
    return text


def _text(value: object) -> object:
    """As text: librdkafka takes all its settings as text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Topic = Annotated[str, AfterValidator(_topic)]
Pattern = Annotated[str, AfterValidator(_pattern)]
ClientValue = Annotated[str, BeforeValidator(_text)]


By = Literal["const", "path", "header", "topic"]
WAYS: tuple[By, ...] = ("const", "path", "header", "topic")


class Topics(Section):
    """The topics of each kind of event: names, or regular expressions that begin with ^."""

    predictions: Many[Pattern] = ("predictions",)
    features: Many[Pattern] = ("features",)
    labels: Many[Pattern] = ("labels",)

    def of(self, kind: Kind) -> tuple[str, ...]:
        return {"prediction": self.predictions, "features": self.features, "label": self.labels}[kind]

    def all(self) -> tuple[str, ...]:
        return (*self.predictions, *self.features, *self.labels)


class DeadLetters(Section):
    """Where records go that cannot be decoded. `topic` None: they are counted and dropped.

    `halt_share`: of a partition's last records; where more than that are refused, driftd halts. None: it never does.
    """

    topic: Topic | None = "driftd.dead-letters"
    payload: bool = True
    halt_share: Annotated[float, Field(gt=0, lt=1)] | None = 0.5


class Whence(Section):
    """Where a foreign record says something: always the same, at a path, in a header, in its topic's name.

    `topic` is a regular expression; its first group counts, or all that it matched.
    """

    const: str | None = None
    path: str | None = None
    header: str | None = None
    topic: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Whence:
        if len(self.model_fields_set) != 1 or None in (getattr(self, name) for name in self.model_fields_set):
            refuse("expected one of const, path, header, topic", "keep exactly one of them, such as {path: a.b}")
        if self.topic is not None:
            expression(self.topic)
        return self

    @property
    def said(self) -> tuple[By, str]:
        """The one that was given, and what it says."""
        for by in WAYS:
            what: str | None = getattr(self, by)
            if what is not None:
                return by, what
        raise AssertionError("validated: one is given")


FRAMED = ("avro", "json_schema")
"""Formats whose records name a schema of a registry."""


class At(Section):
    """Where a foreign record holds an object."""

    path: str


class TopicMapping(Section):
    """How the records of a topic are read that are not in the native format. None: where their format has it."""

    format: Literal["json", "cloudevents", "kserve", "avro", "json_schema"] = "json"
    model: Whence
    id: Whence | None = None
    version: Whence | None = None
    time: Whence | None = None
    prediction: Whence | None = None
    label: Whence | None = None
    kind: Whence | None = None
    features: At | None = None


class Kafka(Section):
    bootstrap_servers: Annotated[str, AfterValidator(_servers)] = "localhost:9092"
    group_id: Annotated[str, Field(min_length=1, max_length=249)] = "driftd"
    start: Literal["latest", "earliest"] = "latest"
    topics: Topics = Topics()
    dead_letters: DeadLetters = DeadLetters()
    client: Named[ClientValue] = Field(default={}, repr=False)
    secrets: Named[Secret] = Field(default={}, alias="secret_files")
    mapping: Named[TopicMapping] = Field(default={})
    schema_registry: SchemaRegistry | None = None

    def client_config(self) -> Mapping[str, str]:
        """What librdkafka is given, secrets included: never to be logged."""
        secrets = {name: secret.get_secret_value() for name, secret in self.secrets.items()}
        return {"bootstrap.servers": self.bootstrap_servers, **self.client, **secrets}
