"""Columns that go, come, change their name or type: one alert a model and change, and nothing else of the same cause."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from driftd.core.action import Action, rfc3339
from driftd.core.baseline import GivenReference
from driftd.core.event import ABSENT, BAD, Column, Columns, Mark
from driftd.core.grid import Axis, Grid, categorical_axis
from driftd.core.pane import Pane
from driftd.core.spec import HOUR, MINUTE, Model, ReferenceFiles, Retrain, Schema, Versions, Window
from driftd.core.view import StatisticView
from tests.core import life
from tests.core.life import BEGIN
from tests.core.streams import Floats, numeric, pane_of, reference_of

NUMBERS = ("age", "balance", "income")
MODEL = Model(
    "m",
    Window(10 * MINUTE, MINUTE, min_samples=100, max_length=40 * MINUTE, allowed_lateness=0, max_wait=MINUTE),
    ReferenceFiles("a file"),
    detector_rules=(),
    retrain=Retrain(()),
)
Change = Callable[[dict[str, Column]], dict[str, Column]]


def gone(*names: str) -> Change:
    return lambda columns: {name: column for name, column in columns.items() if name not in names}


def renamed(old: str, new: str) -> Change:
    return lambda columns: {new if name == old else name: column for name, column in columns.items()}


def as_text(name: str) -> Change:
    return lambda columns: {**columns, name: np.full(len(columns[name]), BAD)}


def with_new(name: str, share: float = 1.0, *, text: bool = False) -> Change:
    def change(columns: dict[str, Column]) -> dict[str, Column]:
        n = len(columns["age"])
        values = [("x" if text else 1.0) if i < share * n else Mark.ABSENT for i in range(n)]
        return {**columns, name: values}

    return change


def half(change: Change) -> Change:
    """Of the events in the second half of a pane."""

    def changed(columns: dict[str, Column]) -> dict[str, Column]:
        after = change(columns)
        n = len(columns["age"])
        out: dict[str, Column] = {}
        for name in columns.keys() | after.keys():
            sides = [columns.get(name), after.get(name)]
            whole = [list(side) if side is not None else [Mark.ABSENT] * n for side in sides]
            if isinstance(columns.get(name), np.ndarray) and whole[1] and isinstance(whole[1][0], Mark):
                whole[1] = [ABSENT] * n
            joined = whole[0][: n // 2] + whole[1][n // 2 :]
            out[name] = np.array(joined) if isinstance(columns.get(name), np.ndarray) else joined
        return out

    return changed


def same(columns: dict[str, Column]) -> dict[str, Column]:
    return columns


def _finite(column: Column) -> Floats:
    values = np.asarray(column, np.float64)
    return values[np.isfinite(values)]


class Life(life.Life):
    """Of three numbers and a category."""

    def __init__(self, model: Model = MODEL, base: Change = same, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        rows = base(self.drawn(40_000))
        axes: list[Axis] = [numeric(n, _finite(rows[n])) for n in NUMBERS]
        plans = {str(v): list(rows["plan"]).count(v) for v in ("free", "pro")}
        grid = Grid([*axes, categorical_axis("plan", plans, 10)])
        super().__init__(self.rng, model, GivenReference("1", reference_of(grid, rows, 300)))

    def drawn(self, n: int) -> dict[str, Column]:
        numbers: dict[str, Column] = {name: self.rng.normal(size=n) for name in NUMBERS}
        return {**numbers, "plan": self.rng.choice(["free", "pro"], n).tolist()}

    def changed(self, change: Change, n: int) -> dict[str, Column]:
        return change(self.drawn(n))

    def go(
        self, minutes: int, change: Change = same, events: int = 60, version: str = "1", **more: Any
    ) -> list[Action]:
        """`more`: another version (v2=(change, events)) beside it."""
        told: list[Action] = []
        parts = {version: (change, events)} | {name.removeprefix("v"): one for name, one in more.items()}
        for _ in range(minutes):
            told += self.turn({v: (n, partial(self.changed, its)) for v, (its, n) in sorted(parts.items())})
        return told

    def shown(self, version: str = "1") -> list[StatisticView]:
        series = {one.version: one for one in self.engine.view().models[0].series}
        return [one for one in series[version].statistics if one.rule == "schema"]


def data(one: Action) -> Any:
    return json.loads(one.body())["data"]


def said(told: list[Action]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Of each: the rule, what happened, and its columns with their change."""
    return [
        (
            one.rule,
            one.type.rpartition(".")[2],
            sorted((s["signal"], s.get("statistic", "")) for s in data(one)["signals"]),
        )
        for one in told
    ]


def test_columns_that_are_gone_are_one_alert_and_no_rule_speaks_of_them():
    life = Life()
    life.go(15)
    told = life.go(30, gone("age", "plan"))
    assert said(told) == [("schema", "firing", [("age", "removed"), ("plan", "removed")])]
    body = data(told[0])
    assert body["severity"] == "critical"
    assert body["missing"] == ["age", "plan"]
    assert body["signals"][0]["moved"] == {"what": "absent_rate", "from": 0, "to": 1}
    assert body["signals"][0]["n"] == 60
    assert [(one.signal, one.statistic, one.state) for one in life.shown()] == [
        ("age", "removed", "firing"),
        ("plan", "removed", "firing"),
    ]
    # The window holds the gap for ten minutes more: nothing is told of that either.
    over = life.go(20)
    assert said(over) == [("schema", "resolved", [("age", "removed"), ("plan", "removed")])]
    assert data(over[0])["reason"] == "returned"
    assert data(over[0])["signals"][0]["alert_id"] == body["signals"][0]["alert_id"]
    assert life.shown() == []


def test_a_change_in_the_middle_of_a_pane_is_the_same_change():
    life = Life()
    life.go(15)
    began = BEGIN + (life.minute + 1) * MINUTE
    told = life.go(1, half(gone("age"))) + life.go(15, gone("age"))
    assert said(told) == [("schema", "firing", [("age", "removed")])]
    assert data(told[0])["onset"] == rfc3339(began)
    assert said(life.go(1, half(gone("age"))) + life.go(20)) == [("schema", "resolved", [("age", "removed")])]


def test_what_is_partly_gone_is_told_by_the_rule_on_gaps_one_pane_later():
    life = Life()
    life.go(15)
    assert said(life.go(1, half(gone("age")))) == []
    assert said(life.go(3, half(gone("age")))) == [("gaps", "firing", [("age", "absent_rate")])]


@pytest.mark.parametrize(("old", "new"), [("age", "age_years"), ("plan", "tariff"), ("income", "x")])
def test_a_column_that_looks_renamed_is_told_as_that(old, new):
    life = Life()
    life.go(5)
    told = life.go(15, renamed(old, new))
    assert said(told) == [("schema", "firing", [(old, "renamed")])]
    assert data(told[0])["signals"][0]["renamed_to"] == new
    assert said(life.go(12)) == [("schema", "resolved", [(old, "renamed")])]


def test_of_several_that_come_and_go_the_likeliest_are_paired_and_types_must_agree():
    life = Life()
    life.go(5)

    def change(columns: dict[str, Column]) -> dict[str, Column]:
        columns = renamed("age", "customer_age")(columns)
        columns = renamed("balance", "balance_eur")(columns)
        return {**gone("plan")(columns), "plan_2": np.ones(len(columns["income"]))}

    told = life.go(3, change)
    assert said(told) == [
        (
            "schema",
            "firing",
            [("age", "renamed"), ("balance", "renamed"), ("plan", "removed"), ("plan_2", "added")],
        )
    ]
    assert {s["signal"]: s.get("renamed_to") for s in data(told[0])["signals"]} == {
        "age": "customer_age",
        "balance": "balance_eur",
        "plan": None,
        "plan_2": None,
    }


def test_of_very_many_names_only_the_words_are_compared(monkeypatch):
    monkeypatch.setattr("driftd.core.schema.MANY", 2)
    life = Life()
    life.go(5)

    def change(columns: dict[str, Column]) -> dict[str, Column]:
        return renamed("balance", "balence")(renamed("age", "customer_age")(columns))

    told = life.go(3, change)
    assert said(told) == [("schema", "firing", [("age", "renamed"), ("balance", "removed"), ("balence", "added")])]


def test_a_number_that_comes_as_text_is_retyped():
    life = Life()
    life.go(15)
    told = life.go(10, as_text("income"))
    assert said(told) == [("schema", "firing", [("income", "retyped")])]
    assert data(told[0])["signals"][0]["moved"] == {"what": "type_error_rate", "from": 0, "to": 1}


def test_a_new_column_is_a_warning_and_settles():
    life = Life(replace(MODEL, schema=Schema(settle_after=HOUR)))
    life.go(5)
    told = life.go(59, with_new("tariff", text=True))
    assert said(told) == [("schema", "firing", [("tariff", "added")])]
    assert data(told[0])["severity"] == "warning"
    told = life.go(5, with_new("tariff", text=True))
    assert said(told) == [("schema", "resolved", [("tariff", "added")])]
    assert data(told[0])["reason"] == "settled"
    assert said(life.go(30, with_new("tariff", text=True))) == []


def test_what_the_first_events_had_is_not_new_and_what_few_have_is_no_column():
    life = Life()
    assert said(life.go(10, with_new("request_id", text=True))) == []
    assert said(life.go(10, with_new("debug", share=0.1))) == []
    assert said(life.go(10, with_new("request_id", text=True))) == []


def test_a_planned_change_is_told_only_if_it_stands_when_its_time_is_over():
    until = BEGIN + 30 * MINUTE
    life = Life(replace(MODEL, schema=Schema(expected_until={"age": until, "tariff": until})))
    life.go(10)
    assert said(life.go(20, renamed("age", "tariff"))) == []
    assert life.shown() == []
    assert said(life.go(3, renamed("age", "tariff"))) == [("schema", "firing", [("age", "renamed")])]


def test_a_planned_new_column_is_one_of_the_others_at_once():
    life = Life(replace(MODEL, schema=Schema(expected_until={"tariff": BEGIN + 30 * MINUTE})))
    life.go(10)
    assert said(life.go(60, with_new("tariff"))) == []
    assert said(life.go(5, with_new("region", text=True))) == [("schema", "firing", [("region", "added")])]
    assert life.again().view() == life.engine.view()


def test_a_column_that_is_gone_and_whose_rest_has_another_type_is_gone():
    def change(columns: dict[str, Column]) -> dict[str, Column]:
        age = np.full(len(columns["age"]), ABSENT)
        age[::20] = BAD
        return {**columns, "age": age}

    life = Life()
    life.go(5)
    assert said(life.go(5, change, events=600)) == [("schema", "firing", [("age", "removed")])]


def test_a_star_expects_any_change_and_other_columns_are_told():
    every = replace(MODEL, schema=Schema(expected_until={"*": BEGIN + HOUR}))
    life = Life(every)
    life.go(5)
    assert said(life.go(20, gone("age"))) == []
    some = Life(replace(MODEL, schema=Schema(expected_until={"age": BEGIN + HOUR})))
    some.go(5)
    assert said(some.go(20, gone("age", "income"))) == [("schema", "firing", [("income", "removed")])]


def test_a_change_that_comes_after_another_is_told_with_what_is_missing_by_now():
    life = Life()
    life.go(5)
    life.go(5, gone("age"))
    told = life.go(5, gone("age", "income"))
    assert said(told) == [("schema", "firing", [("income", "removed")])]
    assert data(told[0])["missing"] == ["age", "income"]


def test_versions_that_show_the_same_change_are_one_alert_that_ends_with_the_last():
    life = Life()
    life.go(10, v2=(same, 40))
    told = life.go(5, gone("age"), v2=(gone("age"), 40))
    assert said(told) == [("schema", "firing", [("age", "removed")])]
    assert (told[0].version, data(told[0])["seen_in"]) == ("1", ["1", "2"])
    assert [one.signal for one in life.shown("2")] == ["age"]
    assert said(life.go(3, v2=(gone("age"), 40))) == []
    assert said(life.go(12, v2=(same, 40))) == [("schema", "resolved", [("age", "removed")])]


def test_what_only_a_version_shows_that_serves_no_more_is_over():
    life = Life()
    life.go(10)
    assert said(life.go(5, v2=(gone("age"), 60))) == [("schema", "firing", [("age", "removed")])]
    told = life.go(15)
    assert said(told) == [("schema", "resolved", [("age", "removed")])]
    assert (told[0].version, data(told[0])["reason"]) == ("2", "replaced")
    assert life.again().view() == life.engine.view()


def test_a_column_that_comes_and_goes_is_one_alert_until_it_stays():
    life = Life()
    life.go(5)
    told = [one for _ in range(10) for one in (*life.go(1, gone("age")), *life.go(1))]
    assert said(told) == [("schema", "firing", [("age", "removed")])]
    assert [one.signal for one in life.shown()] == ["age"]
    assert life.again().view() == life.engine.view()
    assert said(life.go(8)) == []
    assert said(life.go(3)) == [("schema", "resolved", [("age", "removed")])], "a window's time after it was gone last"
    assert said(life.go(5, gone("age"))) == [("schema", "firing", [("age", "removed")])]


def test_of_too_many_strangers_one_that_comes_into_sight_is_not_new():
    """It had come after the first 64 names, of which one goes."""
    names = [f"s{i:03}" for i in range(80)]

    def strangers(*without: str, more: str = "") -> Change:
        def change(columns: dict[str, Column]) -> dict[str, Column]:
            ones = np.ones(len(columns["age"]))
            return {**columns, **{name: ones for name in (*names, more) if name and name not in without}}

        return change

    life = Life()
    life.go(5, strangers())
    assert said(life.go(10, strangers("s003"))) == []
    assert life.again().view() == life.engine.view()
    assert said(life.go(10, strangers("s003", more="s010b"))) == [("schema", "firing", [("s010b", "added")])]


def test_a_state_from_before_strangers_were_counted_takes_none_for_new():
    """A pane that was open then closes without them."""
    life = Life()
    life.go(5)
    core = next(row for key, row in life.rows.items() if key.endswith("core"))
    assert isinstance(core, dict)
    del core["champions"]
    life.rows = {key: row for key, row in life.rows.items() if "\x1fschema\x1f" not in key}
    life.engine = life.again()
    assert life.engine.view().models[0].series, "it goes on"
    assert said(life.go(10, with_new("request_id"))) == []
    assert said(life.go(10, lambda columns: with_new("tariff")(with_new("request_id")(columns)))) == [
        ("schema", "firing", [("tariff", "added")])
    ]


def test_few_events_a_pane_are_added_up():
    life = Life()
    life.go(30, events=4)
    told = life.go(12, gone("age"), events=4)
    assert said(told) == [("schema", "firing", [("age", "removed")])], "gaps say nothing beside it"


def test_what_the_first_events_had_is_learned_from_enough_of_them():
    life = Life()
    life.go(2, with_new("request_id"), events=4)
    assert said(life.go(10, with_new("request_id"))) == []


def test_what_the_reference_lacked_too_is_no_change():
    def sparse(columns: dict[str, Column]) -> dict[str, Column]:
        age = np.asarray(columns["age"], np.float64).copy()
        age[::10] = ABSENT
        return {**columns, "age": age}

    life = Life(base=sparse)
    life.go(15, sparse)
    assert "schema" not in {one[0] for one in said(life.go(10, gone("age")))}


def test_without_a_schema_rule_gaps_tell_it_each():
    life = Life(replace(MODEL, schema=None))
    life.go(15)
    assert said(life.go(5, gone("age", "plan"))) == [
        ("gaps", "firing", [("age", "absent_rate"), ("plan", "absent_rate")])
    ]


def test_at_every_minute_an_engine_that_is_put_back_says_the_same():
    life = Life(replace(MODEL, versions=Versions(expire_after=40 * MINUTE)))
    story: tuple[tuple[int, Change, int], ...] = (
        (8, same, 60),
        (1, half(gone("age")), 60),
        (4, gone("age"), 60),
        (4, same, 7),
        (8, with_new("tariff"), 7),
        (6, renamed("plan", "plan_code"), 60),
    )
    for minutes, change, events in story:
        for _ in range(minutes):
            before = dict(life.rows)
            life.go(1, change, events, v2=(same, 30 if life.minute < 12 else 0))
            assert life.again().view() == life.engine.view()
            assert set(before) <= set(life.rows)
    assert {change for _, _, columns in said(life.told) for _, change in columns} >= {"removed", "added", "renamed"}


def test_settings_that_take_the_rule_away_end_what_it_told():
    life = Life()
    life.go(5)
    life.go(5, gone("age"))
    engine = life.again(replace(MODEL, schema=None))
    life.engine = engine
    told = life.go(2, gone("age"))
    ended = [one for one in told if one.rule == "schema"]
    assert [(one[1], one[2]) for one in said(ended)] == [("resolved", [("age", "removed")])]
    assert data(ended[0])["reason"] == "rule removed"


def test_strangers_are_counted_the_same_in_any_grouping():
    life = Life()
    grid = life.given["m"][""].reference.grid
    rows = {**life.drawn(90), **{f"s{i:03}": [1.0] * 30 + ["x"] * 30 + [Mark.ABSENT] * 30 for i in range(100)}}
    whole = pane_of(grid, rows)
    assert len(whole.strangers) == 64
    assert set(whole.strangers.values()) == {(30, 30)}
    pieces = [pane_of(grid, {name: column[a : a + 18] for name, column in rows.items()}) for a in range(0, 90, 18)]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3]):
        total = Pane.empty(grid)
        for i in order:
            total.add(Pane.unpack(pieces[i].pack()))
        assert total.pack() == whole.pack()


def test_rows_that_are_taken_keep_their_strangers():
    columns = Columns(
        "m", "1", "prediction", np.arange(10), np.arange(10), {"age": np.zeros(10)}, None, {"s": ([1, 5], [2, 9])}
    )
    taken = columns.take(np.array([1, 2, 4, 9]))
    assert taken.strangers == {"s": ([0], [1, 3])}
