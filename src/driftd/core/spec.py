"""Frozen configuration: what the settings say, in the core's units. Durations are milliseconds.

Nothing here is validated: `driftd.settings` refuses what is wrong and names the place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Literal

from driftd.core.event import Kind

Severity = Literal["warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("warning", "critical")
"""In rising order."""
Statistic = Literal["psi", "null_rate", "absent_rate", "new_rate"]
Direction = Literal["both", "up", "down"]
DetectorName = Literal["adwin", "page_hinkley", "hddm_a", "hddm_w", "kswin", "ddm", "eddm", "fhddm"]
SignalType = Literal["numeric", "categorical"]
NewVersion = Literal["inherit", "learn", "hold"]
Against = Literal["reference", "champion"]

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
YEAR = 31_557_600_000
"""A Julian year of 365.25 days."""


@dataclass(frozen=True, slots=True)
class Window:
    length: int = HOUR
    every: int = 5 * MINUTE
    min_samples: int = 100
    max_length: int = 7 * DAY
    allowed_lateness: int = MINUTE
    max_wait: int = 5 * MINUTE
    max_ahead: int = DAY
    max_skew: int = 10 * MINUTE


@dataclass(frozen=True, slots=True)
class Expect:
    """When events are expected (`core.expect`). `every`: a longer silence is overdue; None: none is, unless `once`.

    `between`: from and until when, in minutes of the local day, the second of the next day where it is not above the
    first; None: all day. `days`: those on which it begins, Monday is 0. `timezone`: its use reads nothing.
    """

    every: int | None = HOUR
    once: bool = False
    """Each span holds at least one event; `every` says nothing then."""
    between: tuple[int, int] | None = None
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    timezone: tzinfo = UTC
    kinds: tuple[Kind, ...] = ("prediction", "features")

    @property
    def steady(self) -> bool:
        """Whether events are expected at any time."""
        return not self.once and self.between is None and len(self.days) == 7


@dataclass(frozen=True, slots=True)
class Learn:
    """Learn the reference from live events: at least this long and at least this many."""

    duration: int = 7 * DAY
    min_samples: int = 5_000


@dataclass(frozen=True, slots=True)
class ReferenceFiles:
    """References built beforehand: one for the model, and one for each version that has its own (paths)."""

    file: str | None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WindowRule:
    """A rule on windows: statistics against thresholds of effect, at a budget of false alarms a model-year.

    `critical` None: the rule has one severity. `on` None: every signal. `against` champion: newer versions are compared
    with what the champion saw in the same window.
    """

    name: str
    statistics: tuple[Statistic, ...] = ("psi",)
    warning: float = 0.1
    critical: float | None = 0.25
    persist: int = 2
    false_alarms_per_year: float = 1.0
    on: tuple[str, ...] | None = None
    against: Against = "reference"


@dataclass(frozen=True, slots=True)
class DetectorRule:
    """A rule on a sequential detector. `min_effect` is in standard deviations of the reference. `delta` is ADWIN's;
    `parameters`: what was said of the detector's others (`core.detectors`), by name.
    """

    name: str
    detector: DetectorName = "adwin"
    on: tuple[str, ...] = ("prediction",)
    delta: float = 0.002
    min_effect: float = 0.25
    direction: Direction = "both"
    resolve_after: int = 6 * HOUR
    severity: Severity = "warning"
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retrain:
    """Which alerts ask for a retraining (pairs of rule and lowest severity), and how often at most."""

    when: tuple[tuple[str, Severity], ...] = (("drift", "critical"),)
    cool_down: int = DAY
    budget_per_day: int = 1


@dataclass(frozen=True, slots=True)
class Signal:
    """What the settings say of one signal: the kind of event it comes from, its type; None: not said."""

    source: Kind | None = None
    type: SignalType | None = None


@dataclass(frozen=True, slots=True)
class Versions:
    """`champion` None: the version with most events. `expire_after`: of silence, in event time. `fold`: versions that an
    expression matches from their beginning are counted as one, under its name; the first that matches.
    """

    champion: str | None = None
    expire_after: int = 7 * DAY
    fold: tuple[tuple[str, re.Pattern[str]], ...] = ()

    def folded(self, version: str) -> str:
        """The name that a version is counted under."""
        return next((name for name, pattern in self.fold if pattern.match(version)), version)


@dataclass(frozen=True, slots=True)
class Schema:
    """Changes of columns. `severity`: of those that the reference has; new ones are warnings. `settle_after`: when a new
    column is one of the others. `expected_until`: by column, or "*" for all, the end of event time until which its
    changes are planned.
    """

    severity: Severity = "critical"
    settle_after: int = DAY
    expected_until: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """One model's settings, defaults merged in. `features_from`: the kind that features not named in `signals` come from."""

    name: str
    window: Window = Window()
    reference: Learn | ReferenceFiles = Learn()
    on_new_version: NewVersion = "inherit"
    window_rules: tuple[WindowRule, ...] = (
        WindowRule("drift"),
        WindowRule("gaps", ("null_rate", "absent_rate", "new_rate"), 0.02, 0.1, 1),
    )
    detector_rules: tuple[DetectorRule, ...] = (DetectorRule("jump"),)
    retrain: Retrain = Retrain()
    labels: Mapping[str, str] = field(default_factory=dict)
    signals: Mapping[str, Signal] = field(default_factory=dict)
    features_from: Kind = "prediction"
    versions: Versions = Versions()
    schema: Schema | None = Schema()
    expect: Expect = Expect()

    def source_of(self, signal: str) -> Kind:
        """The one kind of event that this signal is counted from."""
        said = self.signals.get(signal)
        if said is not None and said.source is not None:
            return said.source
        if signal in ("prediction", "class"):
            return "prediction"
        if signal in ("label", "error"):
            return "label"
        return self.features_from

    def rules_against(self, against: Against) -> tuple[WindowRule, ...]:
        return tuple(rule for rule in self.window_rules if rule.against == against)

    def watched(self) -> frozenset[str]:
        """Signals that need one-second slices, because a detector listens to them."""
        return frozenset(name for rule in self.detector_rules for name in rule.on)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on memory. What is over a bound is dropped and counted."""

    models: int = 10_000
    versions: int = 32
    signals: int = 2_000
    categories: int = 256
    learning_memory: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Spec:
    """All of it. `group` names the installation in ids.

    A model that is not in `models` gets, under its own name, what the first of `patterns` says that matches it (each
    is known by its expression), else `default`; or it is `unknown`, and `ignore_unknown` leaves it out.
    """

    group: str = "driftd"
    models: Mapping[str, Model] = field(default_factory=dict)
    default: Model = Model("")
    limits: Limits = Limits()
    patterns: tuple[tuple[re.Pattern[str], Model], ...] = ()
    ignore_unknown: bool = False

    def key_of(self, name: str) -> str:
        """Under which name its settings stand: its own, an expression, or "" for the default."""
        if name in self.models:
            return name
        return next((found.pattern for found, _ in self.patterns if found.match(name)), "")

    def folded(self, model: str, version: str) -> str:
        """The version that an event of this model and version is counted under."""
        key = self.key_of(model)
        if key in self.models:
            return self.models[key].versions.folded(version)
        found = next((its for pattern, its in self.patterns if pattern.pattern == key), self.default)
        return found.versions.folded(version)

    def named(self) -> dict[str, Model]:
        """Every model, expression and the default ("") by its key."""
        return {"": self.default} | {found.pattern: model for found, model in self.patterns} | dict(self.models)
