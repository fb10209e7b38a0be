"""Who hears of what.

The rule this file keeps is Alertmanager's: routes are looked at in order, and the first that matches decides, unless
it says `continue`: then the ones after it are looked at, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from driftd.core.action import Action

FIELDS: Final = ("model", "version", "kind", "rule", "severity", "type")
"""What a route can match beside the model's labels; where a label has such a name, this is what is meant."""

Facts = Mapping[str, str]
"""Of one notification: its labels, and FIELDS over them. What is not there is empty."""


def facts_of(action: Action) -> Facts:
    return {**action.labels, **{name: str(getattr(action, name)) for name in FIELDS}}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One comparison. An expression (`=~`, `!~`) must match the whole value."""

    name: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    def holds(self, facts: Facts) -> bool:
        found = facts.get(self.name, "")
        if self.operator in ("=", "!="):
            return (found == self.value) == (self.operator == "=")
        return (_compiled(self.value).fullmatch(found) is not None) == (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Route:
    """All of `match` and all `matchers` must hold.

    In `match` a value that begins with ^ is a regular expression, any other one is compared whole. Such an expression
    is searched from the beginning and may end early, as with Kafka's topics: end it with $ where that matters.
    """

    match: Mapping[str, str]
    receiver: str
    matchers: Sequence[Matcher] = ()
    goes_on: bool = False

    def matches(self, facts: Facts) -> bool:
        return all(_holds(pattern, facts.get(name, "")) for name, pattern in self.match.items()) and all(
            matcher.holds(facts) for matcher in self.matchers
        )


@dataclass(frozen=True, slots=True)
class Routes:
    """Without any route, every receiver hears of everything."""

    routes: Sequence[Route]
    receivers: Sequence[str]

    def receivers_for(self, action: Action) -> tuple[str, ...]:
        """Each once, in the order of the routes. Empty: it is recorded, and nobody is told."""
        return tuple(self.decide(facts_of(action)))

    def decide(self, facts: Facts) -> dict[str, int | None]:
        """Who hears of it, and by which route (its number); None: there are no routes."""
        if not self.routes:
            return dict.fromkeys(self.receivers)
        found: dict[str, int | None] = {}
        for number, route in enumerate(self.routes):
            if route.matches(facts):
                found.setdefault(route.receiver, number)
                if not route.goes_on:
                    break
        return found


def _holds(pattern: str, value: str) -> bool:
    return _compiled(pattern).match(value) is not None if pattern.startswith("^") else pattern == value


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
