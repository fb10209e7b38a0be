"""Names of features and of the signals that they are."""

from __future__ import annotations

from typing import Final

from driftd.core.event import BUILT_IN
from driftd.kafka.strict import is_text

MAX_NAME: Final = 256
_RESERVED: Final = ("performance.", "feature.")


def signal_of(feature: str) -> str:
    """The signal's name: the feature's own, unless that is a built-in's."""
    return f"feature.{feature}" if feature in BUILT_IN or feature.startswith(_RESERVED) else feature


def feature_of(signal: str) -> str | None:
    """The feature behind a signal; None for a built-in one."""
    if signal in BUILT_IN or signal.startswith("performance."):
        return None
    return signal.removeprefix("feature.")


def good_name(name: str) -> bool:
    """1 to 256 characters, no control characters, no lone surrogates."""
    return 0 < len(name) <= MAX_NAME and (name.isprintable() or _no_controls(name)) and is_text(name)


def _no_controls(name: str) -> bool:
    return not any(c < " " or "\x7f" <= c <= "\x9f" for c in name)
