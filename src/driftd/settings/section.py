"""What every section of the settings is: strict, frozen, and without keys that nobody asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from driftd.settings.quantity import refuse, shortened

T = TypeVar("T")

STRICT = ConfigDict(
    extra="forbid",
    frozen=True,
    strict=True,
    allow_inf_nan=False,
    hide_input_in_errors=True,
    validate_default=False,
)


def _empty_if_null(value: object) -> object:
    """A section whose lines are all commented out is null to YAML, and its defaults to a person."""
    return {} if value is None else value


class Section(BaseModel):
    model_config = STRICT

    @model_validator(mode="before")
    @classmethod
    def _from_null(cls, value: object) -> object:
        return _empty_if_null(value)


def _one_or_many(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, str) else value


def path_of(value: object) -> Path:
    """The value as a path."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        refuse(f"expected the path of a file, got {shortened(value)}", "write a path, in quotes if it is a number")
    return Path(value)


def expression(text: str) -> re.Pattern[str]:
    """A regular expression of the settings, compiled."""
    try:
        return re.compile(text)
    except re.error as error:
        refuse(f"{shortened(text)} is not a regular expression: {error}", "mend the expression")


Named = Annotated[Mapping[str, T], BeforeValidator(_empty_if_null)]
"""A map from names that people choose."""
Many = Annotated[tuple[T, ...], BeforeValidator(_one_or_many)]
"""A list, or the one item of it."""
FilePath = Annotated[Path, BeforeValidator(path_of)]
