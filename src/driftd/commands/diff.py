"""`driftd diff A B`: the notifications of two instances beside each other, over the time that both have judged.

Each is a state directory, or the address of a driftd that runs. What is compared is a notification's body but for its
ids: see `core.difference`. Both are only read, also while they run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import httpx

from driftd.core.action import rfc3339
from driftd.core.difference import Difference, Key, differences, key_of
from driftd.core.fault import UserError, printable
from driftd.core.view import Judged
from driftd.http.openapi import LIMIT_MAX
from driftd.store.reader import Reader

TIMEOUT_S: Final = 60.0
SHOWN_SIGNALS: Final = 5

Body = dict[str, Any]
Spoken = tuple[str, str]
"""A model and a kind of its events."""


class Side(Protocol):
    """One of the two instances."""

    def judged(self) -> list[Judged]: ...
    def bodies(self, model: str | None, since: int, until: int) -> Iterator[Body]: ...
    def close(self) -> None: ...


class _State:
    """A state directory."""

    def __init__(self, directory: Path) -> None:
        self._reader = Reader.open_read_only(directory)
        self.judged, self.close = self._reader.judged, self._reader.close

    def bodies(self, model: str | None, since: int, until: int) -> Iterator[Body]:
        return map(json.loads, self._reader.bodies(model, since, until))


class _Api:
    """The address of a driftd that runs."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT_S, trust_env=False)
        self.close = self._client.close

    def judged(self) -> list[Judged]:
        found = self._get("/api/v1/judged", {})["judged"]
        return [Judged(one["model"], one["kind"], _ms(one["since"]), _ms(one["until"])) for one in found]

    def bodies(self, model: str | None, since: int, until: int) -> Iterator[Body]:
        asked: dict[str, str | int] = {"limit": LIMIT_MAX} | ({} if model is None else {"model": model})
        while page := self._get("/api/v1/transitions", asked)["transitions"]:
            yield from (body for body in page if since <= _ms(body["timestamp"]) <= until)
            asked["before"] = page[-1]["id"]

    def _get(self, path: str, asked: Mapping[str, str | int]) -> dict[str, Any]:
        place = f"{self._client.base_url}{path.lstrip('/')}"
        try:
            answer = self._client.get(path, params=dict(asked))
            answer.raise_for_status()
            return dict(answer.json())
        except httpx.HTTPStatusError as error:
            raise UserError(
                f"{place} answers {error.response.status_code}", "it must be a driftd of this version or newer"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise UserError(
                f"{place} does not answer as a driftd does ({error})", "give http://HOST:PORT, or a state directory"
            ) from None


@dataclass
class Report:
    """`compared`: by model and kind, from when to when (ms). `left_out`: those that one of the two has not judged, and why."""

    compared: dict[Spoken, tuple[int, int]] = field(default_factory=dict)
    left_out: dict[Spoken, str] = field(default_factory=dict)
    only_in_a: list[Body] = field(default_factory=list)
    only_in_b: list[Body] = field(default_factory=list)
    different: list[tuple[Body, Body, list[Difference]]] = field(default_factory=list)
    equal: int = 0

    @property
    def same(self) -> bool:
        return not (self.left_out or self.only_in_a or self.only_in_b or self.different)


def main(
    a: str,
    b: str,
    since: int | None = None,
    until: int | None = None,
    model: str | None = None,
    output: Literal["text", "json"] = "text",
) -> int:
    """0: they say the same; 1: they do not. Raises UserError (2) where they cannot be compared."""
    one = _open(a)
    try:
        other = _open(b)
        try:
            report = compare(one, other, since, until, model)
        finally:
            other.close()
    finally:
        one.close()
    if output == "json":
        sys.stdout.write(json.dumps(_document(a, b, report), ensure_ascii=True) + "\n")
    else:
        sys.stdout.write("".join(f"{printable(line)}\n" for line in _lines(a, b, report)))
    return 0 if report.same else 1


def _open(text: str) -> Side:
    if text.startswith(("http://", "https://")):
        return _Api(text)
    try:
        return _State(Path(text))
    except UserError as fault:  # 1 is what differs
        raise UserError(fault.problem, "give a state.directory, or the address of a driftd that runs") from None


def compare(a: Side, b: Side, since: int | None, until: int | None, model: str | None) -> Report:
    """Raises UserError where there is no time that both have judged."""
    ours, theirs = ({(j.model, j.kind): j for j in side.judged() if model in (None, j.model)} for side in (a, b))
    report = Report()
    for spoken in sorted({*ours, *theirs}):
        mine, yours = ours.get(spoken), theirs.get(spoken)
        if mine is None or yours is None:
            name, other = ("B", ours) if yours is None else ("A", theirs)
            begun = min((j.since for j in (theirs if name == "B" else ours).values()), default=0)
            if other[spoken].until > max(begun, since or begun):  # else it was silent before there was another
                report.left_out[spoken] = f"{name} has not judged it"
            continue
        start, end = max(mine.since, yours.since, since or 0), min(mine.until, yours.until)
        end = end if until is None else min(end, until)
        if start < end:
            report.compared[spoken] = (start, end)
    if not report.compared:
        whose = f" of {model}" if model is not None else ""
        raise UserError(
            f"there is no time{whose} that both have judged",
            "wait until both have a reference and closed panes; see --help",
        )
    first, last = (
        pick(ends) for pick, ends in zip((min, max), zip(*report.compared.values(), strict=True), strict=True)
    )
    found, others = (_by_key(side.bodies(model, first, last), report.compared) for side in (a, b))
    for key in sorted({*found, *others}, key=lambda key: (key[5], key)):
        if key not in others:
            report.only_in_a.append(found[key])
        elif key not in found:
            report.only_in_b.append(others[key])
        elif differing := differences(found[key]["data"], others[key]["data"]):
            report.different.append((found[key], others[key], differing))
        else:
            report.equal += 1
    return report


def _by_key(bodies: Iterator[Body], compared: Mapping[Spoken, tuple[int, int]]) -> dict[Key, Body]:
    """Those whose whole window lies in the time that is compared."""
    found = {}
    for body in bodies:
        data = body["data"]
        start, end = compared.get((data["model"], data["kind"]), (1, 0))
        if start <= _ms(data["window_start"]) and _ms(body["timestamp"]) <= end:
            found[key_of(body)] = body
    return found


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _head(body: Body) -> dict[str, Any]:
    data = body["data"]
    names = ("model", "version", "kind", "rule", "severity", "window_start", "window_end")
    return {"type": body["type"]} | {name: data[name] for name in names} | {"reason": data.get("reason")}


def _document(a: str, b: str, report: Report) -> dict[str, Any]:
    def told(body: Body) -> dict[str, Any]:
        return {"id": body["id"], **_head(body), "signals": [one["signal"] for one in body["data"]["signals"]]}

    return {
        "a": a,
        "b": b,
        "same": report.same,
        "compared": [
            {"model": model, "kind": kind, "since": rfc3339(start), "until": rfc3339(end)}
            for (model, kind), (start, end) in report.compared.items()
        ],
        "not_compared": [{"model": m, "kind": kind, "why": why} for (m, kind), why in report.left_out.items()],
        "only_in_a": [told(body) for body in report.only_in_a],
        "only_in_b": [told(body) for body in report.only_in_b],
        "different": [
            {"id_a": one["id"], "id_b": other["id"], **_head(one),
             "differences": [{"field": d.field, "a": d.a, "b": d.b} for d in differing]}
            for one, other, differing in report.different
        ],
        "equal": report.equal,
    }  # fmt: skip


def _lines(a: str, b: str, report: Report) -> Iterator[str]:
    first, last = min(s for s, _ in report.compared.values()), max(e for _, e in report.compared.values())
    models = len({model for model, _ in report.compared})
    yield f"A {a}"
    yield f"B {b}"
    yield f"compared: {rfc3339(first)} to {rfc3339(last)}, {models} model{'s' if models != 1 else ''}"
    for (model, kind), (start, end) in report.compared.items():
        if (start, end) != (first, last):
            yield f"  {model} {kind}: {rfc3339(start)} to {rfc3339(end)}"
    for (model, kind), why in report.left_out.items():
        yield f"not compared: {model} {kind}: {why}"
    for name, bodies in (("A", report.only_in_a), ("B", report.only_in_b)):
        for body in bodies:
            yield f"only in {name}: {_name(body)}: {_few([one['signal'] for one in body['data']['signals']])}  {body['id']}"
    for one, other, differing in report.different:
        yield f"different: {_name(one)}  {one['id']} {other['id']}"
        yield from (f"  {d.field}: {_value(d.a)} in A, {_value(d.b)} in B" for d in differing)
    counts = len(report.only_in_a), len(report.only_in_b), len(report.different), report.equal
    yield "{} only in A, {} only in B, {} different, {} equal".format(*counts)


def _name(body: Body) -> str:
    head = _head(body)
    what = str(head["type"]).removeprefix("driftd.")
    why = f" ({head['reason']})" if head["reason"] not in (None, "calm") else ""
    whose = " ".join(str(head[name]) for name in ("model", "version", "kind"))
    return f"{body['timestamp']}  {what}{why}  {whose}  {head['rule']} {head['severity']}"


def _few(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_SIGNALS
    return ", ".join(names[:SHOWN_SIGNALS]) + (f" and {more} more" if more > 0 else "")


def _value(value: object) -> str:
    if value is None:
        return "nothing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
