"""For each alert a world in which it fires, and when: written as a file that `promtool test rules` runs.

Series are in promtool's short form, a value a step (a minute): `0+10x60` is 0, 10, 20, ... 600. `healthy` is a world in
which none fires but the watchdog.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

ONE: Final = 'job="driftd",instance="a:9464"'
CHURN: Final = f'{ONE},model="churn"'
SERIES: Final = f'{CHURN},version="7",kind="prediction"'
STATISTIC: Final = f'{SERIES},signal="age",rule="drift",statistic="psi"'
TOPIC: Final = f'{ONE},topic="scored",partition="0"'
DAY: Final = 1_440
"""Minutes."""


def healthy(minutes: int, step: int = 1) -> dict[str, str]:
    """Everything that an alert looks at, as it should be."""
    n = minutes // step + 1
    still, grows = f"x{n}", f"+{600 * step}x{n}"
    return {
        f"up{{{ONE}}}": f"1{still}",
        f"driftd_watchdog{{{ONE}}}": f"1{still}",
        f"driftd_ready{{{ONE}}}": f"1{still}",
        f"driftd_lag_known{{{TOPIC}}}": f"1{still}",
        f"driftd_lag_records{{{TOPIC}}}": f"20{still}",
        f"driftd_records_total{{{TOPIC}}}": f"0{grows}",
        f'driftd_refused_records_total{{{TOPIC},reason="json"}}': f"0+{step}x{n}",
        f"driftd_last_commit_timestamp_seconds{{{ONE}}}": f"0+{60 * step}x{n}",
        f"driftd_lost_records_total{{{ONE}}}": f"0{still}",
        f"driftd_config_last_reload_successful{{{ONE}}}": f"1{still}",
        f'driftd_model_info{{{CHURN},label_team="risk",label_tier="1"}}': f"1{still}",
        f"driftd_events_total{{{SERIES}}}": f"0{grows}",
        f"driftd_late_events_total{{{SERIES}}}": f"0+{6 * step}x{n}",
        f'driftd_overdue{{{CHURN},kind="prediction"}}': f"0{still}",
        f'driftd_due_timestamp_seconds{{{CHURN},kind="prediction"}}': f"3600+{60 * step}x{n}",
        f"driftd_insufficient_data{{{SERIES}}}": f"0{still}",
        f"driftd_window_end_timestamp_seconds{{{SERIES}}}": f"0+{60 * step}x{n}",
        f'driftd_reference_state{{{SERIES},state="ready"}}': f"1{still}",
        f'driftd_reference_state{{{SERIES},state="learning"}}': f"0{still}",
        f'driftd_reference_state{{{SERIES},state="none"}}': f"0{still}",
        f'driftd_signal_state{{{STATISTIC},state="ok"}}': f"1{still}",
        f'driftd_signal_state{{{STATISTIC},state="unknown"}}': f"0{still}",
        f'driftd_signal_flag{{{STATISTIC},flag="extrapolated"}}': f"1{still}",
        f"driftd_effect{{{STATISTIC}}}": f"0.05{still}",
        f'driftd_threshold{{{STATISTIC},severity="warning"}}': f"0.1{still}",
        f'driftd_threshold{{{STATISTIC},severity="critical"}}': f"0.25{still}",
        f"driftd_dropped_models_total{{{ONE}}}": f"0{still}",
        f"driftd_dropped_versions_total{{{CHURN}}}": f"0{still}",
        f"driftd_dropped_signals_total{{{CHURN}}}": f"0{still}",
        f"driftd_dropped_features_total{{{CHURN}}}": f"3{still}",
        f"driftd_learning_sampled{{{CHURN}}}": f"0{still}",
        f'driftd_outbox_waiting{{{ONE},receiver="ops"}}': "0 1 2 0 " * (n // 4 + 1),
        f'driftd_outbox_dead{{{ONE},receiver="ops"}}': f"0{still}",
    }


@dataclass(frozen=True)
class Scenario:
    """`series` replace those of a healthy world (None: gone). Nothing fires at minute `quiet`, the alert does at `fires`."""

    alert: str
    series: dict[str, str | None]
    quiet: int
    fires: int
    labels: dict[str, str] = field(default_factory=dict)
    step: int = 1
    """Minutes between values, and between looks of Prometheus: more where it takes days."""


FIRING: Final = f'driftd_alert_firing{{{SERIES},signal="%s",rule="drift",severity="%s"}}'
NOTHING: Final[dict[str, str | None]] = dict.fromkeys(healthy(1), None)
SHADOW: Final = f"driftd_shadow{{{ONE}}}"
REFUSED: Final = f'driftd_refused_records_total{{{TOPIC},reason="json"}}'
LATE: Final = f"driftd_late_events_total{{{SERIES}}}"
EVENTS: Final = f"driftd_events_total{{{SERIES}}}"
OVERDUE: Final = f'driftd_overdue{{{CHURN},kind="prediction"}}'
DUE: Final = f'driftd_due_timestamp_seconds{{{CHURN},kind="prediction"}}'
MODEL: Final = {"model": "churn", "label_team": "risk"}
SCENARIOS: Final = (
    Scenario(
        "DriftdDriftCritical",
        {FIRING % ("age", "critical"): "_x9 1x90", FIRING % ("plan", "critical"): "_x9 1x90"},
        quiet=8,
        fires=10,
        labels=MODEL | {"severity": "critical", "version": "7", "kind": "prediction", "rule": "drift"},
    ),
    # The alert is over, or driftd restarts: it goes on for five minutes, and no more.
    Scenario("DriftdDriftCritical", {FIRING % ("age", "critical"): "1x20 stale"}, quiet=27, fires=24),
    Scenario("DriftdDriftWarning", {FIRING % ("age", "warning"): "_x9 1x90"}, quiet=8, fires=10, labels=MODEL),
    # A shadow pages nobody.
    Scenario("DriftdDriftCritical", {FIRING % ("age", "critical"): "1x90", SHADOW: "1x29 0x60"}, quiet=28, fires=31),
    Scenario("DriftdDriftWarning", {FIRING % ("age", "warning"): "1x90", SHADOW: "1x29 0x60"}, quiet=28, fires=31),
    Scenario(
        "DriftdAbsent",
        NOTHING | {f"up{{{ONE}}}": "1x30 0x70", f"driftd_watchdog{{{ONE}}}": "1x30"},
        quiet=30,
        fires=34,
        labels={"instance": "a:9464", "severity": "critical"},
    ),
    # Nobody scrapes it at all.
    Scenario("DriftdAbsent", NOTHING, quiet=1, fires=3),
    # One of two.
    Scenario(
        "DriftdAbsent",
        {'up{job="driftd",instance="b:9464"}': "1x30 0x70", 'driftd_watchdog{job="driftd",instance="b:9464"}': "1x30"},
        quiet=30,
        fires=34,
        labels={"instance": "b:9464"},
    ),
    Scenario("DriftdNotReady", {f"driftd_ready{{{ONE}}}": "1x9 0x90"}, quiet=18, fires=20),
    Scenario("DriftdLagUnknown", {f"driftd_lag_known{{{TOPIC}}}": "1x9 0x90"}, quiet=18, fires=20, labels={"topic": "scored"}),
    Scenario("DriftdLagging", {f"driftd_lag_records{{{TOPIC}}}": "0x9 9000x90"}, quiet=23, fires=26, labels={"topic": "scored"}),
    # Nothing is read any more.
    Scenario(
        "DriftdLagging",
        {f"driftd_lag_records{{{TOPIC}}}": "0x19 5x80", f"driftd_records_total{{{TOPIC}}}": "0+600x19 11400x80", REFUSED: "9x99"},
        quiet=40,
        fires=47,
    ),
    Scenario(
        "DriftdNotCommitting", {f"driftd_last_commit_timestamp_seconds{{{ONE}}}": "0+60x10 600x90"}, quiet=16, fires=18
    ),
    Scenario("DriftdOverdue", {OVERDUE: "0x9 1x90"}, quiet=18, fires=20, labels=MODEL | {"kind": "prediction"}),
    # Nothing comes, and nothing is expected: at night, or of a model of which nothing ever is.
    Scenario("DriftdOverdue", {EVENTS: "0+600x10 6000x2000", LATE: "0x2000", OVERDUE: "0x400 1x600"}, quiet=400, fires=420),
    # After a week it is told no more.
    Scenario("DriftdOverdue", {OVERDUE: "0 1x2000", DUE: "600x2000"}, quiet=7 * DAY + 40, fires=6 * DAY, step=10),
    # While driftd is not ready, that nothing comes says nothing of the model.
    Scenario(
        "DriftdNotReady",
        {OVERDUE: "0x9 1x200", f"driftd_ready{{{ONE}}}": "1x9 0x200"},
        quiet=18,
        fires=150,
    ),
    Scenario(
        "DriftdDeadLetters",
        {REFUSED: "0+1x20 20+60x80"},
        quiet=20,
        fires=40,
        labels={"topic": "scored", "severity": "warning"},
    ),
    Scenario("DriftdRecordsLost", {f"driftd_lost_records_total{{{ONE}}}": "0x9 500x99"}, quiet=8, fires=10),
    Scenario(
        "DriftdLateEvents",
        {f"driftd_late_events_total{{{SERIES}}}": "0+6x10 60+90x90"},
        quiet=39,
        fires=60,
        labels={"model": "churn", "kind": "prediction"},
    ),
    Scenario(
        "DriftdNoReference",
        {
            f'driftd_reference_state{{{SERIES},state="ready"}}': "0x99",
            f'driftd_reference_state{{{SERIES},state="none"}}': "1x99",
        },
        quiet=59,
        fires=61,
        labels={"model": "churn", "version": "7"},
    ),
    Scenario(
        "DriftdInsufficientData",
        {f"driftd_insufficient_data{{{SERIES}}}": "1x300"},
        quiet=DAY - 10,
        fires=DAY + 10,
        step=10,
    ),
    Scenario(
        "DriftdUncalibrated",
        {f'driftd_signal_flag{{{STATISTIC},flag="uncalibrated"}}': "1x99"},
        quiet=59,
        fires=61,
        labels={"model": "churn", "severity": "info"},
    ),
    Scenario(
        "DriftdBoundMet",
        {f"driftd_dropped_versions_total{{{CHURN}}}": "0x9 1x99"},
        quiet=8,
        fires=10,
        labels={"model": "churn"},
    ),
    Scenario("DriftdBoundMet", {f"driftd_dropped_signals_total{{{CHURN}}}": "0x9 1x99"}, quiet=8, fires=10),
    Scenario("DriftdBoundMet", {f"driftd_dropped_features_total{{{CHURN}}}": "3x9 4x99"}, quiet=8, fires=10),
    Scenario("DriftdBoundMet", {f"driftd_dropped_models_total{{{ONE}}}": "0x9 7x99"}, quiet=8, fires=10),
    Scenario("DriftdBoundMet", {f"driftd_learning_sampled{{{CHURN}}}": "0x9 1x99"}, quiet=8, fires=10),
    Scenario("DriftdReloadFailed", {f"driftd_config_last_reload_successful{{{ONE}}}": "1x9 0x90"}, quiet=8, fires=10),
    Scenario(
        "DriftdDeliveriesWaiting",
        {f'driftd_outbox_waiting{{{ONE},receiver="ops"}}': "0x9 3x90"},
        quiet=38,
        fires=41,
        labels={"receiver": "ops"},
    ),
    Scenario("DriftdDeliveriesDead", {f'driftd_outbox_dead{{{ONE},receiver="ops"}}': "0x9 1x90"}, quiet=8, fires=10),
)  # fmt: skip


def world(scenario: Scenario) -> list[dict[str, str]]:
    """The series of a scenario, as long as it needs them."""
    found: dict[str, str | None] = {
        **healthy(max(scenario.quiet, scenario.fires) + 5, scenario.step),
        **scenario.series,
    }
    return [{"series": name, "values": values} for name, values in found.items() if values is not None]


def _samples(expr: str, minute: int, labels: dict[str, str] | None) -> dict[str, Any]:
    written = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted((labels or {}).items()))
    samples = [] if labels is None else [{"labels": f"{{{written}}}", "value": 1}]
    return {"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples}


def as_promtool(scenario: Scenario) -> dict[str, Any]:
    """One entry of promtool's file: the alert alone fires when it should, with its labels; and nothing does when not."""
    firing = 'ALERTS{alertstate="firing",alertname!="DriftdWatchdog"}'
    told = {"alertname": scenario.alert, **scenario.labels}
    return {
        "name": f"{scenario.alert} at {scenario.fires}m",
        "interval": f"{scenario.step}m",
        "input_series": world(scenario),
        "promql_expr_test": [
            _samples(firing, scenario.quiet, None),
            _samples(f"count by ({','.join(told)}) ({firing})", scenario.fires, told),
        ],
    }
