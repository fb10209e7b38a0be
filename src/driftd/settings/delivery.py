"""Who hears of what: `routes`, `heartbeat`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field

from driftd.core.spec import MINUTE
from driftd.settings.quantity import Span, refuse, shortened
from driftd.settings.section import Many, Named, Section, expression

Operator = Literal["=", "!=", "=~", "!~"]
_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\n])*)"', re.DOTALL)
_ESCAPED = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """What Alertmanager calls one. An expression must match the whole value."""

    name: str
    operator: Operator
    value: str


def _matcher(said: object) -> Matcher:
    if isinstance(said, Matcher):
        return said
    remedy = 'write NAME, one of = != =~ !~, and a value: severity = critical, model =~ "churn.*"'
    found = _MATCHER.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        refuse(f"{shortened(said)} is not a matcher", remedy)
    name, operator, value = found.groups()
    if value.startswith('"'):
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            refuse(f"the quotes of {shortened(said)} do not close", remedy)
        value = re.sub(r'\\["\\n]', lambda escape: _ESCAPED[escape[0]], quoted[1])
    if operator.endswith("~"):
        expression(value)
    return Matcher(name, cast("Operator", operator), value)


def _value(text: str) -> str:
    if text.startswith("^"):
        expression(text)
    return text


class Route(Section):
    """Which receiver hears of what. The first that matches decides, unless it says `continue`. One that asks for
    nothing matches everything.
    """

    match: Named[Annotated[str, AfterValidator(_value)]] = Field(default={})
    matchers: Many[Annotated[Matcher, BeforeValidator(_matcher)]] = ()
    receiver: str
    goes_on: bool = Field(default=False, alias="continue")


class Heartbeat(Section):
    """The always-firing message of a dead-man's switch. `receiver` None: none is sent."""

    receiver: str | None = None
    every: Span = MINUTE
