"""Models by expression: a name that begins with ^ is a regular expression, as it is for topics. Its settings lie under
those of every model whose name it matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from driftd.settings.kafka import is_expression

Expressions = Sequence[re.Pattern[str]]


def expressions(names: Iterable[str]) -> Expressions:
    """The expressions among the names, the longest first: that one says most of what it matches.

    One that is not sound is left out; `Across` tells of it.
    """
    found = []
    for name in sorted(filter(is_expression, names), key=lambda name: (-len(name), name)):
        try:
            found.append(re.compile(name))
        except re.error:
            continue
    return tuple(found)


def match(name: str, among: Expressions) -> str | None:
    """The first that matches this model; an expression lies under no other."""
    if is_expression(name):
        return None
    return next((one.pattern for one in among if one.match(name)), None)
