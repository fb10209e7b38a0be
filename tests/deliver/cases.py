"""Every kind of receiver with a service to talk to: what the contract is tried on."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from driftd.deliver.alertmanager import Alertmanager
from driftd.deliver.email import Email
from driftd.deliver.memory import Memory, Volatile
from driftd.deliver.message import Renderer
from driftd.deliver.pagerduty import PagerDuty
from driftd.deliver.receiver import Receiver
from driftd.deliver.slack import Slack
from driftd.deliver.teams import Teams
from driftd.deliver.webhook import Webhook
from tests.components import alertmanager, openssl
from tests.deliver import endpoint as answers
from tests.deliver import services
from tests.deliver.bodies import RENDERER
from tests.deliver.endpoint import SECRET, Endpoint, free_port

TIMEOUT_S = 1.0
SECRETS = (services.TOKEN, services.KEY, "/services/T0/B0/secret", "sig=secret", "hunter2", SECRET)


@dataclass
class Case(ABC):
    """A receiver's kind. `shown` is what its people have been shown, in order; `firing`, what they think fires."""

    name: str
    service: Endpoint
    renderer: Renderer = RENDERER

    @abstractmethod
    def receiver(self, memory: Memory | None = None, name: str = "ops") -> Receiver: ...

    @abstractmethod
    def shown(self) -> list[str]: ...

    def faults(self) -> list[str]:
        return getattr(self.service, "faults", [])

    def later(self, after_s: int | None = None) -> None:
        """The next thing sent is put off."""
        more = {} if after_s is None else {"retry_after": str(after_s)}
        self.service.script.append(answers.status(429, b"slow down", **more))

    def refuse(self) -> None:
        self.service.script.append(answers.status(404, b"no such place"))

    def hang(self) -> None:
        self.service.script.append(answers.hang)

    def reset(self) -> None:
        self.service.script.append(answers.reset)


class OfWebhook(Case):
    def receiver(self, memory: Memory | None = None, name: str = "ops") -> Receiver:
        return Webhook(name, self.service.url, secret=SECRET, timeout_s=TIMEOUT_S)

    def shown(self) -> list[str]:
        return [request.body.decode() for request in self.service.requests]


@dataclass
class OfSlack(Case):
    bot: bool = True

    def receiver(self, memory: Memory | None = None, name: str = "ops") -> Receiver:
        base = f"http://127.0.0.1:{self.service.port}"
        way: dict[str, Any] = {"token": services.TOKEN, "channel": services.CHANNEL, "api_url": f"{base}/api"}
        if not self.bot:
            way = {"url": f"{base}/services/T0/B0/secret"}
        return Slack(name, self.renderer, memory or Volatile(), **way, timeout_s=TIMEOUT_S, every_s=0.0)

    def shown(self) -> list[str]:
        assert isinstance(self.service, services.Slack)
        return [one["text"] for one in self.service.shown]


class OfPagerDuty(Case):
    def receiver(self, memory: Memory | None = None, name: str = "ops") -> Receiver:
        url = f"http://127.0.0.1:{self.service.port}"
        return PagerDuty(
            name, self.renderer, memory or Volatile(), routing_key=services.KEY, group="driftd", url=url,
            timeout_s=TIMEOUT_S,
        )  # fmt: skip

    def shown(self) -> list[str]:
        assert isinstance(self.service, services.PagerDuty)
        events = [one["text"] for one in self.service.shown]
        return events + [change["payload"]["custom_details"]["id"] for change in self.service.changes]


class OfTeams(Case):
    def receiver(self, memory: Memory | None = None, name: str = "ops") -> Receiver:
        url = f"http://127.0.0.1:{self.service.port}/workflows/1?sig=secret"
        return Teams(name, self.renderer, url=url, timeout_s=TIMEOUT_S)

    def shown(self) -> list[str]:
        assert isinstance(self.service, services.Teams)
        return [one["text"] for one in self.service.shown]


@dataclass
class OfAlertmanager(Case):
    """The real one, behind an endpoint that hands on what it has no answer of its own for."""

    port: int = 0

    def receiver(self, memory: Memory | None = None, name: str = "ops") -> Receiver:
        urls = [f"http://127.0.0.1:{self.service.port}"]
        return Alertmanager(name, self.renderer, memory or Volatile(), urls=urls, timeout_s=TIMEOUT_S)

    def alerts(self) -> list[dict[str, Any]]:
        """What it holds now and has not ended."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v2/alerts", timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def shown(self) -> list[str]:
        """What it was given and took, the text of each alert."""
        told = [one for request in self.service.requests for one in json.loads(request.body)]
        return [f"{one['annotations']['summary']}\n{one['annotations']['description']}\n{one['annotations']['id']}"
                for one in told]  # fmt: skip


@dataclass
class Passing(Endpoint):
    """Hands on to a real server, and answers as it does."""

    port_behind: int = 0
    faults: list[str] = field(default_factory=list)

    def take(self, request: answers.Request) -> answers.Answer:
        with self.changed:
            if self.script:
                return self.script.pop(0)
            self.requests.append(request)
            self.changed.notify_all()
        url = f"http://127.0.0.1:{self.port_behind}{request.path}"
        asked = urllib.request.Request(url, request.body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310
                return answers.status(answer.status, answer.read())
        except urllib.error.HTTPError as refused:
            said = refused.read()
            self.faults.append(said.decode())
            return answers.status(refused.code, said)


@dataclass
class Mailbox:
    """A handler of aiosmtpd: the mails that came. `script`: answers to the next mails instead."""

    mails: list[bytes] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    secure: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.script:
            return self.script.pop(0)
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        self.envelopes.append(envelope)
        self.secure.append(session.ssl is not None)
        return "250 taken"


@dataclass
class OfEmail(Case):
    box: Mailbox = field(default_factory=Mailbox)
    port: int = 0
    ca: Path = Path()
    tls: Any = "starttls"
    login: tuple[str, str] | None = ("driftd", "hunter2")
    timeout_s: float = TIMEOUT_S
    to: tuple[str, ...] = ("ml@example.com", "on-call@example.com")

    def receiver(self, memory: Memory | None = None, name: str = "ops") -> Receiver:
        return Email(
            name, self.renderer, host="localhost", port=self.port, sender="driftd@example.com", to=self.to,
            group="driftd", tls=self.tls, ca_file=self.ca, login=self.login, timeout_s=self.timeout_s,
        )  # fmt: skip

    def shown(self) -> list[str]:
        parsed = [email.message_from_bytes(raw, policy=email.policy.default) for raw in self.box.mails]
        return [f"{mail['subject']}\n{mail.get_content()}" for mail in parsed]

    def faults(self) -> list[str]:
        """What RFC 5322 forbids."""
        out = []
        for raw in self.box.mails:
            lines = raw.split(b"\r\n")
            out += [f"a line of {len(line)}" for line in lines if len(line) > 998]
            out += [f"a bare line end in {line!r}" for line in lines if b"\n" in line or b"\r" in line]
            out += [f"not ASCII: {line!r}" for line in lines if not line.isascii()]
        return out

    def later(self, after_s: int | None = None) -> None:
        self.box.script.append("451 come back later")

    def refuse(self) -> None:
        self.box.script.append("554 no such place")

    def hang(self) -> None:
        self.port = self.service.port  # who waits to be spoken to, and does not greet

    def reset(self) -> None:
        self.port = free_port()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for localhost, which is its own authority."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command: list[str | Path] = [
        openssl(),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


@contextlib.contextmanager
def smtp(folder: Path, box: Mailbox, *, tls: str = "starttls") -> Iterator[tuple[int, Path]]:
    """The server of aiosmtpd with TLS and a login, on loopback: its port and its certificate."""
    key, cert = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def may(_server: object, _session: object, _envelope: object, _mechanism: object, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        # Not handled: the answer is aiosmtpd's to give.
        return AuthResult(success=(data.login, data.password) == (b"driftd", b"hunter2"), handled=False)

    ways: dict[str, dict[str, Any]] = {
        "implicit": {"ssl_context": context},
        "starttls": {"tls_context": context, "require_starttls": True},
        "none": {},
    }
    controller = Controller(
        box, hostname="127.0.0.1", port=free_port(), authenticator=may, auth_required=True,
        auth_require_tls=tls == "starttls", server_hostname="localhost", **ways[tls],
    )  # fmt: skip
    controller.start()
    try:
        yield controller.port, cert
    finally:
        controller.stop()


@contextlib.contextmanager
def real_alertmanager(folder: Path) -> Iterator[int]:
    """Its port. It groups nothing and tells nobody: its API is what is looked at."""
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    port = free_port()
    command: list[str | Path] = [alertmanager(), f"--config.file={config}", f"--storage.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as running:
        try:
            end = time.monotonic() + 20
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1).close()
                    break
                except OSError:
                    assert running.poll() is None, (folder / "log").read_text()
                    assert time.monotonic() < end, "it is never ready"
                    time.sleep(0.02)
            yield port
        finally:
            running.kill()


KINDS = ("webhook", "slack", "slack-hook", "pagerduty", "teams", "alertmanager", "email")


@contextlib.contextmanager
def case(kind: str, folder: Path) -> Iterator[Case]:
    with contextlib.ExitStack() as stack:
        if kind == "webhook":
            yield OfWebhook(kind, stack.enter_context(answers.serve()))
        elif kind.startswith("slack"):
            yield OfSlack(kind, stack.enter_context(services.serve(services.Slack())), bot=kind == "slack")
        elif kind == "pagerduty":
            yield OfPagerDuty(kind, stack.enter_context(services.serve(services.PagerDuty())))
        elif kind == "teams":
            yield OfTeams(kind, stack.enter_context(services.serve(services.Teams())))
        elif kind == "alertmanager":
            port = stack.enter_context(real_alertmanager(folder))
            between = Passing(port_behind=port)
            stack.enter_context(answers.serving(between))
            yield OfAlertmanager(kind, between, port=port)
        else:
            box = Mailbox()
            port, cert = stack.enter_context(smtp(folder, box))
            yield OfEmail(kind, stack.enter_context(answers.serve()), box=box, port=port, ca=cert)
