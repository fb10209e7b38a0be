"""What carries notifications out, as the settings say: routes, a sender a receiver, the heartbeat.

All of it is replaced when the settings change; what waits in the outbox waits on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import SecretStr

from driftd.core import link
from driftd.core.action import Action, Delivery
from driftd.core.fault import UserError
from driftd.core.spec import SECOND
from driftd.core.view import Pushes, ReceiverView, Runtime
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
from driftd.settings.otlp import Otlp
from driftd.settings.receivers import Email as EmailSettings
from driftd.settings.schema import Settings
from driftd.store import link_key
from driftd.store.memory import Memories
from driftd.store.outbox import Outbox

if TYPE_CHECKING:
    from driftd.deliver.otlp import OtlpPush
    from driftd.deliver.points import Family

CLOSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Fittings:
    """What one settings file makes. Nothing of it has been started."""

    routes: Routes
    sender: Sender | None
    """None: of a shadow, which tells nobody. What waited in its outbox before waits on."""
    heartbeat: Heartbeat | None
    push: OtlpPush | None
    owners: tuple[str, ...]

    def start(self) -> None:
        for one in (self.sender, self.heartbeat, self.push):
            if one is not None:
                one.start()

    def close(self) -> bool:
        """False: some thread is still in an attempt that needs the outbox."""
        if self.heartbeat is not None:
            self.heartbeat.close(CLOSE_S)
        ended = self.sender is None or self.sender.close(CLOSE_S)
        if self.push is not None:  # after the rest, so that it tells of their last attempts
            self.push.close(CLOSE_S)
        return ended


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a push of metrics is made of. `families`: what /metrics shows now, of these names or of all.

    `resource`: who we are. `started`: Unix time at which the counters of this process were 0. `pushes` and `tell`: the
    counts of pushes so far, and where they go.
    """

    families: Callable[[Collection[str]], Iterable[Family]]
    resource: Mapping[str, str]
    started: float
    pushes: Callable[[], Pushes | None]
    tell: Callable[[Pushes | None], None]


class Outlet:
    """`runtime` is what the heartbeat looks at. `receivers_for` and `wake` are for the loop's thread."""

    def __init__(
        self, directory: Path, settings: Settings, runtime: Callable[[], Runtime], metrics: Metrics | None = None
    ) -> None:
        self._key = None if settings.http.external_url is None else link_key.load_or_create(directory)
        self._outbox, self._memories, self._runtime = Outbox(directory), Memories(directory), runtime
        self._metrics = metrics
        self._fittings = self.fittings(settings)

    def fittings(self, settings: Settings) -> Fittings:
        """Others, for `replace`. Raises UserError."""
        owners = {name: f"{receiver.kind} {name}" for name, receiver in settings.receivers.items()}
        push = self._push(settings.otlp)
        if settings.shadow:  # it is measured like any other
            return Fittings(Routes([], []), None, None, push, tuple(owners.values()))
        receivers = [
            receiver_for(settings, name, self._memories.of(owner), acts_of(settings, self._key))
            for name, owner in owners.items()
        ]
        heartbeat = None
        if settings.heartbeat.receiver is not None:
            heartbeat = Heartbeat(
                receiver_for(settings, settings.heartbeat.receiver),
                group=settings.kafka.group_id,
                every_s=settings.heartbeat.every / SECOND,
                runtime=self._runtime,
            )
        sender = Sender(self._outbox, receivers)
        return Fittings(routes_of(settings), sender, heartbeat, push, tuple(owners.values()))

    def _push(self, otlp: Otlp) -> OtlpPush | None:
        metrics = self._metrics
        if otlp.endpoint is None or metrics is None:
            return None
        from driftd.deliver.otlp import OtlpPush  # noqa: PLC0415 - it brings protobuf along, which most need not

        return OtlpPush(
            otlp.endpoint, lambda: metrics.families(otlp.metrics), metrics.resource, metrics.tell,
            headers=otlp.all_headers(), every_s=otlp.every / SECOND, timeout_s=otlp.timeout / SECOND,
            started=metrics.started, before=metrics.pushes,
        )  # fmt: skip

    def start(self) -> None:
        self._memories.keep(self._fittings.owners)
        if self._fittings.push is None and self._metrics is not None:
            self._metrics.tell(None)
        self._fittings.start()

    def receivers_for(self, action: Action) -> tuple[str, ...]:
        return self._fittings.routes.receivers_for(action)

    def wake(self) -> None:
        if self._fittings.sender is not None:
            self._fittings.sender.wake()

    def views(self) -> tuple[ReceiverView, ...]:
        return () if self._fittings.sender is None else self._fittings.sender.views()

    def full(self, limit: int) -> bool:
        return self._fittings.sender is not None and self._outbox.full(limit)

    def replace(self, fittings: Fittings) -> Callable[[], None]:
        """These from now on. What it gives ends the old ones and starts these; it may take as long as a delivery."""
        old, self._fittings = self._fittings, fittings

        def change() -> None:
            old.close()
            self.start()

        return change

    def close(self) -> None:
        if self._fittings.close():
            self._outbox.close()
            self._memories.close()


Acts = Callable[[Delivery], Sequence[str]]


def acts_of(settings: Settings, key: bytes | None, clock: Callable[[], float] = time.time) -> Acts:
    """The lines of a message that say how to mute it and how to mark it as false: by signed links where people reach
    the pages, else on the command line. No name is in them, for they are copied into shells.
    """
    pages = None if settings.http.external_url is None else settings.http.external_url.rstrip("/")

    def lines(delivery: Delivery) -> Sequence[str]:
        if delivery.type != "driftd.alert.firing":
            return ()
        if pages is None or key is None:
            return (
                f"To mute it: driftd mute {delivery.id} --for 4h --reason WHY",
                f"If it is false: driftd false {delivery.id} --reason WHY",
            )
        until = link.expiry(round(clock() * 1000))
        where = {verb: f"{pages}/act/{verb}/{quote(delivery.id, safe='')}" for verb in link.LINK_VERBS}
        return (
            f"To mute it: {where['mute']}?{link.query(key, 'mute', delivery.id, until)}",
            f"If it is false: {where['false']}?{link.query(key, 'false', delivery.id, until)}",
        )

    return lines


def receiver_for(settings: Settings, name: str, memory: Memory | None = None, acts: Acts = lambda _: ()) -> Receiver:
    """A new sender to the receiver of that name; each thread needs its own. Raises UserError.

    `memory`: what it remembers over a restart; None: nothing. `acts`: see `Renderer`.
    """
    said = settings.receivers[name]
    renderer = Renderer(settings.http.external_url, acts)
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
