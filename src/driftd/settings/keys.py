"""Which keys there are, read off the sections themselves: for suggestions, the environment, and the docs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ANY = "*"
"""Stands for a name that people choose."""
ITEM = "[]"
"""Stands for an item of a list."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What may lie below a key: fields, or names of their choosing, or items of a list, or nothing."""

    fields: Mapping[str, FieldInfo]
    named: object = None
    item: object = None

    def below(self, name: str | int) -> Shape | None:
        """The shape one step down."""
        if isinstance(name, int) or name == ITEM:
            return shape(self.item) if self.item is not None else None
        if name in self.fields:
            return shape(self.fields[name].annotation)
        return shape(self.named) if self.named is not None else None


def shape(annotation: object) -> Shape:
    """The shape that a type gives to what is written for it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return shape(get_args(annotation)[0])
    if origin in (Union, UnionType):
        parts = [shape(part) for part in get_args(annotation)]
        fields = {name: what for part in parts for name, what in part.fields.items()}
        named = next((part.named for part in parts if part.named is not None), None)
        return Shape(fields, named, next((part.item for part in parts if part.item is not None), None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Shape({info.alias or name: info for name, info in annotation.model_fields.items()})
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return Shape({}, named=get_args(annotation)[1])
    if origin is tuple and shape(get_args(annotation)[0]).fields:
        return Shape({}, item=get_args(annotation)[0])
    return Shape({})


def leaves(root: Shape, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that holds a value, `*` and `[]` for what people choose."""
    for name in root.fields:
        yield from _leaf(root, name, above)
    if root.named is not None:
        yield from _leaf(root, ANY, above)
    if root.item is not None:
        yield from _leaf(root, ITEM, above)


def _leaf(root: Shape, name: str, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    below = root.below(name)
    key = (*above, name)
    if below is None or not (below.fields or below.named is not None or below.item is not None):
        yield key
    else:
        yield from leaves(below, key)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """What was probably meant."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
