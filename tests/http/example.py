"""A View and a Runtime in which every metric of the catalogue has something to show."""

from __future__ import annotations

import dataclasses

from driftd.core.act import Act, Standing
from driftd.core.event import PartitionId
from driftd.core.view import (
    ArrivalView,
    DetectorView,
    ModelView,
    PartitionView,
    Pushes,
    ReceiverView,
    Runtime,
    SeriesView,
    ShareView,
    SmallestShift,
    StatisticView,
    View,
)

NOW = 1_795_428_060.0
END = 1_795_428_000_000
HOSTILE = '<script>alert("x")</script>\n\x1b[31m\\ \'\r\u202e'
"""Markup, quotes, a backslash, line ends, a terminal's escape, a change of direction."""

FIRING = StatisticView(
    signal="age",
    rule="drift",
    statistic="psi",
    state="firing",
    severity="critical",
    value=0.412,
    effect=0.3987,
    warning=0.1,
    critical=0.25,
    p_value=1.2e-11,
    n=2_500,
    reference_n=25_000,
    flags=("extrapolated", "noisy"),
    alert_id="alert_1",
    since=END - 600_000,
)
UNKNOWN = StatisticView(
    signal="plan",
    rule="gaps",
    statistic="null_rate",
    state="insufficient_data",
    severity=None,
    value=None,
    effect=None,
    warning=0.02,
    critical=None,
    p_value=None,
    n=7,
    reference_n=25_000,
)
DETECTOR = DetectorView(
    signal="prediction",
    rule="jump",
    state="firing",
    severity="warning",
    estimate=0.31,
    width=1_234,
    changes=2,
    last_change=END - 300_000,
    effect=0.5,
    alert_id="alert_2",
)
SERIES = SeriesView(
    model="churn",
    version="7",
    kind="prediction",
    events=12_345_678_901_234_567,
    late=3,
    panes=12,
    evaluations=11,
    reference="ready",
    reference_events=25_000,
    grid="0f3a",
    closed_until=END,
    window_start=END - 3_600_000,
    window_end=END,
    window_events=2_500,
    insufficient=False,
    signal_errors={"age": 2},
    statistics=(FIRING, UNKNOWN),
    detectors=(DETECTOR,),
    shares=(ShareView("age", "01 (-inf, 23]", 0.1, 0.25), ShareView("age", "02 (23, inf)", 0.9, 0.75)),
    champion=True,
    power=lambda: (
        SmallestShift("age", "drift", "psi", 2_400, "deviations", 0.31, 0.1, 0.25),
        SmallestShift("plan", "drift", "psi", 2_400, "category_share", None, None, None),
    ),
)
UNJUDGED = SeriesView(
    model="churn",
    version="8",
    kind="prediction",
    events=10,
    late=0,
    panes=0,
    evaluations=0,
    reference="learning",
    reference_events=0,
    grid="",
    closed_until=None,
    window_start=None,
    window_end=None,
    window_events=0,
    insufficient=False,
    signal_errors={},
    detectors=(dataclasses.replace(DETECTOR, state="ok", severity=None, last_change=None, effect=None),),
)
MODEL = ModelView(
    model="churn",
    labels={"team": "risk", "run-book": "https://example.com/?a=1&b=2", "run.book": "other"},
    series=(SERIES, UNJUDGED),
    events=SERIES.events + 10,
    backfill=5,
    open_panes=2,
    waiting_for=("predictions[1]",),
    learning_bytes=4_096,
    sampled=True,
    dropped_versions=1,
    dropped_signals=6,
    retrain="requested",
    retrain_id="retrain_1",
    retrains=1,
    transitions={("drift", "driftd.alert.firing", "critical"): 1},
    arrivals=(
        ArrivalView("prediction", END, END + 3_600_000, overdue=False),
        ArrivalView("label", END, None, overdue=False),
    ),
)
ZERO, ONE = PartitionId("predictions", 0), PartitionId("predictions", 1)
PARTITIONS = (
    PartitionView(ZERO, 1_000, END, 1_000, {"json": 3}, 4),
    PartitionView(ONE, 900, None, 900, {}, 0, paused=True),
)
MUTE = Act("mute", "ada", "a load test", "churn", "jump", until=END + 3_600_000, number=1, at=END)
SEEN = Act("acknowledge", "grace", "", "churn", "drift", ("age",), ("alert_1",), number=2, at=END)
STANDING = Standing.of([MUTE, SEEN], {("jump", "mute"): 1, ("drift", "acknowledge"): 3, ("*", "mute"): 1})
PUSHES = Pushes(sent=40, failed=2, last=NOW - 20.0)
VIEW = View((MODEL,), PARTITIONS, dropped_models=1)
RUNTIME = Runtime(
    unready=(),
    lag={ZERO: 17, ONE: None},
    blocks=9,
    ticks=4,
    bytes_read=1_000_000,
    dead_letters=3,
    lost=12,
    registry_up=True,
    registry_failures=3,
    registry_waiting=False,
    unknown_features={"churn": 8, "nobody's": 9},
    dropped_features={"churn": 2},
    commits=7,
    commit_seconds=0.25,
    commit_buckets=((0.005, 1), (0.1, 6), (1.0, 7)),
    last_commit=NOW - 4.5,
    receivers=(ReceiverView("ops", 1, 2, 30, 4),),
    heartbeat=NOW - 0.5,
    reloads_failed=1,
    reload_ok=False,
    reloaded=NOW - 60,
    standing=STANDING,
    withheld=2,
)


def named(name: str) -> View:
    """A View in which everything that an event or a setting can name is called `name`."""
    statistics = tuple(dataclasses.replace(one, signal=name, rule=name) for one in SERIES.statistics)
    detectors = tuple(dataclasses.replace(one, signal=name) for one in SERIES.detectors)
    series = dataclasses.replace(
        SERIES,
        model=name,
        version=name,
        signal_errors={name: 1},
        statistics=statistics,
        detectors=detectors,
        shares=(ShareView(name, name, 0.5, 0.25),),
    )
    model = dataclasses.replace(
        MODEL,
        model=name,
        labels={name: name},
        series=(series,),
        transitions={(name, "driftd.alert.firing", "critical"): 1},
        waiting_for=(name,),
    )
    return View((model,), (PartitionView(PartitionId(name, 0), 1, END, 1, {name: 1}, 0),))
