"""Shares of groups: what PSI compares, named, bounded, and only of what is in trouble."""

from collections.abc import Iterable

import numpy as np
import pytest

from driftd.core.grid import Axis, Grid, categorical_axis
from driftd.core.reference import Reference
from driftd.core.series import Series
from driftd.core.shares import GROUPS, SIGNALS, shares
from driftd.core.spec import Model, Window, WindowRule
from driftd.core.view import ShareView
from tests.core.streams import Rows, numeric, pane_of, reference_of

HOUR, EVERY = 3_600_000, 300_000


def told(reference: Reference, rows: Rows, signal: str) -> tuple[ShareView, ...]:
    counts = pane_of(reference.grid, rows).counts
    return shares(reference, counts, float(len(rows[signal])), signal)


def categories(counts: dict[str, int], known: int = 256) -> Reference:
    base = [name for name, n in counts.items() for _ in range(n)]
    return reference_of(Grid([categorical_axis("plan", counts, known)]), {"plan": base})


def groups(told: Iterable[ShareView]) -> list[str]:
    return [share.group for share in told]


def test_a_numbers_groups_are_the_tenths_of_its_reference():
    values = np.arange(1_000, dtype=np.float64)
    reference = reference_of(Grid([numeric("age", values)]), {"age": values})
    found = told(reference, {"age": np.repeat(values[values >= 500], 2)}, "age")
    assert groups(found)[:2] == ["01 (-inf, 99]", "02 (99, 199]"]
    assert groups(found)[-1] == "10 (899, inf)"
    assert [share.reference for share in found] == pytest.approx([0.1] * 10)
    assert [share.current for share in found] == pytest.approx([0.0] * 5 + [0.2] * 5)


def test_a_categorys_groups_are_the_categories_and_what_is_rare_is_one():
    reference = categories({"free": 600, "pro": 300, "team": 97, "odd": 2, "odder": 1})
    found = told(reference, {"plan": ["free"] * 500 + ["team"] * 500}, "plan")
    assert [(s.group, s.reference, s.current) for s in found] == [
        ("1 free", 0.6, 0.5),
        ("2 pro", 0.3, 0.0),
        ("3 team and 2 more or rarer", 0.1, 0.5),
    ]
    few = categories({"free": 600, "pro": 300, "team": 90, **{f"r{i}": 1 for i in range(10)}}, 2)
    assert groups(told(few, {"plan": ["free"] * 500 + ["neverseen"] * 500}, "plan")) == ["1 free", "2 pro", "3 rare"]


def test_many_groups_are_the_ones_that_moved_and_one_for_the_rest():
    reference = categories({f"c{i:02}": 1_000 for i in range(40)})
    found = told(reference, {"plan": [f"c{i:02}" for i in range(40) for _ in range(400 if i == 17 else 100)]}, "plan")
    assert len(found) == GROUPS
    assert "18 c17" in groups(found)
    assert groups(found)[-1] == "41 all others"
    assert groups(found) == sorted(groups(found))
    assert sum(s.reference for s in found) == pytest.approx(1)
    assert sum(s.current for s in found) == pytest.approx(1)


def test_no_two_groups_have_one_name_whatever_the_categories_are_called():
    names = ["rare", "all others", "never seen", "x" * 200 + "a", "x" * 200 + "b", "\n", "any other"]
    found = told(categories(dict.fromkeys(names, 1_000)), {"plan": names * 200}, "plan")
    assert len(set(groups(found))) == len(found) == len(names)
    assert max(map(len, groups(found))) < 50


def test_a_constant_is_itself_and_anything_else():
    values = np.full(1_000, 7.0)
    reference = reference_of(Grid([numeric("k", values)]), {"k": values})
    found = told(reference, {"k": np.full(500, 8.0)}, "k")
    assert [(s.reference, s.current) for s in found] == [(1.0, 0.0), (0.0, 1.0)]
    assert groups(found)[1] == "2 any other"


def series(signals: int) -> tuple[Series, np.random.Generator]:
    rng = np.random.default_rng(0)
    rows: Rows = {f"f{i}": rng.normal(size=20_000) for i in range(signals)}
    axes: list[Axis] = [numeric(name, np.asarray(column)) for name, column in rows.items()]
    reference = reference_of(Grid(axes), rows, 200)
    model = Model("m", Window(HOUR, EVERY), window_rules=(WindowRule("drift"),), detector_rules=())
    made = Series("group", model, "1", "prediction", reference.grid)
    made.reference = reference
    return made, rng


def shown(made: Series) -> list[str]:
    return list(dict.fromkeys(one.signal for one in made.evaluator.shares))


def test_only_the_worst_that_are_in_trouble_are_told_and_a_restart_tells_the_same():
    made, rng = series(SIGNALS + 3)
    names, reference = made.grid.names, made.reference
    assert reference is not None

    end = 1_000 * HOUR

    def pane(shift: float) -> None:
        nonlocal end
        end += EVERY
        rows = {name: rng.normal(shift * i, 1, 600) for i, name in enumerate(names)}
        made.close(end, pane_of(made.grid, rows), reference, None)

    for _ in range(12):
        pane(0.0)
    assert {one.state for one in made.statistics} == {"ok"}
    assert shown(made) == []
    for _ in range(24):
        pane(0.3)
    firing = {one.signal for one in made.statistics if one.state == "firing"}
    assert len(firing) > SIGNALS
    assert shown(made) == list(reversed(names))[:SIGNALS]

    again = Series("group", made.model, "1", "prediction", made.grid)
    again.load(made.plain(), {})
    again.reference = made.reference
    again.recall(reference)
    assert again.evaluator.shares == made.evaluator.shares
