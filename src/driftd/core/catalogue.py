"""The one catalogue of metrics: what is not here is not exported, and what is here is documented by it.

The rule: one entry a metric, with its exact labels and the field of the View or the Runtime that it shows.
README, dashboards and alerting rules may use only these names; the collector emits exactly these; tests say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MetricType = Literal["counter", "gauge", "histogram", "info"]
Unit = Literal["", "seconds", "bytes", "events", "records"]
"""A unit is also the end of the metric's name (before `_total`), as OpenMetrics wants it."""
Life = Literal["input", "stored", "process"]
"""How long a value lives, and what it depends on:

- input: a function of the records read, kept in the store; equal to the byte after any crash, however the
  records are cut into blocks;
- stored: kept over a restart, but depends on how records were cut into blocks (lateness, arrival time), or on what
  people did;
- process: of this process, or of the outside world as it sees it; a restart begins anew.
"""
LIVES: Final[dict[Life, str]] = {
    "input": "a function of the records read: equal after any crash",
    "stored": "kept over a restart; depends on how records were cut into blocks, or on what people did",
    "process": "of this process: a restart begins anew",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` as Prometheus sees it, suffix included; `source`: the field behind it (`core.view`).

    `labels` in the order in which they are written. A label that ends in `*` stands for any number of labels
    with that prefix.
    """

    name: str
    type: MetricType
    labels: tuple[str, ...]
    help: str
    source: str
    life: Life
    unit: Unit = ""
    group: str = ""

    @property
    def family(self) -> str:
        """The name of the metric family in OpenMetrics: without the suffix that its type implies."""
        suffix = {"counter": "_total", "info": "_info"}.get(self.type, "")
        return self.name.removesuffix(suffix)


MODEL: Final = ("model",)
SERIES: Final = ("model", "version", "kind")
SIGNAL: Final = (*SERIES, "signal")
RULE: Final = (*SIGNAL, "rule")
STATISTIC: Final = (*RULE, "statistic")
PARTITION: Final = ("topic", "partition")

SIGNAL_STATES: Final = ("unknown", "insufficient_data", "ok", "pending", "firing")
REFERENCE_STATES: Final = ("none", "learning", "ready", "held")
RETRAIN_STATES: Final = ("none", "requested", "acknowledged", "completed", "failed", "expired")


def _units(name: str) -> Unit:
    stem = name.removesuffix("_total")
    units: tuple[Unit, ...] = ("seconds", "bytes", "events", "records")
    return next((unit for unit in units if stem.endswith("_" + unit)), "")


def _group(group: str, *rows: tuple[str, MetricType, tuple[str, ...], Life, str, str]) -> tuple[Metric, ...]:
    return tuple(
        Metric("driftd_" + name, kind, labels, text, source, life, _units(name), group)
        for name, kind, labels, life, source, text in rows
    )


_EVENTS = _group(
    "Events and windows",
    ("events_total", "counter", SERIES, "input", "SeriesView.events", "Events counted."),
    ("late_events_total", "counter", SERIES, "stored", "SeriesView.late",
     "Events behind their watermark: counted, not merged into a pane."),
    ("backfill_events_total", "counter", MODEL, "input", "ModelView.backfill",
     "Events marked as backfill: counted, never windowed."),
    ("signal_errors_total", "counter", SIGNAL, "input", "SeriesView.signal_errors",
     "Values of the wrong type, and statistics that could not be computed; an error of that signal alone."),
    ("panes_closed_total", "counter", SERIES, "input", "SeriesView.panes", "Panes closed."),
    ("evaluations_total", "counter", SERIES, "input", "SeriesView.evaluations", "Windows judged."),
    ("closed_until_timestamp_seconds", "gauge", SERIES, "input", "SeriesView.closed_until",
     "Event time up to which all panes are closed."),
    ("window_end_timestamp_seconds", "gauge", SERIES, "input", "SeriesView.window_end",
     "Event time at which the newest judged window ends; absent until one was judged."),
    ("window_events", "gauge", SERIES, "input", "SeriesView.window_events",
     "Events in the newest judged window."),
    ("insufficient_data", "gauge", SERIES, "input", "SeriesView.insufficient",
     "1 if the newest judged window held too few events to judge, else 0; absent until one was judged."),
    ("open_panes", "gauge", MODEL, "stored", "ModelView.open_panes", "Panes not yet closed."),
    ("waiting_partitions", "gauge", MODEL, "stored", "ModelView.waiting_for",
     "Partitions that the oldest open pane waits for; the API names them."),
    ("overdue", "gauge", ("model", "kind"), "stored", "ArrivalView.overdue",
     "1 if no event has come though one was expected, else 0; absent where none is expected, or none has ever come."),
    ("due_timestamp_seconds", "gauge", ("model", "kind"), "stored", "ArrivalView.due",
     "Arrival time after which events that do not come are overdue."),
)  # fmt: skip

_REFERENCES = _group(
    "References and models",
    ("model_info", "info", ("model", "label_*"), "process", "ModelView.labels",
     "The labels that the settings give the model, each as label_NAME."),
    ("models", "gauge", (), "input", "View.models", "Models watched."),
    ("reference_state", "gauge", (*SERIES, "state"), "input", "SeriesView.reference",
     "1 for the state that the reference is in, 0 for the others."),
    ("champion", "gauge", SERIES, "input", "SeriesView.champion",
     "1 for the version that rules against the champion compare newer ones with, else 0; absent where no rule does."),
    ("reference_events", "gauge", SERIES, "input", "SeriesView.reference_events", "Events in the reference."),
    ("learning_bytes", "gauge", MODEL, "stored", "ModelView.learning_bytes",
     "Memory held by columns of events until the model has a grid."),
    ("learning_sampled", "gauge", MODEL, "stored", "ModelView.sampled",
     "1 if learning ran out of memory and kept samples, else 0."),
    ("dropped_models_total", "counter", (), "stored", "View.dropped_models",
     "Events of models that are not watched because the bound on models was reached."),
    ("ignored_events_total", "counter", (), "stored", "View.ignored_events",
     "Events of models that are unknown to the settings, which say to ignore such; `driftd models` names them."),
    ("dropped_versions_total", "counter", MODEL, "input", "ModelView.dropped_versions",
     "Versions not watched because the bound on versions was reached, and late events of such."),
    ("dropped_signals_total", "counter", MODEL, "stored", "ModelView.dropped_signals",
     "Values of signals over the bound on signals, left out while the model had no grid."),
    ("dropped_features_total", "counter", MODEL, "process", "Runtime.dropped_features",
     "Values of features left out while the model had no grid: more than 2,000 names in a block, or a bad name."),
    ("unknown_features_total", "counter", MODEL, "process", "Runtime.unknown_features",
     "Values of features that the model's grid does not have: not counted."),
)  # fmt: skip

_SIGNALS = _group(
    "Signals",
    ("statistic_value", "gauge", STATISTIC, "input", "StatisticView.value",
     "The statistic in the newest judged window, raw; absent while it is not known."),
    ("effect", "gauge", STATISTIC, "input", "StatisticView.effect",
     "The size of the change, less what finite samples show without any; absent while it is not known."),
    ("threshold", "gauge", (*STATISTIC, "severity"), "input", "StatisticView.warning, StatisticView.critical",
     "The effect from which on a severity is reached, raised where the reference itself is noisy."),
    ("p_value", "gauge", STATISTIC, "input", "StatisticView.p_value",
     "The chance of so large a value without any change; absent while it is not known."),
    ("signal_state", "gauge", (*STATISTIC, "state"), "input", "StatisticView.state",
     "1 for the state that the statistic of the signal is in, 0 for the others."),
    ("signal_flag", "gauge", (*STATISTIC, "flag"), "input", "StatisticView.flags",
     "1 for each reservation about the verdict: uncalibrated, extrapolated, noisy, short_replay; else absent."),
    ("reference_share", "gauge", (*SIGNAL, "group"), "input", "ShareView.reference",
     "The share of a group's values in the reference; of the five worst signals of a series, while pending or firing."),
    ("current_share", "gauge", (*SIGNAL, "group"), "input", "ShareView.current",
     "The same share in the newest judged window. The groups are those that PSI compares, at most 12."),
    ("detector_estimate", "gauge", RULE, "input", "DetectorView.estimate",
     "The mean that the detector holds now, in standard deviations of the reference from its mean."),
    ("detector_width_events", "gauge", RULE, "input", "DetectorView.width",
     "Events in the detector's window."),
    ("detector_effect", "gauge", RULE, "input", "DetectorView.effect",
     "The size of the newest change, in standard deviations of the reference; absent before the first."),
    ("detector_last_change_timestamp_seconds", "gauge", RULE, "input", "DetectorView.last_change",
     "Event time of the newest change; absent before the first."),
    ("changes_total", "counter", RULE, "input", "DetectorView.changes", "Changes that the detector found."),
    ("detector_state", "gauge", (*RULE, "state"), "input", "DetectorView.state",
     "1 for the state that the detector's rule is in, 0 for the others."),
)  # fmt: skip

_ALERTS = _group(
    "Alerts and retraining",
    ("alert_firing", "gauge", (*RULE, "severity"), "input", "StatisticView.state, DetectorView.state",
     "1 while the alert fires; absent otherwise."),
    ("transitions_total", "counter", ("model", "rule", "type", "severity"), "input", "ModelView.transitions",
     "Notifications made: alerts that began or ceased to fire, retrain requests."),
    ("retrain_requests_total", "counter", MODEL, "input", "ModelView.retrains", "Retrain requests made."),
    ("retrain_state", "gauge", ("model", "state"), "input", "ModelView.retrain",
     "1 for the state that the newest retrain request is in, 0 for the others."),
    ("acts_total", "counter", ("rule", "verb"), "stored", "Standing.counts",
     "What people did: acknowledge, mute, false (marked as false), lift (taken back); `*` where every rule is meant."),
    ("mutes", "gauge", (), "stored", "Standing.mutes", "Mutes that hold now."),
    ("alerts_acknowledged", "gauge", (), "stored", "Standing.acknowledged",
     "Alerts that fire and that somebody has acknowledged."),
    ("alert_act", "gauge", (*RULE, "verb"), "stored", "Standing",
     "1 for each alert that fires and each act that holds for it: acknowledge, mute, false (marked as false)."),
    ("withheld_notifications", "gauge", (), "stored", "Runtime.withheld",
     "Notifications withheld from a receiver now, because of a mute or a mark as false."),
)  # fmt: skip

_PARTITIONS = _group(
    "Partitions",
    ("records_total", "counter", PARTITION, "input", "PartitionView.records", "Records read."),
    ("refused_records_total", "counter", (*PARTITION, "reason"), "input", "PartitionView.refused",
     "Records that were not counted, by reason; they are in the dead letters."),
    ("unknown_keys_total", "counter", PARTITION, "input", "PartitionView.unknown_keys",
     "Keys of events that are not in the contract."),
    ("next_offset", "gauge", PARTITION, "input", "PartitionView.next_offset", "The next offset to read."),
    ("arrival_timestamp_seconds", "gauge", PARTITION, "stored", "PartitionView.arrival",
     "Arrival time: how far the partition's clock has come; absent while it is not known."),
    ("partition_paused", "gauge", PARTITION, "process", "Runtime.paused, PartitionView.paused",
     "1 while reading is paused, because others are too far behind, the outbox is full or schemas are missing, else 0."),
    ("lag_records", "gauge", PARTITION, "process", "Runtime.lag",
     "Records not yet read; absent while the broker has not said."),
    ("lag_known", "gauge", PARTITION, "process", "Runtime.lag", "1 if the lag is known, else 0."),
    ("lost_records_total", "counter", (), "process", "Runtime.lost",
     "Records that the brokers had dropped before they were read; the log says which."),
    ("schema_registry_up", "gauge", (), "process", "Runtime.registry_up",
     "1 if the schema registry answered when it was last asked, else 0; absent where nothing was asked yet."),
    ("schema_registry_failures_total", "counter", (), "process", "Runtime.registry_failures",
     "Questions that the schema registry did not answer; each is asked again."),
    ("schema_registry_waiting", "gauge", (), "process", "Runtime.registry_waiting",
     "1 while reading waits for schemas of the registry, else 0."),
)  # fmt: skip

_DELIVERY = _group(
    "Delivery",
    ("outbox_waiting", "gauge", ("receiver",), "process", "ReceiverView.waiting",
     "Deliveries that wait to be sent."),
    ("outbox_dead", "gauge", ("receiver",), "process", "ReceiverView.dead",
     "Deliveries given up; `driftd outbox` shows and replays them."),
    ("deliveries_total", "counter", ("receiver", "result"), "process", "ReceiverView.sent, .failed",
     "Attempts at delivery, by result: sent or failed."),
    ("dead_letters_total", "counter", (), "process", "Runtime.dead_letters",
     "Records sent to the dead letters."),
    ("otlp_pushes_total", "counter", ("result",), "process", "Pushes.sent, .failed",
     "Pushes of metrics by OTLP, by result: sent or failed; absent where the settings name no collector."),
    ("otlp_last_push_timestamp_seconds", "gauge", (), "process", "Pushes.last",
     "Unix time of the newest push that the collector took; absent before the first."),
)  # fmt: skip

_PROCESS = _group(
    "The process",
    ("build_info", "info", ("version",), "process", "driftd.__version__", "The version of driftd."),
    ("watchdog", "gauge", (), "process", "1", "Always 1: alert on its absence."),
    ("ready", "gauge", (), "process", "Runtime.unready, Runtime.heartbeat",
     "1 if driftd is ready: assigned, restored, lag known, and its loop alive; else 0."),
    ("shadow", "gauge", (), "process", "Runtime.shadow",
     "1 if it records everything and delivers nothing (deliver: none), else 0."),
    ("heartbeat_timestamp_seconds", "gauge", (), "process", "Runtime.heartbeat",
     "Unix time of the newest turn of the loop; absent before the first."),
    ("blocks_total", "counter", (), "process", "Runtime.blocks", "Blocks of records applied."),
    ("ticks_total", "counter", (), "process", "Runtime.ticks", "Ticks of quiet partitions applied."),
    ("read_bytes_total", "counter", (), "process", "Runtime.bytes_read", "Bytes of records read."),
    ("commits_total", "counter", (), "process", "Runtime.commits", "Durable commits of the state."),
    ("commit_seconds", "histogram", (), "process", "Runtime.commit_buckets, Runtime.commit_seconds",
     "How long commits of the state took."),
    ("last_commit_timestamp_seconds", "gauge", (), "process", "Runtime.last_commit",
     "Unix time of the newest durable commit; absent before the first."),
    ("config_reloads_failed_total", "counter", (), "process", "Runtime.reloads_failed",
     "Configurations refused while running; the last good one stays."),
    ("config_last_reload_successful", "gauge", (), "process", "Runtime.reload_ok",
     "1 if the configuration was taken over when it was last read, else 0."),
    ("config_last_reload_success_timestamp_seconds", "gauge", (), "process", "Runtime.reloaded",
     "Unix time of when a configuration was last taken over, be it at the start."),
)  # fmt: skip

CATALOGUE: Final[tuple[Metric, ...]] = (
    *_EVENTS, *_REFERENCES, *_SIGNALS, *_ALERTS, *_PARTITIONS, *_DELIVERY, *_PROCESS,
)  # fmt: skip
"""In the order of exposition."""

BY_NAME: Final[dict[str, Metric]] = {metric.name: metric for metric in CATALOGUE}


def markdown() -> str:
    """The catalogue as Markdown, a table for each group: what `docs/metrics.md` holds between its markers."""
    lines: list[str] = []
    group = None
    for metric in CATALOGUE:
        if metric.group != group:
            group = metric.group
            lines += [
                f"### {group}",
                "",
                "| metric | type | labels | meaning | life |",
                "|---|---|---|---|---|",
            ]
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} | {metric.life} |")
        last = metric is CATALOGUE[-1] or CATALOGUE[CATALOGUE.index(metric) + 1].group != group
        if last:
            lines.append("")
    return "\n".join(lines).strip() + "\n"
