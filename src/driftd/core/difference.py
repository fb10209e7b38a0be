"""Two notifications about the same window, made by two instances: in what they differ.

Ids hold the group of the settings, so that two instances never share one. What is the same by nature is the key: model,
version, kind, rule, type, end of the window, and the reason of an end that no window tells. Numbers are told to ten
digits; they differ where they do by more than a millionth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

NEAR: Final = 1e-6
OWN: Final = frozenset({"alert_id", "versions"})
"""What an instance says of itself: its ids, and which versions it saw appear."""

Key = tuple[str, str, str, str, str, str, str]
"""(model, version, kind, rule, type, end of the window, reason): strings, as they stand in the body."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of the body's `data`. None: it is not there, or null."""

    field: str
    a: object
    b: object


def key_of(body: Mapping[str, Any]) -> Key:
    """Under which key a body is looked for among those of the other instance."""
    data = body["data"]
    names = ("model", "version", "kind", "rule")
    reason = data.get("reason", "")
    model, version, kind, rule = (str(data[name]) for name in names)
    return (
        model,
        version,
        kind,
        rule,
        str(body["type"]),
        str(body["timestamp"]),
        "" if reason == "calm" else str(reason),
    )


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """In what the `data` of two bodies with one key differ, by field, in order."""
    return list(_compare("", _by_signal(a), _by_signal(b)))


def _by_signal(data: Mapping[str, Any]) -> dict[str, Any]:
    """The signals as a mapping: their order is a rank, which says nothing that their effects do not."""
    signals = data.get("signals", ())
    own = str(data.get("rule"))
    named = {}
    for one in signals:
        rule = str(one.get("rule", own))
        named[str(one["signal"]) if rule == own else f"{one['signal']} ({rule})"] = one
    return {**data, "signals": named}


def _compare(field: str, a: object, b: object) -> Iterator[Difference]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in sorted({*a, *b} - OWN):
            yield from _compare(f"{field}.{name}" if field else str(name), a.get(name), b.get(name))
    elif not _same(a, b):
        yield Difference(field, _short(a), _short(b))


def _same(a: object, b: object) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=NEAR, abs_tol=1e-9)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(one, other) for one, other in zip(a, b, strict=True))
    return a == b


def _short(value: object) -> object:
    """Of a signal that only one of the two names, its severity."""
    if isinstance(value, Mapping):
        return value.get("severity", dict(value))
    return value
