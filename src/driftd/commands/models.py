"""`driftd models`: which models were seen, whose settings they are watched by, and what is known of each."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from driftd.app import references
from driftd.core.act import Named, Standing
from driftd.core.engine import Engine
from driftd.core.fault import UserError, printable
from driftd.core.spec import Spec
from driftd.core.view import ModelView, View
from driftd.http.documents import encode, model_detail
from driftd.http.shifts import words
from driftd.http.status import firing, model_state
from driftd.settings.load import load
from driftd.store.reader import Reader


def main(config: Path, output: Literal["text", "json"] = "text", name: str | None = None) -> int:
    """From the state, also while the daemon runs; as of its newest commit. `name`: more of this one. Raises UserError
    where there is no state, or no such model.
    """
    settings = load(config, os.environ)
    spec = settings.spec()
    with Reader.open_read_only(settings.state.directory) as reader:
        engine = Engine(spec, references(spec))
        engine.restore(reader.load_rows())
        now = round(time.time() * 1000)
        standing = reader.standing(now)
    view = engine.view()
    if name is None:
        document, text = table(spec, view, standing, now), _lines
    else:
        document, text = _one(view, name, standing, now), _detail
    if output == "json":
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        sys.stdout.write("".join(f"{printable(line)}\n" for line in text(document)))
    return 0


def _one(view: View, name: str, standing: Standing, now: int) -> dict[str, Any]:
    """As the API has it."""
    for model in view.models:
        if model.model == name:
            document: dict[str, Any] = json.loads(encode(model_detail(model, standing, now)))
            for series, told in zip(model.series, document["series"], strict=True):
                found = series.power() if series.power is not None else ()
                for shift, row in zip(found, told["smallest_shifts"], strict=True):
                    row["words"] = words(shift)
            return document
    raise UserError(f"nothing is known of a model {name!r}", "`driftd models` lists those that were seen")


def _detail(document: Mapping[str, Any]) -> list[str]:
    out = [f"model {document['model']}: {document['state'].replace('_', ' ')}; {document['events']:,} events"]
    if document["backfill"]:
        out.append(f"  {document['backfill']:,} events of backfills, counted and in no window")
    for one in document["arrivals"]:
        when = "overdue since" if one["overdue"] else "the next is due by"
        due = "; none is expected" if one["due"] is None else f"; {when} {one['due']}"
        out.append(f"  the newest {one['kind']} event came at {one['newest']}{due}")
    for series in document["series"]:
        out.append(
            f"version {series['version']}  {series['kind']} events: {series['state'].replace('_', ' ')};"
            f" {series['events']:,} counted, {series['late']:,} late; reference {series['reference']['state']}"
        )
        window = series["window"]
        if window is not None:
            few = ", too few to judge" if window["insufficient_data"] else ""
            out.append(f"  window {window['start']} to {window['end']}: {window['events']:,} events{few}")
        out += [
            f"  finds of {one['signal']} by {one['rule']} ({one['statistic']}), with 90 %: {one['words']}"
            for one in series["smallest_shifts"]
        ]
    return out


def table(spec: Spec, view: View, standing: Standing, now: int) -> dict[str, Any]:
    """`settings` of a model: its own name, the expression that matches it, or "monitoring" for neither."""
    return {
        "models": [_model(spec, one, standing, now) for one in view.models],
        "ignored": [{"model": name, "events": events} for name, events in sorted(view.ignored.items())],
        "ignored_events": view.ignored_events,
        "dropped_events": view.dropped_models,
    }


def _model(spec: Spec, model: ModelView, standing: Standing, now: int) -> dict[str, Any]:
    alerts = [Named(one.rule, one.signal, one.alert_id or "") for _, one in firing(model)]
    notes = [standing.note(model.model, [one], now) for one in alerts]
    acts = {
        "acknowledged": sum(note.acknowledged is not None for note in notes),
        "muted": sum(note.muted is not None for note in notes),
        "false": sum(note.false is not None for note in notes),
    }
    return {
        "model": model.model,
        "settings": spec.key_of(model.model) or "monitoring",
        "state": model_state(model) if model.series else "not seen",
        "firing": len(alerts),
        "acts": [f"{count} {what}" for what, count in acts.items() if count],
        "events": model.events + model.backfill,
        "versions": sorted({series.version for series in model.series}),
        "references": sorted({series.reference for series in model.series}),
    }


def _lines(document: Mapping[str, Any]) -> list[str]:
    head = ("model", "settings", "state", "firing", "acts", "events", "versions", "references")
    rows = [
        [
            ", ".join(cell) if isinstance(cell, list) else f"{cell:,}" if isinstance(cell, int) else cell
            for cell in (one[name] for name in head)
        ]
        for one in document["models"]
    ]
    rows += [[one["model"], "", "ignored", "", "", f"{one['events']:,}", "", ""] for one in document["ignored"]]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    out = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
    unnamed = document["ignored_events"] - sum(one["events"] for one in document["ignored"])
    if unnamed:
        out.append(f"{unnamed:,} events of other models are ignored")
    if document["dropped_events"]:
        out.append(f"{document['dropped_events']:,} events of models over limits.models were dropped")
    return out
