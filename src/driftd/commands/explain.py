"""`driftd explain ID`: everything behind one transition, from the store of a running or stopped daemon."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from driftd.core.action import rfc3339
from driftd.core.event import KINDS
from driftd.core.fault import UserError, printable
from driftd.core.outcome import ClosedPane
from driftd.deliver import words
from driftd.http.documents import noted
from driftd.kafka.mapping import kinds_of
from driftd.settings.load import load
from driftd.store.reader import Reader

SEARCHED = 10_000
"""Transitions, the newest, in which an alert is looked for."""


def main(config: Path, id_: str, output: Literal["text", "json"] = "text") -> int:
    """Takes the id of a notification, of a request, or of an alert: why it fired. UserError for one that is not known."""
    settings = load(config, os.environ)
    with Reader.open_read_only(settings.state.directory) as reader:
        found = reader.transition(id_) or _of_alert(reader, id_)
        if found is None:
            raise UserError(
                f"no transition or alert has the id {id_!r}",
                f"GET /api/v1/transitions lists them, as does the `id` of each notification ({settings.state.directory})",
            )
        document = {**found, "panes": _panes(reader, found), **_acts(reader, found)}
        topics = {p.topic for p in reader.positions()}
    named = {kind: settings.kafka.topics.of(kind) for kind in KINDS}
    document["replay"] = _command(config, document, sorted(t for t in topics if found["kind"] in kinds_of(named, t)))
    if output == "json":
        sys.stdout.write(json.dumps(document, allow_nan=False, default=_plain) + "\n")
    else:
        sys.stdout.write(_text(document))
    return 0


def _of_alert(reader: Reader, id_: str) -> dict[str, Any] | None:
    """The newest notification that this alert fires."""
    if not id_.startswith("alt_"):
        return None
    raw = json.dumps(id_).encode()
    of_it = (t for t in reader.transitions(limit=SEARCHED) if raw in t["body"] and t["type"] == "driftd.alert.firing")
    return next(of_it, None)


def _acts(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """What people did about it, and from whom it was withheld for that."""
    now = round(time.time() * 1000)
    return {"acts": noted(found, reader.standing(now), now)}


def _people(document: Mapping[str, Any]) -> list[str]:
    acts = document["acts"]
    names = {
        "acknowledged_by": "acknowledged by",
        "muted_until": "muted until",
        "marked_false_by": "marked as false by",
    }
    became = {"waiting": "and waits for its end", "told": "and told when it ended", "ended": "and over before it ended"}
    return [
        *(["recorded by a shadow (deliver: none): nobody was told"] if acts["shadow"] else []),
        *(f"{words} {acts[key]}" for key, words in names.items() if acts[key] is not None),
        *(f"withheld from {one['receiver']} for act {one['act']}, {became[one['state']]}" for one in acts["withheld"]),
    ]


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return json.loads(value)
    raise TypeError(type(value).__name__)


def _panes(reader: Reader, found: Mapping[str, Any]) -> list[dict[str, object]]:
    """The closed panes that the window was made of, with the offsets that their events came from."""
    data = _body(found)["data"]
    start, end = (_ms(data[key]) for key in ("window_start", "window_end"))
    assert found["kind"] in KINDS
    out: list[dict[str, object]] = []
    for row in reader.panes(found["model"], found["version"], found["kind"], start, end):
        pane, cover = ClosedPane.read(row.body)
        out.append(
            {"start": rfc3339(row.start), "end": rfc3339(row.end), "events": pane.events,
             "offsets": {partition: list(span) for partition, span in sorted(cover.items())}}
        )  # fmt: skip
    return out


def _body(found: Mapping[str, Any]) -> dict[str, Any]:
    body = found["body"]
    return json.loads(body) if isinstance(body, (bytes, str)) else body  # type: ignore[no-any-return]


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _command(config: Path, document: Mapping[str, Any], topics: list[str]) -> str:
    """What replays it, while the events are still on the broker: all that had been read when it was told."""
    until = document["explain"].get("read_until")
    span = ["--until", rfc3339(until)] if until is not None else []
    return shlex.join(["driftd", "replay", "--config", str(config), *span, *(f"kafka:{topic}" for topic in topics)])


def _text(document: Mapping[str, Any]) -> str:
    body = _body(document)
    data, explain = body["data"], document["explain"]
    events = explain.get("window_events", sum(pane["events"] for pane in document["panes"]))
    lines = [
        f"{body['type']}  {body['id']}",
        f"model {data['model']}  version {data['version']}  kind {data['kind']}  rule {data['rule']}  {data['severity']}",
        *_people(document),
        f"window {data['window_start']} to {data['window_end']}, {events} events",
        *(f"{key} {_words(data[key])}" for key in ("reason", "policy", "reference") if key in data),
        "",
    ]
    for signal in data["signals"]:
        behind = explain.get("signals", {}).get(signal["signal"], {})
        lines += _signal(signal, behind, data.get("champion"))
    lines.append(f"panes ({len(document['panes'])} still in the store):")
    for pane in document["panes"]:
        spans = ", ".join(f"{p} {low}..{high - 1}" for p, (low, high) in pane["offsets"].items())
        lines.append(f"  {pane['start']}  {pane['events']:>8} events  {spans}")
    lines += ["", f"replay: {document['replay']}"]
    return "".join(printable(line) + "\n" for line in lines)


def _signal(signal: Mapping[str, Any], behind: Mapping[str, Any], champion: str | None) -> list[str]:
    """`champion`: the version that it is compared with, if not with the reference."""
    other = "reference" if champion is None else f"champion {champion}"
    lines = [
        (
            f"{signal['signal']}  {signal.get('severity', '')}  {signal.get('statistic', '')}"
            f"  value {_number(signal.get('value'))}  effect {_number(signal.get('effect'))}"
            f"  threshold {_number(signal.get('threshold'))}  p {_number(signal.get('p_value'))}"
        ),
        f"  n {signal.get('n', '?')} against {signal.get('reference_n', '?')} of the {other}; alert {signal['alert_id']}",
    ]
    if changed := words.change(signal):
        lines.append(f"  {changed}: {words.moved(signal.get('moved'))}")
    if "before" in signal:
        own = f"delta {behind['delta']}" if "delta" in behind else words.settings_of(behind.get("parameters"))
        lines.append(
            f"  from {_number(signal['before'])} to {_number(signal['after'])}, {signal['direction']};"
            f" {own}, the detector's window {behind['width']} events after the cut"
        )
    if "law" in behind:
        lines.append(
            f"  law {behind['law']} ({behind['replayed_windows']} replayed windows); level {_number(behind['level'])}"
            f" of {_number(behind['look_level'])} a look; floor {_number(behind['floor'])}"
        )
        axis = behind["axis"]
        lines.append(f"  {other} {_shares(axis, behind['reference_counts'])}")
        lines.append(f"  {'current':{len(other)}} {_shares(axis, behind['current_counts'])}")
    return [*lines, ""]


def _shares(axis: Mapping[str, Any], counts: list[int]) -> str:
    """Where the mass lies: the quartiles of a numeric axis, the largest categories of another."""
    cells = counts[:-3]
    total = sum(cells)
    gaps = f"null {counts[-3]}, absent {counts[-2]}, bad {counts[-1]}"
    if not total:
        return f"no values; {gaps}"
    if axis["type"] == "categorical":
        names = [*axis["categories"], "OTHER", "NEW"]
        top = sorted(zip(cells, names, strict=True), reverse=True)[:5]
        return ", ".join(f"{name} {count / total:.1%}" for count, name in top if count) + f"; {gaps}"
    bounds, seen, quartiles = axis["bounds"], 0, []
    for i, count in enumerate(cells):
        before, seen = seen, seen + count
        quartiles += [bounds[min(i, len(bounds) - 1)] for q in (0.25, 0.5, 0.75) if before < q * total <= seen]
    return "quartiles at most " + ", ".join(f"{q:.6g}" for q in quartiles) + f"; {gaps}"


def _words(value: object) -> str:
    """A value of the body as words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else "-"
