"""The `monitoring` section and the models, which may override any of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from driftd.core import detectors, spec
from driftd.core.event import Kind
from driftd.settings.expect import Expect
from driftd.settings.keys import nearest
from driftd.settings.quantity import (
    Duration,
    FalseAlarms,
    Instant,
    Span,
    refuse,
    shortened,
)
from driftd.settings.section import FilePath, Many, Named, Section, expression

_WINDOW = spec.Window()
_VERSIONS = spec.Versions()
_SCHEMA = spec.Schema()
_LEARN = spec.Learn()
_RETRAIN = spec.Retrain()
_RULE = spec.WindowRule("")
_DETECTOR = spec.DetectorRule("")

Positive = Annotated[int, Field(ge=1)]


class Window(Section):
    length: Span = _WINDOW.length
    every: Span = _WINDOW.every
    min_samples: Positive = _WINDOW.min_samples
    max_length: Span = _WINDOW.max_length
    allowed_lateness: Duration = _WINDOW.allowed_lateness
    max_wait: Span = _WINDOW.max_wait
    max_ahead: Span = _WINDOW.max_ahead
    max_skew: Span = _WINDOW.max_skew

    def core(self) -> spec.Window:
        return spec.Window(**dict(self))


def _pattern(value: object) -> object:
    if isinstance(value, str):
        return expression(value)
    return value


class Versions(Section):
    """How versions come and go. `champion` None: the one with most events."""

    champion: str | None = None
    expire_after: Span = _VERSIONS.expire_after
    fold: Named[Annotated[re.Pattern[str], BeforeValidator(_pattern)]] = Field(default={})

    def core(self) -> spec.Versions:
        return spec.Versions(self.champion, self.expire_after, tuple(self.fold.items()))


class Schema(Section):
    """Changes of columns."""

    severity: spec.Severity = _SCHEMA.severity
    settle_after: Span = _SCHEMA.settle_after
    expected_until: Named[Instant] = Field(default={})

    def core(self) -> spec.Schema:
        return spec.Schema(self.severity, self.settle_after, dict(self.expected_until))


class Learn(Section):
    duration: Span = Field(default=_LEARN.duration, alias="for")
    min_samples: Positive = _LEARN.min_samples


class Reference(Section):
    """Learned from live events, or built beforehand."""

    learn: Learn | None = None
    file: FilePath | None = None
    versions: Named[FilePath] = Field(default={})

    @model_validator(mode="after")
    def _one(self) -> Reference:
        if self.learn is not None and (self.file is not None or self.versions):
            refuse("both learned and from files", "keep `learn`, or `file` and `versions`")
        return self

    def core(self) -> spec.Learn | spec.ReferenceFiles:
        if self.file is None and not self.versions:
            learn = self.learn or Learn()
            return spec.Learn(learn.duration, learn.min_samples)
        versions = {version: str(path) for version, path in self.versions.items()}
        return spec.ReferenceFiles(None if self.file is None else str(self.file), versions)


class WindowRule(Section):
    """A rule on windows. `critical` None: it has one severity. `on` None: every signal."""

    statistic: Annotated[Many[spec.Statistic], Field(min_length=1)]
    warning: Annotated[float, Field(gt=0)]
    critical: Annotated[float, Field(gt=0)] | None = None
    persist: Positive = _RULE.persist
    false_alarms: FalseAlarms = _RULE.false_alarms_per_year
    on: Many[str] | None = None
    against: spec.Against = _RULE.against

    def core(self, name: str) -> spec.WindowRule:
        return spec.WindowRule(
            name, self.statistic, self.warning, self.critical, self.persist, self.false_alarms, self.on, self.against
        )

    def reaches(self, severity: spec.Severity) -> bool:
        return severity == "warning" or self.critical is not None


class DetectorRule(Section):
    """A rule on a sequential detector."""

    detector: spec.DetectorName
    on: Annotated[Many[str], Field(min_length=1)] = _DETECTOR.on
    delta: Annotated[float, Field(gt=0, lt=1)] = _DETECTOR.delta
    min_effect: Annotated[float, Field(ge=0)] = _DETECTOR.min_effect
    direction: spec.Direction = _DETECTOR.direction
    resolve_after: Span = _DETECTOR.resolve_after
    severity: spec.Severity = _DETECTOR.severity
    parameters: Named[int | float] = Field(default={})

    @model_validator(mode="after")
    def _of_this_detector(self) -> DetectorRule:
        known = detectors.PARAMETERS[self.detector]
        for name in self.parameters:
            if name not in known:
                near = nearest(name, known)
                hint = f"did you mean `{near}`?" if near else f"it takes {', '.join(known)}"
                own = (
                    "`delta` of adwin stands beside `detector`" if (self.detector, name) == ("adwin", "delta") else hint
                )
                refuse(f"{self.detector} has no parameter `{name}`", own)
        if self.detector != "adwin" and "delta" in self.model_fields_set:
            refuse(
                f"`delta` beside `detector` is adwin's, not {self.detector}'s",
                f"write `parameters: {{...}}`, of {', '.join(known)}",
            )
        if self.detector in detectors.RISES_ONLY and self.direction == "down":
            refuse(f"{self.detector} finds no falls", "leave out `direction`, or choose another detector")
        try:
            detectors.check(self.core(""))
        except ValueError as error:
            refuse(f"{self.detector}: {error}", "docs/statistics.md says what it means")
        return self

    def core(self, name: str) -> spec.DetectorRule:
        return spec.DetectorRule(name, **dict(self))

    def reaches(self, severity: spec.Severity) -> bool:
        return spec.SEVERITIES.index(severity) <= spec.SEVERITIES.index(self.severity)


def _kind_of_rule(value: object) -> str:
    keys = value if isinstance(value, Mapping) else ()
    return "<detector>" if "detector" in keys or isinstance(value, DetectorRule) else "<statistic>"


Rule = Annotated[
    Annotated[WindowRule, Tag("<statistic>")] | Annotated[DetectorRule, Tag("<detector>")],
    Discriminator(_kind_of_rule),
]


def _condition(text: object) -> object:
    if not isinstance(text, str):
        return text
    _, dot, severity = text.rpartition(".")
    if dot and severity not in spec.SEVERITIES:
        refuse(f"{shortened(text)} names no severity", "write RULE.warning, RULE.critical, or RULE alone for any")
    return text


class Retrain(Section):
    """When a retraining is asked for: `rule.severity`, or a rule alone for any severity."""

    when: Many[Annotated[str, BeforeValidator(_condition)]] = tuple(".".join(pair) for pair in _RETRAIN.when)
    cool_down: Duration = _RETRAIN.cool_down
    budget_per_day: Positive = _RETRAIN.budget_per_day

    def conditions(self) -> tuple[tuple[str, spec.Severity], ...]:
        """Pairs of a rule and the lowest severity that asks."""
        pairs: list[tuple[str, spec.Severity]] = []
        for text in self.when:
            rule, dot, severity = text.rpartition(".")
            pairs.append((rule, "critical" if severity == "critical" else "warning") if dot else (text, "warning"))
        return tuple(pairs)


class Signal(Section):
    source: Kind | None = Field(default=None, alias="from")
    type: spec.SignalType | None = None


def _off(value: object) -> object:
    return None if value is False else value


BUILT_IN_RULES: Final[Mapping[str, Mapping[str, object]]] = {
    "drift": {"statistic": "psi", "warning": 0.1, "critical": 0.25, "persist": 2},
    "gaps": {
        "statistic": ["null_rate", "absent_rate", "new_rate"],
        "warning": 0.02,
        "critical": 0.1,
        "persist": 1,
    },
    "jump": {"detector": "adwin"},
}
"""The rules that everything in the files lies over."""


class Monitoring(Section):
    """How models are watched. `retrain` None: never asked for."""

    window: Window = Window()
    reference: Reference = Reference()
    on_new_version: spec.NewVersion = "inherit"
    versions: Versions = Versions()
    rules: Named[Rule] = Field(default={})
    schema_: Annotated[Schema | None, BeforeValidator(_off)] = Field(default=Schema(), alias="schema")
    retrain: Annotated[Retrain | None, BeforeValidator(_off)] = Retrain()
    features_from: Literal["prediction", "features"] = "prediction"
    expect: Expect = Expect()


class Model(Monitoring):
    labels: Named[str] = Field(default={})
    signals: Named[Signal] = Field(default={})

    def core(self, name: str) -> spec.Model:
        """The model in the core's terms. A rule of `retrain.when` that it does not have never asks."""
        window_rules = {key: rule for key, rule in self.rules.items() if isinstance(rule, WindowRule)}
        detector_rules = {key: rule for key, rule in self.rules.items() if isinstance(rule, DetectorRule)}
        retrain = self.retrain or Retrain(when=())
        return spec.Model(
            name=name,
            window=self.window.core(),
            reference=self.reference.core(),
            on_new_version=self.on_new_version,
            window_rules=tuple(rule.core(key) for key, rule in window_rules.items()),
            detector_rules=tuple(rule.core(key) for key, rule in detector_rules.items()),
            retrain=spec.Retrain(
                tuple(pair for pair in retrain.conditions() if pair[0] in self.rules),
                retrain.cool_down,
                retrain.budget_per_day,
            ),
            labels=dict(self.labels),
            signals={key: spec.Signal(signal.source, signal.type) for key, signal in self.signals.items()},
            features_from=self.features_from,
            versions=self.versions.core(),
            schema=self.schema_.core() if self.schema_ is not None else None,
            expect=self.expect.core(),
        )
