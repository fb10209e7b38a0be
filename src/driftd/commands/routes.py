"""`driftd routes test --model NAME`: who would hear of it, and which route decides. Sends nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from driftd.core.event import KINDS, UNVERSIONED
from driftd.core.fault import UserError, printable
from driftd.core.spec import SEVERITIES, Model, Severity
from driftd.deliver.route import Facts, Routes
from driftd.outlet import routes_of
from driftd.settings.fault import SettingsError
from driftd.settings.load import Examined, examine
from driftd.settings.schema import Settings

TYPES: Final = {
    "firing": "driftd.alert.firing",
    "resolved": "driftd.alert.resolved",
    "retrain": "driftd.retrain.requested",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person said of the notification; None: every one that there may be."""

    model: str
    version: str | None = None
    kind: str | None = None
    rule: str | None = None
    severity: Severity | None = None
    type: Literal["firing", "resolved", "retrain"] | None = None
    labels: Sequence[str] = ()


def test(config: Path, asked: Asked, output: Literal["text", "json"]) -> int:
    """One line for all that go the same way. Raises UserError for a rule, kind or label that cannot be."""
    examined = examine(config, os.environ)
    if examined.faults or examined.settings is None:
        raise SettingsError(examined.faults)
    settings = examined.settings
    routes = routes_of(settings)
    rows = [(facts, routes.decide(facts)) for facts in _facts(settings, asked)]
    if output == "json":
        for facts, heard in rows:
            said = [_heard(examined, receiver, number) for receiver, number in heard.items()]
            sys.stdout.write(json.dumps({"notification": dict(facts), "receivers": said}) + "\n")
        return 0
    for line in _text(examined, routes, rows):
        sys.stdout.write(printable(line) + "\n")
    if settings.shadow:
        sys.stderr.write("deliver is none: of this instance nobody hears anything\n")
    return 0


def _facts(settings: Settings, asked: Asked) -> Iterator[Facts]:
    """Every notification that fits what was asked."""
    spec = settings.spec()
    model = spec.named()[spec.key_of(asked.model)]
    if asked.kind is not None and asked.kind not in KINDS:
        raise UserError(f"there is no kind {asked.kind!r}", f"write one of {', '.join(KINDS)}")
    labels = {**model.labels, **dict(map(_label, asked.labels))}
    raised = _raised(model)
    if asked.rule is not None and asked.rule not in {rule for rule, _, _ in raised}:
        known = ", ".join(dict.fromkeys(rule for rule, _, _ in raised))
        raise UserError(f"no rule of {asked.model!r} is called {asked.rule!r}", f"its rules: {known}")
    fitting = [
        (rule, severity, kind)
        for rule, severity, kind in raised
        if asked.rule in (None, rule) and asked.severity in (None, severity) and asked.type in (None, kind)
    ]
    if not fitting:
        raise UserError(
            "there is no such notification", "leave out --rule, --severity or --type to see those there are"
        )
    for rule, severity, kind in fitting:
        yield {
            **labels,
            "model": asked.model,
            "version": asked.version or UNVERSIONED,
            "kind": asked.kind or "prediction",
            "rule": rule,
            "severity": severity,
            "type": TYPES[kind],
        }


def _raised(model: Model) -> list[tuple[str, Severity, str]]:
    """Rule, severity and type of every notification that its rules can make."""
    reached: list[tuple[str, Severity]] = []
    for rule in model.window_rules:
        reached += [
            (rule.name, severity) for severity in SEVERITIES if severity == "warning" or rule.critical is not None
        ]
    reached += [(detector.name, detector.severity) for detector in model.detector_rules]
    out = [(rule, severity, kind) for rule, severity in reached for kind in ("firing", "resolved")]
    return [*out, ("retrain", "critical", "retrain")]


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UserError(f"{text!r} is not a label", "write NAME=VALUE, such as --label team=risk")
    return name, value


def _text(examined: Examined, routes: Routes, rows: Sequence[tuple[Facts, Mapping[str, int | None]]]) -> Iterator[str]:
    ways: dict[tuple[tuple[str, int | None], ...], list[Facts]] = {}
    for facts, heard in rows:
        ways.setdefault(tuple(heard.items()), []).append(facts)
    for way, group in ways.items():
        told = [_heard(examined, receiver, number) for receiver, number in way]
        who = ", ".join(f"{one['receiver']} ({one['route']})" if one["route"] else one["receiver"] for one in told)
        what = "everything" if len(ways) == 1 and len(rows) > 1 else "; ".join(map(_said, group))
        yield f"{who or 'nobody'} <- {what}"
    if not routes.routes:
        yield "there are no routes: every receiver hears of everything"


def _said(facts: Facts) -> str:
    kind = facts["type"].removeprefix("driftd.")
    return kind if kind == "retrain.requested" else f"{facts['rule']} {facts['severity']} {kind.removeprefix('alert.')}"


def _heard(examined: Examined, receiver: str, number: int | None) -> dict[str, Any]:
    if number is None:
        return {"receiver": receiver, "route": None}
    place = examined.tree.place_of(("routes", number))
    return {"receiver": receiver, "route": f"routes[{number}], {place.file}:{place.line}"}
