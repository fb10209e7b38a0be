"""Deliveries by HTTP POST, signed after Standard Webhooks: the body as it is stored.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook as Signer

from driftd.core.action import Delivery
from driftd.deliver.answer import outcome
from driftd.deliver.exchange import TIMEOUT_S, Exchange, checked
from driftd.deliver.receiver import Outcome, Retry


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
        self._url = checked(url, "a webhook")
        self._signer = None if secret is None else Signer(_key(secret))
        self._exchange = Exchange(timeout_s)
        self._clock = clock

    def send(self, delivery: Delivery) -> Outcome:
        """One attempt. Network errors and deadlines are a Retry."""
        answer = self._exchange.post(self._url, delivery.body, self._headers(delivery))
        if isinstance(answer, Retry):
            return answer
        return outcome(answer.status, answer.retry_after, answer.text, self._clock())

    def close(self) -> None:
        """By the thread that sends, after its last attempt."""
        self._exchange.close()

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        """The time is that of the attempt (a receiver refuses old ones); id and body never change."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        headers = {"webhook-id": delivery.id, "webhook-timestamp": str(int(now.timestamp()))}
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(delivery.id, now, delivery.body.decode())
        return headers


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
