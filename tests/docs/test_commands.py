"""Every command that the documentation shows is run: here as it is written, or by the test that is named for it."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
import typer.main

from driftd import cli
from driftd.core.action import Action
from driftd.settings.quantity import parse_duration
from tests.broker import ROOT
from tests.docs import churn, pages, walk
from tests.docs.collected import defined
from tests.docs.conftest import Newcomer
from tests.e2e.daemon import produce
from tests.kafka_fixture import Kafka, Topics

ELSEWHERE = {
    "make demo": "tests/demo/test_demo.py::test_the_alert_and_the_retrain_request_arrive",
    "make test": "tests/docs/test_commands.py::test_make_runs_what_the_readme_says",
    "driftd check --config shadow.yaml": "tests/e2e/test_shadow.py::test_a_shadow_says_that_it_is_one",
    "driftd run --config shadow.yaml": "tests/e2e/test_shadow.py::test_a_shadow_records_what_the_other_tells_and_tells_nobody",
    "driftd diff --since 2d /var/lib/driftd /var/lib/driftd-shadow": (
        "tests/e2e/test_shadow.py::test_two_that_say_the_same_are_equal"
    ),
    "driftd diff --since 2d http://driftd:9464 http://driftd-shadow:9464": (
        "tests/e2e/test_shadow.py::test_two_that_say_the_same_are_equal"
    ),
    "driftd run --config driftd.yaml": "tests/e2e/test_car_loan.py::test_run_says_what_replay_says",
    ".venv/bin/python -m pytest -s tests/core/test_judge.py -k alarms": (
        "tests/core/test_judge.py::test_false_alarms_of_psi_keep_their_level"
    ),
}
"""Commands that another test runs, and which."""
SHOWN = [(page, command) for page in pages.names() for command in pages.commands(page)]
SHOWN += [("config/driftd.yaml", c) for c in pages.commands_in_comments(ROOT / "config" / "driftd.yaml")]
HERE = {command: page for page, command in reversed(SHOWN) if command not in ELSEWHERE and page != walk.PAGE}
"""Each once, and where it is shown first; `make walk` does the walk's."""
TARGETS = dict(re.findall(r"^([a-z]+):.*\n((?:\t.*\n)*)", (ROOT / "Makefile").read_text(), re.MULTILINE))


def filled(command: str, actions: list[Action]) -> str:
    """With what the documentation leaves open."""
    return re.sub(r"\bID\b", actions[0].id, command)


@pytest.mark.parametrize("command", HERE)
def test_it_works_as_written(command: str, newcomer: Newcomer, transitions: list[Action]):
    assert command.startswith("driftd "), f"{HERE[command]}: {command!r} is new; say in ELSEWHERE which test runs it"
    done = newcomer.types(filled(command, transitions))
    assert done.returncode == 0, done.stderr


def test_what_others_run_is_still_shown_and_the_tests_are_there():
    assert ELSEWHERE.keys() <= {command for _, command in SHOWN}
    assert set(ELSEWHERE.values()) <= defined()


def test_no_block_is_of_a_kind_that_nobody_reads():
    strange = [b for page in pages.names() for b in pages.blocks(page) if b.language not in pages.LANGUAGES]
    assert strange == []
    # A command in a block without a language would be run by nobody.
    untold = [
        b
        for page in pages.names()
        for b in pages.blocks(page, "")
        if re.search(r"^\$? ?(driftd|make) ", b.body, re.MULTILINE)
    ]
    assert untold == []


def test_make_runs_what_the_readme_says():
    for page in pages.names():
        for command in [*pages.commands(page), *pages.spans(page)]:
            if found := re.match(r"make (\w+)", command):
                assert found[1] in TARGETS, f"{page}: {command}"
    assert "driftd demo" in TARGETS["demo"]
    assert "pytest" in TARGETS["test"]
    assert all(
        re.search(rf"^{name}:.*\binstall\b", (ROOT / "Makefile").read_text(), re.MULTILINE) for name in ("demo", "test")
    )


@pytest.mark.parametrize("page", pages.names())
def test_commands_in_lines_are_commands_with_those_options(page: str):
    for span in pages.spans(page):
        if span.startswith("driftd ") and re.match(r"driftd [a-z]", span):
            assert not unknown(shlex.split(span)[1:]), f"{page}: {span}"


def unknown(words: list[str]) -> list[str]:
    """What of a command line no command or option is called. Arguments are not looked at."""
    command: Any = typer.main.get_command(cli.app)
    while words and (inner := getattr(command, "commands", {}).get(words[0].partition("|")[0])):
        command, words = inner, words[1:]
    if hasattr(command, "commands") and words:
        return words
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]


# What the commands say of the README's example.


def test_check_finds_the_readmes_settings_right(newcomer: Newcomer):
    done = newcomer.types("driftd check --config driftd.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing is wrong" in done.stdout


def test_replay_sends_nothing(newcomer: Newcomer):
    done = newcomer.types("driftd replay --config driftd.yaml last-month.jsonl")
    assert done.returncode == 0, done.stderr
    assert "alert.firing" in done.stdout
    assert {json.loads(body)["type"] for _, body in newcomer.receiver.bodies} <= {"driftd.test"}


def test_replay_and_a_stored_life_say_the_same(newcomer: Newcomer, transitions: list[Action]):
    done = newcomer.types("driftd replay --config driftd.yaml --output json last-month.jsonl")
    assert done.stdout.splitlines() == [action.body().decode() for action in transitions]


def test_show_tells_what_the_reference_holds(newcomer: Newcomer):
    done = newcomer.types("driftd reference show churn-7.json")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^model +churn$", done.stdout, re.MULTILINE)
    assert re.search(r"^version +7$", done.stdout, re.MULTILINE)
    assert f"{churn.TRAINED_ON:,} of train.parquet" in done.stdout
    assert {"age", "plan", "balance", "prediction"} <= {line.split()[0] for line in done.stdout.splitlines() if line}
    assert "calibrated on windows" in done.stdout


def test_explain_shows_panes_counts_law_offsets_and_the_command_that_replays_it(
    newcomer: Newcomer, transitions: list[Action]
):
    first = transitions[0]
    done = newcomer.types(f"driftd explain {first.id}")
    assert done.returncode == 0, done.stderr
    panes = re.findall(r"^  (2026\S+) +(\d+) events +predictions\[0\] (\d+)\.\.(\d+)$", done.stdout, re.MULTILINE)
    assert len(panes) == 12, "an hour of panes of five minutes"
    assert sum(int(events) for _, events, _, _ in panes) == churn.AN_HOUR
    assert all(int(last) - int(low) + 1 == int(events) for _, events, low, last in panes)
    assert "law replayed" in done.stdout
    assert re.search(r"threshold 0\.25 ", done.stdout)
    assert re.search(r"^  current   quartiles", done.stdout, re.MULTILINE)
    command = done.stdout.splitlines()[-1].removeprefix("replay: ")
    assert re.fullmatch(r"driftd replay --config driftd\.yaml (--until \S+ )?kafka:predictions", command)
    assert not unknown(shlex.split(command)[1:])
    told = json.loads(newcomer.types(f"driftd explain --output json {first.id}").stdout)
    age = told["explain"]["signals"]["age"]
    assert sum(age["current_counts"]) == churn.AN_HOUR
    assert sum(age["reference_counts"]) == churn.TRAINED_ON


def test_the_outbox_lists_what_waits(newcomer: Newcomer, transitions: list[Action]):
    done = newcomer.types("driftd outbox list")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1:4] for line in done.stdout.splitlines()] == [["waiting", "ops", a.type] for a in transitions]
    number = done.stdout.split()[0]
    shown = newcomer.types(f"driftd outbox show {number}")
    assert transitions[0].id in shown.stdout


def test_a_test_notification_arrives(newcomer: Newcomer):
    done = newcomer.types("driftd receivers test ops")
    assert done.returncode == 0, done.stderr
    _, body = newcomer.receiver.bodies[-1]
    assert json.loads(body)["type"] == "driftd.test"


def test_the_command_that_explain_prints_gives_the_same_from_the_broker(
    newcomer: Newcomer, transitions: list[Action], real_kafka: Kafka, topic: Topics
):
    name = topic(partitions=1)
    produce(real_kafka.bootstrap_servers, name, ((0, time, event) for time, event in churn.events()))
    explained = newcomer.types(f"driftd explain {transitions[0].id}").stdout
    command = (
        explained.splitlines()[-1].removeprefix("replay: ").replace("kafka:predictions", f"kafka:{name} --output json")
    )
    there = {
        "DRIFTD_KAFKA__BOOTSTRAP_SERVERS": real_kafka.bootstrap_servers,
        "DRIFTD_KAFKA__TOPICS__PREDICTIONS": f"[{name}]",
    }
    done = newcomer.types(command, there)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == transitions[0].body().decode()


def test_what_if_finds_the_drift_of_the_readmes_example_sooner(newcomer: Newcomer):
    done = newcomer.types("driftd replay --what-if stricter.yaml --drifts known.csv last-month.jsonl")
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["drift"]]
    (now, stricter) = ((row[-3], row[-2], row[-1]) for row in rows)
    assert (now[0], now[2]) == (stricter[0], stricter[2]) == ("1", "0")
    assert parse_duration(stricter[1]) <= parse_duration(now[1])
