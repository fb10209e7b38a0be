"""Four states of a real driftd on a real broker, and what a real Prometheus answers to every panel in each.

fresh: it runs, and no event was ever read. healthy: `churn` is judged and nothing is wrong; `young` learns. drifted: a
feature and the prediction of `churn` moved, a version began, and some records were poison or late. blind: the events of
`churn` stopped, and then the broker died.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import numpy as np

from tests.broker import LocalKafka
from tests.e2e.daemon import Daemon, Receiver, driftd, event, produce, settings, wait_for
from tests.grafana import boards
from tests.grafana.boards import Target
from tests.grafana.prometheus import Prometheus, Series
from tests.kafka_fixture import Kafka, Topics

STATES: Final = ("fresh", "healthy", "drifted", "blind", "dead")
LENGTH, EVERY = 1_000, 250
TRAINING, HEALTHY, DRIFTED = 6_000, 4_000, 4_000
"""Seconds, an event in each."""
VALUES: Final = {
    "instance": ".*",
    "version": ".*",
    "kind": ".*",
    "signal": ".*",
    "__rate_interval": "5m",  # long enough for a machine that is slow
}
MODEL: Final = {"fleet": ".*", "model": "churn", "driftd": ".*"}


@dataclass
class Life:
    """`answers`: what each query returned, by state. `alerts`: the alerts, and in which states they were."""

    answers: dict[str, dict[Target, list[Series]]] = field(default_factory=dict)
    alerts: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def rows(seed: int, count: int, shift: float) -> Iterator[tuple[dict[str, object], float]]:
    chance = np.random.default_rng(seed)
    ages, plans, scores = chance.normal(40, 10, count), chance.random(count), chance.beta(2, 5, count)
    for age, plan, score in zip(ages.tolist(), plans.tolist(), scores.tolist(), strict=True):
        features = {"age": age + 12 * shift, "plan": ("free", "pro", "team")[int(3 * plan ** (1 + shift))]}
        yield features, min(1.0, score + 0.4 * shift)


def reference(directory: Path) -> Path:
    lines = [
        event("churn", "1", 1_000 * i, features, score) for i, (features, score) in enumerate(rows(1, TRAINING, 0))
    ]
    (directory / "training.jsonl").write_bytes(b"\n".join(lines))
    out = directory / "churn.json"
    done = driftd(
        "reference", "build", "--model", "churn", "--version", "1", "--output", out, directory / "training.jsonl"
    )
    assert done.returncode == 0, done.stderr
    return out


def look(prometheus: Prometheus) -> dict[Target, list[Series]]:
    """Every query of every panel and annotation, answered now."""
    found = {}
    for name in boards.NAMES:
        values = VALUES | {"model": MODEL[name]}
        for target in [*boards.targets(name), *boards.notes(name)]:
            expr = boards.filled(target.expr, values)
            found[target] = prometheus.now(expr) if target.instant else prometheus.lately(expr)
    return found


def live(directory: Path) -> Life:
    """All states, one after another."""
    receiver = Receiver()
    with LocalKafka() as broker:
        topic = Topics(Kafka(broker.bootstrap_servers, real=True, describe="the test's own"), "scored")(partitions=2)
        made = settings(
            broker.bootstrap_servers,
            directory,
            topic,
            receiver,
            monitoring={
                "window": {"length": f"{LENGTH}s", "every": f"{EVERY}s", "max_skew": "1d"},
                "rules": {
                    "jump": {"on": ["prediction", "age"]},
                    "version-skew": {"statistic": "psi", "warning": 0.1, "against": "champion"},
                },
            },
            models={"churn": {"reference": {"file": str(reference(directory))}, "labels": {"team": "risk"}}},
        )
        daemon = Daemon(directory / "daemon", made)
        daemon.start()
        try:
            wait_for("driftd to be ready", lambda: (daemon.get("/readyz") or {}).get("ready"))
            url = daemon.url()
            assert url is not None
            with Prometheus(directory / "prometheus", url.removeprefix("http://")) as prometheus:
                return _states(broker, topic, daemon, prometheus)
        finally:
            daemon.kill()
            receiver.close()


def _states(broker: LocalKafka, topic: str, daemon: Daemon, prometheus: Prometheus) -> Life:
    life = Life()
    start = (int(time.time()) - HEALTHY - DRIFTED - 4 * LENGTH - 600) // EVERY * EVERY * 1_000

    def seen(state: str) -> None:
        life.answers[state] = look(prometheus)
        life.alerts[state] = prometheus.alerts()
        life.faults += prometheus.faults()

    def send(first: int, last: int, shift: float, version: str = "1", model: str = "churn", odd: int = 0) -> None:
        """One event a second; of the first `odd` a feature has the wrong type, and another is not in the reference."""
        records = []
        for i, (features, score) in enumerate(rows(first + 7, last - first, shift), first):
            told = features | {"age": "?", "hue": 1} if i < first + odd else features
            records.append((i % 2, start + 1_000 * i, event(model, version, start + 1_000 * i, told, score)))
        produce(broker.bootstrap_servers, topic, records)

    prometheus.until("driftd_ready == 1 and driftd_last_commit_timestamp_seconds", "a first commit")
    prometheus.until("count_over_time(driftd_commits_total[1m]) >= 3", "scrapes enough for a rate")
    prometheus.until("rate(driftd_commits_total[1m]) > 0", "another commit")
    prometheus.until('ALERTS{alertname="DriftdWatchdog"} unless on () ALERTS{alertname="DriftdAbsent"}', "the watchdog")
    seen("fresh")

    send(0, 300, 0)
    send(0, 300, 0, model="young")
    prometheus.until('driftd_events_total{model="churn"}', "the first events")  # so that a rate has where to begin
    send(300, HEALTHY, 0)
    prometheus.until(f'driftd_evaluations_total{{model="churn"}} >= {HEALTHY // EVERY - 1}', "windows judged")
    prometheus.until('driftd:unknown:why{model="young",why="learning its reference"}', "the rules to have seen it")
    prometheus.until('ALERTS{alertname="DriftdOverdue"}', "events to be overdue: those of the test are of hours ago")
    seen("healthy")

    send(HEALTHY, HEALTHY + DRIFTED, 1, odd=20)
    send(HEALTHY + DRIFTED - 200, HEALTHY + DRIFTED, 1, "2")
    late = [(0, start + 1_000 * (HEALTHY + DRIFTED), event("churn", "1", start, {"age": 1.0}, 0.5))] * 20
    poison = [(1, start + 1_000 * (HEALTHY + DRIFTED), b"{")] * 20
    produce(broker.bootstrap_servers, topic, [*late, *poison])
    for expr in (
        'driftd_alert_firing{model="churn",signal="age",severity="critical"}',
        'driftd_alert_firing{model="churn",rule="jump"}',
        "driftd_retrain_requests_total > 0",
        "driftd_late_events_total > 0",
        "driftd_refused_records_total",
        "driftd_signal_errors_total > 0",
        "driftd_unknown_features_total > 0",
        'driftd_deliveries_total{result="sent"} > 0',
        'ALERTS{alertname="DriftdDriftCritical",alertstate="firing",label_team="risk"}',
    ):
        prometheus.until(expr, "the drift")
    _night(daemon)
    for verb in ("acknowledge", "mute", "false"):
        prometheus.until(f'driftd_alert_act{{verb="{verb}"}}', "what people did")
    seen("drifted")

    closing = start + 1_000 * (HEALTHY + DRIFTED + 3 * LENGTH)
    produce(broker.bootstrap_servers, topic, [(p, closing, event("other", "1", closing, {}, 1)) for p in (0, 1)])
    prometheus.until('driftd_signal_state{model="churn",state="unknown"} == 1', "the silence to be noticed")
    broker.kill()
    prometheus.until("driftd_ready == 0 and on () (driftd_lag_known == 0)", "the broker to be missed")
    prometheus.until('driftd:unknown:why{model="churn",why="no events for a window"}', "the rules to have seen it")
    prometheus.until('ALERTS{alertname="DriftdNotReady"} and on () ALERTS{alertname="DriftdLagUnknown"}', "the alerts")
    seen("blind")

    daemon.kill()
    prometheus.until("up == 0", "the scrape to fail")
    prometheus.until('ALERTS{alertname="DriftdAbsent"}', "the alert that nobody watches")
    prometheus.until("absent(driftd:signals:count)", "what was recorded to end")
    seen("dead")
    return life


def _night(daemon: Daemon) -> None:
    """Somebody is at one alert, another is marked as false, and a rule is muted."""
    (churn,) = [one for one in daemon.get("/api/v1/models")["models"] if one["model"] == "churn"]
    ids = [one["alert_id"] for one in churn["firing"] if one["rule"] == "drift"]
    for act in (
        {"verb": "acknowledge", "id": ids[0]},
        {"verb": "false", "id": ids[1], "reason": "a test"},
        {"verb": "mute", "model": "churn", "rule": "jump", "for": "1h", "reason": "a test"},
    ):
        answer = httpx.post(f"{daemon.url()}/api/v1/acts", json={"author": "ada", **act})
        assert answer.status_code == 201, answer.text


def as_text(life: Life, state: str) -> str:
    """What every panel would show, as a list: for eyes that have no Grafana."""
    out: list[str] = []
    for target, series in life.answers[state].items():
        out.append(f"{target.board} / {target.panel} [{target.ref}] {len(series)} series")
        for one in series[:6]:
            values = [one["value"]] if "value" in one else one["values"]
            labels = {k: v for k, v in one["metric"].items() if k not in ("job", "instance", "__name__")}
            out.append(f"    {values[-1][1][:12]:>12}  {json.dumps(labels)}")
    return "\n".join(out)
