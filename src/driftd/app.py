"""The one place where everything is built and wired. What was built first is closed last."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import structlog
from confluent_kafka import KafkaError, KafkaException
from pydantic import SecretStr

from driftd.core.baseline import GivenReference
from driftd.core.engine import Engine
from driftd.core.event import KINDS, Discovered, Kind
from driftd.core.fault import UserError
from driftd.core.spec import SECOND, ReferenceFiles, Spec
from driftd.deliver.alertmanager import Alertmanager
from driftd.deliver.email import Email
from driftd.deliver.heartbeat import Heartbeat
from driftd.deliver.memory import Memory, Volatile
from driftd.deliver.message import Renderer
from driftd.deliver.pagerduty import PagerDuty
from driftd.deliver.receiver import Receiver
from driftd.deliver.route import Matcher, Route, Routes
from driftd.deliver.sender import Sender
from driftd.deliver.slack import Slack
from driftd.deliver.teams import Teams
from driftd.deliver.webhook import Webhook
from driftd.files import reference_file
from driftd.http.published import Published
from driftd.http.server import HttpServer
from driftd.kafka.dead_letters import DeadLetters, PoisonGuard
from driftd.kafka.decode import Decoder
from driftd.kafka.mapping import FIELDS, TopicFormat, TopicMapping, kinds_of, topic_formats
from driftd.kafka.mapping import Source as Found
from driftd.kafka.source import Source, SourceConfig, load_or_create_instance_id
from driftd.loop import Loop, Pace
from driftd.settings.kafka import TopicMapping as SettingsMapping
from driftd.settings.kafka import Whence
from driftd.settings.receivers import Email as EmailSettings
from driftd.settings.schema import Settings
from driftd.store.commit import Commit
from driftd.store.memory import Memories
from driftd.store.outbox import Outbox
from driftd.store.reader import Reader
from driftd.store.store import Store

_log = structlog.get_logger(__name__)

CLOSE_S = 10.0


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

    def __init__(self, settings: Settings, *, quiet_s: float = 5.0) -> None:
        self.settings = settings
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
        server = HttpServer(settings.http.listen, self.published, lambda: Reader.open_read_only(directory))
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
        outbox = Outbox(directory)
        memories = Memories(directory)
        owners = {name: f"{receiver.kind} {name}" for name, receiver in settings.receivers.items()}
        memories.keep(owners.values())
        sender = Sender(outbox, [receiver_for(settings, name, memories.of(owner)) for name, owner in owners.items()])
        stack.callback(_close_sender, sender, outbox, memories)
        dead_letters = DeadLetters(
            settings.kafka.client_config(),
            settings.kafka.dead_letters.topic,
            payload=settings.kafka.dead_letters.payload,
        )
        stack.callback(dead_letters.close)
        routes = routes_of(settings)
        loop = Loop(
            source=self._source(store, engine, rows),
            decoder=decoder_for(settings),
            opening=_changed_kinds(engine, {kind: settings.kafka.topics.of(kind) for kind in KINDS}),
            engine=engine,
            store=store,
            dead_letters=dead_letters,
            published=self.published,
            receivers_for=routes.receivers_for,
            wake=sender.wake,
            receiver_views=sender.views,
            outbox_full=lambda: outbox.full(settings.state.outbox_limit),
            guard=PoisonGuard(settings.kafka.dead_letters.halt_share),
            pace=Pace(
                settings.state.commit_every / SECOND,
                settings.notify_max_age,
                settings.state.keep_panes,
                self._spec.default.window.max_skew,
            ),
        )
        sender.start()
        self._start_heartbeat(stack)
        _log.info("started", group=settings.kafka.group_id, http=server.port, models=len(engine.monitors))
        _spare_the_collector()
        loop.run(stop)
        _log.info("stopped")

    def _start_heartbeat(self, stack: contextlib.ExitStack) -> None:
        name = self.settings.heartbeat.receiver
        if name is None:
            return
        heartbeat = Heartbeat(
            receiver_for(self.settings, name),
            group=self.settings.kafka.group_id,
            every_s=self.settings.heartbeat.every / SECOND,
            runtime=lambda: self.published.runtime,
        )
        heartbeat.start()
        stack.callback(heartbeat.close, CLOSE_S)

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


def receiver_for(settings: Settings, name: str, memory: Memory | None = None) -> Receiver:
    """A new sender to the receiver of that name; each thread needs its own. Raises UserError.

    `memory`: what it remembers over a restart; None: nothing.
    """
    said = settings.receivers[name]
    renderer = Renderer(settings.http.external_url)
    group = settings.kafka.group_id
    memory = memory or Volatile()
    if (hook := said.webhook) is not None:
        return Webhook(name, hook.url, secret=_shown(hook.secret), timeout_s=hook.timeout / SECOND)
    if (slack := said.slack) is not None:
        return Slack(
            name, renderer, memory, token=_shown(slack.token), channel=slack.channel, url=_shown(slack.url),
            api_url=slack.api_url, timeout_s=slack.timeout / SECOND,
        )  # fmt: skip
    if (pager := said.pagerduty) is not None:
        key = pager.routing_key.get_secret_value()
        timeout_s = pager.timeout / SECOND
        return PagerDuty(name, renderer, memory, routing_key=key, group=group, url=pager.url, timeout_s=timeout_s)
    if (manager := said.alertmanager) is not None:
        return Alertmanager(
            name, renderer, memory, urls=manager.urls, resend_every_s=manager.resend_every / SECOND,
            basic=_login(manager.username, manager.password), token=_shown(manager.token),
            timeout_s=manager.timeout / SECOND,
        )  # fmt: skip
    if (teams := said.teams) is not None:
        return Teams(name, renderer, url=teams.url.get_secret_value(), timeout_s=teams.timeout / SECOND)
    assert said.email is not None
    return _email(name, said.email, renderer, group)


def _email(name: str, mail: EmailSettings, renderer: Renderer, group: str) -> Email:
    try:
        return Email(
            name, renderer, host=mail.host, port=mail.port, sender=mail.sender, to=mail.to, group=group, tls=mail.tls,
            ca_file=mail.ca_file, login=_login(mail.username, mail.password), timeout_s=mail.timeout / SECOND,
        )  # fmt: skip
    except OSError as error:
        problem = f"receivers.{name}.email.ca_file: {mail.ca_file} holds no certificate that can be read ({error})"
        raise UserError(problem, "name a file of certificates in PEM") from error


def _shown(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _login(user: str | None, password: SecretStr | None) -> tuple[str, str] | None:
    return None if user is None or password is None else (user, password.get_secret_value())


def routes_of(settings: Settings) -> Routes:
    """The settings' routes as they are followed."""
    return Routes(
        [
            Route(
                dict(said.match),
                said.receiver,
                [Matcher(one.name, one.operator, one.value) for one in said.matchers],
                goes_on=said.goes_on,
            )
            for said in settings.routes
        ],
        list(settings.receivers),
    )


def decoder_for(settings: Settings, files: Iterable[str] = ()) -> Decoder:
    """The decoder of the settings' topics. `files`: names of recorded inputs, which may hold any kind of event."""
    topics = {kind: settings.kafka.topics.of(kind) for kind in KINDS}
    mappings = {name: _mapping(one) for name, one in settings.kafka.mapping.items()}
    formats = topic_formats(topics, mappings)
    return Decoder({**formats, **{name: TopicFormat(KINDS) for name in files}})


def _mapping(said: SettingsMapping) -> TopicMapping:
    fields = {name: _whence(getattr(said, name)) for name in FIELDS}
    return TopicMapping(**fields, features=said.features.path if said.features is not None else None)


def _whence(said: Whence | None) -> Found | None:
    if said is None:
        return None
    return Found(*said.said)


def _spare_the_collector() -> None:
    """What was built stays, a million objects for a thousand models: the collector need not walk through them again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def _close_sender(sender: Sender, outbox: Outbox, memories: Memories) -> None:
    if sender.close(CLOSE_S):
        outbox.close()
        memories.close()
