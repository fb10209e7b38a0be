"""`driftd ack|false|mute|unmute|mutes`: a person's acts, stored in the state, also while the daemon runs."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from driftd.core.act import Act
from driftd.core.action import rfc3339
from driftd.core.fault import UserError, printable
from driftd.http.documents import act as document
from driftd.settings.load import load
from driftd.verbs import Verbs, said

SHOWN = 1_000


def acknowledge(config: Path, id_: str, author: str | None, reason: str) -> int:
    act = _verbs(config).acknowledge(id_, _author(author), reason)
    return _done(f"acknowledged ({act.number}): {act.what()}, by {act.author}; it is told on as before")


def mark_false(config: Path, id_: str, author: str | None, reason: str) -> int:
    act = _verbs(config).mark_false(id_, _author(author), reason)
    return _done(f"marked as false ({act.number}): {act.what()}, by {act.author}; nothing but its end is told of it")


def mute(
    config: Path,
    id_: str | None,
    model: str | None,
    rule: str | None,
    signals: Sequence[str],
    until: int | None,
    for_ms: int | None,
    author: str | None,
    reason: str,
) -> int:
    """By the id of an alert or a notification, or by a model and what of it. Raises UserError."""
    if (id_ is None) == (model is None):
        raise UserError("say what to mute", "give the ID of a notification or an alert, or --model, not both")
    verbs = _verbs(config)
    if id_ is not None:
        if rule is not None or signals:
            raise UserError("an ID says which rule and signals", "leave --rule and --signal out, or give --model")
        it = verbs.spoken_of(id_)
        model, rule, signals = it.model, it.rule, tuple(one.signal for one in it.named)
    assert model is not None
    act = verbs.mute(_author(author), reason, model=model, rule=rule or "", signals=signals, until=until, for_=for_ms)
    assert act.until is not None
    return _done(f"muted ({act.number}) until {rfc3339(act.until)}: {act.what()}; `driftd unmute {act.number}` ends it")


def unmute(config: Path, number: int, author: str | None, reason: str) -> int:
    act = _verbs(config).lift(number, _author(author), reason)
    return _done(f"taken back: {number}, {act.what()}; what still fires and was withheld for it is told now")


def list_(config: Path, output: Literal["text", "json"], *, all_: bool) -> int:
    """The mutes that hold; `all_`: whatever people did, the newest first."""
    verbs = _verbs(config)
    found: Sequence[Act]
    if all_:
        found, now = verbs.newest(SHOWN), round(time.time() * 1000)
    else:
        standing, now = verbs.standing()
        found = standing.mutes_at(now)
    if output == "json":
        sys.stdout.write(json.dumps({"acts": [document(act) for act in found]}, ensure_ascii=True) + "\n")
        return 0
    for act in found:
        sys.stdout.write(printable(f"{rfc3339(act.at // 1000 * 1000)}  {said(act, now)}") + "\n")
    if not found:
        sys.stderr.write("nobody did anything yet\n" if all_ else "nothing is muted\n")
    return 0


def _verbs(config: Path) -> Verbs:
    settings = load(config, os.environ)
    return Verbs(lambda: settings)


def _author(given: str | None) -> str:
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        raise UserError("nobody knows who you are", "say it with --author") from None


def _done(text: str) -> int:
    sys.stdout.write(printable(text) + "\n")
    return 0
