"""A real Prometheus scrapes a real driftd: every query of every panel, in every state, returns something or is told why not."""

from __future__ import annotations

import pytest

from tests.broker import why_not_local
from tests.conftest import lacks
from tests.grafana import boards
from tests.grafana.life import STATES, Life, live

SERIES = {
    "Effect as a share of its warning threshold",
    "PSI",
    "Nulls, absent, new categories",
    "Evidence",
    "Signals by state",
    "Firing",
    "Pending",
    "Not known",
    "Reference",
    "Window",
    "Signals, worst first",
    "Reservations",
    "Shift of shares",
    "Reference against current",
    "Worst signal of each version",
    "Champion",
    "Detector: mean of now",
    "Detector: width",
    "Changes found",
    "Events",
    "Age of the newest verdict",
    "Windows judged",
    "Alerts that fire",
}
"""The panels that show something of a model only once events of it have come."""
EMPTY: dict[str, dict[str, set[str]]] = {
    "fresh": {
        # No model was ever seen. That none has an alert is known.
        "fleet": {
            "Of which something is not known",
            "In trouble",
            "Not known",
            "Worst signals",
            "Reservations",
            "Signals by state",
            "Worst models",
            "Events",
            "Age of the newest verdict",
            "Notifications",
            "Acts",
            "Overdue",
        },
        "model": SERIES,
        # Nothing was read.
        "driftd": {"Arrival time behind the clock", "Late events", "Refused records", "Bounds that were met"},
    },
    "healthy": {
        # Nothing is wrong.
        "fleet": {"In trouble", "Notifications", "Acts"},
        "model": {"Reference against current", "Shift of shares", "Alerts that fire"},
        "driftd": {"Refused records", "Bounds that were met"},
    },
    "drifted": {"fleet": set(), "model": set(), "driftd": set()},
    "blind": {
        # What was last known of a silent model is known no more, but for its alerts.
        "fleet": {"Worst signals", "Worst models"},
        "model": {"Effect as a share of its warning threshold", "Evidence", "Reference against current"},
        "driftd": set(),
    },
    "dead": {"fleet": set(), "model": set(), "driftd": set()},
}
"""The panels that no query of theirs fills, by state and dashboard. All others show something.

For `dead`, see its own test: graphs keep what was before.
"""
NOTES = {
    "fresh": set(),
    "healthy": {"Versions"},
    "drifted": {"Versions", "Alerts", "Retrain requests"},
    "blind": {"Versions", "Alerts", "Retrain requests", "Not ready"},
}
ALERTS = {
    "fresh": {"DriftdWatchdog"},
    "healthy": {"DriftdWatchdog", "DriftdOverdue"},
    "drifted": {"DriftdWatchdog", "DriftdOverdue", "DriftdDriftCritical", "DriftdDriftWarning"},
    "blind": {"DriftdWatchdog", "DriftdDriftCritical", "DriftdDriftWarning", "DriftdNotReady", "DriftdLagUnknown"},
    # Those that fired are bridged for a while; that nobody watches is told meanwhile.
    "dead": {"DriftdAbsent", "DriftdDriftCritical", "DriftdDriftWarning"},
}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    if reason := why_not_local():
        lacks(f"needs a broker that it may kill, but {reason}")
    return live(tmp_path_factory.mktemp("life"))


def empty(life: Life, state: str, name: str) -> set[str]:
    filled = {target.panel for target, series in life.answers[state].items() if target.board == name and series}
    return {panel["title"] for panel in boards.panels(name)} - filled


@pytest.mark.slow
@pytest.mark.parametrize("name", boards.NAMES)
@pytest.mark.parametrize("state", [state for state in STATES if state != "dead"])
def test_every_panel_shows_something_or_says_why_not(life: Life, state: str, name: str):
    assert empty(life, state, name) == EMPTY[state][name]
    silent = [p["title"] for p in boards.panels(name) if not p["fieldConfig"]["defaults"]["noValue"]]
    assert silent == []


def shown(life: Life, state: str, name: str, panel: str) -> list[float]:
    """The newest value of each series of a panel."""
    return [
        float((one["value"] if "value" in one else one["values"][-1])[1])
        for target, series in life.answers[state].items()
        if (target.board, target.panel) == (name, panel)
        for one in series
    ]


@pytest.mark.slow
def test_what_is_not_known_looks_nowhere_like_what_is_well(life: Life):
    tiles = ("With a critical alert", "With a warning", "Ready", "Of which something is not known")
    assert [shown(life, "healthy", "fleet", tile) for tile in tiles] == [[0], [0], [1], [1]]  # one still learns
    assert [shown(life, "drifted", "fleet", tile) for tile in tiles[:3]] == [[1], [1], [1]]
    assert shown(life, "blind", "fleet", "Ready") == [0]
    assert shown(life, "blind", "fleet", "With a critical alert") == [1]  # an alert stands until it is resolved
    assert shown(life, "blind", "fleet", "Of which something is not known")[0] >= 2
    assert shown(life, "blind", "model", "Ready") == [0]
    assert shown(life, "blind", "model", "Not known")[0] > 0
    assert shown(life, "blind", "driftd", "Partitions of unknown lag") == [2]


@pytest.mark.slow
def test_of_a_driftd_that_is_gone_nothing_is_said(life: Life):
    """No tile and no table keeps a last value, and above all no 0."""
    answers = {t: series for t, series in life.answers["dead"].items() if t.instant}
    assert len(answers) > 20
    assert {target: series for target, series in answers.items() if series} == {}


@pytest.mark.slow
@pytest.mark.parametrize("state", NOTES)
def test_what_happened_is_marked_on_the_graphs(life: Life, state: str):
    found = {
        target.panel.removeprefix("annotation ")
        for target, series in life.answers[state].items()
        if target.ref == "Anno" and series
    }
    assert found == NOTES[state]


@pytest.mark.slow
def test_the_ranked_table_names_the_worst_first_and_shares_say_where(life: Life):
    answers = life.answers["drifted"]
    ranked = next(s for t, s in answers.items() if (t.panel, t.ref) == ("Signals, worst first", "A"))
    assert [one["metric"]["signal"] for one in ranked[:2]] == ["prediction", "age"]
    for ref in ("A", "B"):
        shares = next(s for t, s in answers.items() if (t.panel, t.ref) == ("Reference against current", ref))
        of_age = [float(one["value"][1]) for one in shares if one["metric"]["cell"].startswith("age: ")]
        assert len(of_age) == 10
        assert sum(of_age) == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_the_alerts_that_are_begun(life: Life, state: str):
    assert set(life.alerts[state]) == ALERTS[state]


@pytest.mark.slow
def test_every_rule_can_be_evaluated(life: Life):
    assert life.faults == []
