"""The settings as a whole. All durations are integers, milliseconds; all sizes are bytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from driftd.core import spec
from driftd.core.spec import DAY, HOUR, SECOND
from driftd.settings.delivery import Heartbeat, Route
from driftd.settings.kafka import Kafka, is_expression
from driftd.settings.models import expressions
from driftd.settings.monitoring import Model, Monitoring
from driftd.settings.otlp import Otlp
from driftd.settings.quantity import Size, Span, refuse, shortened
from driftd.settings.receivers import Receiver, Url
from driftd.settings.section import STRICT, FilePath, Many, Named, Section

_LIMITS = spec.Limits()
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):(\d{1,5})")

Positive = Annotated[int, Field(ge=1)]


def _listen(text: str) -> str:
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        refuse(f"{shortened(text)} is not an address to listen on", "write host:port, such as 127.0.0.1:9464")
    return text


class State(Section):
    """Where memory lies, how often it is made durable, how long closed panes are kept for `explain`.

    `outbox_limit`: deliveries that may wait, over all receivers; then reading is paused.
    """

    directory: FilePath = Path("/var/lib/driftd")
    commit_every: Span = 10 * SECOND
    keep_panes: Span = 14 * DAY
    outbox_limit: Positive = 10_000


class Http(Section):
    """`external_url`: where people reach these pages, for links in messages; None: no links."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:9464"
    external_url: Url | None = None

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


class Limits(Section):
    """Bounds on memory. What is over a bound is dropped and counted."""

    models: Positive = _LIMITS.models
    versions: Positive = _LIMITS.versions
    signals: Positive = _LIMITS.signals
    categories: Positive = _LIMITS.categories


class Settings(BaseSettings):
    """Everything that the files and the environment say. Made by `driftd.settings.load`, which merges them.

    The sources of pydantic-settings itself are off: they are silent on unknown variables and missing files, cannot
    reach the keys of maps, and do not know in which line a value stands.
    """

    model_config = cast("SettingsConfigDict", STRICT)

    kafka: Kafka = Kafka()
    state: State = State()
    http: Http = Http()
    deliver: Literal["all", "none"] = "all"
    notify_max_age: Span = HOUR
    heartbeat: Heartbeat = Heartbeat()
    otlp: Otlp = Otlp()
    learning_memory: Size = _LIMITS.learning_memory
    limits: Limits = Limits()
    monitoring: Monitoring = Monitoring()
    models: Named[Model] = {}
    unknown_models: Literal["watch", "ignore"] = "watch"
    receivers: Named[Receiver] = {}
    routes: Many[Route] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @property
    def shadow(self) -> bool:
        """Whether everything is recorded and nothing delivered: an instance beside the one that tells people."""
        return self.deliver == "none"

    def digest(self) -> str:
        """Names what the settings say, the secrets left out."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def spec(self) -> spec.Spec:
        """What the core needs to know of it."""
        limits = spec.Limits(**dict(self.limits), learning_memory=self.learning_memory)
        default = Model.model_construct(**dict(self.monitoring))
        among = expressions(self.models)
        named = {name: model.core(name) for name, model in self.models.items()}
        return spec.Spec(
            self.kafka.group_id,
            {name: model for name, model in named.items() if not is_expression(name)},
            default.core(""),
            limits,
            tuple((expression, named[expression.pattern]) for expression in among),
            ignore_unknown=self.unknown_models == "ignore",
        )
