"""Signed links: whoever was sent one may do what it names until it expires, and nothing else.

HMAC-SHA256 over the length-prefixed verb, id and expiry, so that no other three give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final, Literal

from driftd.core.spec import DAY

LinkVerb = Literal["mute", "false", "acknowledge"]
LINK_VERBS: Final[tuple[LinkVerb, ...]] = ("mute", "false", "acknowledge")
LIFE_DAYS: Final = 7


def expiry(now: int) -> int:
    """When a link that is made now (ms) expires: the end of the day after LIFE_DAYS, so that a text that is made again
    the same day is the same.
    """
    return (now // DAY + 1 + LIFE_DAYS) * DAY


def signature(key: bytes, verb: str, id_: str, until: int) -> str:
    message = b""
    for part in ("driftd act 1", verb, id_, str(until)):
        raw = part.encode("utf-8", "backslashreplace")
        message += len(raw).to_bytes(4, "big") + raw
    return base64.urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)).rstrip(b"=").decode()


def query(key: bytes, verb: LinkVerb, id_: str, until: int) -> str:
    """What follows `/act/VERB/ID?`: without `&`, which some receivers would escape."""
    return f"signed={until}.{signature(key, verb, id_, until)}"


def holds(key: bytes, verb: str, id_: str, until: str, signed: str, now: int) -> bool:
    """Whether it was signed here and has not expired. `until` and `signed` as the request has them."""
    if not (until.isascii() and until.isdigit() and len(until) <= 15 and str(int(until)) == until):
        return False
    right = signature(key, verb, id_, int(until))
    return hmac.compare_digest(right.encode(), signed.encode("utf-8", "backslashreplace")) and now < int(until)
