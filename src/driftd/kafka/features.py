"""Features of the events of one (model, kind), from their JSON to columns.

With known types: a typed struct, whole chunks turned into float64 at once, no Python object per number beyond the
decoder's. Without: dicts, and columns of objects. Either reads one object of features with `fast`, which accepts only
what is right in every part, or takes a generic object, in which what is wrong becomes BAD and the rest stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, cast

import msgspec
from msgspec import Raw

from driftd.core.event import ABSENT, Mark
from driftd.kafka.columns import AnyColumns, KnownColumns, Row, number, scalar
from driftd.kafka.envelope import NOT_SO, Envelope, nameable, sound
from driftd.kafka.names import feature_of, signal_of

SignalType = Literal["numeric", "categorical"]


_EXTRA_FEATURES: Final = 256
"""Features without a type that the fast reader learns for a model; with more distinct ones, rows are read exactly."""
_NUMBERS: Final = frozenset(bytes([c]) for c in b"-0123456789")
"""What a number of JSON begins with."""
_SCALAR: Final = str | int | float | bool | None


class KnownFeatures:
    """Features whose types are known. `elsewhere`: those counted from another kind of event, no strangers."""

    def __init__(self, types: Mapping[str, SignalType], elsewhere: frozenset[str] = frozenset()) -> None:
        of_type: dict[str, list[str]] = {"numeric": [], "categorical": []}
        for signal in sorted(types):
            feature = feature_of(signal)
            if feature is not None and signal_of(feature) == signal:
                of_type[types[signal]].append(feature)
        self._numeric = of_type["numeric"]
        self._names = of_type["numeric"] + of_type["categorical"]
        self._known = frozenset(self._names)
        self._elsewhere = elsewhere
        self._extras: list[str] = []
        self._absent: Row = (ABSENT,) * len(self._numeric) + (Mark.ABSENT,) * len(of_type["categorical"])
        self._nested: set[str] = set()
        """Features without a type that held an object or a list: many rows at once are read past those."""
        self._structured = all(map(nameable, self._names))
        self._struct = self._structure(Raw, Raw()) if self._structured else None
        self._decode = self._decoder(self._struct)
        self._scalars = self._struct
        self._decode_scalars = self._decode
        self._whole: dict[bool, Callable[[bytes | None], Envelope]] = {}
        self.left_out = 0
        """Values of features that have no type, in all rows read."""
        self.strangers: list[tuple[str, bool]] = []
        """Those of the row read last, and whether each is a number."""
        self.of_all: list[tuple[str, Sequence[int], Sequence[int]]] = []
        """Those of the rows that were read together last: in which of them each is a number, and in which anything else."""

    def fast(self, raw: Raw) -> Row | None:
        """One row, all of whose features are right; None otherwise."""
        self.strangers = []
        if not len(raw):
            return self._absent
        if self._decode is None:
            return None
        try:
            row = msgspec.structs.astuple(self._decode(raw))
        except NOT_SO:
            return None
        if self._extras:
            extras = [raw for raw in row[len(self._names) :] if len(raw)]
            if not all(map(sound, extras)):
                return None
            self.strangers = [
                (name, bytes(raw)[:1] in _NUMBERS)
                for name, raw in zip(self._extras, row[len(self._names) :], strict=True)
                if len(raw) and name not in self._elsewhere
            ]
            self.left_out += len(self.strangers)
            self._note_nested(
                name
                for name, raw in zip(self._extras, row[len(self._names) :], strict=True)
                if bytes(raw)[:1] in (b"{", b"[")
            )
            return row[: len(self._names)]
        return row

    def all_fast(self, raws: Iterable[Raw]) -> list[Row] | None:
        """One row each, if all are right in every part; None otherwise."""
        decode, astuple = self._decode_scalars, msgspec.structs.astuple
        if decode is None:
            return None
        try:
            return self.known([astuple(decode(raw)) for raw in raws])
        except NOT_SO:
            return None

    def known(self, rows: list[Row]) -> list[Row] | None:
        """Rows read together, without the features that have no type: `of_all` tells of those. None: one is not right."""
        self.of_all = []
        if not self._extras:
            return rows
        first, found = len(self._names), []
        for name, values in zip(self._extras, zip(*[row[first:] for row in rows], strict=True), strict=True):
            column: Sequence[object] = values
            if name in self._nested:
                raws = cast("Sequence[Raw]", values)
                if not all(map(sound, raws)):
                    return None
                column = list(map(_of_raw, raws))
            if name not in self._elsewhere:
                found.append((name, *_numbers_and_others(column)))
        self.of_all = [(name, numbers, others) for name, numbers, others in found if numbers or others]
        self.left_out += sum(len(numbers) + len(others) for _, numbers, others in self.of_all)
        return [row[:first] for row in rows]

    def exact(self, features: Mapping[str, object] | None) -> Row:
        """The same row from a generic object, with BAD for what is wrong."""
        self.strangers = []
        if not features:
            return self._absent
        strangers = features.keys() - self._known
        if strangers:
            self.strangers = [(name, type(features[name]) in (int, float)) for name in strangers - self._elsewhere]
            self.left_out += len(self.strangers)
            self._learn(strangers)
            self._note_nested(name for name in strangers if isinstance(features[name], dict | list))
        get, first = features.get, len(self._numeric)
        numbers = [number(get(name, Mark.ABSENT)) for name in self._names[:first]]
        return (*numbers, *(scalar(get(name, Mark.ABSENT)) for name in self._names[first:]))

    def gather(self) -> KnownColumns:
        """Columns to be filled with rows."""
        return KnownColumns(self._names, len(self._numeric))

    def _learn(self, strangers: Iterable[str]) -> None:
        """From now on the fast reader expects these too; it takes them as they are and does not look inside."""
        new = sorted(filter(nameable, set(strangers) - set(self._extras)))[: _EXTRA_FEATURES - len(self._extras)]
        if new and self._structured:
            self._extras += new
            self._struct = self._structure(Raw, Raw())
            self._decode = self._decoder(self._struct)
            self._made_scalars()

    def _note_nested(self, names: Iterable[str]) -> None:
        new = set(names) & set(self._extras) - self._nested
        if new:
            self._nested |= new
            self._made_scalars()

    def _made_scalars(self) -> None:
        """Many rows at once are read into a struct in which also what has no type is decoded: it is looked at together."""
        self._scalars = self._structure(_SCALAR, Mark.ABSENT)
        self._decode_scalars = self._decoder(self._scalars)
        self._whole.clear()

    def whole(self, *, needed: bool) -> Callable[[bytes | None], Envelope] | None:
        """Reads an event of the native form with its features, which then are a struct of one row in place of Raw.

        It accepts only what is right in every part; `needed`: features must be there, or they are None. The rows are for
        `known`.
        """
        if self._scalars is None:
            return None
        if needed not in self._whole:
            absent = None if needed else self._scalars()
            fields = [("features", self._scalars, absent)]
            whole = msgspec.defstruct("Whole", fields, bases=(Envelope,), gc=False, forbid_unknown_fields=True)
            self._whole[needed] = msgspec.json.Decoder(whole).decode  # type: ignore[assignment]
        return self._whole[needed]

    @staticmethod
    def _decoder(struct: type[msgspec.Struct] | None) -> Callable[[Raw], msgspec.Struct] | None:
        return None if struct is None else msgspec.json.Decoder(struct).decode

    def _structure(self, extra: object, absent: object) -> type[msgspec.Struct]:
        """`extra`: as what a feature without a type is read, and what stands for one that is not there."""
        fields: list[tuple[str, object, object]] = []
        for i in range(len(self._names)):
            if i < len(self._numeric):
                fields.append((f"f{i}", float | None, ABSENT))
            else:
                fields.append((f"f{i}", _SCALAR, Mark.ABSENT))
        for name in self._extras:
            of = (Raw, Raw()) if name in self._nested else (extra, absent)
            fields.append((f"f{len(fields)}", *of))
        rename = {f"f{i}": name for i, name in enumerate(self._names + self._extras)}
        return msgspec.defstruct("Features", fields, rename=rename, gc=False, frozen=True, forbid_unknown_fields=True)


class AnyFeatures:
    """Features of a model whose types are not known: every one is a column of objects."""

    def __init__(self) -> None:
        self.left_out = 0
        """Values of features that were dropped, for too many names or a bad one, in all columns made."""

    def fast(self, raw: Raw) -> dict[str, object] | None:
        """One row, all of whose features are right; None otherwise."""
        if not len(raw):
            return {}
        try:
            return _scalars(raw)
        except NOT_SO:
            return None

    def all_fast(self, raws: Iterable[Raw]) -> list[dict[str, object]] | None:
        """One row each, if all are right in every part; None otherwise."""
        try:
            return list(map(_scalars, raws))
        except NOT_SO:
            return None

    def exact(self, features: Mapping[str, object] | None) -> dict[str, object]:
        """The same row from a generic object, with BAD for what is wrong."""
        return {name: scalar(value) for name, value in (features or {}).items()}

    def gather(self) -> AnyColumns:
        """Columns to be filled with rows."""
        return AnyColumns(self)


def _of_raw(raw: Raw) -> object:
    """Mark.ABSENT, or a number or a text as the raw value is one."""
    if not len(raw):
        return Mark.ABSENT
    return 0 if bytes(raw)[:1] in _NUMBERS else ""


def _numbers_and_others(column: Sequence[object]) -> tuple[Sequence[int], Sequence[int]]:
    """The rows with a number, and those with anything else, but for those without a value."""
    kinds = set(map(type, column))
    every = range(len(column))
    if Mark not in kinds:
        if kinds <= {int, float}:
            return every, ()
        if not kinds & {int, float}:
            return (), every
    numbers = [i for i in every if type(column[i]) in (int, float)]
    return numbers, [i for i in every if type(column[i]) not in (int, float, Mark)]


_scalars: Final = cast(
    "Callable[[Raw], dict[str, object]]", msgspec.json.Decoder(dict[str, str | int | float | bool | None]).decode
)
