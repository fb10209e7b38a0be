"""The versions of one model: since when each is there, when it was last in a pane, which is the champion, which are over.

Each kind of event has its own pace, so everything is kept by kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from driftd.core.action import rfc3339
from driftd.core.event import KINDS, Kind
from driftd.core.spec import Versions as Settings

DEPLOYED: Final = 3
"""Versions that a notification names."""
TAKES_OVER: Final = 2
"""A version is the champion when it has more than so many times the events of the one before: half and half, neither
takes over, and nothing swings to and fro.
"""


class Versions:
    """`most`: versions of one kind that are remembered."""

    def __init__(self, settings: Settings, most: int) -> None:
        self.settings, self.most = settings, most
        self.newest: dict[Kind, dict[str, int]] = {kind: {} for kind in KINDS}
        """By version the end of its newest pane."""
        self.first: dict[Kind, dict[str, int]] = {kind: {} for kind in KINDS}
        """By version the end of its first pane; 0 where it was there before anything was known of the model."""
        self.champions: dict[Kind, str] = {}

    def closed(self, kind: Kind, end: int, versions: Iterable[str], *, began: bool) -> None:
        """A pane with these versions closed. `began`: it was the first of all."""
        for version in sorted(versions):
            self.newest[kind][version] = end
            self.first[kind].setdefault(version, 0 if began else end)

    def over(self, kind: Kind, end: int) -> list[tuple[str, bool]]:
        """The versions that are forgotten now, in order: those silent for too long in event time, and of those that are
        too many the ones that have been silent longest. With each, whether it is one too many.
        """
        ranked = sorted(self.newest[kind].items(), key=lambda one: (one[1], one[0]))
        excess = len(ranked) - self.most
        silent_since = end - self.settings.expire_after
        return [
            (v, i < excess and at > silent_since)
            for i, (v, at) in enumerate(ranked)
            if i < excess or at <= silent_since
        ]

    def retire(self, version: str, kind: Kind) -> None:
        del self.newest[kind][version]
        self.first[kind].pop(version, None)
        if self.champions.get(kind) == version:
            del self.champions[kind]

    def elect(self, kind: Kind, events: Mapping[str, int]) -> str | None:
        """The champion, given the events of each version in the newest window."""
        said = self.settings.champion
        if said is not None:
            if said not in self.newest[kind]:
                self.champions.pop(kind, None)
                return None
            self.champions[kind] = said
            return said
        if not any(events.values()):
            return self.champions.get(kind)
        most = min(events, key=lambda version: (-events[version], self.first[kind].get(version, 0), version))
        now = self.champions.get(kind)
        if now is None or events[most] > TAKES_OVER * events.get(now, 0):
            self.champions[kind] = most
        return self.champions[kind]

    def challenges(self, version: str, champion: str | None, kind: Kind) -> bool:
        """Whether it is compared with the champion: it is another one, and came no earlier."""
        first = self.first[kind]
        return champion is not None and version != champion and first.get(version, 0) >= first.get(champion, 0)

    def deployed(self, kind: Kind) -> list[dict[str, object]]:
        """The versions that appeared last, the newest first, and since when; None: before anything was known."""
        ranked = sorted(self.first[kind].items(), key=lambda one: (-one[1], one[0]))[:DEPLOYED]
        return [{"version": version, "since": rfc3339(first) if first else None} for version, first in ranked]

    def plain(self) -> dict[str, object]:
        return {
            "newest": {kind: dict(sorted(newest.items())) for kind, newest in self.newest.items()},
            "first": {kind: dict(sorted(first.items())) for kind, first in self.first.items()},
            "champions": dict(sorted(self.champions.items())),
        }

    def load(self, plain: Mapping[str, object]) -> None:
        rows = cast("Any", plain)
        self.newest = {kind: dict(newest) for kind, newest in rows["newest"].items()}
        # A state from before it was kept does not know since when its versions are there.
        first = rows.get("first") or {kind: dict.fromkeys(newest, 0) for kind, newest in self.newest.items()}
        self.first = {kind: dict(versions) for kind, versions in first.items()}
        self.champions = dict(rows.get("champions", {}))
