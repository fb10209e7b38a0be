"""What the series say: what is known, what is not, and what is called what."""

import dataclasses
import math
import re
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from driftd.core.act import Act, Standing
from driftd.core.catalogue import REFERENCE_STATES, RETRAIN_STATES, SIGNAL_STATES
from driftd.core.spec import Severity
from driftd.core.view import Runtime, View
from driftd.http.collector import Exposition, ViewCollector
from driftd.http.exposition import escape
from driftd.http.published import Published
from driftd.http.rows import INFO_LABELS, label_names
from tests.http.example import DETECTOR, FIRING, HOSTILE, MODEL, NOW, PARTITIONS, RUNTIME, SERIES, UNKNOWN, VIEW, named
from tests.http.reading import only, read, samples, scrape, text_of

# What is not known is never shown as something.


def test_none_has_no_series():
    found = read(VIEW)
    for name in ("driftd_statistic_value", "driftd_effect", "driftd_p_value"):
        assert only(found, name, signal="age") == [
            getattr(FIRING, name.removeprefix("driftd_").replace("statistic_", ""))
        ]
        assert only(found, name, signal="plan") == []
    assert only(found, "driftd_threshold", signal="plan") == [0.02]
    assert only(found, "driftd_window_events", version="8") == []
    assert only(found, "driftd_insufficient_data", version="8") == []
    assert only(found, "driftd_closed_until_timestamp_seconds", version="8") == []
    assert only(found, "driftd_detector_effect", version="8") == []
    assert only(found, "driftd_lag_records") == [17.0]
    assert only(found, "driftd_lag_known", partition="1") == [0.0]
    assert only(found, "driftd_arrival_timestamp_seconds", partition="1") == []
    empty = read(View(), Runtime())
    assert only(empty, "driftd_heartbeat_timestamp_seconds") == []
    assert only(empty, "driftd_ready") == [0.0]
    assert only(empty, "driftd_watchdog") == [1.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_series(value):
    broken = dataclasses.replace(FIRING, effect=value, value=value, p_value=value, warning=value)
    series = dataclasses.replace(
        SERIES, statistics=(broken,), detectors=(dataclasses.replace(DETECTOR, estimate=value),)
    )
    found = read(View((dataclasses.replace(MODEL, series=(series,)),)))
    for name in ("driftd_effect", "driftd_statistic_value", "driftd_p_value", "driftd_detector_estimate"):
        assert only(found, name) == []
    assert only(found, "driftd_threshold") == [0.25]
    assert not any(math.isnan(number) for number in found.values())


def test_states_are_one_hot():
    found = read(VIEW)
    cases = [
        ("driftd_signal_state", {"signal": "plan"}, SIGNAL_STATES, "insufficient_data"),
        ("driftd_reference_state", {"version": "8"}, REFERENCE_STATES, "learning"),
        ("driftd_retrain_state", {"model": "churn"}, RETRAIN_STATES, "requested"),
        ("driftd_detector_state", {"version": "8"}, SIGNAL_STATES, "ok"),
    ]
    for name, labels, states, now in cases:
        assert {state: only(found, name, state=state, **labels) for state in states} == {
            state: [float(state == now)] for state in states
        }


def test_an_alert_is_one_series_of_its_highest_severity():
    severities: dict[str, Severity] = {"null_rate": "warning", "absent_rate": "critical", "new_rate": "warning"}
    statistics = tuple(
        dataclasses.replace(FIRING, rule="gaps", statistic=statistic, severity=severity)
        for statistic, severity in severities.items()
    )
    series = dataclasses.replace(SERIES, statistics=(*statistics, UNKNOWN))
    found = read(View((dataclasses.replace(MODEL, series=(series,)),)))
    assert only(found, "driftd_alert_firing", rule="gaps", signal="age", severity="critical") == [1.0]
    assert only(found, "driftd_alert_firing", rule="jump", severity="warning") == [1.0]
    assert len(only(found, "driftd_alert_firing")) == 2


def test_what_people_did_about_an_alert_is_a_series_of_it():
    found = read(VIEW)
    assert only(found, "driftd_alert_act", rule="drift", signal="age", verb="acknowledge") == [1.0]
    assert only(found, "driftd_alert_act", rule="jump", verb="mute") == [1.0]
    assert len(only(found, "driftd_alert_act")) == 2
    later = dataclasses.replace(RUNTIME, standing=Standing())
    assert only(read(VIEW, later), "driftd_alert_act") == []


def test_of_an_alert_of_several_statistics_a_mark_is_one_series():
    several = tuple(dataclasses.replace(FIRING, statistic=name) for name in ("psi", "null_rate"))
    view = View((dataclasses.replace(MODEL, series=(dataclasses.replace(SERIES, statistics=several),)),))
    mark = Act("false", "ada", "tested", "churn", "drift", ("age",), (FIRING.alert_id or "",), number=1, at=1)
    false = dataclasses.replace(RUNTIME, standing=Standing.of([mark], {}))
    assert only(read(view, false), "driftd_alert_act", verb="false") == [1.0]


def test_what_is_left_out_is_told_of_watched_models_alone():
    found = read(VIEW)
    assert only(found, "driftd_unknown_features_total") == [8.0]
    assert only(found, "driftd_dropped_features_total", model="churn") == [2.0]
    assert only(found, "driftd_dropped_signals_total", model="churn") == [6.0]
    assert only(found, "driftd_lost_records_total") == [12.0]
    assert only(read(VIEW, Runtime()), "driftd_unknown_features_total", model="churn") == [0.0]


def test_counts_keep_every_digit():
    assert f" {SERIES.events}\n" in text_of(VIEW)


def test_the_histogram_adds_up():
    found = read(VIEW)
    buckets = {le: only(found, "driftd_commit_seconds_bucket", le=le)[0] for le in ("0.005", "0.1", "1.0", "+Inf")}
    assert list(buckets.values()) == [1.0, 6.0, 7.0, 7.0]
    assert only(found, "driftd_commit_seconds_count") == [7.0]
    assert only(found, "driftd_commit_seconds_sum") == [0.25]


@pytest.mark.parametrize("shadow", [True, False])
def test_a_shadow_is_a_series(shadow):
    assert only(read(VIEW, dataclasses.replace(RUNTIME, shadow=shadow)), "driftd_shadow") == [float(shadow)]


def test_ready_needs_a_loop_that_turns():
    stuck = dataclasses.replace(RUNTIME, heartbeat=NOW - 61)
    assert only(read(VIEW, stuck), "driftd_ready") == [0.0]
    assert only(read(VIEW), "driftd_ready") == [1.0]


# Series come and go with what they speak of.


def test_stale_series_vanish(edge):
    assert only(scrape(edge), "driftd_events_total", version="8") == [10.0]
    edge.published.view = View((dataclasses.replace(MODEL, series=(SERIES,)),), PARTITIONS[:1])
    found = scrape(edge)
    assert only(found, "driftd_events_total", version="8") == []
    assert only(found, "driftd_events_total", version="7") == [float(SERIES.events)]
    assert only(found, "driftd_records_total", partition="1") == []
    edge.published.view = View()
    assert not any("model" in dict(labels) for _, labels in scrape(edge))


def test_a_scrape_sees_one_view_and_one_runtime(edge):
    def view(number: int) -> View:
        series = tuple(
            dataclasses.replace(SERIES, version=str(version), events=number, late=number, panes=number, statistics=())
            for version in range(60)
        )
        return View((dataclasses.replace(MODEL, series=series, backfill=number, open_panes=number),))

    views = [view(number) for number in (10, 20)]
    runtimes = [dataclasses.replace(RUNTIME, blocks=number, ticks=number, commits=number) for number in (10, 20)]
    done = threading.Event()

    def swap() -> None:
        turn = 0
        while not done.is_set():
            edge.published.view, edge.published.runtime = views[turn % 2], runtimes[turn % 2]
            turn += 1
            time.sleep(0.0002)  # or this thread would be the only one that runs

    thread = threading.Thread(target=swap)
    edge.published.view, edge.published.runtime = views[0], runtimes[0]
    thread.start()
    seen = set()
    try:
        for _ in range(20):
            found = scrape(edge)
            names = ("events", "late_events", "backfill_events", "panes_closed")
            numbers = {value for name in names for value in only(found, f"driftd_{name}_total")}
            assert len(numbers) == 1
            seen |= numbers
            assert len({*only(found, "driftd_blocks_total"), *only(found, "driftd_ticks_total")}) == 1
    finally:
        done.set()
        thread.join()
    assert seen <= {10.0, 20.0}


# Names from events.


@pytest.mark.parametrize(
    "name",
    [
        '<script>alert("x")</script>',
        "two\nlines",
        "back\\slash\\n",
        'quo"te',
        "{}=,",
        "# HELP x",
        "é☃𝒳",
        " ",
        "",
        "a" * 5_000,
    ],
)
def test_a_name_is_the_same_after_parsing(name):
    found = read(named(name))
    assert only(found, "driftd_effect", model=name, version=name, signal=name, rule=name) == [FIRING.effect]
    assert only(found, "driftd_refused_records_total", topic=name, reason=name) == [1.0]
    assert only(found, "driftd_signal_errors_total", signal=name) == [1.0]


def test_what_a_terminal_obeys_is_written_out():
    name = "a\x00\x07\x1b[31m\r\x7f\x9b\u2028\u202e\u2066\ud800z"
    text = text_of(named(name))
    assert not re.search("[^\n\x20-\x7e]", text)
    written = r"a\x00\x07\x1b[31m\x0d\x7f\x9b\u2028\u202e\u2066\ud800z"
    assert only(read(named(name)), "driftd_effect", model=written) == [FIRING.effect]


def test_nothing_hostile_makes_a_line_of_its_own():
    text = text_of(named("x\ndriftd_watchdog 0\n# TYPE y gauge\ny 1"))
    assert only(samples(list(parse_text(text))), "driftd_watchdog") == [1.0]
    assert all(line.startswith(("# HELP driftd_", "# TYPE driftd_", "driftd_")) for line in text.splitlines())


def test_escape_is_what_prometheus_client_undoes():
    assert escape('a"b\\c\nd') == r"a\"b\\c\nd"


def test_model_labels_get_names_that_prometheus_takes():
    assert label_names({"team": "risk", "run-book": "1", "run.book": "2", "über": "3"}) == {
        "label_team": "risk",
        "label_run_book": "1",
        "label_run_book_conflict2": "2",
        "label__ber": "3",
    }
    many = label_names({f"label {number}": "x" * 10_000 for number in range(1_000)})
    assert len(many) == INFO_LABELS
    assert max(map(len, many.values())) == 512
    assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in label_names({HOSTILE: "", "": "", "0": ""}))


# What a scrape costs.


def test_a_thousand_models_of_twenty_signals():
    """The whole text in under 2 s of CPU (0.6 s where it was written), in pieces that hold up nobody for long."""
    rules = (("psi", "drift"), ("null_rate", "gaps"), ("absent_rate", "gaps"), ("new_rate", "gaps"))
    models = []
    for number in range(1_000):
        statistics = tuple(
            dataclasses.replace(
                FIRING, signal=f"feature_{signal}", statistic=statistic, rule=rule, state="ok", effect=number / 7
            )
            for signal in range(20)
            for statistic, rule in rules
        )
        series = dataclasses.replace(SERIES, model=f"model-{number}", statistics=statistics)
        models.append(dataclasses.replace(MODEL, model=f"model-{number}", series=(series,)))
    pieces = Exposition(ViewCollector(Published(View(tuple(models)), RUNTIME))).pieces(openmetrics=False)
    began = time.process_time()
    sizes = [len(piece) for piece in pieces]
    spent = time.process_time() - began
    assert sum(sizes) > 100_000_000
    assert max(sizes) < 1_000_000
    assert spent < 2
