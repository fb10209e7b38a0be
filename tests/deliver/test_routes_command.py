"""`driftd routes test`: who would hear, and which route decides."""

from __future__ import annotations

import json

import pytest

from driftd.cli import main

CONFIG = """\
receivers:
  pager: {{webhook: {{url: "http://h/1"}}}}
  risk: {{webhook: {{url: "http://h/2"}}}}
  ops: {{webhook: {{url: "http://h/3"}}}}
models:
  churn: {{labels: {{team: risk}}}}
  fraud: {{rules: {{jump: null}}}}
{routes}
"""
ROUTES = """\
routes:
  - matchers: ["severity = critical", 'type =~ "driftd\\\\.alert\\\\..*"']
    receiver: pager
    continue: true
  - {match: {team: risk}, receiver: risk}
  - {match: {rule: "^(drift|gaps)$"}, receiver: ops}
"""


@pytest.fixture
def ask(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def asked(*words: str, routes: str = ROUTES) -> tuple[int, list[str], str]:
        (tmp_path / "driftd.yaml").write_text(CONFIG.format(routes=routes))
        code = main(["routes", "test", *words])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return asked


def test_every_notification_is_told_by_the_way_it_goes(ask):
    code, lines, err = ask("--model", "churn")
    assert (code, err) == (0, "")
    warning = "drift warning firing; drift warning resolved; gaps warning firing; gaps warning resolved"
    jump = "jump warning firing; jump warning resolved; retrain.requested"
    critical = "drift critical firing; drift critical resolved; gaps critical firing; gaps critical resolved"
    assert lines == [
        f"risk (routes[1], driftd.yaml:12) <- {warning}; {jump}",
        f"pager (routes[0], driftd.yaml:9), risk (routes[1], driftd.yaml:12) <- {critical}",
    ]


def test_one_notification_alone(ask):
    words = ("--model", "fraud", "--rule", "drift", "--severity", "critical", "--type", "firing")
    _, lines, _ = ask(*words)
    assert lines == ["pager (routes[0], driftd.yaml:9), ops (routes[2], driftd.yaml:13) <- drift critical firing"]
    _, lines, _ = ask(*words, "--label", "team=risk")
    assert lines == ["pager (routes[0], driftd.yaml:9), risk (routes[1], driftd.yaml:12) <- drift critical firing"]


def test_that_nobody_hears_is_said(ask):
    _, lines, _ = ask("--model", "fraud", "--type", "retrain")
    assert lines == ["nobody <- retrain.requested"]


def test_without_routes_everybody_hears_of_everything(ask):
    _, lines, _ = ask("--model", "anything", routes="")
    assert lines == ["pager, risk, ops <- everything", "there are no routes: every receiver hears of everything"]


def test_json_has_a_line_a_notification_with_all_that_routes_see(ask):
    _, lines, _ = ask("--model", "churn", "--version", "8", "--kind", "label", "--rule", "jump", "--output", "json")
    firing, resolved = map(json.loads, lines)
    assert firing == {
        "notification": {
            "team": "risk", "model": "churn", "version": "8", "kind": "label", "rule": "jump", "severity": "warning",
            "type": "driftd.alert.firing",
        },
        "receivers": [{"receiver": "risk", "route": "routes[1], driftd.yaml:12"}],
    }  # fmt: skip
    assert resolved["notification"]["type"] == "driftd.alert.resolved"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rule", "jump"), "no rule of 'fraud' is called 'jump'; its rules: drift, gaps, retrain"),
        (("--kind", "air"), "there is no kind 'air'; write one of prediction, features, label"),
        (("--label", "team"), "'team' is not a label; write NAME=VALUE"),
        (("--rule", "retrain", "--type", "firing"), "there is no such notification; leave out"),
    ],
)
def test_what_cannot_be_is_refused(ask, words, said):
    code, lines, err = ask("--model", "fraud", *words)
    assert (code, lines) == (2, [])
    assert said in err


def test_settings_that_are_wrong_are_refused(ask):
    code, _, err = ask("--model", "fraud", routes="routes: [{receiver: opps}]")
    assert code == 2
    assert "there is no receiver `opps`" in err
