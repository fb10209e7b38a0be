"""The one place where everything is built and wired. What was built first is closed last."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping

import structlog

from driftd.core.engine import Engine
from driftd.core.event import Discovered, Kind, PartitionId
from driftd.core.fault import UserError
from driftd.core.monitor import GivenReference
from driftd.core.spec import SECOND, ReferenceFiles, Spec
from driftd.deliver.heartbeat import Heartbeat
from driftd.deliver.route import Route, Routes
from driftd.deliver.sender import Sender
from driftd.deliver.webhook import Webhook
from driftd.files import reference_file
from driftd.http.published import Published
from driftd.http.server import HttpServer
from driftd.kafka.dead_letters import DeadLetters
from driftd.kafka.decode import Decoder
from driftd.kafka.mapping import Mapping as TopicMapping
from driftd.kafka.source import Source, SourceConfig, load_or_create_instance_id
from driftd.loop import Loop, Pace
from driftd.settings.schema import Settings
from driftd.store.commit import Commit
from driftd.store.outbox import Outbox
from driftd.store.reader import Reader
from driftd.store.store import Store

_log = structlog.get_logger(__name__)

KINDS_OF_TOPICS: Mapping[Kind, str] = {"prediction": "predictions", "features": "features", "label": "labels"}
CLOSE_S = 10.0


def references(spec: Spec) -> dict[str, dict[str, GivenReference]]:
    """The reference files that the settings name, by model and version ("" the model's own). Raises UserError."""
    out: dict[str, dict[str, GivenReference]] = {}
    for name, model in sorted(spec.models.items()):
        if not isinstance(model.reference, ReferenceFiles):
            continue
        files = dict(model.reference.versions)
        if model.reference.file is not None:
            files[""] = model.reference.file
        for version, path in sorted(files.items()):
            header, reference = reference_file.read(path)
            out.setdefault(name, {})[version] = GivenReference(header.version, reference)
        grids = {given.reference.grid.hash for given in out.get(name, {}).values()}
        if len(grids) > 1:
            raise UserError(
                f"model {name}: its reference files are not on one grid",
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
            self._run(stop, stack)

    def _run(self, stop: threading.Event, stack: contextlib.ExitStack) -> None:
        settings = self.settings
        directory = settings.state.directory
        store = Store.open(directory, group=settings.kafka.group_id)
        stack.callback(store.close)
        server = HttpServer(settings.http.listen, self.published, lambda: Reader.open_read_only(directory))
        try:
            server.start()
        except OSError as error:
            raise UserError(f"cannot listen on {settings.http.listen}: {error}", "set http.listen", exit_code=1) from error
        stack.callback(server.stop)
        self.http_port = server.port
        rows = store.load_rows()
        engine = Engine(self._spec, self._given)
        engine.restore(rows)
        outbox = Outbox(directory)
        sender = Sender(outbox, [self._webhook(name) for name in settings.receivers])
        stack.callback(self._close_sender, sender, outbox)
        dead_letters = self._dead_letters()
        stack.callback(dead_letters.close)
        source = self._source(store, engine, rows)
        loop = Loop(
            source=source,
            decoder=Decoder(self._topics()),
            engine=engine,
            store=store,
            dead_letters=dead_letters,
            published=self.published,
            receivers_for=self._routes().receivers_for,
            wake=sender.wake,
            receiver_views=sender.views,
            outbox_full=outbox.full,
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
        loop.run(stop)
        _log.info("stopped")
