import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from driftd.core.fault import UserError
from driftd.core.spec import DAY, HOUR, MINUTE, YEAR
from driftd.settings.quantity import (
    UNITS,
    duration_s,
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)


@given(st.integers(0, 90 * 365 * DAY))
def test_a_duration_survives_being_written(ms):
    assert parse_duration(format_duration(ms)) == ms


@given(st.dictionaries(st.sampled_from(list(UNITS)), st.integers(0, 50), min_size=1))
def test_units_add_up(parts):
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)
    assert parse_duration(text) == sum(number * UNITS[unit] for unit, number in parts.items())


@given(st.one_of(st.text(), st.from_regex(r"\s*-?[0-9.]*(ms|[a-z])?\s*", fullmatch=True)))
def test_any_text_is_a_duration_or_refused(text):
    try:
        ms = parse_duration(text)
    except PydanticCustomError as error:
        assert (error.context or {})["remedy"]  # noqa: PT017 - both outcomes are right
    else:
        assert ms >= 0


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("500ms", 500),
        ("90s", 90_000),
        ("1h30m", HOUR + 30 * MINUTE),
        ("1h 30m", HOUR + 30 * MINUTE),
        ("7d", 7 * DAY),
        ("2w", 14 * DAY),
        ("1y", 365 * DAY),
        ("0s", 0),
    ],
)
def test_durations(text, ms):
    assert parse_duration(text) == ms


@pytest.mark.parametrize("ms", [0, 1, 999, 60_000, 8 * DAY])
def test_written_durations_are_short(ms):
    assert format_duration(ms) == {0: "0s", 1: "1ms", 999: "999ms", 60_000: "1m", 8 * DAY: "8d"}[ms]


def test_a_duration_on_the_command_line():
    assert duration_s("1m30s") == 90
    with pytest.raises(UserError, match="90s or 1h30m"):
        duration_s("90")


@given(st.integers(1, 1 << 45))
def test_a_size_survives_being_written(size):
    text = format_size(size)
    if len(text) < 10:
        assert parse_size(text) == size


def test_budgets():
    assert parse_rate("1 per model-year") == 1
    assert parse_rate("0.5 per model-month") == 6
    assert parse_rate("2 per model-week") == 2 * YEAR / (7 * DAY)
