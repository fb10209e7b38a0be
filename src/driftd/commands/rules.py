"""`driftd rules explain`: what each rule of each model costs in false alarms, and the smallest shift that it finds."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from driftd.app import references
from driftd.core.action import rfc3339
from driftd.core.detectors import parameters_of
from driftd.core.distance import Floats
from driftd.core.engine import Engine
from driftd.core.event import Kind
from driftd.core.fault import UserError, printable
from driftd.core.monitor import Monitor
from driftd.core.power import levels, rounded_down, smallest_shifts, values_in, values_of
from driftd.core.reference import FLOOR, RATES, Reference
from driftd.core.spec import DetectorRule, WindowRule
from driftd.deliver.words import settings_of
from driftd.http.documents import smallest_shift
from driftd.http.shifts import words
from driftd.settings.load import load
from driftd.settings.schema import Settings
from driftd.store.database import StoreError
from driftd.store.reader import Reader

Document = dict[str, Any]
SHOWN: Final = 12
"""Signals of a rule that are listed as text, those that are hardest to find."""


def main(config: Path, model: str | None = None, output: Literal["text", "json"] = "text") -> int:
    """From the settings, and from the state where there is one; also while the daemon runs. Raises UserError."""
    settings = load(config, os.environ)
    engine = _engine(settings)
    found = [one for name, one in sorted(engine.monitors.items()) if model in (None, name)]
    if not found:
        what = (
            "no model is in the settings, and none was seen"
            if model is None
            else f"nothing is known of a model {model!r}"
        )
        raise UserError(what, "`driftd models` lists those that were seen")
    document = {"models": [told for one in found for told in _of_model(one)]}
    if output == "json":
        sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        sys.stdout.write("".join(f"{printable(line)}\n" for one in document["models"] for line in _lines(one)))
    return 0


def _engine(settings: Settings) -> Engine:
    spec = settings.spec()
    engine = Engine(spec, references(spec))
    try:
        with Reader.open_read_only(settings.state.directory) as reader:
            engine.restore(reader.load_rows())
    except StoreError:
        pass  # driftd has not run yet: the settings and the reference files say what they can
    return engine


def _of_model(monitor: Monitor) -> Iterator[Document]:
    """Each version and kind that is judged; then what has a reference and was not seen; or that there is none."""
    judged: set[Kind] = set()
    for (version, kind), series in sorted(monitor.series.items()):
        if series.reference is None:
            continue
        judged.add(kind)
        if series.span is not None and series.span.enough:
            n, end = values_of(series.reference, series.judged), rfc3339(series.span.end)
            yield _told(monitor, version, kind, series.reference, n, series.span.events, end)
        else:
            yield _least(monitor, version, kind, series.reference)
    for (version, kind), (reference, _) in sorted(monitor.baselines.references.items()):
        if kind not in judged and len(reference.grid):
            yield _least(monitor, version or None, kind, reference)
            judged.add(kind)
    if not judged:
        yield {"model": monitor.model.name, "version": None, "kind": None, "reference_events": 0, "rules": []}


def _least(monitor: Monitor, version: str | None, kind: Kind, reference: Reference) -> Document:
    events = monitor.model.window.min_samples
    return _told(monitor, version, kind, reference, values_in(reference, events), events, None)


def _told(
    monitor: Monitor, version: str | None, kind: Kind, reference: Reference, n: Floats, events: int, end: str | None
) -> Document:
    model = monitor.model
    return {
        "model": model.name,
        "version": version,
        "kind": kind,
        "reference_events": reference.events,
        "window_events": events,
        "window_end": end,
        "rules": [
            *(_rule(monitor, rule, reference, n) for rule in model.rules_against("reference")),
            *(_detector(rule, reference) for rule in model.detector_rules if set(rule.on) & set(reference.grid.names)),
        ],
        "others": [rule.name for rule in model.rules_against("champion")],
    }


def _rule(monitor: Monitor, rule: WindowRule, reference: Reference, n: Floats) -> Document:
    level = levels(monitor.model, rule, reference)
    return {
        "rule": rule.name,
        "statistics": list(rule.statistics),
        "warning": rule.warning,
        "critical": rule.critical,
        "persist": rule.persist,
        "false_alarms_a_year": rule.false_alarms_per_year,
        "windows_a_year": level.windows,
        "level_of_a_look": level.look,
        "tests": level.tests,
        "level_of_a_test": level.own,
        "own_reference": _own_reference(rule, reference, n),
        "smallest_shifts": [
            smallest_shift(one) | {"words": words(one)}
            for one in smallest_shifts(monitor.model, rule, reference, rounded_down(n))
        ],
    }


def _own_reference(rule: WindowRule, reference: Reference, n: Floats) -> Document:
    """What the replay of the reference showed of windows of this size. Alarms are none by construction where it could be
    replayed: a threshold is at least 1.5 times the worst. `raised`: signals of which it was.
    """
    replay, replayed_n = reference.replay(n[0])
    named = [i for i, name in enumerate(reference.grid.names) if rule.on is None or name in rule.on]
    if replay is None or not named:
        return {"alarms": None, "windows": 0, "window_values": 0, "worst_effect": None, "signal": None, "raised": []}
    scale = 1 / np.maximum(n[0], 1) + 1 / np.maximum(reference.present(), 1)
    worst = np.zeros(len(reference.grid))
    for statistic in rule.statistics:
        seen = replay.worst * scale if statistic == "psi" else replay.worst_rate[RATES.index(statistic)]
        worst = np.maximum(worst, seen)
    first = max(named, key=lambda i: worst[i])
    return {
        "alarms": 0,
        "windows": int(replay.windows[first]),
        "window_values": int(replayed_n[first]),
        "worst_effect": float(worst[first]),
        "signal": reference.grid.names[first],
        "raised": [reference.grid.names[i] for i in named if FLOOR * worst[i] > rule.warning],
    }


def _detector(rule: DetectorRule, reference: Reference) -> Document:
    return {
        "rule": rule.name,
        "detector": rule.detector,
        "on": [name for name in rule.on if name in reference.grid.names],
        **({"delta": rule.delta} if rule.detector == "adwin" else {"parameters": parameters_of(rule)}),
        "min_effect": rule.min_effect,
    }


# -- as text ---------------------------------------------------------------------------------------------------------


def _lines(one: Mapping[str, Any]) -> Iterator[str]:
    version = f"  version {one['version']}" if one["version"] is not None else ""
    if not one["rules"]:
        yield f"model {one['model']}: no reference yet, so that nothing can be told"
        yield ""
        return
    yield f"model {one['model']}{version}  {one['kind']} events  reference of {one['reference_events']:,}"
    if one["window_end"] is None:
        yield f"  no window was judged: told of the smallest that is, {one['window_events']:,} events"
    else:
        yield f"  windows like the newest, {one['window_events']:,} events until {one['window_end']}"
    for rule in one["rules"]:
        yield from _detector_lines(rule) if "detector" in rule else _rule_lines(rule)
    for name in one["others"]:
        yield f"  rule {name}: of newer versions against the champion, whose window is its reference"
    yield ""


def _detector_lines(rule: Mapping[str, Any]) -> Iterator[str]:
    yield f"  rule {rule['rule']}: {rule['detector']} on {', '.join(rule['on'])}"
    own = (
        f"delta {rule['delta']:g} is the level of one of its looks"
        if "delta" in rule
        else settings_of(rule["parameters"])
    )
    yield f"    tells a change of {rule['min_effect']:g} sd or more; {own}, no share of a budget"


def _rule_lines(rule: Mapping[str, Any]) -> Iterator[str]:
    critical = "" if rule["critical"] is None else f", critical from {rule['critical']:g}"
    yield (
        f"  rule {rule['rule']}: {', '.join(rule['statistics'])}; warning from {rule['warning']:g}{critical};"
        f" {rule['persist']} in a row"
    )
    yield (
        f"    false alarms a year: at most {rule['false_alarms_a_year']:g}, in {rule['windows_a_year']:,.0f} windows;"
        f" level {rule['level_of_a_look']:.2g} a look, {rule['level_of_a_test']:.2g} a test ({rule['tests']} tests)"
    )
    own = rule["own_reference"]
    if own["alarms"] is None:
        yield "    on its own reference: not known, for it has no order to replay (uncalibrated)"
    else:
        yield (
            f"    on its own reference: no alarm; the worst of {own['windows']} windows of {own['window_values']:,} had an"
            f" effect of {own['worst_effect']:.2g} ({own['signal']})"
        )
    if own["raised"]:
        yield f"    thresholds raised for that: {_some(own['raised'])}"
    yield from _shift_lines(rule["smallest_shifts"])


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _shift_lines(shifts: list[Mapping[str, Any]]) -> Iterator[str]:
    ranked = sorted(shifts, key=lambda s: (s["shift"] is not None, -(s["shift"] or 0), s["signal"], s["statistic"]))
    head = ("signal", "statistic", "values", "finds with 90 % from", "effect in a streak", "at once")
    rows = [
        [s["signal"], s["statistic"], f"{s['n']:,}", s["words"], _number(s["effect"]), _number(s["at_once"])]
        for s in ranked[:SHOWN]
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if len(ranked) > SHOWN:
        yield f"    and {len(ranked) - SHOWN} that are easier to find (--output json)"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"
