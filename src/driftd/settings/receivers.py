"""Who is told and how to reach them: `receivers`. Each is of exactly one kind."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from driftd.core.spec import MINUTE, SECOND
from driftd.settings.quantity import Span, refuse, shortened
from driftd.settings.secret import Secret
from driftd.settings.section import FilePath, Many, Section

KINDS = ("webhook", "slack", "pagerduty", "alertmanager", "teams", "email")


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


def _secret_url(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    parts = urlsplit(text) if text.isprintable() and " " not in text else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        refuse("the file does not hold a URL", "put the whole address into it, as the service shows it")
    return secret


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


def _header_value(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        refuse("the file does not hold one token", "put the token alone into it, on one line")
    return secret


def _routing_key(secret: SecretStr) -> SecretStr:
    if not re.fullmatch("[0-9a-zA-Z]{32}", secret.get_secret_value()):
        refuse(
            "the file does not hold an integration key",
            "put the 32 characters of the service's Events API v2 integration into it",
        )
    return secret


def _address(text: str) -> str:
    if not re.fullmatch(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[A-Za-z0-9.\[\]:-]{1,255}", text, re.ASCII):
        refuse(f"{shortened(text)} is not an e-mail address", "write the address alone, such as ml@example.com")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:-]{1,255}", text):
        refuse(f"{shortened(text)} is not a host", "write its name alone, such as smtp.example.com, and `port` apart")
    return text


Url = Annotated[str, AfterValidator(_url)]
SecretUrl = Annotated[Secret, AfterValidator(_secret_url)]
Token = Annotated[Secret, AfterValidator(_header_value)]
Address = Annotated[str, AfterValidator(_address)]


class Webhook(Section):
    """A Standard Webhooks receiver. `secret` None: deliveries are not signed. `timeout` in milliseconds."""

    url: Annotated[Url, Field(repr=False)]
    secret: Annotated[Secret, AfterValidator(_signing_secret)] | None = Field(default=None, alias="secret_file")
    timeout: Span = 10 * SECOND


class Slack(Section):
    """A channel: by a bot's token, then messages are edited when they resolve; or by an incoming webhook."""

    token: Token | None = Field(default=None, alias="token_file")
    channel: str | None = None
    url: SecretUrl | None = Field(default=None, alias="url_file")
    api_url: Url = "https://slack.com/api"
    timeout: Span = 10 * SECOND

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.token is None) == (self.url is None):
            refuse(
                "a bot's token or the URL of an incoming webhook, exactly one of the two, is needed",
                "give `token_file` and `channel`, or `url_file`",
            )
        if self.token is not None and not self.channel:
            refuse("a bot must be told its channel", "add `channel`, the id (C0123456789) or #name")
        if self.url is not None and self.channel:
            refuse("an incoming webhook has a channel of its own", "remove `channel`, or use a bot's token")
        return self


class PagerDuty(Section):
    """A service of PagerDuty, by its Events API v2 integration. `url`: https://events.eu.pagerduty.com in Europe."""

    routing_key: Annotated[Secret, AfterValidator(_routing_key)] = Field(alias="routing_key_file")
    url: Url = "https://events.pagerduty.com"
    timeout: Span = 10 * SECOND


class Alertmanager(Section):
    """Every Alertmanager of a cluster, each of them is told. An alert is sent again every `resend_every`."""

    urls: Annotated[Many[Url], Field(min_length=1)]
    resend_every: Span = MINUTE
    username: str | None = None
    password: Secret | None = Field(default=None, alias="password_file")
    token: Token | None = Field(default=None, alias="token_file")
    timeout: Span = 10 * SECOND

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.username is None) != (self.password is None):
            refuse("a user and a password belong together", "give both `username` and `password_file`, or neither")
        if self.username is not None and self.token is not None:
            refuse("a password and a token are two ways in", "remove one of them")
        return self


class Teams(Section):
    """A channel or chat of Microsoft Teams, by the webhook of a workflow."""

    url: SecretUrl = Field(alias="url_file")
    timeout: Span = 10 * SECOND


class Email(Section):
    """By SMTP. `tls`: `starttls` (usually port 587), `implicit` (465), or `none`. `ca_file`: whom to trust beside the
    machine's authorities.
    """

    host: Annotated[str, AfterValidator(_host)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: FilePath | None = None
    username: str | None = None
    password: Secret | None = Field(default=None, alias="password_file")
    sender: Address = Field(alias="from")
    to: Annotated[Many[Address], Field(min_length=1)]
    timeout: Span = 30 * SECOND

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            refuse("a user and a password belong together", "give both `username` and `password_file`, or neither")
        if self.username is not None and self.tls == "none":
            refuse("a password without TLS can be read on its way", "set `tls: starttls` or `tls: implicit`")
        return self


class Receiver(Section):
    """One of these and no other."""

    webhook: Webhook | None = None
    slack: Slack | None = None
    pagerduty: PagerDuty | None = None
    alertmanager: Alertmanager | None = None
    teams: Teams | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        found = [kind for kind in KINDS if getattr(self, kind) is not None]
        if not found:
            refuse("says of no kind how to reach it", f"add one of {', '.join(KINDS)}")
        if len(found) > 1:
            refuse(f"is of {len(found)} kinds: {', '.join(found)}", "make a receiver of each, with a name of its own")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    def hosts(self) -> dict[tuple[str, ...], tuple[str, int]]:
        """Host and port that it is reached at, by the key below the receiver that says so."""
        if self.email is not None:
            return {("email", "host"): (self.email.host, self.email.port)}
        urls: dict[tuple[str, ...], str] = {}
        if self.webhook is not None:
            urls["webhook", "url"] = self.webhook.url
        if self.slack is not None:
            hook = self.slack.url
            key = ("slack", "api_url") if hook is None else ("slack", "url_file")
            urls[key] = self.slack.api_url if hook is None else hook.get_secret_value()
        if self.pagerduty is not None:
            urls["pagerduty", "url"] = self.pagerduty.url
        if self.teams is not None:
            urls["teams", "url_file"] = self.teams.url.get_secret_value()
        many = self.alertmanager.urls if self.alertmanager is not None else ()
        found = {key: _reached_at(url) for key, url in urls.items()}
        return found | {("alertmanager", "urls", str(i)): _reached_at(url) for i, url in enumerate(many)}


def _reached_at(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
