"""What rules would have told: scores and overlaps of alerts that are made by hand."""

from driftd.core.review import Life, Told
from driftd.core.spec import DAY, HOUR
from driftd.core.whatif import Drift, Overlap, Score, overlaps, scores

CHURN, FRAUD = ("churn", "1", "prediction"), ("fraud", "1", "prediction")
LIVES = [
    Life(CHURN, "drift", "age", "a1", 2 * HOUR, 5 * HOUR),
    Life(CHURN, "drift", "plan", "a2", 11 * HOUR, None),
    Life(CHURN, "jump", "prediction", "a3", 4 * HOUR, 6 * HOUR),
    Life(FRAUD, "drift", "age", "a4", 4 * HOUR, 5 * HOUR),
]
TOLD = [
    Told(CHURN, "drift", 2 * HOUR, ("a1",), withheld=False),
    Told(CHURN, "drift", 11 * HOUR, ("a2",), withheld=False),
    Told(CHURN, "jump", 4 * HOUR, ("a3",), withheld=False),
    Told(FRAUD, "drift", 4 * HOUR, ("a4",), withheld=False),
]


def test_scores_by_hand():
    known = [
        Drift("churn", "age", 1 * HOUR, 3 * HOUR),
        Drift("churn", None, 10 * HOUR, None),
        Drift("fraud", "plan", 0, None),
    ]
    assert scores(["drift", "gaps", "jump"], LIVES, TOLD, 2 * DAY, known) == [
        Score("drift", 3, 3, 10.5, 1, 2 * HOUR, 2, HOUR, 1),
        Score("gaps", 0, 0, 0.0, 0, None, 0, None, 0),
        Score("jump", 1, 1, 3.5, 0, 2 * HOUR, 0, None, 1),
    ]


def test_an_end_is_no_part_of_a_drift_and_a_beginning_is():
    life = LIVES[0]
    assert Drift("churn", None, 2 * HOUR, 3 * HOUR).holds(life)
    assert not Drift("churn", None, HOUR, 2 * HOUR).holds(life)
    assert not Drift("fraud", None, 2 * HOUR, 3 * HOUR).holds(life)
    assert not Drift("churn", "plan", 2 * HOUR, 3 * HOUR).holds(life)


def test_of_less_than_a_day_nothing_is_said_of_a_week_and_without_known_drifts_nothing_of_them():
    (drift,) = scores(["drift"], LIVES, TOLD, DAY - 1, None)
    assert (drift.a_week, drift.found, drift.delay, drift.false) == (None, None, None, None)


def test_overlaps_go_both_ways():
    assert overlaps(["drift", "gaps", "jump"], LIVES) == [
        Overlap("drift", "jump", 3, 1),
        Overlap("jump", "drift", 1, 1),
    ]
