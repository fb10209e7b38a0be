"""`driftd review` on a store as a daemon leaves it, and what the engine itself says under the threshold it suggests."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from driftd import cli
from driftd.core.backtest import Backtest, candidates
from driftd.store.database import FILE
from driftd.store.reader import Reader
from tests.docs import pages
from tests.review.lived import START, Lived, stream

SMALL, MEDIUM, LARGE = 0.55, 0.85, 1.5
EPISODES = [("x", SMALL), ("y", LARGE), ("x", SMALL), ("y", MEDIUM)]
SINCE = "2023-11-01T00:00:00Z"
DRIFT: dict[str, Any] = {"warning": 0.1, "critical": None}
JUMP: dict[str, Any] = {"on": ["x", "y"], "min_effect": 0.3, "resolve_after": "20m"}
RULES: dict[str, Any] = {"drift": DRIFT, "gaps": None, "jump": JUMP}


def lived(directory: Path, episodes: Sequence[tuple[str, float]] = EPISODES, **drift: Any) -> Lived:
    return Lived(directory, {**RULES, "drift": DRIFT | drift}).lives(stream(episodes))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return lived(tmp_path_factory.mktemp("once")).stores()


@pytest.fixture
def life(once: Lived, tmp_path: Path) -> Lived:
    return once.copied(tmp_path / "life")


def types(life: Lived, *words: str) -> str:
    out, faults = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(faults):
        code = cli.main([*words, "--config", str(life.config)])
    assert (code, faults.getvalue()) == (0, "")
    return out.getvalue()


def marked(life: Lived, verb: str, signal: str, rule: str = "drift") -> None:
    for alert in life.alerts(rule, signal):
        types(life, verb, alert, "--reason", "as we saw")


def reviewed(life: Lived, *more: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(types(life, "review", "--since", SINCE, "--output", "json", *more))
    return document


def of(document: dict[str, Any], rule: str) -> dict[str, Any]:
    (found,) = [one for one in document["rules"] if one["rule"] == rule]
    return dict(found)


def test_what_it_suggests_is_what_the_engine_does(life: Lived, tmp_path: Path):
    """Under that threshold the same events fire what was right and not what was marked false; under the one before they do."""
    assert (len(life.alerts("drift", "x")), len(life.alerts("drift", "y"))) == (2, 2)
    marked(life, "false", "x")
    marked(life, "ack", "y")
    found = of(reviewed(life), "drift")
    assert (found["alerts"], found["marked_false"], found["acknowledged"], found["threshold"]) == (4, 2, 2, 0.1)
    assert found["because"].startswith(
        f"at {found['suggested']:g} nothing marked false (2) would have fired, all 2 others"
    )
    tried = [one["threshold"] for one in found["tried"]]
    before = tried[tried.index(found["suggested"]) - 1]
    under, above = (lived(tmp_path / str(threshold), warning=threshold) for threshold in (before, found["suggested"]))
    assert under.alerts("drift", "x")
    assert not above.alerts("drift", "x")
    assert len(above.alerts("drift", "y")) == 2


@pytest.mark.parametrize("multiple", [1.0, 2.0, 4.0])
def test_a_backtest_says_what_the_engine_says(multiple: float, life: Lived, tmp_path: Path):
    """Both kinds of rule, alert by alert, though the backtest judges fourteen thresholds at once."""
    monitor = life.engine.monitors["m"]
    reference, since = monitor.baselines.references["", "prediction"]
    now = {"drift": 0.1, "jump": 0.3}
    thresholds = {rule: candidates(value, (1.0, 1.5, 2.0, 4.0)) for rule, value in now.items()}
    test = Backtest(monitor.model, "1", "prediction", monitor.baselines.grids["prediction"], reference, thresholds)
    for pane in life.panes:
        if pane.start >= since:
            test.close(pane.end, pane.pane)
    test.finish()
    rules = {**RULES, "drift": DRIFT | {"warning": 0.1 * multiple}, "jump": JUMP | {"min_effect": 0.3 * multiple}}
    other = Lived(tmp_path / "other", rules).lives(stream(EPISODES))
    for rule, tried in thresholds.items():
        (threshold,) = (one for one in tried if one == pytest.approx(now[rule] * multiple))
        would = [(signal, fired) for signal, fired, _ in test.would[rule, threshold]]
        told = [
            (one["signal"], action.timestamp)
            for action in other.actions
            if (action.type, action.rule) == ("driftd.alert.firing", rule)
            for one in action.data["signals"]  # type: ignore[attr-defined]
        ]
        assert sorted(would) == sorted(told), (rule, threshold)
        ended = sum(resolved is not None for *_, resolved in test.would[rule, threshold])
        resolved = [a for a in other.actions if (a.type, a.rule) == ("driftd.alert.resolved", rule)]
        assert ended == sum(len(a.data["signals"]) for a in resolved)  # type: ignore[arg-type,misc]


def test_where_false_and_true_overlap_it_says_so_with_both_counts(life: Lived):
    *_, medium = life.alerts("drift", "y")
    types(life, "false", medium, "--reason", "as we saw")
    found = of(reviewed(life), "drift")
    assert found["suggested"] is None
    assert re.match(
        r"no change, the two overlap: at \S+ nothing marked false \(1\) .* only 1 of 3 others", found["because"]
    )


def test_without_a_mark_there_is_no_suggestion_but_what_others_would_cost(life: Lived):
    for rule in ("drift", "jump"):
        found = of(reviewed(life), rule)
        assert found["suggested"] is None
        assert found["because"].startswith("no change: nothing was marked false; alerts in what was replayed: ")
        now = found["threshold"]
        assert [one["threshold"] for one in found["tried"]] == pytest.approx([now, 1.5 * now, 2 * now])


def test_a_detectors_rule_gets_one_too(life: Lived):
    marked(life, "false", "x", "jump")
    found = of(reviewed(life), "jump")
    assert found["marked_false"] == len(life.alerts("jump", "x")) > 0
    assert found["suggested"] is not None
    assert SMALL < found["suggested"] < LARGE


def test_counts_outlive_the_panes_and_what_was_replayed_is_told(life: Lived):
    marked(life, "false", "x")
    whole = reviewed(life)
    with sqlite3.connect(life.state / FILE) as connection:
        connection.execute("DELETE FROM pane WHERE start < ?", (life.actions[-1].timestamp - 4 * 3_600_000,))
    part = reviewed(life)
    assert part["replayed"][0]["since"] > whole["replayed"][0]["since"]
    assert "alerts could not be replayed" in of(part, "drift")["because"]
    with sqlite3.connect(life.state / FILE) as connection:
        connection.execute("DELETE FROM pane")
    none = reviewed(life)
    assert none["replayed"] == []
    assert of(none, "drift")["because"].startswith("no closed pane of that time is stored any more (state.keep_panes)")
    for one in (part, none):
        assert {**of(one, "drift"), "because": 0, "tried": 0, "suggested": 0} == {
            **of(whole, "drift"), "because": 0, "tried": 0, "suggested": 0,
        }  # fmt: skip


def test_only_what_fired_in_that_time_is_counted(life: Lived):
    first, *_, last = [a.timestamp for a in life.actions if a.rule == "drift" and a.type == "driftd.alert.firing"]
    assert of(reviewed(life, "--until", str(last)), "drift")["alerts"] == 3
    late = json.loads(types(life, "review", "--since", str(first + 1), "--output", "json"))
    assert of(late, "drift")["alerts"] == 3
    assert types(life, "review", "--since", SINCE, "--model", "nobody").startswith("nothing fired from ")


def test_a_mute_after_the_end_is_not_counted(life: Lived):
    types(life, "mute", "--model", "m", "--for", "1h", "--reason", "a test")
    found = of(reviewed(life), "drift")
    assert (found["muted"], found["open"]) == (0, 0)


def test_the_text_is_readable_at_100_columns_and_says_why(life: Lived):
    marked(life, "false", "x")
    text = types(life, "review", "--since", SINCE)
    assert max(map(len, text.splitlines())) <= 100
    assert re.search(r"^ m +drift +4 +0 +2 +0 +0 +0 +\S+ +0\.1 +0\.\d+ *$", text, re.MULTILINE)
    assert "m drift: at 0." in text
    assert "Replayed of m: 2023-11-1" in text


HOSTILE = "a|b<script>`x`[l](http://e)*\u202e"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    life = Lived(tmp_path_factory.mktemp("hostile"), RULES)
    return life.lives(stream([("y", LARGE)], HOSTILE)).stores()


def test_a_name_stays_in_its_cell(hostile: Lived):
    lines = types(hostile, "review", "--since", SINCE, "--output", "markdown").splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert "<script" not in "".join(lines)
    assert "](" not in "".join(lines)
    assert all(line.isprintable() for line in lines)
    text = types(hostile, "review", "--since", SINCE)
    assert "\u202e" not in text
    assert reviewed(hostile)["rules"][0]["model"] == HOSTILE


def test_the_documentation_shows_the_shape_of_its_json(life: Lived):
    shown = next(
        document
        for block in pages.blocks("docs/operations.md", "json")
        for document in pages.json_documents(block.body)
        if "flap_windows" in document
    )
    assert shapes(reviewed(life)) == shapes(shown)


def shapes(value: object) -> object:
    """Its keys, in depth; of a list those of its first item."""
    if isinstance(value, dict):
        return {key: shapes(one) for key, one in value.items()}
    return [shapes(value[0])] if isinstance(value, list) and value else None


def test_where_a_reference_is_learned_judging_begins_with_its_end(life: Lived):
    with Reader.open_read_only(life.state) as reader:
        (judged,) = reader.judged()
    assert (judged.model, judged.kind) == ("m", "prediction")
    assert judged.since == life.engine.monitors["m"].baselines.references["", "prediction"][1] > START
    assert judged.until == life.panes[-1].end
