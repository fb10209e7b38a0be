"""What an HTTP status means for a delivery, and for how long a receiver asks to be left alone."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from driftd.deliver.receiver import Dead, Outcome, Refused, Retry, Sent

LONGEST_WAIT_S: Final = 3_600.0
"""A receiver that asks for more is asked again after this."""
SHOWN: Final = 300
"""Characters of an answer that are kept."""

_LATER: Final = frozenset((408, 425, 429))


def outcome(status: int, retry_after: str | None, text: str, now: float) -> Outcome:
    """`text`: what the receiver answered, as far as it was read. `now`: Unix time, seconds.

    408, 425, 429 and 5xx say "later". 410 says that the endpoint is gone for good (Standard Webhooks). Everything else
    but 2xx says that the request, or where it was sent to, is wrong.
    """
    said = f"HTTP {status}"
    answer = shown(text)
    if 200 <= status < 300:
        return Sent(said, answer)
    if status in _LATER or status >= 500:
        return Retry(said, wait_s(retry_after, now), answer)
    if status == 410:
        return Dead(f"{said}: the receiver is gone for good", answer)
    if 300 <= status < 400:
        return Refused(f"{said}: redirects are not followed; put the final address into the settings", answer)
    return Refused(said, answer)


def wait_s(retry_after: str | None, now: float) -> float | None:
    """The header Retry-After (RFC 9110, 10.2.3) in seconds from now, within an hour. None: absent, or neither a number
    of seconds nor a date.
    """
    if retry_after is None:
        return None
    value = retry_after.strip()
    if re.fullmatch("[0-9]+", value):
        return LONGEST_WAIT_S if len(value) > 9 else min(float(value), LONGEST_WAIT_S)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, when.timestamp() - now), LONGEST_WAIT_S)


def shown(text: str) -> str:
    """In one line, without anything that a terminal would obey."""
    clean = "".join(character if character.isprintable() else " " for character in text[: 4 * SHOWN])
    return " ".join(clean.split())[:SHOWN]
