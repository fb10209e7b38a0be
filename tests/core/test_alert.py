"""The life of an alert: the table, walked to its ends, and streaks against their definition."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.alert import TABLE, Alert, Input, Look, Output, State, Streak
from driftd.core.spec import SEVERITIES, Severity
from tests.core.streams import SEEDED

ROOT = Path(__file__).parents[2]
NOTHING: frozenset[Severity] = frozenset()
WARNING: frozenset[Severity] = frozenset({"warning"})
BOTH: frozenset[Severity] = frozenset({"warning", "critical"})
KINDS: dict[str, tuple[frozenset[Severity], bool, bool]] = {
    # letter: severities it holds, at once, calm
    "w": (WARNING, False, False),
    "c": (BOTH, False, False),
    "!": (BOTH, True, False),
    ".": (NOTHING, False, False),
    "~": (NOTHING, False, True),
}


def looks(word: str, length: int = 3, every: int = 1) -> list[Look]:
    """One look a letter, each `every` after the one before, over windows of `length`."""
    out = []
    for i, letter in enumerate(word):
        holds, at_once, calm = KINDS[letter]
        end = length + i * every
        out.append(Look(end - length, end, holds, at_once, calm))
    return out


def run(sequence: Iterable[Look], persist: int) -> tuple[Alert, list[Output]]:
    alert = Alert()
    out = []
    for look in sequence:
        out.append(alert.look(look, persist))
        if out[-1] == "resolved":
            alert.forget()
    return alert, out


# -- the table -------------------------------------------------------------------------------------------------------


def drawn() -> str:
    """The table as the page of the documentation has it."""
    inputs: tuple[Input, ...] = get_args(Input)
    rows = ["| | " + " | ".join(f"*{given}*" for given in inputs) + " |", "|---" * (len(inputs) + 1) + "|"]
    for state in get_args(State):
        cells = []
        for given_input in inputs:
            after, output = TABLE[state, given_input]
            cells.append(f"{after}, tells **{output}**" if output else after)
        rows.append(f"| {state} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def test_the_table_in_the_documentation_is_drawn_from_the_code() -> None:
    assert drawn() in (ROOT / "docs" / "statistics.md").read_text(), f"docs/statistics.md needs:\n{drawn()}"


def test_every_state_has_an_answer_to_every_input() -> None:
    assert set(TABLE) == set(itertools.product(get_args(State), get_args(Input)))


def test_what_the_table_tells() -> None:
    for (state, given_input), (after, output) in TABLE.items():
        # Firing is told as it begins and resolved as it ends, and nothing else is told.
        assert (output == "firing") == (state != "firing" and after == "firing")
        assert (output == "resolved") == (state == "firing" and after != "firing")
        # Nothing but a due streak makes an alert fire; nothing but calm or its end resolves it.
        assert (after == "firing") == (given_input == "due" or (state == "firing" and given_input in ("hold", "clear")))
    assert {after for after, _ in TABLE.values()} == set(get_args(State))


# -- against the definition ------------------------------------------------------------------------------------------


def apart(run_of_looks: Sequence[Look]) -> int:
    """How many windows of a run do not overlap, taken from its beginning."""
    count, until = 0, None
    for look in run_of_looks:
        if until is None or look.start >= until:
            count, until = count + 1, look.end
    return count


def newest_run(history: Sequence[Look], holds: Severity | None) -> list[Look]:
    """The unbroken run, at the end of the history, of looks that hold this severity (None: that are calm)."""
    out: list[Look] = []
    for look in reversed(history):
        if not (look.calm if holds is None else holds in look.holds):
            break
        out.insert(0, look)
    return out


def by_definition(sequence: Sequence[Look], persist: int) -> list[tuple[str, Output, Severity | None]]:
    """State, output and severity after each look, from the whole history each time."""
    told: list[tuple[str, Output, Severity | None]] = []
    severity: Severity | None = None
    begin = fired_at = 0  # where the history that counts begins; and the look that fired
    for i, look in enumerate(sequence):
        history = sequence[begin : i + 1]
        due = [s for s in SEVERITIES if apart(newest_run(history, s)) >= persist]
        if look.at_once:
            due = ["critical"]
        output: Output = None
        if due:
            worst = max(due, key=SEVERITIES.index)
            if severity is None:
                fired_at = i
            if severity is None or SEVERITIES.index(worst) > SEVERITIES.index(severity):
                severity, output = worst, "firing"
        elif severity is not None and apart(newest_run(sequence[fired_at + 1 : i + 1], None)) >= persist:
            severity, output, begin = None, "resolved", i + 1
        told.append(("firing" if severity else "pending" if look.holds else "inactive", output, severity))
    return told


def assert_by_definition(sequence: Sequence[Look], persist: int) -> None:
    alert = Alert()
    for i, (look, expected) in enumerate(zip(sequence, by_definition(sequence, persist), strict=True)):
        output = alert.look(look, persist)
        if output == "resolved":
            alert.forget()
        assert (alert.state, output, alert.severity) == expected, (i, sequence, persist)


@pytest.mark.parametrize("persist", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2])
def test_every_story_of_six_looks_is_told_as_defined(persist, length) -> None:
    for word in itertools.product(KINDS, repeat=6):
        assert_by_definition(looks("".join(word), length), persist)


@SEEDED
@given(st.text("wc!.~", min_size=1, max_size=60), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
def test_longer_stories_too(word, persist, length, every) -> None:
    assert_by_definition(looks(word, length, every), persist)


@SEEDED
@given(st.text("wc!.~", max_size=40), st.integers(1, 3), st.integers(1, 4))
def test_a_restart_at_any_look_changes_nothing(word, persist, length) -> None:
    _, expected = run(looks(word, length), persist)
    alert, out = Alert(), []
    for look in looks(word, length):
        out.append(alert.look(look, persist))
        if out[-1] == "resolved":
            alert.forget()
        alert = Alert.from_plain(msgspec.json.decode(msgspec.json.encode(alert.plain())))
    assert out == expected


# -- by example ------------------------------------------------------------------------------------------------------


def test_thirteen_looks_at_one_hour_every_five_minutes_are_two_windows() -> None:
    streak = Streak()
    counts = []
    for look in looks("w" * 37, length=60, every=5):
        streak.extend(look.start, look.end)
        counts.append(streak.count)
    assert counts == [1] * 12 + [2] * 12 + [3] * 12 + [4]
    _, out = run(looks("w" * 13, 60, 5), persist=2)
    assert out == [None] * 12 + ["firing"]


def test_a_gap_breaks_a_streak() -> None:
    _, out = run(looks("w" * 12 + "." + "w" * 13, 60, 5), persist=2)
    assert out == [None] * 25 + ["firing"]


def test_windows_that_were_not_judged_hold_a_streak() -> None:
    # Insufficient data is no look at all: an hour passes, and the streak goes on.
    first, second = looks("ww", 60, 300)
    alert = Alert()
    assert alert.look(first, 2) is None
    assert (alert.state, alert.streak) == ("pending", 1)
    assert alert.look(second, 2) == "firing"


def test_critical_needs_its_own_streak_and_raises_the_same_alert() -> None:
    alert = Alert(alert_id="a")
    words = looks("wwcc", length=1)
    assert [alert.look(look, 2) for look in words[:2]] == [None, "firing"]
    assert (alert.severity, alert.since) == ("warning", words[1].end)
    assert [alert.look(look, 2) for look in words[2:]] == [None, "firing"]
    assert (alert.severity, alert.since, alert.alert_id) == ("critical", words[1].end, "a")


def test_warnings_in_between_break_the_critical_streak_only() -> None:
    alert, out = run(looks("cwcwcw", length=1), persist=2)
    assert out == [None, "firing", None, None, None, None]
    assert alert.severity == "warning"


def test_severity_does_not_fall_while_it_fires() -> None:
    alert, out = run(looks("ccww..ww", length=1), persist=2)
    assert [o for o in out if o] == ["firing"]
    assert alert.severity == "critical"


def test_one_overwhelming_look_fires_at_once() -> None:
    alert, out = run(looks("!"), persist=9)
    assert out == ["firing"]
    assert alert.severity == "critical"
    alert, out = run(looks("ww!", length=1), persist=2)
    assert out == [None, "firing", "firing"]
    assert alert.severity == "critical"


def test_it_resolves_after_calm_windows_that_do_not_overlap_and_follow_the_firing() -> None:
    _, out = run(looks("ww~~", length=1), persist=2)
    assert out == [None, "firing", None, "resolved"]
    _, out = run(looks("w" * 13 + "~" * 13, 60, 5), persist=2)
    assert out == [None] * 12 + ["firing"] + [None] * 12 + ["resolved"]


def test_an_effect_between_calm_and_the_threshold_resolves_nothing() -> None:
    alert, out = run(looks("ww" + "~." * 20, length=1), persist=2)
    assert [o for o in out if o] == ["firing"]
    assert alert.state == "firing"


def test_after_a_resolve_a_new_story_begins() -> None:
    alert, out = run(looks("ww~~ww", length=1), persist=2)
    assert out == [None, "firing", None, "resolved", None, "firing"]
    assert alert.since == 6
    alert = Alert(alert_id="a")
    for look in looks("ww~~", length=1):
        alert.look(look, 2)
    assert alert.alert_id == "a"  # what resolves is told by its name
    alert.forget()
    assert alert.plain()[1:4] == [None, None, None]
    assert alert.idle


@pytest.mark.parametrize("word", ["ww", "ww~", "cc", "!"])
def test_what_is_gone_is_resolved(word) -> None:
    alert, _ = run(looks(word, length=1), persist=2)
    assert alert.take("gone", 99) == "resolved"
    assert alert.state == "inactive"
    assert alert.streak == alert.quiet.count == 0


@pytest.mark.parametrize(
    ("word", "idle"), [("", True), (".", True), ("w", False), ("w.", True), ("~~", True), ("ww", False), ("ww~~", True)]
)
def test_only_an_alert_with_nothing_to_remember_is_idle(word, idle) -> None:
    alert, _ = run(looks(word, length=1), persist=2)
    assert alert.idle == idle
