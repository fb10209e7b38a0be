"""What stands in the cells of a file's column, and how it becomes a column of the core.

A column is asked for in one of three forms: `numbers` (float64 with NULL, ABSENT, BAD), `objects` (a list of str, int,
float, bool, None and marks), `times` (a list of event times in ms; None for null, the text itself where it is no time).
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from driftd.core.event import ABSENT, BAD, NULL, Column, Mark

Form = Literal["numbers", "objects", "times"]


class Has(enum.Flag):
    """What a column holds beside nulls. OTHER: what is no signal (times, lists, objects, bytes)."""

    NOTHING = 0
    NUMBER = enum.auto()
    BOOL = enum.auto()
    TEXT = enum.auto()
    OTHER = enum.auto()


def has(kind: pa.DataType) -> Has:
    """What a column of this Arrow type can hold."""
    kind = _plain_type(kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Has.NUMBER
    if pa.types.is_boolean(kind):
        return Has.BOOL
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return Has.TEXT
    return Has.NOTHING if pa.types.is_null(kind) else Has.OTHER


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type)
    return _plain_type(kind.value_type) if pa.types.is_dictionary(kind) else kind


def _plain(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    return _plain(array.dictionary_decode()) if isinstance(array, pa.DictionaryArray) else array


def converted(array: pa.Array, form: Form) -> Column:
    """One Arrow array in the form asked for."""
    array = _plain(array)
    if form == "numbers":
        return numbers(array)
    return times(array) if form == "times" else objects(array)


def numbers(array: pa.Array) -> NDArray[np.float64]:
    """float64: NaN is null, what is infinite or no number is BAD."""
    kind = array.type
    if pa.types.is_decimal(kind):
        array = array.cast(pa.string())  # by way of its digits, so that it is rounded as the same text is elsewhere
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return np.where(_nulls(array), NULL, BAD)
    return settle(np.array(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64))


def settle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """In place: infinities become BAD; a NaN is NULL already."""
    values[np.isinf(values)] = BAD
    return values


def objects(array: pa.Array) -> list[object]:
    """A list of Python's own objects; NaN is None, an infinity is Mark.BAD."""
    kind = array.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = numbers(array)
        plain: list[object] = values.tolist()
        for i in np.flatnonzero(~np.isfinite(values)).tolist():
            plain[i] = None if plain[i] != plain[i] else Mark.BAD
        return plain
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return coded(array, lambda text: text)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return list(array.to_pylist() if array.null_count else array.to_numpy(zero_copy_only=False).tolist())
    return [None if null else Mark.BAD for null in _nulls(array).tolist()]


def coded(texts: pa.Array, meaning: Callable[[str], object]) -> list[object]:
    """`meaning` of each text, called once for each different one."""
    encoded = texts.cast(pa.string()).dictionary_encode()
    known = np.empty(len(encoded.dictionary) + 1, object)
    known[:-1] = [meaning(text) for text in encoded.dictionary.to_pylist()]
    known[-1] = None
    return list(known[encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)].tolist())


def _nulls(array: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False), np.bool_)


# Numbers as text (CSV).

NULL_WORDS: Final = ("NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "None", "<NA>")
"""In a column of numbers these are nulls; in a column of text they are texts (NA is Namibia)."""
_LEADING_ZERO: Final = r"^[+-]?0[0-9]"
_INTEGER: Final = re.compile(r"[+-]?(0|[1-9][0-9]*)")
BOOL_WORDS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def text_numbers(texts: pa.Array) -> pa.Array | None:
    """float64, if every text that is not null is a number or a word for null; 007 is no number but a name."""
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        kept = pc.if_else(pc.is_in(texts, value_set=pa.array(NULL_WORDS)), None, texts)
        if kept.null_count == texts.null_count:
            return None
        return text_numbers(kept)
    return None if pc.any(pc.match_substring_regex(texts, _LEADING_ZERO)).as_py() else values


def text_number(text: str) -> int | float | Mark | None:
    """The number that a text of a column of numbers stands for."""
    if text in NULL_WORDS:
        return None
    if _INTEGER.fullmatch(text):
        # An int of more than 308 digits has no float, and int() of a very long text is slow: it is bad either way.
        return int(text) if len(text) <= 308 else Mark.BAD
    try:
        value = float(text)
    except ValueError:
        return Mark.BAD
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else Mark.BAD


# Times.

_LAYOUTS: Final = (pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.timestamp("ns"))
_PER_MS: Final = {"s": -1_000, "ms": 1, "us": 1_000, "ns": 1_000_000}


def times(array: pa.Array) -> list[object]:
    """Event times in ms since the epoch. Timestamps and texts without a zone are UTC; an integer counts
    milliseconds, a float seconds. Raises ValueError for integers that are hardly milliseconds.
    """
    kind = array.type
    if pa.types.is_date(kind):
        array = array.cast(pa.timestamp("ms"))
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [_time(value) for value in objects(array)]
    elif pa.types.is_integer(kind):
        ints: list[object] = array.to_pylist()
        plausible(ints)
        return ints
    elif has(kind) is Has.TEXT:
        return text_times(array)
    elif not pa.types.is_timestamp(kind):
        raise ValueError(f"it is of type {kind}, which is no time")
    return _stamps(array)


def _stamps(array: pa.Array) -> list[object]:
    per_ms = _PER_MS[array.type.unit]
    ints = array.cast(pa.int64()).fill_null(0).to_numpy()
    out: list[object] = (ints * -per_ms if per_ms < 0 else ints // per_ms).tolist()
    if array.null_count:
        for i in np.flatnonzero(_nulls(array)).tolist():
            out[i] = None
    return out


def text_times(texts: pa.Array) -> list[object]:
    """RFC 3339, or what ISO 8601 and the pandas library write; a text that is no time stays as it is."""
    for layout in _LAYOUTS:
        try:
            return _stamps(texts.cast(layout))
        except pa.ArrowInvalid:
            continue
    return [_time(text) for text in texts.to_pylist()]


def object_times(values: Sequence[object]) -> list[object]:
    """The same for a list of objects."""
    plausible(values)
    return [_time(value) for value in values]


def plausible(values: Sequence[object]) -> None:
    """Raises ValueError if the first integer is hardly a time in milliseconds of this age."""
    first = next((value for value in values if type(value) is int), 0)
    if 500_000_000 <= first < 100_000_000_000:
        raise ValueError(f"{first} looks like seconds, but an integer counts milliseconds since 1970")
    if first > 100_000_000_000_000:
        raise ValueError(f"{first} looks like micro- or nanoseconds, but an integer counts milliseconds since 1970")


def _time(value: object) -> object:
    if type(value) is float:
        return round(value * 1_000) if math.isfinite(value) else None
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        number = text_number(value)
        return value if isinstance(number, Mark) or number is None else _time(number)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return math.floor(moment.timestamp() * 1_000)


def object_numbers(values: Sequence[object]) -> NDArray[np.float64]:
    """A list of JSON's objects as float64 with NULL, ABSENT and BAD."""
    if set(map(type, values)) <= _NUMBERS_AND_NULL:
        with suppress(OverflowError):
            return settle(np.array(values, np.float64))  # numpy, too, makes None NaN
    return np.fromiter(map(_object_number, values), np.float64, len(values))


_NUMBERS_AND_NULL: Final = {int, float, type(None)}


def _object_number(value: object) -> float:
    kind = type(value)
    if kind is float or kind is int:
        try:
            number = float(value)  # type: ignore[arg-type]
        except OverflowError:
            return BAD
        return number if math.isfinite(number) else BAD
    if value is None:
        return NULL
    return ABSENT if value is Mark.ABSENT else BAD
