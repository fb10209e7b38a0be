"""What pydantic found, in our words: every error gets a place, a problem and a remedy. Secrets are never repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from driftd.settings.fault import Key
from driftd.settings.keys import ANY, Shape, leaves, nearest, shape
from driftd.settings.quantity import shortened
from driftd.settings.schema import Settings

_TAGS = ("<statistic>", "<detector>")
_QUIET: tuple[Key, ...] = (("receivers",), ("kafka", "client"), ("kafka", "secret_files"))
"""Values below these may be secrets."""


def key_of(error: ErrorDetails) -> Key:
    """Where it went wrong, as the files are written: without the names of union members."""
    return tuple(step for step in error["loc"] if step not in _TAGS)


def describe(error: ErrorDetails) -> tuple[str, str]:
    """Problem and remedy."""
    key = key_of(error)
    context: dict[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if kind == "driftd":
        return str(context["problem"]), str(context["remedy"])
    if kind == "missing":
        return "is missing", _missing(key)
    if kind == "extra_forbidden":
        return "unknown key", _unknown(key)
    return _of_value(
        kind, context, _shown(error["input"], quiet=any(key[: len(quiet)] == quiet for quiet in _QUIET)), error["msg"]
    )


def _of_value(kind: str, context: Mapping[str, Any], got: str, message: str) -> tuple[str, str]:
    if kind in _EXPECTED:
        expected, remedy = _EXPECTED[kind]
        return f"expected {expected}, got {got}", remedy
    if kind in _BOUNDS:
        return f"{_BOUNDS[kind](context)}, got {got}", "write a number within the bounds"
    if kind == "literal_error":
        return f"{got} is not known here", f"write one of: {context['expected'].replace(' or ', ', ')}"
    if kind in ("too_short", "string_too_short"):
        return "is empty", "name at least one, or leave the key out"
    return message, "docs/settings.md says what this key takes"


_EXPECTED = {
    "string_type": ("text", "put it in quotes"),
    "int_type": ("a whole number", "write digits only, without quotes and without a fraction"),
    "float_type": ("a number", "write digits, without quotes"),
    "finite_number": ("a finite number", "write digits"),
    "bool_type": ("true or false", "write true or false, without quotes"),
    "dict_type": ("a mapping", "write `key: value` lines below it"),
    "mapping_type": ("a mapping", "write `key: value` lines below it"),
    "model_type": ("a mapping", "write `key: value` lines below it"),
    "model_attributes_type": ("a mapping", "write `key: value` lines below it"),
    "tuple_type": ("a list", "write a list such as [a, b]"),
}
_BOUNDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda context: f"must be more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "less_than": lambda context: f"must be less than {context['lt']:g}",
    "string_too_long": lambda context: f"must not be longer than {context['max_length']}",
}


def _shown(value: object, *, quiet: bool) -> str:
    match value:
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case None:
            return "nothing"
        case _:
            return "something else (not shown: it may be a secret)" if quiet else shortened(value)


def _missing(key: Key) -> str:
    if key[-1] == "statistic":
        return "add `statistic: psi` or `detector: adwin`, or another of them"
    return f"add `{key[-1]}: ...`" if len(key) > 1 else f"add the section `{key[-1]}`"


def _unknown(key: Key) -> str:
    """The key that was meant: one beside it, or one of this name elsewhere."""
    siblings = _below(key[:-1])
    name = str(key[-1])
    near = nearest(name, siblings.fields)
    if near:
        return f"did you mean `{near}`?"
    elsewhere = [leaf for leaf in leaves(shape(Settings)) if name in leaf]
    if elsewhere:
        leaf = min(elsewhere, key=len)
        where = ".".join("NAME" if step == ANY else step for step in leaf[: leaf.index(name) + 1])
        return f"it belongs at `{where}`"
    return f"remove it; keys here: {', '.join(siblings.fields)}"


def _below(key: Key) -> Shape:
    below = shape(Settings)
    for step in key:
        deeper = below.below(step)
        if deeper is None:
            return Shape({})
        below = deeper
    return below
