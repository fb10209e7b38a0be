"""Metrics pushed to a collector: `otlp`. Off without an endpoint."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from driftd.core.catalogue import BY_NAME
from driftd.core.spec import MINUTE, SECOND
from driftd.settings.keys import nearest
from driftd.settings.quantity import Span, refuse, shortened
from driftd.settings.receivers import Url
from driftd.settings.secret import Secret
from driftd.settings.section import Many, Named, Section

PATH = "/v1/metrics"
OWN_HEADERS = ("content-type", "content-encoding", "content-length", "host", "transfer-encoding", "user-agent")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_SECRET = re.compile(r"authorization|cookie|password|secret|token|api-?key|license-?key", re.IGNORECASE)
PROCESS = re.compile(r"process_[a-z_]+")


def _endpoint(text: str) -> str:
    """With OTLP's own path, where the address has none."""
    parts = urlsplit(text)
    if "@" in parts.netloc:
        refuse(
            "a password in an address is printed in logs", "take it out, and give `header_files: {authorization: FILE}`"
        )
    if parts.query or parts.fragment:
        refuse("an address with `?` or `#`", "write where metrics are posted to alone, such as http://localhost:4318")
    return text if parts.path not in ("", "/") else text.rstrip("/") + PATH


def _every(ms: int) -> int:
    if ms < SECOND:
        refuse("a push more often than once a second", "write 1s or more; 1m is usual")
    return ms


def _value(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        refuse(f"{shortened(text)} cannot be the value of a header", "write printable ASCII")
    return text


def _secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable():
        refuse("the file does not hold the value of a header", "put the value alone into it, on one line: Bearer ...")
    return secret


def _metric(name: str) -> str:
    if name not in BY_NAME and not PROCESS.fullmatch(name):
        near = nearest(name, BY_NAME)
        refuse(f"no metric is called {shortened(name)}", f"did you mean `{near}`?" if near else "see docs/metrics.md")
    return name


class Otlp(Section):
    """`endpoint` None: nothing is pushed. `metrics`: these alone; none: all. `timeout` of one request."""

    endpoint: Annotated[Url, AfterValidator(_endpoint)] | None = None
    headers: Named[Annotated[str, AfterValidator(_value)]] = Field(default={})
    header_files: Named[Annotated[Secret, AfterValidator(_secret)]] = Field(default={})
    every: Annotated[Span, AfterValidator(_every)] = MINUTE
    timeout: Span = 10 * SECOND
    metrics: Many[Annotated[str, AfterValidator(_metric)]] = ()

    @model_validator(mode="after")
    def _headers(self) -> Self:
        names = [*self.headers, *self.header_files]
        for name in names:
            if not _HEADER.fullmatch(name):
                refuse(f"{shortened(name)} cannot be the name of a header", "write letters, digits and -")
            if name.lower() in OWN_HEADERS:
                refuse(f"the header {name} is driftd's own", "remove it")
        if len({name.lower() for name in names}) < len(names):
            refuse("a header is given twice", "keep one of the two; upper and lower case are the same")
        if secret := next((name for name in self.headers if _SECRET.search(name)), None):
            refuse(
                f"the header {secret} is a secret",
                f"put its value into a file, and give `header_files: {{{secret}: FILE}}`",
            )
        return self

    def all_headers(self) -> dict[str, str]:
        return {**self.headers, **{name: secret.get_secret_value() for name, secret in self.header_files.items()}}

    def host(self) -> tuple[str, int] | None:
        """Host and port that it is reached at."""
        if self.endpoint is None:
            return None
        parts = urlsplit(self.endpoint)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
