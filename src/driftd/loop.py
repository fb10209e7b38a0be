"""Poll, profile, apply, commit, deliver: the daemon's one loop, in one thread.

What leaves the process leaves after the commit that made it durable; what was read is passed only by that commit. So a
kill at any instant repeats work and nothing else. A full outbox, a partition far ahead or a schema registry that does not
answer pauses reading, never polling.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from driftd.core.action import Action
from driftd.core.clock import NEVER
from driftd.core.engine import Engine
from driftd.core.event import Block, Discovered, PartitionId, Tick
from driftd.core.fault import UserError
from driftd.core.outcome import Outcome
from driftd.core.pane import compiled
from driftd.core.profile import profile
from driftd.core.view import ReceiverView, Runtime
from driftd.errands import Errands, Reloads
from driftd.http.published import Published
from driftd.kafka.backlog import Backlog
from driftd.kafka.block import RecordRun
from driftd.kafka.dead_letters import DeadLetters, PoisonGuard
from driftd.kafka.decode import Decoder
from driftd.kafka.source import Source
from driftd.store.commit import Commit, PaneRow
from driftd.store.store import Store

_log = structlog.get_logger(__name__)

COMMIT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
WITHHOLD_ON_S = 600.0
"""So long at most is what a mute withheld kept for the rest of a backlog."""
RECORDS_A_COMMIT = 500_000
PUBLISH_EVERY_S = 1.0
POLL_S = 0.1


@dataclass(slots=True)
class Pending:
    """What follows from what was read since the last commit."""

    actions: list[Action] = field(default_factory=list)
    panes: list[PaneRow] = field(default_factory=list)
    inputs: list[tuple[str, object]] = field(default_factory=list)
    positions: dict[PartitionId, int] = field(default_factory=dict)
    records: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to commit, in seconds; how old a transition may be to be told alone, how long panes are kept, in ms."""

    commit_every_s: float
    notify_max_age: int
    keep_panes: int
    max_skew: int


class Loop:
    """Everything it needs is handed in; `app` builds it."""

    def __init__(
        self,
        *,
        source: Source,
        decoder: Decoder,
        engine: Engine,
        store: Store,
        dead_letters: DeadLetters,
        published: Published,
        receivers_for: Callable[[Action], tuple[str, ...]],
        wake: Callable[[], None],
        receiver_views: Callable[[], Sequence[ReceiverView]],
        outbox_full: Callable[[], bool],
        guard: PoisonGuard,
        pace: Pace,
        opening: Discovered | None = None,
        shadow: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.source, self.decoder, self.engine, self.store = source, decoder, engine, store
        self.dead_letters, self.published, self.pace = dead_letters, published, pace
        self.receivers_for, self.wake = receivers_for, wake
        self.receiver_views, self.outbox_full = receiver_views, outbox_full
        self.clock, self.opening, self.guard = clock, opening, guard
        self.shadow = shadow
        self.pending = Pending()
        self.paused: frozenset[PartitionId] = frozenset()
        self.commits: list[int] = [0] * (len(COMMIT_BOUNDS) + 1)
        self.commit_seconds = 0.0
        self.blocks = self.ticks = self.bytes_read = 0
        self.last_commit: float | None = None
        self.reloads = Reloads(at=clock())
        self.owing_since: float | None = None
        self.errands = Errands()
        self.backlog = Backlog(decoder.ready)

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set. Raises UserError where going on would be wrong (mostly poison, a fatal broker error)."""
        compiled()  # before the first record, not while others of the group wait for a poll
        self._teach()
        next_commit = next_publish = time.monotonic()
        try:
            if self.opening is not None:
                self._take(self.opening)
            while not stop.is_set():
                waited = bool(self.backlog)
                for read in self.backlog.through(self.source.poll(POLL_S)):
                    self._take(read)
                if bool(self.backlog) != waited:
                    self._hold_back()  # at once: what is read ahead has no other bound
                self.errands.run()
                now = time.monotonic()
                if now >= next_commit or self.pending.actions or self.pending.records >= RECORDS_A_COMMIT:
                    self.commit()
                    next_commit = now + self.pace.commit_every_s
                if now >= next_publish:
                    self._tell_withheld()
                    self._hold_back()
                    self.publish()
                    next_publish = now + PUBLISH_EVERY_S
            self.commit()
            self.publish()
        finally:
            self.source.close()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _take(self, read: RecordRun | Tick | Discovered) -> None:
        if isinstance(read, RecordRun):
            self._block(read)
            return
        if isinstance(read, Tick):
            self.ticks += 1
            arrivals = [[p.topic, p.number, at] for p, at in sorted(read.arrivals.items())]
            self.pending.inputs.append(("tick", arrivals))
        else:
            rows = [[p.topic, p.number, list(kinds)] for p, kinds in sorted(read.partitions.items())]
            self.pending.inputs.append(("discovered", rows))
            _log.info("partitions_discovered", partitions=[str(p) for p in sorted(read.partitions)])
        self._follow(self.engine.apply(read))

    def _block(self, run: RecordRun) -> None:
        block: Block = self.decoder.decode(run.partition, run)
        found = profile(block, self.engine.plan_of)
        self.blocks += 1
        self.bytes_read += sum(map(len, filter(None, run.values)))
        self.pending.records += block.records
        for refusal in found.refused:
            self.dead_letters.send(run, refusal)
        poison = self.guard.check(found.partition, found.records, len(found.refused))
        if poison:
            raise UserError(poison, exit_code=1)
        self._follow(self.engine.apply(found))
        self.pending.positions[found.partition] = found.next

    def _follow(self, outcome: Outcome) -> None:
        self.pending.actions += outcome.actions
        # Packed at once: so they take an eighth of the memory, and the commit, which holds up reading, less time.
        self.pending.panes += [PaneRow(p.model, p.version, p.kind, p.start, p.end, p.body()) for p in outcome.panes]
        self._teach()

    def _teach(self) -> None:
        """The decoder reads a model's signals by the types of its grid from now on."""
        for model, kind, types in self.engine.new_types():
            self.decoder.learn_types(model, kind, types)

    # -- other settings ----------------------------------------------------------------------------------------------

    def adopt(self, engine: Engine, pace: Pace, digest: str) -> None:
        """Go on with another engine, in the loop's thread: of what was read so far it knows what the store knows.

        `digest` names its settings; it is stored as an input, before all that follows from them.
        """
        self.commit()
        engine.restore(self.store.load_rows())
        for model, kind in self.engine.grids() - engine.grids():
            self.decoder.forget_types(model, kind)
        self.engine, self.pace = engine, pace
        self.pending.inputs.append(("reload", digest))
        self._teach()

    # -- commit ------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make durable what was read and what follows from it; then, and only then, let it out."""
        gc.disable()  # ten thousand new rows and no cycles: the collector would only look, for a third of the time
        try:
            self._commit()
        finally:
            gc.enable()

    def _commit(self) -> None:
        pending, self.pending = self.pending, Pending()
        began = time.monotonic()  # all of it holds up the loop, what is packed for the store not least
        rows = dict(self.engine.changes())
        rows["greatest"] = self.source.greatest
        oldest_told = self.clock() * 1000 - self.pace.notify_max_age
        newest = max((pane.end for pane in pending.panes), default=None)
        self.dead_letters.flush()
        self.store.commit(
            Commit(
                rows=rows,
                positions=pending.positions,
                panes=pending.panes,
                actions=[(self._told_by(a), self.receivers_for(a), a.timestamp < oldest_told) for a in pending.actions],
                caught_up=self._caught_up(oldest_told),
                inputs=pending.inputs,
                prune_panes_before=newest - self.pace.keep_panes if newest is not None else None,
            )
        )
        self._timed(time.monotonic() - began)
        if pending.actions:
            self.wake()
            self._hold_back()  # not at the next turn: a catch-up would overfill the outbox by what a second brings
        if pending.positions:
            self.source.commit(pending.positions)
        for action in pending.actions:
            _log.info(
                "transition",
                type=action.type,
                id=action.id,
                model=action.model,
                version=action.version,
                rule=action.rule,
            )

    def _tell_withheld(self) -> None:
        """What fires on when its mute has ended. After an outage its end may be among what is still to be read: that is
        waited for, if not for ever.
        """
        if self.shadow or not self.store.owes_withheld():
            self.owing_since = None
            return
        now = time.monotonic()
        self.owing_since = now if self.owing_since is None else self.owing_since
        caught_up = self._caught_up(self.clock() * 1000 - self.pace.notify_max_age)
        if caught_up or now - self.owing_since > WITHHOLD_ON_S:
            told = self.store.tell_withheld({view.receiver for view in self.receiver_views()})
            _log.info("withheld_told", count=told)
            self.wake()

    def _caught_up(self, oldest_told: float) -> bool:
        """Of every partition all was read, or what is read there now is worth telling alone."""
        arrivals = self.engine.clock.arrivals
        return all(n == 0 or arrivals.get(p, -NEVER) >= oldest_told for p, n in self._lag().items())

    def _lag(self) -> dict[PartitionId, int | None]:
        """Records that are not applied yet; None where it is not known."""
        waiting = self.backlog.records
        return {p: n if n is None else n + waiting[p] for p, n in self.source.lag().items()}

    def _told_by(self, action: Action) -> Action:
        """All that stands behind it was stamped before `read_until`: so far must be read again to see it again."""
        greatest = self.source.greatest
        more = {} if greatest is None else {"read_until": greatest + 1}
        return replace(action, explain={**action.explain, **more, **({"shadow": True} if self.shadow else {})})

    def _timed(self, seconds: float) -> None:
        self.commit_seconds += seconds
        self.last_commit = self.clock()
        bucket = next((i for i, bound in enumerate(COMMIT_BOUNDS) if seconds <= bound), len(COMMIT_BOUNDS))
        self.commits[bucket] += 1

    # -- holding back and telling ------------------------------------------------------------------------------------

    def _hold_back(self) -> None:
        known = self.engine.clock.arrivals.keys() | self.backlog.discovered
        all_wait = self.backlog or self.outbox_full()
        paused = frozenset(known if all_wait else self.engine.clock.ahead(self.pace.max_skew))
        if paused != self.paused:
            self.source.resume(self.paused - paused)
            self.source.pause(paused - self.paused)
            self.paused = paused

    def publish(self) -> None:
        """Swap in what the pages and metrics read."""
        cumulative, total = [], 0
        for bound, count in zip(COMMIT_BOUNDS, self.commits, strict=False):
            total += count
            cumulative.append((bound, total))
        lag: Mapping[PartitionId, int | None] = self._lag()
        registry = self.decoder.registry
        unready = list(self.source.unready())
        if registry is not None and registry.problem:
            unready.append(registry.problem)
        if not unready and any(value is None for value in lag.values()):
            unready.append("the lag of some partition is not known yet")
        if tuple(unready) != self.published.runtime.unready:
            if unready:
                _log.warning("not_ready", reasons=unready)
            else:
                _log.info("ready", partitions=len(lag))
        standing, withheld = self.store.acts_now()
        unknown, dropped = self.decoder.left_out(self.engine.monitors)
        self.published.view = self.engine.view()
        self.published.runtime = Runtime(
            unready=tuple(unready),
            lag=lag,
            paused=self.paused,
            blocks=self.blocks,
            ticks=self.ticks,
            bytes_read=self.bytes_read,
            dead_letters=self.dead_letters.sent,
            lost=self.source.lost,
            registry_up=None if registry is None or not registry.asked else not registry.problem,
            registry_failures=None if registry is None else registry.failures,
            registry_waiting=None if registry is None else bool(self.backlog),
            unknown_features=unknown,
            dropped_features=dropped,
            commits=sum(self.commits),
            commit_seconds=self.commit_seconds,
            commit_buckets=tuple(cumulative),
            last_commit=self.last_commit,
            receivers=tuple(self.receiver_views()),
            heartbeat=self.clock(),
            reloads_failed=self.reloads.failed,
            reload_ok=self.reloads.ok,
            reloaded=self.reloads.at,
            standing=standing,
            withheld=withheld,
            shadow=self.shadow,
        )
