"""Deliveries by HTTP POST, signed after Standard Webhooks.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

An attempt ends within `timeout_s`, whatever the other side does: httpx bounds each read, and a peer that sends a byte
now and then would pass that for ever; so the attempt as a whole is a task with a deadline, in an event loop of its own.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import httpx
from standardwebhooks.webhooks import Webhook as Signer

import driftd
from driftd.core.action import Delivery
from driftd.deliver.answer import outcome
from driftd.deliver.receiver import Outcome, Retry

BODY_CAP: Final = 64 * 1024
"""Bytes of an answer that are read; then the connection is closed."""
TIMEOUT_S: Final = 10.0

# httpx logs every URL at INFO, httpcore every header at DEBUG; the URL of a webhook is often its password.
for _library in ("httpx", "httpcore"):
    logging.getLogger(_library).setLevel(logging.WARNING)


class Webhook:
    """One endpoint. Used by one thread; a second one for the same endpoint may be made for another thread."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        secret: str | None = None,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`secret`: base64, with or without `whsec_` before it; None: not signed. `clock`: Unix time in seconds.

        Raises ValueError, without the secret in it, for one that is not base64 or is empty, and for a URL that is not
        http or https.
        """
        self.name = name
        self._url = _checked(url)
        self._signer = None if secret is None else Signer(_key(secret))
        self._timeout_s = timeout_s
        self._clock = clock
        self._runner: asyncio.Runner | None = None
        self._client: httpx.AsyncClient | None = None

    def send(self, delivery: Delivery) -> Outcome:
        """One attempt. Network errors and deadlines are a Retry."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._attempt(delivery))

    def close(self) -> None:
        """By the thread that sends, after its last attempt."""
        if self._runner is not None:
            if self._client is not None:
                self._runner.run(self._client.aclose())
            self._runner.close()
            self._runner = self._client = None

    async def _attempt(self, delivery: Delivery) -> Outcome:
        status = 0
        retry_after: str | None = None
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._client is None:
                    self._client = _client(self._timeout_s)
                headers = self._headers(delivery)
                async with self._client.stream("POST", self._url, content=delivery.body, headers=headers) as response:
                    status = response.status_code
                    retry_after = response.headers.get("retry-after")
                    async for chunk in response.aiter_raw():  # not unpacked: a small answer may unpack to a huge one
                        body += chunk[: BODY_CAP - len(body)]
                        if len(body) >= BODY_CAP:
                            break
        except (TimeoutError, httpx.HTTPError, httpx.StreamError, OSError) as error:
            if not status:
                return Retry(self._reason(error))
            # The answer is known; that its body did not come whole changes nothing.
        return outcome(status, retry_after, body.decode("utf-8", "replace"), self._clock())

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        """The time is that of the attempt (a receiver refuses old ones); id and body never change."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": f"driftd/{driftd.__version__}",
            "accept-encoding": "identity",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(delivery.id, now, delivery.body.decode())
        return headers

    def _reason(self, error: Exception) -> str:
        if isinstance(error, (TimeoutError, httpx.TimeoutException)):
            return f"no answer within {self._timeout_s:g} s"
        text = str(error).replace(str(self._url), "the URL")
        return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _client(timeout_s: float) -> httpx.AsyncClient:
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()  # and the machine's own: a company's authority is known only there
    return httpx.AsyncClient(
        verify=context,
        timeout=httpx.Timeout(timeout_s),
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0),
    )


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError("the URL of a webhook cannot be understood") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("the URL of a webhook must begin with http:// or https:// and name a host")
    return parsed


def _key(secret: str) -> bytes:
    """The library alone would skip what is not base64 and sign with the rest."""
    text = secret.strip().removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("a webhook's secret must be base64, with or without whsec_ before it") from None
    return key
