"""Alive and ready. Alive: the loop turns. Ready: alive, and the loop has no reason against it.

A loop that hangs cannot withdraw its own readiness, so an old heartbeat is a reason of its own.
"""

from __future__ import annotations

from typing import Final

from driftd.core.view import Runtime

HEARTBEAT_MAX_AGE_S: Final = 60.0


def dead(runtime: Runtime, now: float, started: float) -> str | None:
    """Why the loop counts as dead, or None. `now` and `started` (of the server) are Unix time, seconds.

    Before its first turn the loop is given as long as between two turns.
    """
    if runtime.heartbeat is None:
        age = now - started
        return f"the loop has not begun after {age:.0f} s" if age > HEARTBEAT_MAX_AGE_S else None
    age = now - runtime.heartbeat
    return f"the loop has not turned for {age:.0f} s" if age > HEARTBEAT_MAX_AGE_S else None


def unready(runtime: Runtime, now: float, started: float) -> tuple[str, ...]:
    """Every reason against being ready; empty if it is."""
    reason = dead(runtime, now, started)
    return (*runtime.unready, reason) if reason else runtime.unready
