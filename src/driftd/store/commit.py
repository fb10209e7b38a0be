"""What one commit holds: everything that followed from the blocks read since the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from driftd.core.action import Action
from driftd.core.event import PartitionId


@dataclass(frozen=True, slots=True)
class PaneRow:
    """One closed pane, written once. `start` and `end`: event time in ms, half-open."""

    model: str
    version: str
    kind: str
    start: int
    end: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction.

    `rows`: state by key, plain data (dict, list, str, int, float, bool, bytes, None inside); None deletes the
    row. `positions`: next offsets. `actions`: with the receivers that shall hear of each, and whether it is
    older than `notify_max_age`: then it is recorded, and heard of in a summary only. `caught_up`: what was
    read is of now, so that no more of these are near. `inputs`: ticks and discovered partitions in order,
    name and plain data. `prune_panes_before`: panes that end at or before it (ms) may go.
    """

    rows: Mapping[str, object | None] = field(default_factory=dict)
    positions: Mapping[PartitionId, int] = field(default_factory=dict)
    panes: Sequence[PaneRow] = ()
    actions: Sequence[tuple[Action, tuple[str, ...], bool]] = ()
    caught_up: bool = True
    inputs: Sequence[tuple[str, object]] = ()
    prune_panes_before: int | None = None
