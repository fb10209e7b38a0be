"""What the replays of thresholds say of a threshold."""

import pytest

from driftd.core.backtest import MANY, Evidence, Tried, Would, candidates, suggestion
from driftd.core.review import Life

SERIES = ("m", "1", "prediction")


def evidence(false: dict[str, float], others: dict[str, float], seen: frozenset[str] = frozenset(), weeks: float = 2.0):
    """Alerts by name with the largest threshold under which each would have fired; a second apart."""
    thresholds = candidates(0.1, MANY)
    lives, would = [], {threshold: Would() for threshold in thresholds}
    for i, (name, most) in enumerate({**false, **others}.items()):
        lives.append(Life(SERIES, "drift", name, name, 1_000 * i, 1_000 * i + 500))
        for threshold in thresholds:
            if threshold <= most:
                would[threshold].append((name, 1_000 * i, 1_000 * i + 500))
    found = Evidence([Tried(threshold) for threshold in thresholds], weeks)
    found.add(would, lives, 0, 1_000_000, frozenset(false), seen)
    return found


def test_the_smallest_from_which_nothing_false_fires_and_all_else_does():
    threshold, because = suggestion(evidence({"a": 0.12, "b": 0.2}, {"c": 0.5, "d": 0.9}))
    assert threshold == 0.25
    assert because == (
        "at 0.25 nothing marked false (2) would have fired, all 2 others would; alerts a week: 2.0 at 0.1, 1.0 at 0.25"
    )


def test_where_they_overlap_both_counts_are_told():
    threshold, because = suggestion(evidence({"a": 0.3}, {"b": 0.2, "c": 0.5, "d": 0.9}))
    assert threshold is None
    assert because.startswith(
        "no change, the two overlap: at 0.4 nothing marked false (1) would have fired, but only 2 of 3"
    )


def test_what_was_acknowledged_weighs_more_than_what_nobody_judged():
    threshold, because = suggestion(evidence({"a": 0.3}, {"b": 0.2, "c": 0.5, "d": 0.9}, frozenset({"c"})))
    assert threshold == 0.4
    assert "all 1 acknowledged would, but 1 of 2 that nobody judged would not" in because


def test_an_alert_that_was_acknowledged_and_marked_false_is_false():
    threshold, because = suggestion(evidence({"a": 0.3}, {"b": 0.5}, frozenset({"a"})))
    assert (threshold, "all 1 others would" in because) == (0.4, True)


def test_without_a_mark_nothing_is_suggested_and_costs_are_told():
    found = evidence({}, {"a": 0.12, "b": 0.17, "c": 0.5})
    found.tried = [one for one in found.tried if one.threshold in (0.1, 0.15, 0.2)]
    assert suggestion(found) == (
        None, "no change: nothing was marked false; alerts a week: 1.5 at 0.1, 1.0 at 0.15, 0.5 at 0.2",
    )  # fmt: skip


def test_of_less_than_a_week_no_rate_is_told():
    assert suggestion(evidence({}, {"a": 0.12}, weeks=0.5))[1].startswith(
        "no change: nothing was marked false; alerts in what was replayed: 1 at 0.1, 1 at 0.11, 1 at 0.12, 0 at 0.13"
    )


def test_what_no_threshold_silences_is_told():
    assert suggestion(evidence({"a": 9.0, "b": 0.2}, {"c": 0.5})) == (
        None, "no change: even at 1 1 of 2 marked false would have fired",
    )  # fmt: skip


def test_what_does_not_come_again_is_no_evidence():
    found = Evidence([Tried(0.1), Tried(0.15)], 2.0)
    lives = [Life(SERIES, "drift", "a", "a", 1_000, 2_000), Life(SERIES, "drift", "b", "b", 1_000, 2_000)]
    found.add({0.1: [("b", 5_000, 6_000)], 0.15: []}, lives, 0, 9_000, frozenset({"a"}), frozenset())
    assert (found.missing, found.missing_false, found.false, found.others) == (2, 1, 0, 0)
    assert suggestion(found)[1] == "no change: 1 was marked false, and none comes again in what can be replayed"


@pytest.mark.parametrize(
    ("fired", "resolved", "meets"),
    [(0, 900, False), (0, 1_000, True), (1_500, None, True), (2_000, 3_000, True), (2_001, None, False)],
)
def test_an_alert_comes_again_where_the_lives_meet(fired: int, resolved: int | None, *, meets: bool):
    assert Life(SERIES, "drift", "a", "a", 1_000, 2_000).meets(fired, resolved) == meets


def test_candidates_begin_with_the_threshold_of_now_as_it_is():
    assert candidates(0.123456, (1.0, 1.5)) == (0.123456, 0.185)
