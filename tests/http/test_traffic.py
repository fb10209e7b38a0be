"""What is overdue, and the smallest shift that is found, as the API and the status page say them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from driftd.core.view import ArrivalView, ModelView, SmallestShift, View
from driftd.http import shifts
from driftd.http.shifts import hardest, of_models, words
from tests.http.conftest import Edge
from tests.http.example import END, MODEL, SERIES, UNJUDGED

Serve = Callable[..., Edge]
OVERDUE = ArrivalView("prediction", END - 7_200_000, END - 3_600_000, overdue=True)
QUIET = dataclasses.replace(MODEL, series=(dataclasses.replace(SERIES, statistics=(), detectors=()),))


def of(model: ModelView, serve: Serve) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(serve(View((model,))).get("/api/v1/models/churn").content)
    return document


@pytest.mark.parametrize(
    ("model", "state"),
    [
        (dataclasses.replace(QUIET, arrivals=(OVERDUE,)), "overdue"),
        (dataclasses.replace(MODEL, arrivals=(OVERDUE,)), "firing"),
        (dataclasses.replace(QUIET, arrivals=(dataclasses.replace(OVERDUE, overdue=False),)), "unknown"),
    ],
)
def test_a_model_whose_events_do_not_come_is_overdue_unless_it_fires(
    model: ModelView, state: str, serve: Serve
) -> None:
    document = of(model, serve)
    assert document["state"] == state
    (arrival,) = document["arrivals"]
    assert (arrival["newest"], arrival["due"]) == ("2026-11-23T08:00:00Z", "2026-11-23T09:00:00Z")
    page = serve(View((model,))).get("/").text
    assert f'<span class="state {state}">{state}' in page


def test_metrics_say_it_and_nothing_of_what_is_never_expected(serve: Serve) -> None:
    never = ArrivalView("label", END, None, overdue=False)
    text = serve(View((dataclasses.replace(QUIET, arrivals=(OVERDUE, never)),))).get("/metrics").text
    told = [line for line in text.splitlines() if line.startswith(("driftd_overdue", "driftd_due"))]
    assert told == [
        'driftd_overdue{model="churn",kind="prediction"} 1',
        f'driftd_due_timestamp_seconds{{model="churn",kind="prediction"}} {(END - 3_600_000) / 1000}',
    ]


def test_the_smallest_shift_is_said_in_the_series_and_on_the_page(serve: Serve) -> None:
    judged, young = of(MODEL, serve)["series"]
    assert [(one["signal"], one["unit"], one["shift"]) for one in judged["smallest_shifts"]] == [
        ("age", "deviations", 0.31),
        ("plan", "category_share", None),
    ]
    assert young["smallest_shifts"] == []
    assert "0.31 sd (age)" in serve(View((MODEL,))).get("/").text
    unjudged = dataclasses.replace(MODEL, series=(UNJUDGED,))
    assert "not told yet" in serve(View((unjudged,))).get("/").text


def shift(signal: str, unit: Any, value: float | None) -> SmallestShift:
    return SmallestShift(signal, "drift", "psi", 1_000, unit, value, 0.1, 0.25)


def test_the_hardest_is_a_number_that_nothing_is_found_of_or_only_the_largest() -> None:
    a, b, c = shift("a", "deviations", 0.2), shift("b", "deviations", 0.4), shift("c", "category_share", 0.9)
    assert hardest([a, b, c]) == b
    assert hardest([a, shift("d", "deviations", None), b]) == shift("d", "deviations", None)
    assert hardest([c]) == c
    assert hardest([]) is None
    assert [words(one) for one in (a, c, shift("r", "rate", 0.0379), shift("n", "rate", None))] == [
        "0.2 sd", "90 % of its most frequent value", "3.8 points", "none is found",
    ]  # fmt: skip


def test_a_page_does_not_wait_for_what_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shifts, "BUDGET_S", -1.0)
    models = [dataclasses.replace(MODEL, model=f"m{i}") for i in range(3)]
    assert of_models(models) == {"m0": "0.31 sd (age)"}, "one is told at least"
