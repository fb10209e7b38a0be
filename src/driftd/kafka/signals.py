"""The signals that are no features: what an event's prediction and label say, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import UNSET

from driftd.core.event import Column, Mark
from driftd.core.grid import category
from driftd.kafka.columns import numbers
from driftd.kafka.envelope import Score
from driftd.kafka.features import SignalType


def predictions(said: Sequence[object]) -> tuple[list[object], list[object]]:
    """The columns `prediction` and `class`. A number is a prediction, a name or a bool a class, null is both."""
    absent = Mark.ABSENT
    scores = list(said)
    classes: list[object] = [absent] * len(scores)
    if set(map(type, scores)) == {float}:
        return scores, classes
    for i, value in enumerate(scores):
        if isinstance(value, Score):
            scores[i] = absent if value.score is UNSET else value.score
            classes[i] = absent if value.class_ is UNSET else _named(value.class_)
        elif isinstance(value, str | bool):
            scores[i], classes[i] = absent, _named(value)
        elif value is None:
            classes[i] = None
        elif value is UNSET:
            scores[i] = absent
    return scores, classes


def labels(said: Sequence[object]) -> list[object]:
    """The column `label`. A number stays one, a name is itself, a bool is `true` or `false`."""
    return [_named(value) if isinstance(value, bool) else value for value in said]


def seen(columns: dict[str, Column]) -> dict[str, Column]:
    """Without the built-in signals that no event has; a feature's column is only there if an event has it."""
    for name in ("prediction", "class"):
        if name in columns and set(map(type, columns[name])) == {Mark} and Mark.BAD not in columns[name]:
            del columns[name]
    return dict(sorted(columns.items()))


def typed(columns: Mapping[str, Column], types: Mapping[str, SignalType]) -> dict[str, Column]:
    """Those columns that have a type, in that type's form."""
    found: dict[str, Column] = {}
    for signal in sorted(columns.keys() & types.keys()):
        column = columns[signal]
        if types[signal] == "numeric" and not isinstance(column, np.ndarray):
            column = numbers(column)
        found[signal] = column
    return found


def _named(value: object) -> object:
    """What names a class: a bool is `true` or `false`, 1 and 1.0 are `1`."""
    return value if value is None or isinstance(value, str | Mark) else category(value)
