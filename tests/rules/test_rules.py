"""Prometheus' own checker runs the rules: every alert in a world in which it fires, and none in a healthy one."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from driftd.core.catalogue import BY_NAME
from tests.broker import ROOT
from tests.components import promtool
from tests.docs import pages
from tests.grafana import boards
from tests.grafana.prometheus import RULES
from tests.grafana.rulefile import alerts, recorded, rules
from tests.rules.scenarios import SCENARIOS, Scenario, as_promtool, healthy

PAGE = "docs/runbooks.md"
SCRAPED = {"job", "instance"}
SEVERITIES = {"critical", "warning", "info", "none"}


def run(test: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "tests.yml"
    document = {"rule_files": [str(RULES)], "evaluation_interval": test["interval"], "tests": [test]}
    file.write_text(json.dumps(document))
    return subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, timeout=120, check=False)


def test_promtool_accepts_the_rules():
    checked = subprocess.run([promtool(), "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert f"{len(rules())} rules found" in checked.stdout


IDS = [f"{one.alert}-{number}" for number, one in enumerate(SCENARIOS)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_it_fires_when_it_should_and_not_before(scenario: Scenario, tmp_path: Path):
    done = run(as_promtool(scenario), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_in_a_healthy_world_only_the_watchdog_fires(tmp_path: Path):
    series = [{"series": name, "values": values} for name, values in healthy(4 * 60).items()]
    quiet = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": '{alertname="DriftdWatchdog"}', "value": 1}],
        }
        for minute in (5, 60, 240)
    ]
    recordings = [
        {
            "expr": "driftd:unknown:why or driftd:effect_ratio:max",
            "eval_time": "5m",
            "exp_samples": [
                {
                    "labels": 'driftd:effect_ratio:max{instance="a:9464",job="driftd",kind="prediction",model="churn",'
                    'version="7"}',
                    "value": 0.5,
                }
            ],
        }
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": quiet + recordings}
    done = run(test, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_world_in_which_it_fires():
    assert {one.alert for one in SCENARIOS} | {"DriftdWatchdog"} == {rule["alert"] for rule in alerts()}


def test_what_an_alert_says_is_filled_in(tmp_path: Path):
    scenario = SCENARIOS[0]
    test = as_promtool(scenario) | {
        "alert_rule_test": [
            {
                "eval_time": f"{scenario.fires}m",
                "alertname": scenario.alert,
                "exp_alerts": [
                    {
                        "exp_labels": scenario.labels | {"job": "driftd", "instance": "a:9464"},
                        "exp_annotations": {
                            "summary": "Model churn 7 has moved away from its reference: 2 signals, critical",
                            "description": "Rule drift of model churn, version 7, on prediction events: 2 signals are beyond the "
                            "critical threshold, with the evidence that the budget of false alarms asks for.",
                            "runbook_url": "https://docs.example.com/driftd/runbooks.md#driftddriftcritical",
                        },
                    }
                ],
            }
        ]
    }
    done = run(test, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_expectation_is_noticed(tmp_path: Path):
    """Promtool is asked what we think that it is asked."""
    test = as_promtool(SCENARIOS[0])
    test["promql_expr_test"][1]["exp_samples"] = []
    assert run(test, tmp_path).returncode == 1


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_bad_what_and_where_to_read_on(rule: dict[str, Any]):
    assert rule["labels"]["severity"] in SEVERITIES
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert len(notes["summary"]) > 20
    assert notes["description"].endswith(".")
    anchor = notes["runbook_url"].partition("#")[2]
    assert anchor == rule["alert"].lower()
    assert anchor in pages.anchors(PAGE)
    section = pages.text(PAGE).partition(f"### {rule['alert']}\n")[2].partition("\n### ")[0]
    assert "**Means**" in section
    assert "**Do**" in section


def test_every_runbook_has_its_alert():
    told = re.findall(r"^### (\w+)$", pages.text(PAGE), re.MULTILINE)
    assert told == [rule["alert"] for rule in alerts()]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.get("alert") or rule["record"]))
def test_rules_name_only_what_is_in_the_catalogue(rule: dict[str, Any]):
    known: set[str] = set(boards.made(rule["expr"]))
    for name, matched in boards.selectors(rule["expr"]):
        if name == "up":
            known |= SCRAPED
            continue
        labels = {label for label in BY_NAME[name].labels if "*" not in label} | SCRAPED
        free = tuple(label[:-1] for label in BY_NAME[name].labels if label.endswith("*"))
        assert all(label in labels or (free and label.startswith(free)) for label in matched)
        known |= labels | {label for label in boards.grouped(rule["expr"]) if free and label.startswith(free)}
    assert boards.grouped(rule["expr"]) <= known
    for text in rule.get("annotations", {}).values():
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= known


def test_promtool_has_its_series_from_the_catalogue():
    """A misspelt series in a world would make it a world in which nothing is wrong."""
    for scenario in SCENARIOS:
        for series in {**healthy(1), **scenario.series}:
            ((name, labels),) = boards.selectors(series)
            if name != "up":
                own = {label for label in labels if not label.startswith("label_")} - SCRAPED
                assert own == {label for label in BY_NAME[name].labels if "*" not in label}, series


def test_the_recorded_series_are_known_to_the_tests_of_the_dashboards():
    assert set(recorded()) == {rule["record"] for rule in rules() if "record" in rule}


def test_the_docs_say_where_the_rules_are():
    assert str(RULES.relative_to(ROOT)) in pages.text("docs/metrics.md")
