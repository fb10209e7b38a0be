"""Where the schemas are that framed records name: `kafka.schema_registry`."""

from __future__ import annotations

from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from driftd.core.spec import SECOND
from driftd.settings.quantity import Span, refuse
from driftd.settings.receivers import Token, Url
from driftd.settings.secret import Secret
from driftd.settings.section import FilePath, Many, Section


def _bare(text: str) -> str:
    """Without what is told apart, or leads nowhere."""
    parts = urlsplit(text)
    if parts.username is not None or parts.password is not None:
        refuse("a user or password in an address", "give `username` and `password_file`")
    if parts.query or parts.fragment or "," in text:
        refuse("more than an address", "write one address without ? and #; several as a list")
    return text


class SchemaRegistry(Section):
    """One registry that speaks Confluent's API; several addresses are tried in turn. `timeout` in milliseconds.

    `certificate_file`: whom driftd shows itself as, in PEM; its key may be in it, or in `key_file`. `logical_cluster`:
    what Confluent Cloud wants beside a token.
    """

    url: Annotated[Many[Annotated[Url, AfterValidator(_bare)]], Field(min_length=1)]
    username: str | None = None
    password: Secret | None = Field(default=None, alias="password_file")
    token: Token | None = Field(default=None, alias="token_file")
    logical_cluster: str | None = None
    ca_file: FilePath | None = None
    certificate_file: FilePath | None = None
    key_file: FilePath | None = None
    key_password: Secret | None = Field(default=None, alias="key_password_file")
    timeout: Span = 5 * SECOND

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            refuse("a user and a password belong together", "give both `username` and `password_file`, or neither")
        if self.username is not None and ":" in self.username:
            refuse("a user with a colon cannot be told from its password", "give another user")
        if self.username is not None and self.token is not None:
            refuse("a password and a token are two ways in", "remove one of them")
        if self.logical_cluster is not None and self.token is None:
            refuse("a logical cluster without a token", "add `token_file`, or remove `logical_cluster`")
        if self.certificate_file is None and (self.key_file is not None or self.key_password is not None):
            refuse("a key without its certificate", "add `certificate_file`")
        return self

    def client(self) -> dict[str, Any]:
        """Settings of confluent-kafka's client, secrets included: never to be logged."""
        found: dict[str, Any] = {
            "ssl.ca.location": None if self.ca_file is None else str(self.ca_file),
            "ssl.certificate.location": None if self.certificate_file is None else str(self.certificate_file),
            "ssl.key.location": None if self.key_file is None else str(self.key_file),
            "ssl.key.password": None if self.key_password is None else self.key_password.get_secret_value(),
        }
        if self.username is not None and self.password is not None:
            found["basic.auth.user.info"] = f"{self.username}:{self.password.get_secret_value()}"
        if self.token is not None:
            found["bearer.auth.credentials.source"] = "STATIC_TOKEN"
            found["bearer.auth.token"] = self.token.get_secret_value()
            found["bearer.auth.logical.cluster"] = self.logical_cluster or ""
        if self.certificate_file is not None and self.key_password is None:
            found["ssl.key.password"] = ""  # else a key that has one would ask for it at the terminal
        return {name: value for name, value in found.items() if value is not None}
