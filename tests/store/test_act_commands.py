"""`driftd ack|false|mute|unmute|mutes` beside a daemon that holds the state, as they are typed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd import cli
from driftd.store.store import Store
from tests.store.examples import action, owed

NOTICE, HOSTILE = action(1, alerts=("a", "b\x1b[2J")), action(2, model="x\x1b[31m; rm -rf /", alerts=("c",))


class Typed:
    """Types commands with the settings of the test; what came of the last one."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config, self.capsys = config, capsys
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        code = cli.main([*words, "--config", str(self.config)])
        self.out, self.err = self.capsys.readouterr()
        assert "\x1b" not in self.out + self.err
        return code


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    config = tmp_path / "driftd.yaml"
    config.write_text(json.dumps({"state": {"directory": str(tmp_path / "state")}}))
    with Store.open(tmp_path / "state", group="driftd") as store:
        store.commit(owed(NOTICE, HOSTILE))
        yield Typed(config, capsys)


def test_a_mute_is_listed_until_it_is_taken_back(typed: Typed) -> None:
    assert typed("mute", "--model", "churn", "--for", "90m", "--reason", "a load test", "--author", "ada") == 0
    assert re.fullmatch(
        r"muted \(1\) until \S+Z: churn: every rule, every signal; `driftd unmute 1` ends it\n", typed.out
    )
    assert typed("mutes") == 0
    listed = r"\S+Z  1  mute for 1h(29m|30m) more  churn: every rule, every signal  by ada: a load test\n"
    assert re.fullmatch(listed, typed.out)
    assert typed("unmute", "1", "--reason", "done", "--author", "ada") == 0
    assert typed.out.startswith("taken back: 1, churn: every rule, every signal;")
    assert typed("mutes") == 0
    assert (typed.out, typed.err) == ("", "nothing is muted\n")
    assert typed("mutes", "--all") == 0
    assert [line.split("  ")[1] for line in typed.out.splitlines()] == ["2", "1"]
    assert "2  takes back 1  churn: every rule, every signal  by ada: done" in typed.out


def test_a_mute_of_some_of_it(typed: Typed) -> None:
    line = ["mute", "--model", "churn", "--rule", "drift", "--signal", "age", "--signal", "plan", "--reason", "why"]
    assert typed(*line, "--until", "2100-01-01T00:00:00Z") == 2
    assert typed.err.startswith("a mute lasts at most 30 days; ")
    until = round((time.time() + 3_600) * 1000)
    assert typed(*line, "--until", str(until)) == 0
    assert "churn: drift, age, plan; " in typed.out
    assert typed("mutes", "--output", "json") == 0
    (made,) = json.loads(typed.out)["acts"]
    assert (made["rule"], made["signals"], made["via"]) == ("drift", ["age", "plan"], "cli")
    assert made["author"]


def test_a_mute_by_an_id(typed: Typed) -> None:
    assert typed("mute", NOTICE.id, "--reason", "why") == 0
    assert r"churn: drift, feature a, feature b\x1b[2J; " in typed.out
    assert typed("mute", "a", "--reason", "why") == 0
    assert "churn: drift, feature a; " in typed.out
    assert typed("mute", HOSTILE.id, "--reason", "why") == 0
    assert r"x\x1b[31m; rm -rf /: drift" in typed.out


def test_ack_and_false(typed: Typed) -> None:
    assert typed("ack", NOTICE.id, "--author", "ada") == 0
    assert typed.out.startswith("acknowledged (1): churn: drift, feature a")
    assert typed("false", "a", "--reason", "the loader was tested", "--author", "ada") == 0
    assert typed.out == "marked as false (2): churn: drift, feature a, by ada; nothing but its end is told of it\n"
    assert typed("false", NOTICE.id, "--reason", "all of it", "--author", "grace") == 0
    assert typed("mutes", "--all") == 0
    third, second, first = typed.out.splitlines()
    assert r"3  false  churn: drift, feature a, feature b\x1b[2J  by grace: all of it" in third
    assert "2  false  churn: drift, feature a  by ada: the loader was tested" in second
    assert "1  acknowledged  churn: drift, feature a" in first


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["ack", "alt_none"], "no alert that fired has the id 'alt_none'; each notification has its `id`"),
        (["false", "a"], "--reason"),
        (["mute", "--model", "churn"], "--reason"),
        (["mute", "--reason", "why"], "say what to mute; give the ID of a notification or an alert, or --model"),
        (["mute", "a", "--model", "churn", "--reason", "why"], "say what to mute;"),
        (["mute", "a", "--rule", "drift", "--reason", "why"], "an ID says which rule and signals;"),
        (["mute", "--model", "churm", "--reason", "why"], "nothing is known of a model 'churm'; `driftd models` lists"),
        (["mute", "--model", "churn", "--rule", "x", "--reason", "why"], "model churn has no rule 'x'; the settings name:"),
        (["mute", "--model", "churn", "--for", "31d", "--reason", "why"], "a mute lasts at most 30 days;"),
        (["mute", "--model", "churn", "--for", "4", "--reason", "why"], "4"),
        (["mute", "--model", "churn", "--reason", " "], "no reason; say why"),
        (["mute", "--model", "churn", "--reason", "why", "--author", ""], "no author; say who does it"),
        (["unmute", "7", "--reason", "why"], "no act that can be taken back has the number 7; `driftd mutes --all`"),
        (["unmute", "7"], "--reason"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_why(typed: Typed, line: list[str], said: str) -> None:
    assert typed(*line) == 2
    assert said in typed.err
    assert typed("mutes", "--all") == 0
    assert typed.err == "nobody did anything yet\n"


def test_who_has_no_name_must_say_it(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("pwd.getpwuid", lambda _: (_ for _ in ()).throw(KeyError("no such user")))
    assert typed("ack", "a") == 2
    assert typed.err == "nobody knows who you are; say it with --author\n"


def test_without_a_state_they_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "driftd.yaml"
    config.write_text(json.dumps({"state": {"directory": str(tmp_path / "state")}}))
    for line in (["ack", "a"], ["false", "a", "--reason", "why"], ["mutes"], ["unmute", "1", "--reason", "why"]):
        assert cli.main([*line, "--config", str(config)]) == 1
        assert "does not exist: nothing has been stored there yet" in capsys.readouterr().err
