"""What is known now, as immutable values: the metrics, the API and the terminal read these and never the Monitors.

A state that is not known is a state: it is never shown as healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from driftd.core.act import Standing
from driftd.core.event import Kind, PartitionId
from driftd.core.spec import Severity

SignalState = Literal["unknown", "insufficient_data", "ok", "pending", "firing"]
ReferenceState = Literal["none", "learning", "ready", "held"]
ShiftUnit = Literal["deviations", "category_share", "rate"]


@dataclass(frozen=True, slots=True)
class StatisticView:
    """One statistic of one signal in the newest judged window. `value` raw, `effect` bias-corrected (see docs)."""

    signal: str
    rule: str
    statistic: str
    state: SignalState
    severity: Severity | None
    value: float | None
    effect: float | None
    warning: float
    critical: float | None
    p_value: float | None
    n: int
    reference_n: int
    flags: tuple[str, ...] = ()
    alert_id: str | None = None
    since: int | None = None


@dataclass(frozen=True, slots=True)
class DetectorView:
    """One sequential detector: the mean it holds now (in standardised units), its width in events, its changes so far."""

    signal: str
    rule: str
    state: SignalState
    severity: Severity | None
    estimate: float
    width: int
    changes: int
    last_change: int | None
    effect: float | None
    alert_id: str | None = None


@dataclass(frozen=True, slots=True)
class ShareView:
    """One group of a signal's values: its share of those in the reference, and of those in the newest window."""

    signal: str
    group: str
    reference: float
    current: float


@dataclass(frozen=True, slots=True)
class SmallestShift:
    """What a rule finds in nine of ten windows of n values (`core.power`). None: no shift, no effect is enough.

    `shift` in standard deviations of the reference, in share of the most frequent category, or as a rise of the rate.
    `effect`: the smallest of which a streak is made; `at_once`: the smallest that fires on one look.
    """

    signal: str
    rule: str
    statistic: str
    n: int
    unit: ShiftUnit
    shift: float | None
    effect: float | None
    at_once: float | None


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One (model, version, kind). Times are event time in ms; counts are totals since its first event."""

    model: str
    version: str
    kind: Kind
    events: int
    late: int
    panes: int
    evaluations: int
    reference: ReferenceState
    reference_events: int
    grid: str
    closed_until: int | None
    window_start: int | None
    window_end: int | None
    window_events: int
    insufficient: bool
    signal_errors: Mapping[str, int]
    statistics: tuple[StatisticView, ...] = ()
    detectors: tuple[DetectorView, ...] = ()
    shares: tuple[ShareView, ...] = ()
    """Of the few signals that are worst, while they are pending or firing (`core.shares`)."""
    champion: bool | None = None
    """Whether rules against the champion compare newer versions with this one; None: there is no such rule."""
    power: Callable[[], tuple[SmallestShift, ...]] | None = field(default=None, compare=False, repr=False)
    """What the rules find in windows like the newest; computed when it is asked. None: no window was judged."""


@dataclass(frozen=True, slots=True)
class ArrivalView:
    """Events of one kind of a model, in arrival time (ms): of the newest, and after which silence is overdue; None: never."""

    kind: Kind
    newest: int
    due: int | None
    overdue: bool


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model. `retrain`: none, or the state of its newest retrain request. `open_panes`: panes not yet closed."""

    model: str
    labels: Mapping[str, str]
    series: tuple[SeriesView, ...]
    events: int
    backfill: int
    open_panes: int
    waiting_for: tuple[str, ...]
    """Partitions that the oldest open pane waits for."""
    learning_bytes: int
    sampled: bool
    """Learning ran out of memory and kept samples."""
    dropped_versions: int
    retrain: str
    retrain_id: str | None
    retrains: int
    transitions: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """By (rule, type, severity)."""
    dropped_signals: int = 0
    """Values of signals over the bound, while a grid was learned."""
    arrivals: tuple[ArrivalView, ...] = ()
    """Of the kinds of which an event has come."""


@dataclass(frozen=True, slots=True)
class PartitionView:
    """One partition: the next offset to read, its arrival time, and what was refused there by reason."""

    partition: PartitionId
    next_offset: int
    arrival: int | None
    records: int
    refused: Mapping[str, int]
    unknown_keys: int
    paused: bool = False


@dataclass(frozen=True, slots=True)
class View:
    models: tuple[ModelView, ...] = ()
    partitions: tuple[PartitionView, ...] = ()
    dropped_models: int = 0
    """Events of models over the bound: their names are too many to be kept."""
    ignored_events: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Events of models that the settings do not know and leave out, by name; the first 1,000 names."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The event time over which windows of one kind of a model were judged, ms: panes in `[since, until)`."""

    model: str
    kind: str
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class ReceiverView:
    """What one receiver was sent. `waiting` and `dead` are rows of the outbox now, the others totals of this process."""

    receiver: str
    waiting: int
    dead: int
    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class Pushes:
    """What became of the pushes of metrics in this process. `last`: Unix time of the newest that was taken, seconds."""

    sent: int = 0
    failed: int = 0
    last: float | None = None


@dataclass(frozen=True, slots=True)
class Runtime:
    """The process itself: everything that a restart sets back, and what the loop knows of the broker.

    `unready`: why it is not ready, empty when it is. `lag`: records not yet read, None where the broker has not said.
    `commit_buckets`: commits by duration, cumulative, (upper bound in seconds, count). `lost`: records that the brokers
    had dropped before they were read. `unknown_features`, `dropped_features`: values, by model (see `Decoder`).
    `registry_up`: whether the schema registry answered when it was last asked; None where there is none, or it was not
    asked yet. `registry_waiting`: whether reading waits for it.
    """

    unready: tuple[str, ...] = ("starting",)
    lag: Mapping[PartitionId, int | None] = field(default_factory=dict)
    paused: frozenset[PartitionId] = frozenset()
    blocks: int = 0
    ticks: int = 0
    bytes_read: int = 0
    dead_letters: int = 0
    lost: int = 0
    registry_up: bool | None = None
    registry_failures: int | None = None
    registry_waiting: bool | None = None
    unknown_features: Mapping[str, int] = field(default_factory=dict)
    dropped_features: Mapping[str, int] = field(default_factory=dict)
    commits: int = 0
    commit_seconds: float = 0.0
    commit_buckets: tuple[tuple[float, int], ...] = ()
    last_commit: float | None = None
    """Unix time of the newest durable commit, seconds."""
    receivers: tuple[ReceiverView, ...] = ()
    heartbeat: float | None = None
    """Unix time of the newest turn of the loop, seconds."""
    reloads_failed: int = 0
    reload_ok: bool = True
    """Whether the settings, when they were last read, were taken over."""
    reloaded: float | None = None
    """Unix time of when they last were, seconds."""
    standing: Standing = field(default_factory=Standing)
    """What people did, as far as it holds."""
    withheld: int = 0
    """Notifications that are withheld from a receiver now, for a mute or a mark as false."""
    shadow: bool = False
    """It records everything and delivers nothing."""
