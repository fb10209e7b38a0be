"""Changes of columns over time: one alert a model and change, whatever rules would say of each column.

What a pane shows is in `columns`. A removed and an added column that come together, of one type and with names alike, are
told as *renamed*. A change is over when no version has shown it for a window's time: what comes and goes is one alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np

from driftd.core.clock import NEVER
from driftd.core.columns import LEAST, SHARE, Key, Seen, changes, lacking, likeness
from driftd.core.event import STRANGERS, Kind
from driftd.core.finding import Finding, Origin, finding, rounded
from driftd.core.grid import Grid
from driftd.core.pane import Pane
from driftd.core.problem import Problem, subject_of
from driftd.core.reference import Reference
from driftd.core.spec import Model
from driftd.core.view import StatisticView

RULE: Final = "schema"
MANY: Final = 4_096
"""Pairs of names; more are compared by their words alone: letter by letter 2,000 names of 250 take two minutes."""
ALIKE: Final = 0.5
"""Of two names, from which on one may be the other's new one."""


@dataclass(slots=True)
class Schema:
    """The columns of one kind of event of one model. `known`: strangers to the grid that the first events had already.
    `sight`: the last name that was looked at then, where there were too many: what comes after it may have been there.
    `blind_until`: panes that end by then may have been counted before strangers were; nothing is known of those.
    """

    group: str
    model: Model
    kind: Kind
    problems: dict[Key, Problem] = field(default_factory=dict)
    known: set[str] | None = None
    sight: str | None = None
    blind_until: int = -NEVER
    pending: dict[str, Pane] = field(default_factory=dict)
    rising: dict[str, dict[str, int]] = field(default_factory=dict)
    """By version and column: when more of them lacked it than in the reference, for the first time."""
    gone_until: dict[str, dict[str, int]] = field(default_factory=dict)
    """By version and column: the end of the newest pane that lacked it."""
    unsure: dict[str, set[str]] = field(default_factory=dict)
    """By version the columns that more of its few events lack, which are not enough to be looked at yet."""
    changed: bool = False
    """Whether it is to be stored."""

    def close(self, end: int, totals: Mapping[str, Pane], laws: Mapping[str, Reference]) -> list[tuple[str, Finding]]:
        """Panes closed, by version. What is to be told of which version; `laws`: what each is judged by."""
        if self.model.schema is None:
            return []
        self.changed |= not self._quiet()
        seen: dict[Key, dict[str, Seen]] = {}
        for version in sorted(totals):
            pane = self._enough(version, totals[version])
            if version not in laws:
                continue
            if pane is None:
                self.unsure[version] = set(lacking(self.pending[version], laws[version])) - set(
                    self.rising.get(version, ())
                )
                continue
            self.unsure.pop(version, None)
            shown = self._shown(end, pane, laws[version])
            self._follow(version, end, pane, laws[version], shown)
            for key, one in shown.items():
                seen.setdefault(key, {})[version] = one
            for key, problem in self.problems.items():
                if key not in shown and end - problem.versions.get(version, end) >= self.model.window.length:
                    del problem.versions[version]
        fresh = self._new(end, seen)
        self._pair(fresh, seen, next(iter(laws.values())).grid if laws else Grid([]))
        out = [*self._over(end, "returned"), *self._settled(end), *self._tell(end)]
        self.changed |= not self._quiet()
        return out

    def _quiet(self) -> bool:
        """Nothing to remember but what the first events had."""
        return self.known is not None and not (
            self.problems or self.pending or any(self.rising.values()) or any(self.gone_until.values())
        )

    def _enough(self, version: str, pane: Pane) -> Pane | None:
        """The events of this version that were not looked at yet, once there are enough."""
        waiting = self.pending.pop(version, None)
        if waiting is not None:
            waiting.add(Pane(pane.events, pane.counts, pane.moments, waiting.slices, pane.strangers))
        else:
            waiting = pane
        if waiting.events >= LEAST:
            return waiting
        none = np.empty((0, 5), np.int64)
        self.pending[version] = Pane(
            waiting.events, waiting.counts.copy(), waiting.moments.copy(), none, waiting.strangers
        )
        return None

    def _shown(self, end: int, pane: Pane, reference: Reference) -> dict[Key, Seen]:
        """Every change that these events show."""
        out = changes(pane, reference, lambda name: self.model.source_of(name) == self.kind)
        if self.known is None and end > self.blind_until:
            self.known = set(pane.strangers)
            self.sight = max(self.known) if len(self.known) >= STRANGERS else None
        return {key: seen for key, seen in out.items() if key[0] != "added" or self._is_new(key[1])}

    def _is_new(self, name: str) -> bool:
        return self.known is not None and name not in self.known and (self.sight is None or name <= self.sight)

    def _follow(self, version: str, end: int, pane: Pane, reference: Reference, shown: Iterable[Key]) -> None:
        """Which columns more events lack than used to, and since when; which are gone."""
        before, lacked = self.rising.get(version, {}), lacking(pane, reference)
        self.rising[version] = {name: before.get(name, end) for name in lacked}
        oldest = end - self.model.window.max_length
        gone = {column: until for column, until in self.gone_until.get(version, {}).items() if until > oldest}
        gone |= {column: end for change, column in shown if change == "removed"}
        # It may come back in the middle of a pane, as it may go.
        of_this = {p.column for p in self.problems.values() if p.change == "removed" and version in p.versions}
        gone |= {column: end for column in lacked if column in of_this}
        self.gone_until[version] = gone

    def hidden(self, version: str, end: int) -> dict[str, int]:
        """Columns of whose absence nothing else is to be told, in windows that begin before the time given: it is told
        here. What rises in this pane for the first time is looked at once more: it may be gone in the next. So is what rises
        in events that are too few.
        """
        gone = self.gone_until.get(version, {})
        rising = self.rising.get(version, {})
        fresh = {column for column, first in rising.items() if first == end} | self.unsure.get(version, set())
        return gone | dict.fromkeys(fresh, NEVER)

    # -- what follows ------------------------------------------------------------------------------------------------

    def _new(self, end: int, seen: Mapping[Key, Mapping[str, Seen]]) -> list[Problem]:
        """Take in what is seen; the problems that were not there before."""
        assert self.model.schema is not None
        fresh = []
        for key, by_version in sorted(seen.items()):
            change, column = key
            if change == "added" and any(problem.renamed_to == column for problem in self.problems.values()):
                continue
            problem = self.problems.get(key)
            most = max(sorted(by_version), key=lambda version: by_version[version].events)
            one = by_version[most]
            if problem is None:
                onset = min([end, *(self.rising.get(v, {}).get(column, end) for v in by_version)])
                problem = self.problems[key] = Problem(change, column, {}, onset, one.share, one.events)
                problem.severity = "warning" if change == "added" else self.model.schema.severity
                fresh.append(problem)
            problem.versions |= dict.fromkeys(by_version, end)
            problem.share, problem.events = one.share, one.events
            problem.before, problem.reference_events = one.before, one.reference_events
        return fresh

    def _pair(self, fresh: list[Problem], seen: Mapping[Key, Mapping[str, Seen]], grid: Grid) -> None:
        """One that is gone and one that has come with it may be the same: the likeliest pairs first."""
        gone = [problem for problem in fresh if problem.change == "removed"]
        came = [problem for problem in fresh if problem.change == "added"]
        many = len(gone) * len(came) > MANY
        pairs = []
        for old in gone:
            numeric = bool(grid.numeric[grid.index[old.column]]) if old.column in grid.index else False
            for new in came:
                versions = seen["added", new.column]
                alike = likeness(old.column, new.column, by_words=many)
                same_type = all(one.number == numeric for one in versions.values())
                if (
                    same_type
                    and old.versions.keys() & new.versions.keys()
                    and (alike >= ALIKE or len(gone) == len(came) == 1)
                ):
                    pairs.append((-alike, old.column, new.column))
        for _, old_name, new_name in sorted(pairs):
            old, added = self.problems["removed", old_name], self.problems.get(("added", new_name))
            if old.renamed_to is None and added is not None:
                old.renamed_to = new_name
                del self.problems["added", new_name]

    def _expected(self, problem: Problem, end: int) -> bool:
        assert self.model.schema is not None
        until = self.model.schema.expected_until
        names = [problem.column, *([problem.renamed_to] if problem.renamed_to else []), "*"]
        return any(end <= until[name] for name in names if name in until)

    def _tell(self, end: int) -> list[tuple[str, Finding]]:
        """What nobody was told of yet, and is not expected: together, of the version that has most of it."""
        new = [p for p in self.problems.values() if p.told is None and p.versions and not self._expected(p, end)]
        by_version: dict[str, list[Problem]] = {}
        for problem in new:
            common = max(sorted(problem.versions), key=lambda v: sum(v in other.versions for other in new))
            by_version.setdefault(common, []).append(problem)
        out = []
        for version, problems in sorted(by_version.items()):
            origin = Origin(self.group, self.model.name, version, self.kind)
            for problem in problems:
                problem.told, problem.since = version, end
                problem.alert_id = origin.alert_id(RULE, problem.column, end)
            standing = sorted(p.column for p in self.problems.values() if p.change == "removed" and p.told is not None)
            context = {
                "missing": standing,
                "seen_in": sorted(set().union(*(problem.versions for problem in problems))),
            }
            subjects = [subject_of(problem) for problem in problems]
            explain = {"columns": {p.column: [p.name, p.share, p.events, p.before] for p in problems}}
            window = (end - self.model.window.every, end)
            out += [(version, f) for f in finding("firing", RULE, window, subjects, "", explain, context)]
        return out

    def _over(self, end: int, reason: str, keys: Iterable[Key] | None = None) -> list[tuple[str, Finding]]:
        """What is seen in no version any more, or what is named, is over."""
        over = [k for k, p in self.problems.items() if not p.versions] if keys is None else list(keys)
        by_version: dict[str, list[Problem]] = {}
        for key in sorted(over):
            problem = self.problems.pop(key)
            if problem.told is not None:
                by_version.setdefault(problem.told, []).append(problem)
        window = (end - self.model.window.every, end)
        return [
            (version, f)
            for version, problems in sorted(by_version.items())
            for f in finding("resolved", RULE, window, [subject_of(p) for p in problems], reason, {})
        ]

    def _settled(self, end: int) -> list[tuple[str, Finding]]:
        """A column that came some time ago is one of the others; one that was expected is at once."""
        assert self.model.schema is not None
        after = self.model.schema.settle_after
        added = [(key, p) for key, p in self.problems.items() if p.change == "added"]
        old = [key for key, p in added if (end >= p.since + after if p.told is not None else self._expected(p, end))]
        if old and self.known is not None:
            self.known |= {column for _, column in old}
        return self._over(end, "settled", old)

    def knows(self, version: str) -> bool:
        """Whether anything is remembered of this version."""
        by_version = (self.pending, self.rising, self.gone_until)
        return any(version in one for one in by_version) or any(version in p.versions for p in self.problems.values())

    def forget(self, version: str, at: int, reason: str) -> list[tuple[str, Finding]]:
        """A version serves no more: what was seen in it alone is over."""
        for problem in self.problems.values():
            problem.versions.pop(version, None)
        for by_version in (self.pending, self.rising, self.gone_until, self.unsure):
            by_version.pop(version, None)
        self.changed = True
        return self._over(at, reason)

    def retire(self, at: int, reason: str) -> list[tuple[str, Finding]]:
        """All of it is over, for a reason that no pane tells."""
        return self._over(at, reason, list(self.problems))

    # -- what is seen and stored -------------------------------------------------------------------------------------

    def views(self, version: str) -> tuple[StatisticView, ...]:
        """What was told and stands, where it is seen: as rows of its signals."""
        told = [p for p in self.problems.values() if p.told is not None and version in {p.told, *p.versions}]
        return tuple(
            StatisticView(
                p.column, RULE, p.name, "firing", p.severity, p.share, rounded(p.share - p.before), SHARE, None, None,
                p.events, p.reference_events, (), p.alert_id, p.since,
            )
            for p in sorted(told, key=lambda p: p.column)
        )  # fmt: skip

    def plain(self) -> dict[str, object]:
        return {
            "known": None if self.known is None else sorted(self.known),
            "sight": self.sight,
            "blind_until": self.blind_until,
            "pending": {version: pane.pack() for version, pane in sorted(self.pending.items())},
            "rising": {version: dict(sorted(one.items())) for version, one in sorted(self.rising.items()) if one},
            "gone_until": {version: dict(sorted(one.items())) for version, one in sorted(self.gone_until.items()) if one},
            "problems": [
                [
                    p.change, p.column, dict(sorted(p.versions.items())), p.onset, p.share, p.events, p.before,
                    p.reference_events, p.severity, p.told, p.alert_id, p.since, p.renamed_to,
                ]
                for _, p in sorted(self.problems.items())
            ],
        }  # fmt: skip

    def load(self, plain: Mapping[str, object]) -> None:
        rows = cast("Any", plain)
        self.known = None if rows["known"] is None else set(rows["known"])
        self.sight, self.blind_until = rows["sight"], rows["blind_until"]
        self.pending = {version: Pane.unpack(body) for version, body in rows["pending"].items()}
        self.rising = {version: dict(one) for version, one in rows["rising"].items()}
        self.gone_until = {version: dict(one) for version, one in rows["gone_until"].items()}
        for change, column, versions, *rest in rows["problems"]:
            self.problems[change, column] = Problem(change, column, dict(versions), *rest)
