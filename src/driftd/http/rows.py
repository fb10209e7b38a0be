"""The View and the Runtime as rows: for each metric of the catalogue, one row a series.

What is None is not known, and what is not known has no row: it is never shown as 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

import driftd
from driftd.core.act import Named
from driftd.core.catalogue import REFERENCE_STATES, RETRAIN_STATES, SIGNAL_STATES
from driftd.core.event import PartitionId
from driftd.core.spec import SEVERITIES, Severity
from driftd.core.view import (
    ArrivalView,
    DetectorView,
    ModelView,
    PartitionView,
    Runtime,
    SeriesView,
    ShareView,
    StatisticView,
)
from driftd.http.exposition import Row, escape
from driftd.http.health import unready
from driftd.http.scrape import Labelled, Scrape, rule_labels, series_labels, topic_labels
from driftd.http.status import firing

INFO_LABELS: Final = 32
"""Of a model's own labels at most so many go into its info series, each at most INFO_LENGTH long."""
INFO_LENGTH: Final = 512

T = TypeVar("T")
Rows = Iterable[Row]
Source = Callable[[Scrape], Rows]


# The parts of a scrape, and rows made from one part.


def _models(scrape: Scrape) -> Labelled[ModelView]:
    return scrape.models


def _arrivals(scrape: Scrape) -> Labelled[ArrivalView]:
    return scrape.arrivals


def _series(scrape: Scrape) -> Labelled[SeriesView]:
    return scrape.series


def _statistics(scrape: Scrape) -> Labelled[StatisticView]:
    return scrape.statistics


def _detectors(scrape: Scrape) -> Labelled[DetectorView]:
    return scrape.detectors


def _shares(scrape: Scrape) -> Labelled[ShareView]:
    return scrape.shares


def _partitions(scrape: Scrape) -> Labelled[PartitionView]:
    return scrape.partitions


def _each(part: Callable[[Scrape], Labelled[T]], get: Callable[[T], float | None]) -> Source:
    """One row for each item whose value is known."""

    def rows(scrape: Scrape) -> Rows:
        for text, item in part(scrape):
            value = get(item)
            if value is not None:
                yield "", text, value

    return rows


def _counted(part: Callable[[Scrape], Labelled[T]], label: str, get: Callable[[T], Mapping[str, int]]) -> Source:
    """One row for each entry of each item's mapping, its key as a label."""

    def rows(scrape: Scrape) -> Rows:
        for text, item in part(scrape):
            for key, count in get(item).items():
                yield "", f'{text},{label}="{escape(key)}"', count

    return rows


def _one_hot(part: Callable[[Scrape], Labelled[T]], states: tuple[str, ...], get: Callable[[T], str]) -> Source:
    """One row for each state that an item can be in: 1 for the one it is in; all 0 for one the catalogue lacks."""
    hot = {now: [(f',state="{state}"', int(state == now)) for state in states] for now in (*states, "")}

    def rows(scrape: Scrape) -> Rows:
        for text, item in part(scrape):
            for state, value in hot.get(get(item)) or hot[""]:
                yield "", text + state, value

    return rows


def _one(get: Callable[[Scrape], float | None]) -> Source:
    """The one row of a metric without labels."""

    def rows(scrape: Scrape) -> Rows:
        value = get(scrape)
        return () if value is None else (("", "", value),)

    return rows


def _bit(known: bool | None) -> int | None:  # noqa: FBT001 - it is the value
    return None if known is None else int(known)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


# Metrics that need more than one field.


def label_names(labels: Mapping[str, str]) -> dict[str, str]:
    """A model's own labels under names that Prometheus takes, in order; where names collide, with a number."""
    named: dict[str, str] = {}
    for key in sorted(labels)[:INFO_LABELS]:
        stem = "label_" + re.sub(r"[^a-zA-Z0-9_]", "_", key)[:128]
        name, number = stem, 1
        while name in named:
            number += 1
            name = f"{stem}_conflict{number}"
        named[name] = labels[key][:INFO_LENGTH]
    return named


def _model_info(scrape: Scrape) -> Rows:
    for text, model in scrape.models:
        own = "".join(f',{name}="{escape(value)}"' for name, value in label_names(model.labels).items())
        yield "", text + own, 1


def _threshold(scrape: Scrape) -> Rows:
    for text, one in scrape.statistics:
        yield "", text + ',severity="warning"', one.warning
        if one.critical is not None:
            yield "", text + ',severity="critical"', one.critical


def _flags(scrape: Scrape) -> Rows:
    for text, one in scrape.statistics:
        for flag in dict.fromkeys(one.flags):
            yield "", f'{text},flag="{escape(flag)}"', 1


def _alert_firing(scrape: Scrape) -> Rows:
    # An alert is one (series, signal, rule): where several statistics of a rule fire, the highest severity counts.
    severities: dict[str, Severity] = {}
    for model in scrape.view.models:
        for series, one in firing(model):
            text = rule_labels(series_labels(model, series), one)
            severity = one.severity or SEVERITIES[0]
            severities[text] = max(severities.get(text, severity), severity, key=SEVERITIES.index)
    for text, severity in severities.items():
        yield "", f'{text},severity="{severity}"', 1


def _transitions(scrape: Scrape) -> Rows:
    for text, model in scrape.models:
        for (rule, kind, severity), count in model.transitions.items():
            yield (
                "",
                f'{text},rule="{escape(rule)}",type="{escape(kind)}",severity="{escape(severity)}"',
                count,
            )


def _acts(scrape: Scrape) -> Rows:
    for (rule, verb), count in sorted(scrape.runtime.standing.counts.items()):
        yield "", f'rule="{escape(rule)}",verb="{escape(verb)}"', count


def _acknowledged(scrape: Scrape) -> float:
    seen = scrape.runtime.standing.acknowledged
    if not seen:
        return 0
    return len({one.alert_id for model in scrape.view.models for _, one in firing(model) if one.alert_id in seen})


def _alert_acts(scrape: Scrape) -> Rows:
    standing, now = scrape.runtime.standing, round(scrape.now * 1000)
    if not (standing.acknowledged or standing.mutes or standing.false):
        return
    rows: dict[str, None] = {}
    """In order, each once: several statistics of a signal may fire for one alert."""
    for model in scrape.view.models:
        for series, one in firing(model):
            note = standing.note(model.model, [Named(one.rule, one.signal, one.alert_id or "")], now)
            text = rule_labels(series_labels(model, series), one)
            found = {"acknowledge": note.acknowledged, "mute": note.muted, "false": note.false}
            rows |= {f'{text},verb="{verb}"': None for verb, act in found.items() if act is not None}
    for text in rows:
        yield "", text, 1


def _by_model(get: Callable[[Runtime], Mapping[str, int]]) -> Source:
    """One row for each model that is watched, and for no other: events may name any number of them."""

    def rows(scrape: Scrape) -> Rows:
        counts = get(scrape.runtime)
        for text, model in scrape.models:
            yield "", text, counts.get(model.model, 0)

    return rows


def _paused(scrape: Scrape) -> Rows:
    for text, one in scrape.partitions:
        yield "", text, int(one.paused or one.partition in scrape.runtime.paused)


def _every_lag(scrape: Scrape) -> dict[PartitionId, int | None]:
    """The lag of every partition that the View or the broker speaks of."""
    return {**{one.partition: None for one in scrape.view.partitions}, **scrape.runtime.lag}


def _lag(scrape: Scrape) -> Rows:
    for partition, lag in _every_lag(scrape).items():
        if lag is not None:
            yield "", topic_labels(partition), lag


def _lag_known(scrape: Scrape) -> Rows:
    for partition, lag in _every_lag(scrape).items():
        yield "", topic_labels(partition), int(lag is not None)


def _waiting(scrape: Scrape) -> Rows:
    for one in scrape.runtime.receivers:
        yield "", f'receiver="{escape(one.receiver)}"', one.waiting


def _dead(scrape: Scrape) -> Rows:
    for one in scrape.runtime.receivers:
        yield "", f'receiver="{escape(one.receiver)}"', one.dead


def _deliveries(scrape: Scrape) -> Rows:
    for one in scrape.runtime.receivers:
        yield "", f'receiver="{escape(one.receiver)}",result="sent"', one.sent
        yield "", f'receiver="{escape(one.receiver)}",result="failed"', one.failed


def _pushes(scrape: Scrape) -> Rows:
    if scrape.pushes is not None:
        yield "", 'result="sent"', scrape.pushes.sent
        yield "", 'result="failed"', scrape.pushes.failed


def _commit_seconds(scrape: Scrape) -> Rows:
    for bound, count in scrape.runtime.commit_buckets:
        if bound != float("inf"):
            yield "_bucket", f'le="{float(bound)}"', count
    yield "_bucket", 'le="+Inf"', scrape.runtime.commits
    yield "_count", "", scrape.runtime.commits
    yield "_sum", "", scrape.runtime.commit_seconds


def _ready(scrape: Scrape) -> float:
    return int(not unready(scrape.runtime, scrape.now, scrape.started))


def _judged(get: Callable[[SeriesView], float]) -> Callable[[SeriesView], float | None]:
    """Before the first judged window, what is said of it is not known."""
    return lambda series: None if series.window_end is None else get(series)


SOURCES: Final[dict[str, Source]] = {
    "driftd_events_total": _each(_series, lambda s: s.events),
    "driftd_late_events_total": _each(_series, lambda s: s.late),
    "driftd_backfill_events_total": _each(_models, lambda m: m.backfill),
    "driftd_signal_errors_total": _counted(_series, "signal", lambda s: s.signal_errors),
    "driftd_panes_closed_total": _each(_series, lambda s: s.panes),
    "driftd_evaluations_total": _each(_series, lambda s: s.evaluations),
    "driftd_closed_until_timestamp_seconds": _each(_series, lambda s: _seconds(s.closed_until)),
    "driftd_window_end_timestamp_seconds": _each(_series, lambda s: _seconds(s.window_end)),
    "driftd_window_events": _each(_series, _judged(lambda s: s.window_events)),
    "driftd_insufficient_data": _each(_series, _judged(lambda s: int(s.insufficient))),
    "driftd_open_panes": _each(_models, lambda m: m.open_panes),
    "driftd_waiting_partitions": _each(_models, lambda m: len(m.waiting_for)),
    "driftd_overdue": _each(_arrivals, lambda a: None if a.due is None else int(a.overdue)),
    "driftd_due_timestamp_seconds": _each(_arrivals, lambda a: _seconds(a.due)),
    "driftd_model_info": _model_info,
    "driftd_models": _one(lambda s: len(s.view.models)),
    "driftd_reference_state": _one_hot(_series, REFERENCE_STATES, lambda s: s.reference),
    "driftd_champion": _each(_series, lambda s: None if s.champion is None else int(s.champion)),
    "driftd_reference_events": _each(_series, lambda s: s.reference_events),
    "driftd_learning_bytes": _each(_models, lambda m: m.learning_bytes),
    "driftd_learning_sampled": _each(_models, lambda m: int(m.sampled)),
    "driftd_dropped_models_total": _one(lambda s: s.view.dropped_models),
    "driftd_ignored_events_total": _one(lambda s: s.view.ignored_events),
    "driftd_dropped_versions_total": _each(_models, lambda m: m.dropped_versions),
    "driftd_dropped_signals_total": _each(_models, lambda m: m.dropped_signals),
    "driftd_dropped_features_total": _by_model(lambda r: r.dropped_features),
    "driftd_unknown_features_total": _by_model(lambda r: r.unknown_features),
    "driftd_statistic_value": _each(_statistics, lambda s: s.value),
    "driftd_effect": _each(_statistics, lambda s: s.effect),
    "driftd_threshold": _threshold,
    "driftd_p_value": _each(_statistics, lambda s: s.p_value),
    "driftd_signal_state": _one_hot(_statistics, SIGNAL_STATES, lambda s: s.state),
    "driftd_signal_flag": _flags,
    "driftd_reference_share": _each(_shares, lambda s: s.reference),
    "driftd_current_share": _each(_shares, lambda s: s.current),
    "driftd_detector_estimate": _each(_detectors, lambda d: d.estimate),
    "driftd_detector_width_events": _each(_detectors, lambda d: d.width),
    "driftd_detector_effect": _each(_detectors, lambda d: d.effect),
    "driftd_detector_last_change_timestamp_seconds": _each(_detectors, lambda d: _seconds(d.last_change)),
    "driftd_changes_total": _each(_detectors, lambda d: d.changes),
    "driftd_detector_state": _one_hot(_detectors, SIGNAL_STATES, lambda d: d.state),
    "driftd_alert_firing": _alert_firing,
    "driftd_transitions_total": _transitions,
    "driftd_acts_total": _acts,
    "driftd_mutes": _one(lambda s: len(s.runtime.standing.mutes_at(round(s.now * 1000)))),
    "driftd_alerts_acknowledged": _one(_acknowledged),
    "driftd_alert_act": _alert_acts,
    "driftd_withheld_notifications": _one(lambda s: s.runtime.withheld),
    "driftd_retrain_requests_total": _each(_models, lambda m: m.retrains),
    "driftd_retrain_state": _one_hot(_models, RETRAIN_STATES, lambda m: m.retrain),
    "driftd_records_total": _each(_partitions, lambda p: p.records),
    "driftd_refused_records_total": _counted(_partitions, "reason", lambda p: p.refused),
    "driftd_unknown_keys_total": _each(_partitions, lambda p: p.unknown_keys),
    "driftd_next_offset": _each(_partitions, lambda p: p.next_offset),
    "driftd_arrival_timestamp_seconds": _each(_partitions, lambda p: _seconds(p.arrival)),
    "driftd_partition_paused": _paused,
    "driftd_lag_records": _lag,
    "driftd_lag_known": _lag_known,
    "driftd_lost_records_total": _one(lambda s: s.runtime.lost),
    "driftd_schema_registry_up": _one(lambda s: _bit(s.runtime.registry_up)),
    "driftd_schema_registry_failures_total": _one(lambda s: s.runtime.registry_failures),
    "driftd_schema_registry_waiting": _one(lambda s: _bit(s.runtime.registry_waiting)),
    "driftd_outbox_waiting": _waiting,
    "driftd_outbox_dead": _dead,
    "driftd_deliveries_total": _deliveries,
    "driftd_dead_letters_total": _one(lambda s: s.runtime.dead_letters),
    "driftd_otlp_pushes_total": _pushes,
    "driftd_otlp_last_push_timestamp_seconds": _one(lambda s: s.pushes.last if s.pushes is not None else None),
    "driftd_build_info": lambda _: [("", f'version="{escape(driftd.__version__)}"', 1)],
    "driftd_watchdog": _one(lambda _: 1),
    "driftd_ready": _one(_ready),
    "driftd_shadow": _one(lambda s: int(s.runtime.shadow)),
    "driftd_heartbeat_timestamp_seconds": _one(lambda s: s.runtime.heartbeat),
    "driftd_blocks_total": _one(lambda s: s.runtime.blocks),
    "driftd_ticks_total": _one(lambda s: s.runtime.ticks),
    "driftd_read_bytes_total": _one(lambda s: s.runtime.bytes_read),
    "driftd_commits_total": _one(lambda s: s.runtime.commits),
    "driftd_commit_seconds": _commit_seconds,
    "driftd_last_commit_timestamp_seconds": _one(lambda s: s.runtime.last_commit),
    "driftd_config_reloads_failed_total": _one(lambda s: s.runtime.reloads_failed),
    "driftd_config_last_reload_successful": _one(lambda s: int(s.runtime.reload_ok)),
    "driftd_config_last_reload_success_timestamp_seconds": _one(lambda s: s.runtime.reloaded),
}
"""For each metric of the catalogue, where its rows come from."""
