"""The one place where everything is built and wired. What was built first is closed last."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import KafkaError, KafkaException

import driftd
from driftd.core.baseline import GivenReference
from driftd.core.engine import Engine
from driftd.core.event import KINDS, Discovered, Kind
from driftd.core.fault import UserError
from driftd.core.spec import SECOND, ReferenceFiles, Spec
from driftd.core.view import Pushes
from driftd.files import reference_file
from driftd.http.acts import Acting, Links
from driftd.http.collector import Exposition, ViewCollector
from driftd.http.published import Published
from driftd.http.server import HttpServer
from driftd.kafka.dead_letters import DeadLetters, PoisonGuard
from driftd.kafka.decode import Decoder
from driftd.kafka.mapping import FIELDS, TopicFormat, TopicMapping, kinds_of, topic_formats
from driftd.kafka.mapping import Source as Found
from driftd.kafka.source import Source, SourceConfig, load_or_create_instance_id
from driftd.loop import Loop, Pace
from driftd.outlet import Metrics, Outlet
from driftd.settings.kafka import Kafka, Whence
from driftd.settings.kafka import TopicMapping as SettingsMapping
from driftd.settings.quantity import duration_s
from driftd.settings.registry import SchemaRegistry
from driftd.settings.schema import Settings
from driftd.store import link_key
from driftd.store.commit import Commit
from driftd.store.reader import Reader
from driftd.store.store import Store
from driftd.verbs import Verbs

if TYPE_CHECKING:
    from driftd.kafka.registry import Registry
    from driftd.kafka.schemas import Schemas

_log = structlog.get_logger(__name__)

FIXED: Final = ("kafka", "state", "http", "deliver")
"""Sections of the settings that only a restart takes over."""


def references(spec: Spec) -> dict[str, dict[str, GivenReference]]:
    """The reference files that the settings name, by `Spec.key_of` and version ("" the model's own). Raises
    UserError.
    """
    out: dict[str, dict[str, GivenReference]] = {}
    read: dict[str, GivenReference] = {}
    """By path: an expression's file is that of every model it matches."""
    for name, model in sorted(spec.named().items()):
        if not isinstance(model.reference, ReferenceFiles):
            continue
        files = dict(model.reference.versions)
        if model.reference.file is not None:
            files[""] = model.reference.file
        for version, path in sorted(files.items()):
            if path not in read:
                header, reference = reference_file.read(Path(path))
                read[path] = GivenReference(header.version, reference)
            out.setdefault(name, {})[version] = read[path]
        grids = {given.reference.grid.hash for given in out.get(name, {}).values()}
        if len(grids) > 1:
            raise UserError(
                f"{f'model {name}' if name else 'monitoring'}: the reference files are not on one grid",
                "build the later ones with `driftd reference build --grid FIRST.json`",
            )
    return out


class Daemon:
    """`run` is the whole of its life. Building it raises UserError for what a person must put right."""

    def __init__(
        self, settings: Settings, *, quiet_s: float = 5.0, reread: Callable[[], Settings] | None = None
    ) -> None:
        """`reread` gives the settings as they are now, for `reload`; None: they never change."""
        self.settings = settings
        self._reread = reread
        self._reloading = threading.Lock()
        self._loop: Loop | None = None
        self._outlet: Outlet | None = None
        self.published = Published()
        self.http_port = 0
        self._quiet_s = quiet_s
        self._spec = settings.spec()
        self._given = references(self._spec)

    def run(self, stop: threading.Event) -> None:
        """The polling loop, in the calling thread, until `stop` is set. What was read by then is committed."""
        with contextlib.ExitStack() as stack:
            try:
                self._run(stop, stack)
            except KafkaException as fault:
                raise refused_by_kafka(fault) from fault

    def _run(self, stop: threading.Event, stack: contextlib.ExitStack) -> None:
        settings = self.settings
        directory = settings.state.directory
        store = Store.open(directory, group=settings.kafka.group_id)
        stack.callback(store.close)
        server = HttpServer(
            settings.http.listen,
            self.published,
            lambda: Reader.open_read_only(directory),
            reload=self.reload,
            acting=Acting(Verbs(lambda: self.settings, "api"), duration_s, self._links()),
        )
        try:
            server.start()
        except OSError as error:
            raise UserError(
                f"cannot listen on {settings.http.listen}: {error}", "set http.listen", exit_code=1
            ) from error
        stack.callback(server.stop)
        self.http_port = server.port
        rows = store.load_rows()
        engine = Engine(self._spec, self._given)
        engine.restore(rows)
        outlet = self._outlet = Outlet(directory, settings, lambda: self.published.runtime, self._metrics(directory))
        stack.callback(outlet.close)
        dead_letters = DeadLetters(
            settings.kafka.client_config(),
            settings.kafka.dead_letters.topic,
            payload=settings.kafka.dead_letters.payload,
        )
        stack.callback(dead_letters.close)
        schemas = schemas_for(settings.kafka)
        if schemas is not None:
            stack.callback(schemas.close)
        loop = self._loop = Loop(
            source=self._source(store, engine, rows),
            decoder=decoder_for(settings, schemas=schemas),
            opening=_changed_kinds(engine, {kind: settings.kafka.topics.of(kind) for kind in KINDS}),
            engine=engine,
            store=store,
            dead_letters=dead_letters,
            published=self.published,
            receivers_for=outlet.receivers_for,
            wake=outlet.wake,
            receiver_views=outlet.views,
            outbox_full=lambda: outlet.full(settings.state.outbox_limit),
            guard=PoisonGuard(settings.kafka.dead_letters.halt_share),
            pace=_pace(settings, self._spec),
            shadow=settings.shadow,
        )
        outlet.start()
        _log.info("started", group=settings.kafka.group_id, http=server.port, models=len(engine.monitors))
        if settings.shadow:
            _log.warning("shadow", group=settings.kafka.group_id, deliver=settings.deliver)
        _spare_the_collector()
        loop.run(stop)
        _log.info("stopped")

    def _metrics(self, directory: Path) -> Metrics:
        """What /metrics shows, for who pushes it."""
        published = self.published

        def tell(pushes: Pushes | None) -> None:
            published.pushes = pushes

        resource = {
            "service.name": "driftd",
            "service.instance.id": load_or_create_instance_id(directory),
            "service.version": driftd.__version__,
        }
        exposition = Exposition(ViewCollector(published))
        return Metrics(exposition.families, resource, time.time(), lambda: published.pushes, tell)

    def _links(self) -> Links | None:
        """Where people cannot reach the pages there are none."""
        if self.settings.http.external_url is None:
            return None
        return Links(link_key.load_or_create(self.settings.state.directory), Verbs(lambda: self.settings, "link"))

    def reload(self) -> None:
        """Take over what the settings say now, between two commits. From any thread but the loop's.

        Raises UserError: then nothing has changed. Returns when it has taken effect.
        """
        loop, outlet = self._loop, self._outlet
        if self._reread is None or loop is None or outlet is None:
            raise UserError("the settings of this process are fixed", "restart it")
        with self._reloading:
            try:
                settings = self._reread()
                _same_process(self.settings, settings)
                spec = settings.spec()
                engine = Engine(spec, references(spec))
                fittings = outlet.fittings(settings)

                def take_over() -> Callable[[], None]:
                    loop.adopt(engine, _pace(settings, spec), settings.digest())
                    self.settings = settings
                    return outlet.replace(fittings)

                change = loop.errands.ask(take_over)
            except UserError as fault:
                loop.reloads.refused()
                _log.error("reload_refused", reason=str(fault))
                raise
            change()
            loop.reloads.done(time.time())
            _log.info("reloaded", models=len(engine.monitors))

    def _source(self, store: Store, engine: Engine, rows: Mapping[str, object]) -> Source:
        """The consumer, at the store's positions. The very first start pins where reading begins before it reads."""
        kafka = self.settings.kafka
        greatest = rows.get("greatest")
        config = SourceConfig(
            kafka.group_id,
            load_or_create_instance_id(self.settings.state.directory),
            kafka.start,
            {kind: kafka.topics.of(kind) for kind in KINDS},
            kafka.client_config(),
            self._quiet_s,
        )
        known = {p: offset for p, offset in store.positions().items() if kinds_of(config.topics, p.topic)}
        source = Source(config, known, greatest if isinstance(greatest, int) else None)
        if "clock" not in rows:
            discovered, positions = source.resolve_start()
            engine.apply(discovered)
            store.commit(Commit(rows=engine.changes(), positions=positions))
        source.subscribe(engine.clock.arrivals)
        return source


def _pace(settings: Settings, spec: Spec) -> Pace:
    return Pace(
        settings.state.commit_every / SECOND,
        settings.notify_max_age,
        settings.state.keep_panes,
        spec.default.window.max_skew,
    )


def _same_process(old: Settings, new: Settings) -> None:
    """What the process was built on cannot change under it. Raises UserError."""
    changed = [name for name in FIXED if getattr(old, name) != getattr(new, name)]
    if changed:
        raise UserError(
            f"{', '.join(changed)}: changed, and fixed while driftd runs", "restart it, or set them back and reload"
        )


def refused_by_kafka(fault: KafkaException) -> UserError:
    """What librdkafka says to its settings, or to a question in the middle, as a person is told it."""
    error = fault.args[0]
    code = 2 if error.code() == KafkaError._INVALID_ARG else 1  # noqa: SLF001 - the public name of the code
    return UserError(f"Kafka: {error.str()}", "`driftd check --connect` names what to mend", exit_code=code)


def _changed_kinds(engine: Engine, topics: Mapping[Kind, Sequence[str]]) -> Discovered | None:
    """Partitions whose topic the settings list otherwise than before: nothing waits for one that is listed no more."""
    known = engine.clock.topics
    changed = {p: kinds for p in known if (kinds := kinds_of(topics, p.topic)) != known[p]}
    return Discovered(changed) if changed else None


def registry_for(said: SchemaRegistry) -> Registry:
    """Raises UserError."""
    from driftd.kafka.registry import Registry, RegistryConfig  # noqa: PLC0415 - half a second that most need not

    try:
        return Registry(RegistryConfig(said.url, said.timeout / SECOND, said.client()))
    except (OSError, ValueError) as fault:  # its certificates
        raise UserError(f"kafka.schema_registry: {fault}", "`driftd check` names what to mend") from fault


def schemas_for(kafka: Kafka) -> Schemas | None:
    """The schemas of the settings' registry, to be closed; None where they name none. Raises UserError."""
    if kafka.schema_registry is None:
        return None
    from driftd.kafka.schemas import Schemas  # noqa: PLC0415 - as above

    return Schemas(registry_for(kafka.schema_registry))


def decoder_for(settings: Settings, files: Iterable[str] = (), schemas: Schemas | None = None) -> Decoder:
    """The decoder of the settings' topics. `files`: names of recorded inputs, which may hold any kind of event.

    `schemas`: where records of the settings' topics name any.
    """
    topics = {kind: settings.kafka.topics.of(kind) for kind in KINDS}
    mappings = {name: _mapping(one) for name, one in settings.kafka.mapping.items()}
    formats = topic_formats(topics, mappings)
    return Decoder({**formats, **{name: TopicFormat(KINDS) for name in files}}, settings.spec().folded, schemas)


def _mapping(said: SettingsMapping) -> TopicMapping:
    fields = {name: _whence(getattr(said, name)) for name in FIELDS}
    return TopicMapping(
        **fields, features=said.features.path if said.features is not None else None, format=said.format
    )


def _whence(said: Whence | None) -> Found | None:
    if said is None:
        return None
    return Found(*said.said)


def _spare_the_collector() -> None:
    """What was built stays, a million objects for a thousand models: the collector need not walk through them again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
