"""One HTTP request with a bound on everything: time, redirects, the size of the answer.

An exchange ends within `timeout_s`, whatever the other side does: httpx bounds each read, and a peer that sends a byte
now and then would pass that for ever; so the exchange as a whole is a task with a deadline, in an event loop of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

import driftd
from driftd.deliver.receiver import Retry

BODY_CAP: Final = 64 * 1024
"""Bytes of an answer that are read; then the connection is closed."""
TIMEOUT_S: Final = 10.0

# httpx logs every URL at INFO, httpcore every header at DEBUG; the URL of a hook is often its password.
for _library in ("httpx", "httpcore"):
    logging.getLogger(_library).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said, as far as it was read."""

    status: int
    retry_after: str | None
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Exchange:
    """A connection to one host, kept open for a while. Used by one thread, which also closes it."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._runner: asyncio.Runner | None = None
        self._client: httpx.AsyncClient | None = None

    def post(self, url: httpx.URL, content: bytes, headers: Mapping[str, str]) -> Answer | Retry:
        """One POST, of JSON unless `headers` say otherwise. Retry: there was no answer, and why."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._attempt(url, content, headers))

    def close(self) -> None:
        """By the thread that sends, after its last attempt."""
        if self._runner is not None:
            if self._client is not None:
                self._runner.run(self._client.aclose())
            self._runner.close()
            self._runner = self._client = None

    async def _attempt(self, url: httpx.URL, content: bytes, headers: Mapping[str, str]) -> Answer | Retry:
        status = 0
        retry_after: str | None = None
        body = bytearray()
        said = {
            "content-type": "application/json",
            "user-agent": f"driftd/{driftd.__version__}",
            "accept-encoding": "identity",
            **headers,
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._client is None:
                    self._client = _client(self._timeout_s)
                async with self._client.stream("POST", url, content=content, headers=said) as response:
                    status = response.status_code
                    retry_after = response.headers.get("retry-after")
                    async for chunk in response.aiter_raw():  # not unpacked: a small answer may unpack to a huge one
                        body += chunk[: BODY_CAP - len(body)]
                        if len(body) >= BODY_CAP:
                            break
        except (TimeoutError, httpx.HTTPError, httpx.StreamError, OSError) as error:
            if not status:
                return Retry(self._reason(error, url))
            # The answer is known; that its body did not come whole changes nothing.
        return Answer(status, retry_after, bytes(body))

    def _reason(self, error: Exception, url: httpx.URL) -> str:
        if isinstance(error, (TimeoutError, httpx.TimeoutException)):
            return f"no answer within {self._timeout_s:g} s"
        text = str(error).replace(str(url), "the URL")
        return f"{type(error).__name__}: {text}" if text else type(error).__name__


def checked(url: str, whose: str) -> httpx.URL:
    """Raises ValueError, without the URL in it, for one that is not http or https."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"the URL of {whose} cannot be understood") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"the URL of {whose} must begin with http:// or https:// and name a host")
    return parsed


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
