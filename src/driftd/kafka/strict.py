"""JSON read exactly: what is valid and what is not, one value at a time.

The typed fast path accepts a part of what this accepts, with the same outcome; what it does not accept comes here.

A number that no float64 holds (1e999, an integer of 5,000 digits) and a string that no UTF-8 holds (a lone surrogate)
are valid JSON: each becomes `Mark.BAD` in its place, and the rest of the document stays.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, NoReturn

import msgspec

from driftd.core.event import Mark
from driftd.kafka.reasons import Reason, Refused

MAX_DEPTH: Final = 64
_DIGITS: Final = 400
"""No float64 has more digits before its point; and Python refuses to read integers of more than 4,300."""

_generic = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOT_SPLIT: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""No object, not valid, or with a key that only the slow reader takes."""
_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def parse(document: bytes, max_depth: int = MAX_DEPTH) -> object:
    """The document as dict, list, str, int, float, bool, None and `Mark.BAD`; raises Refused."""
    check_depth(document, max_depth)
    try:
        return _generic(document)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # Not valid, or a number or string that msgspec cannot hold: the slow reader tells which.
        return _parse_slowly(document)


def parse_event(document: bytes) -> object:
    """The same, but of equal keys of the event, or of its features, only the last one's value is looked at.

    That is how the fast readers see it, which skip what a later equal key replaces.
    """
    try:
        values = _members(document)
    except _NOT_SPLIT:
        return parse(document)
    return {
        key: _parse_features(bytes(raw)) if key == "features" else parse(bytes(raw), MAX_DEPTH - 1)
        for key, raw in values.items()
    }


def _parse_features(document: bytes) -> object:
    try:
        values = _members(document)
    except _NOT_SPLIT:
        return parse(document, MAX_DEPTH - 1)
    return {name: parse(bytes(raw), MAX_DEPTH - 2) for name, raw in values.items()}


def check_depth(document: bytes, max_depth: int = MAX_DEPTH) -> None:
    """Raises Refused if brackets, outside of strings, nest deeper than this."""
    if document.count(b"[") + document.count(b"{") <= max_depth:
        return
    depth = 0
    for token in _STRUCTURE.finditer(document):
        first = document[token.start()]
        if first in b"[{":
            depth += 1
            if depth > max_depth:
                raise Refused(Reason.DEPTH, f"nested deeper than {MAX_DEPTH}")
        elif first in b"]}":
            depth -= 1


def finite(number: float) -> bool:
    """Whether a float64 holds it."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _parse_slowly(document: bytes) -> object:
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise Refused(Reason.UTF8, f"byte {fault.start} is not UTF-8") from None
    try:
        tree: object = json.loads(text, parse_float=_float, parse_int=_int, parse_constant=_constant)
    except json.JSONDecodeError as fault:
        raise Refused(Reason.JSON, f"{fault.msg} at character {fault.pos}") from None
    except RecursionError:
        raise Refused(Reason.DEPTH, f"nested deeper than {MAX_DEPTH}") from None
    return _without_surrogates(tree)


def _float(digits: str) -> object:
    number = float(digits)
    return number if math.isfinite(number) else Mark.BAD


def _int(digits: str) -> object:
    return int(digits) if len(digits) < _DIGITS else Mark.BAD


def _constant(word: str) -> NoReturn:
    raise Refused(Reason.JSON, f"{word} is not JSON")


def _without_surrogates(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _without_surrogates(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_surrogates(value) for value in tree]
    if isinstance(tree, str):
        return tree if is_text(tree) else Mark.BAD
    return tree


def is_text(string: str) -> bool:
    """Whether UTF-8 holds it: no lone surrogates."""
    return string.isascii() or not any("\ud800" <= character <= "\udfff" for character in string)
