"""Who hears of what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from driftd.core.action import Action

FIELDS: Final = ("model", "version", "kind", "rule", "severity", "type")
"""What a route can match beside the model's labels; where a label has such a name, this is what is meant."""


@dataclass(frozen=True, slots=True)
class Route:
    """All of `match` must hold. A value that begins with ^ is a regular expression, any other one is compared whole.

    An expression is searched from the beginning and may end early, as with Kafka's topics: end it with $ where that
    matters. A label that an action does not have is empty.
    """

    match: Mapping[str, str]
    receiver: str

    def matches(self, action: Action) -> bool:
        return all(_holds(pattern, _value(action, name)) for name, pattern in self.match.items())


@dataclass(frozen=True, slots=True)
class Routes:
    """Every route that matches is followed. Without any route, every receiver hears of everything."""

    routes: Sequence[Route]
    receivers: Sequence[str]

    def receivers_for(self, action: Action) -> tuple[str, ...]:
        """Each once, in the order of the routes. Empty: it is recorded, and nobody is told."""
        if not self.routes:
            return tuple(self.receivers)
        return tuple(dict.fromkeys(route.receiver for route in self.routes if route.matches(action)))


def _value(action: Action, name: str) -> str:
    return str(getattr(action, name)) if name in FIELDS else action.labels.get(name, "")


def _holds(pattern: str, value: str) -> bool:
    return _compiled(pattern).match(value) is not None if pattern.startswith("^") else pattern == value


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
