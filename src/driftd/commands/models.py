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
from driftd.core.fault import printable
from driftd.core.spec import Spec
from driftd.core.view import ModelView, View
from driftd.http.status import firing, model_state
from driftd.settings.load import load
from driftd.store.reader import Reader


def main(config: Path, output: Literal["text", "json"] = "text") -> int:
    """From the state, also while the daemon runs; as of its newest commit. Raises UserError where there is no state."""
    settings = load(config, os.environ)
    spec = settings.spec()
    with Reader.open_read_only(settings.state.directory) as reader:
        engine = Engine(spec, references(spec))
        engine.restore(reader.load_rows())
        now = round(time.time() * 1000)
        standing = reader.standing(now)
    document = table(spec, engine.view(), standing, now)
    if output == "json":
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        sys.stdout.write("".join(f"{printable(line)}\n" for line in _lines(document)))
    return 0


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
