"""`driftd outbox list|show|replay`: what waits for receivers and what died, also while the daemon runs."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from driftd.core.action import rfc3339
from driftd.core.fault import UserError, printable
from driftd.settings.load import load
from driftd.store.outbox import Entry, Outbox

SHOWN = 1_000


def list_(config: Path, dead: bool) -> int:  # noqa: FBT001 - the command line hands its flag on
    """One line a delivery, those that wait and those that died; `dead`: only these. Raises UserError."""
    with Outbox(_directory(config), read_only=True) as outbox:
        found = [] if dead else outbox.entries("waiting", SHOWN)
        found += outbox.entries("dead", SHOWN)
        depth = outbox.depth()
    waiting, died = (sum(counts[i] for counts in depth.values()) for i in range(2))
    now = time.time()
    for entry in found:
        sys.stdout.write(_line(entry, now) + "\n")
    said = f"{died} dead" if dead else f"{waiting} waiting, {died} dead"
    if died:
        said += "; `driftd outbox replay NUMBER` or `--all` sends dead ones again"
    if len(found) < (died if dead else waiting + died):
        said += f"; only the oldest {SHOWN} of each are listed"
    sys.stderr.write(said + "\n")
    return 0


def show(config: Path, number: int) -> int:
    """All that is known of one delivery, its body at the end. Raises UserError where there is no such number."""
    with Outbox(_directory(config), read_only=True) as outbox:
        entry = outbox.show(number)
    if entry is None:
        raise _unknown(number)
    it = entry.delivery
    known = {
        "number": number,
        "state": entry.state,
        "receiver": it.receiver,
        "type": it.type,
        "id": it.id,
        "time": rfc3339(it.timestamp),
        "queued": _wall(entry.queued),
        "failed attempts": it.attempts,
        "next attempt": _wall(it.not_before) if entry.state == "waiting" and it.not_before else None,
        "last error": it.last_error or None,
        "subjects": ", ".join(it.subjects),
    }
    for name, value in known.items():
        if value is not None:
            sys.stdout.write(f"{name + ':':17}{printable(str(value))}\n")
    # ASCII only: what came in an event cannot steer the terminal.
    sys.stdout.write(json.dumps(json.loads(it.body), indent=2) + "\n")
    return 0


def replay(config: Path, number: int | None, all_: bool) -> int:  # noqa: FBT001 - as above
    """Dead deliveries wait again, with id and body unchanged; a running daemon sends them within seconds.

    A replayed "firing" may reach its receiver after the "resolved" that was sent meanwhile: the times in the bodies
    tell. Raises UserError for a number that is not dead, and unless exactly one of a number and `all_` is given.
    """
    if (number is not None) == all_:
        raise UserError("say what to replay", "give the number of a dead delivery, or --all")
    with Outbox(_directory(config)) as outbox:
        revived = outbox.revive(number, time.time())
        if number is not None and not revived:
            entry = outbox.show(number)
            if entry is None:
                raise _unknown(number)
            raise UserError(
                f"delivery {number} is {entry.state}, not dead",
                "`driftd outbox list --dead` shows which are",
                exit_code=1,
            )
    sys.stdout.write(f"{revived} {'delivery waits' if revived == 1 else 'deliveries wait'} again\n")
    return 0


def _directory(config: Path) -> Path:
    return load(config, os.environ).state.directory


def _unknown(number: int) -> UserError:
    return UserError(
        f"no delivery has the number {number}", "`driftd outbox list` shows them; sent ones are kept a while"
    )


def _line(entry: Entry, now: float) -> str:
    it = entry.delivery
    words = f"{it.number:>8}  {entry.state:<7}  {it.receiver}  {it.type}  {rfc3339(it.timestamp)}"
    if it.attempts:
        words += f"  {it.attempts} failed"
    if entry.state == "waiting" and it.not_before > now:
        words += f"  next try in {it.not_before - now:.0f} s"
    if it.last_error:
        words += f"  {it.last_error}"
    return printable(words)


def _wall(seconds: float) -> str:
    return rfc3339(int(seconds) * 1000)
