"""`driftd diff` where one of two instances has not judged what the other has."""

from __future__ import annotations

import heapq
import json
from pathlib import Path

import pytest

from driftd import cli
from tests.review.lived import START, Lived, stream

RULES = {"drift": {"warning": 0.1, "critical": None}, "gaps": None, "jump": None}
EPISODES = [("y", 1.5)]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Both watch m; the other one watches n too."""
    folder: Path = tmp_path_factory.mktemp("two")
    one = Lived(folder / "one", RULES).lives(stream(EPISODES)).stores()
    both = heapq.merge(stream(EPISODES), stream(EPISODES, "n"))
    other = Lived(folder / "other", RULES).lives(both).stores()
    return str(one.state), str(other.state)


def test_a_model_that_one_alone_has_judged_is_a_difference(two: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert cli.main(["diff", *two]) == 1
    assert "not compared: n prediction: A has not judged it\n" in capsys.readouterr().out
    assert cli.main(["diff", *reversed(two), "--output", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["not_compared"] == [{"model": "n", "kind": "prediction", "why": "B has not judged it"}]
    assert (report["only_in_a"], report["only_in_b"], report["different"], report["equal"]) == ([], [], [], 2)


def test_of_one_model_they_say_the_same(two: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert cli.main(["diff", *two, "--model", "m"]) == 0
    assert capsys.readouterr().out.endswith("0 only in A, 0 only in B, 0 different, 2 equal\n")


def test_after_all_that_was_judged_there_is_nothing_to_compare(two: tuple[str, str]):
    """Nor is there then anything else to compare."""
    assert cli.main(["diff", *two, "--since", str(START + 1_000 * 3_600 * 1_000)]) == 2
