"""A part of the table that `make detectors` prints: enough of it to see the recommendation hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from driftd.core.spec import DetectorRule
from tests.core.error_streams import RECOMMENDED, Score, Stream, ours, rivers, streams

PART = ("sine_0123_abrupto", "rt_2563789698568873_abrupto", "sine_3210_gradual", "sea_0123_abrupto_noise_0.2")


def score(rule: DetectorRule, of: list[Stream], slice_events: int = 1) -> Score:
    found = Score()
    for stream in of:
        found.add(stream, ours(rule, stream.errors, slice_events))
    return found


@pytest.fixture(scope="module")
def part(shared_data: Path) -> list[Stream]:
    return [stream for stream in streams(shared_data / "error_streams") if stream.name in PART]


@pytest.fixture(scope="module")
def made() -> list[Stream]:
    """Seeded ones, for where there are no data sets: one in ten wrong, at each drift a third until the model is retrained."""
    drifts = (5_000, 9_000, 13_000)
    of = []
    for seed in range(6):
        rate = np.full(16_000, 0.1)
        for at in drifts:
            rate[at : at + 1_000] = 0.3
        errors = (np.random.default_rng(seed).random(len(rate)) < rate).astype(int)
        of.append(Stream(f"made {seed}", errors.tolist(), drifts, 1_000))
    return of


def test_what_is_recommended_for_errors_finds_as_much_as_adwin_sooner_and_no_more_falsely(part):
    adwin, recommended = score(DetectorRule("r", direction="up"), part), score(RECOMMENDED, part)
    assert recommended.true == adwin.true >= 9
    assert recommended.false <= adwin.false
    assert recommended.delay < adwin.delay


def test_so_it_is_on_seeded_ones(made):
    adwin, recommended = score(DetectorRule("r", direction="up"), made), score(RECOMMENDED, made)
    assert recommended.true == adwin.true == 18
    assert recommended.false <= adwin.false
    assert recommended.delay < 1.1 * adwin.delay


def test_an_alarm_is_true_once_and_only_until_the_model_is_retrained():
    found = Score()
    found.add(Stream("s", [], (100, 500, 900), 50), [20, 110, 140, 150, 549, 950])
    assert (found.true, found.missed, found.false, found.delays) == (2, 1, 3, [10, 49])


def test_ours_and_rivers_say_the_same_of_them(made):
    for name, rival in (("ddm", "DDM"), ("fhddm", "FHDDM"), ("hddm_a", "HDDMA")):
        rule = DetectorRule("r", name, min_effect=0.0, direction="up")  # type: ignore[arg-type]
        for stream in made[:2]:
            assert ours(rule, stream.errors) == rivers(rival, stream.errors), name
