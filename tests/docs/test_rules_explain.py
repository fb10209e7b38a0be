"""`driftd rules explain` and `driftd models MODEL`: what the rules of the README's model cost and find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driftd.core.action import Action
from driftd.core.spec import HOUR, YEAR
from tests.docs.conftest import Newcomer


def explained(newcomer: Newcomer, command: str) -> list[dict[str, Any]]:
    done = newcomer.types(f"driftd rules explain {command} --output json")
    assert done.returncode == 0, done.stderr
    models: list[dict[str, Any]] = json.loads(done.stdout)["models"]
    return models


@pytest.fixture
def before(newcomer: Newcomer, tmp_path: Path) -> Newcomer:
    """The same before driftd ran: there is no state."""
    return Newcomer(
        newcomer.folder, newcomer.environ | {"DRIFTD_STATE__DIRECTORY": str(tmp_path / "none")}, newcomer.receiver
    )


def test_it_says_level_budget_windows_and_the_smallest_shift_at_the_traffic_seen(
    newcomer: Newcomer, transitions: list[Action]
) -> None:
    assert transitions
    (churn,) = explained(newcomer, "--model churn")
    assert (churn["model"], churn["version"], churn["kind"]) == ("churn", "7", "prediction")
    assert churn["window_end"] is not None
    drift, gaps, jump = churn["rules"]
    assert drift["windows_a_year"] == pytest.approx(YEAR / HOUR)
    assert drift["level_of_a_look"] == pytest.approx(1 / (YEAR / HOUR) / 2), "one a year, of two rules"
    signals = {one["signal"] for one in drift["smallest_shifts"]}
    assert {"age", "plan", "balance", "prediction"} <= signals
    assert drift["level_of_a_test"] == pytest.approx(drift["level_of_a_look"] / drift["tests"])
    assert drift["own_reference"]["alarms"] == 0
    assert drift["own_reference"]["windows"] >= 20
    age = next(one for one in drift["smallest_shifts"] if one["signal"] == "age")
    assert age["unit"] == "deviations"
    assert 0.2 < age["shift"] < 0.6
    assert age["effect"] >= 0.1
    assert age["at_once"] >= 0.25
    assert {one["unit"] for one in gaps["smallest_shifts"]} == {"rate"}
    assert jump == {"rule": "jump", "detector": "adwin", "on": ["prediction"], "delta": 0.002, "min_effect": 0.25}


def test_without_a_state_it_tells_of_the_smallest_window_that_is_judged(before: Newcomer) -> None:
    (churn,) = explained(before, "")
    assert (churn["window_events"], churn["window_end"]) == (100, None)
    seen = {one["signal"]: one for one in churn["rules"][0]["smallest_shifts"]}
    assert seen["age"]["n"] <= 100
    assert seen["age"]["shift"] > 0.5, "less is found in less"


def test_as_text_it_says_the_same(before: Newcomer) -> None:
    done = before.types("driftd rules explain --model churn")
    for said in (
        "no window was judged: told of the smallest that is, 100 events",
        "false alarms a year: at most 1, in 8,766 windows; level",
        "on its own reference: no alarm; the worst of",
        "finds with 90 % from",
        "no share of a budget",
    ):
        assert said in done.stdout, done.stdout
    assert before.types("driftd rules explain --model churm").returncode == 2


def test_a_reference_without_an_order_says_what_is_not_known(before: Newcomer, tmp_path: Path) -> None:
    """Five hundred rows have fewer than twenty parts."""
    lines = (before.folder / "last-month.jsonl").read_text().splitlines()[:500]
    (tmp_path / "few.jsonl").write_text("\n".join(lines) + "\n")
    built = before.types(
        f"driftd reference build --quiet --model churn --output {tmp_path}/few.json {tmp_path}/few.jsonl"
    )
    assert built.returncode == 0, built.stderr
    config = tmp_path / "driftd.yaml"
    config.write_text("models: {churn: {reference: {file: few.json}}}\nreceivers: {ops: {webhook: {}}}\n")
    done = before.types(f"driftd rules explain --config {config}")
    assert "not known, for it has no order to replay (uncalibrated)" in done.stdout, done.stdout + done.stderr


def test_a_model_that_learns_has_nothing_to_tell_yet(before: Newcomer, tmp_path: Path) -> None:
    config = tmp_path / "driftd.yaml"
    config.write_text("models: {young: {}}\nreceivers: {ops: {webhook: {}}}\n")
    assert "model young: no reference yet" in before.types(f"driftd rules explain --config {config}").stdout


def test_models_says_more_of_one(newcomer: Newcomer, transitions: list[Action]) -> None:
    assert transitions
    done = newcomer.types("driftd models churn --config driftd.yaml")
    assert done.returncode == 0, done.stderr
    assert "finds of age by drift (psi), with 90 %: 0." in done.stdout
    assert "the newest prediction event came at" in done.stdout
    as_json = json.loads(newcomer.types("driftd models churn --config driftd.yaml --output json").stdout)
    assert as_json["series"][0]["smallest_shifts"][0]["words"]
    assert newcomer.types("driftd models churm --config driftd.yaml").returncode == 2
