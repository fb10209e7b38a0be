"""Who is told: `receivers`, `routes`, `heartbeat`."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from driftd.core.spec import MINUTE, SECOND
from driftd.settings.quantity import Span, refuse
from driftd.settings.secret import Secret
from driftd.settings.section import Named, Section


def _url(text: str) -> str:
    """A hook's address is itself a secret with some services: messages never repeat it."""
    remedy = "write the whole address, such as https://example.com/hook"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        refuse("not a URL", remedy)
    if parts.scheme not in ("http", "https"):
        refuse(
            f"the scheme is {parts.scheme[:20]!r}, not http or https" if parts.scheme else "a URL without a scheme",
            remedy,
        )
    if not parts.hostname or port == 0 or not text.isprintable() or " " in text:
        refuse("not a URL with a host", remedy)
    return text


def _signing_secret(secret: SecretStr) -> SecretStr:
    try:
        key = base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not key:
        refuse(
            "the file does not hold a Standard Webhooks secret",
            'make one: echo "whsec_$(openssl rand -base64 32)" > FILE',
        )
    return secret


class Webhook(Section):
    """A Standard Webhooks receiver. `secret` None: deliveries are not signed. `timeout` in milliseconds."""

    url: Annotated[str, AfterValidator(_url), Field(repr=False)]
    secret: Annotated[Secret, AfterValidator(_signing_secret)] | None = Field(default=None, alias="secret_file")
    timeout: Span = 10 * SECOND


class Receiver(Section):
    webhook: Webhook


class Route(Section):
    """Which receiver hears of what. An empty `match` matches everything."""

    match: Named[str] = Field(default={})
    receiver: str


class Heartbeat(Section):
    """The always-firing message of a dead-man's switch. `receiver` None: none is sent."""

    receiver: str | None = None
    every: Span = MINUTE
