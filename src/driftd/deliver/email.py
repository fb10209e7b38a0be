"""E-mail by SMTP with TLS: plain text, so that there is nothing in it to obey.

A retry has the same Message-ID and the same bytes: mail programs show it once. All of one incident (a model, version,
kind and rule) refers to one id, so that they show it as one conversation.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Final, Literal

import driftd
from driftd.core.action import Delivery, stable_id
from driftd.deliver.answer import shown
from driftd.deliver.message import Message, Renderer, line
from driftd.deliver.receiver import Outcome, Refused, Retry, Sent

SUBJECT_CHARS: Final = 200
TIMEOUT_S: Final = 30.0

Tls = Literal["starttls", "implicit", "none"]


class Email:
    """Used by one thread. A connection for each mail."""

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        *,
        host: str,
        port: int,
        sender: str,
        to: Sequence[str],
        group: str,
        tls: Tls = "starttls",
        ca_file: Path | None = None,
        login: tuple[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`login`: user and password. Raises OSError for a `ca_file` that holds no certificate."""
        self.name = name
        self._renderer = renderer
        self._host, self._port = host, port
        self._starttls, self._implicit = tls == "starttls", tls == "implicit"
        self._sender, self._to = sender, list(to)
        self._group, self._login = group, login
        self._context = ssl.create_default_context()
        if ca_file is not None:
            self._context.load_verify_locations(ca_file)
        self._timeout_s = timeout_s

    def send(self, delivery: Delivery) -> Outcome:
        """One attempt. It ends within the timeout, or soon after it, whatever the other side does."""
        raw = self.compose(self._renderer.message(delivery))
        smtp = (
            smtplib.SMTP_SSL(context=self._context, timeout=self._timeout_s, local_hostname=_hello())
            if self._implicit
            else smtplib.SMTP(timeout=self._timeout_s, local_hostname=_hello())
        )
        # Given to the constructor it would connect there, where nobody can cut it off. The certificate must be of it.
        vars(smtp)["_host"] = self._host
        late = threading.Event()
        guard = threading.Timer(self._timeout_s, _cut, (smtp, late))
        guard.daemon = True
        guard.start()
        try:
            return self._talk(smtp, raw)
        except (smtplib.SMTPException, OSError) as error:
            # What smtplib makes of a read that took too long is a lost connection.
            if late.is_set() or isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
                return Retry(f"no answer within {self._timeout_s:g} s")
            return failed(error)
        finally:
            guard.cancel()
            smtp.close()

    def close(self) -> None:
        """Nothing is kept open."""

    def _talk(self, smtp: smtplib.SMTP, raw: bytes) -> Outcome:
        smtp.connect(self._host, self._port)
        if self._starttls:
            smtp.starttls(context=self._context)
        if self._login is not None:
            smtp.login(*self._login)
        refused = smtp.sendmail(self._sender, self._to, raw)
        with contextlib.suppress(smtplib.SMTPException, OSError):
            smtp.quit()  # it has the mail already
        said = "; ".join(f"{code} {_text(text)}" for code, text in refused.values())
        return Sent(f"taken for {len(self._to) - len(refused)} of {len(self._to)}", shown(said))

    def compose(self, message: Message) -> bytes:
        """The mail: a function of the delivery alone."""
        mail = EmailMessage(policy=SMTP)
        domain = self._sender.rpartition("@")[2]
        mail["From"] = Address("driftd", addr_spec=self._sender)
        mail["To"] = [Address(addr_spec=address) for address in self._to]
        mail["Subject"] = line(message.title, SUBJECT_CHARS)
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.timestamp // 1000, UTC))
        mail["Message-ID"] = f"<{message.id}@{domain}>"
        parts = [message.told(name) for name in ("model", "version", "kind", "rule")]
        if any(parts):
            thread = f"<{stable_id('inc', self._group, *parts)}@{domain}>"
            mail["In-Reply-To"] = mail["References"] = thread
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Mailer"] = f"driftd/{driftd.__version__}"
        text = "\n\n".join((message.title, "\n".join(message.lines), *message.links(), message.id))
        mail.set_content(text, cte="quoted-printable")
        return mail.as_bytes()


def failed(error: smtplib.SMTPException | OSError) -> Outcome:
    """4xx of SMTP says "later", 5xx that the mail, or where it was sent to, is wrong."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        said = shown("; ".join(f"{code} {_text(text)}" for code, text in error.recipients.values()))
        if any(400 <= code < 500 for code, _ in error.recipients.values()):
            return Retry("every recipient was put off", None, said)
        return Refused("every recipient was refused", said)
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 400:
        said, answer = f"SMTP {error.smtp_code}", shown(_text(error.smtp_error))
        return Retry(said, None, answer) if error.smtp_code < 500 else Refused(said, answer)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Refused("the server does not offer what the settings ask for, TLS or a login", shown(str(error)))
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refused(f"the server's certificate is not trusted: {shown(error.verify_message)}")
    return Retry(type(error).__name__, None, shown(str(error)))


def _cut(smtp: smtplib.SMTP, late: threading.Event) -> None:
    """What bounds each read does not bound a peer that says a byte now and then."""
    late.set()
    if smtp.sock is not None:
        with contextlib.suppress(OSError):
            smtp.sock.shutdown(socket.SHUT_RDWR)


def _hello() -> str:
    """As whom to greet: not what a name service would have to be asked for."""
    name = socket.gethostname()
    return name if name.isascii() and name else "localhost"


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
