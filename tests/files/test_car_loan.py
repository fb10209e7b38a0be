"""Real data: the reference half of NannyML's car loan set, 50,000 rows in the order of their time."""

import numpy as np
import pytest

from driftd.core.distance import power_of_two
from driftd.core.grid import Numeric
from driftd.files.build import BuildOptions, Built, build
from driftd.files.events import EventOptions, open_events


@pytest.fixture(scope="module")
def made(shared_data) -> Built:
    folder = shared_data / "nannyml_car_loan"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    options = BuildOptions("car_loan", "1", time="timestamp", prediction="y_pred_proba", ignore=("id",))
    return build([folder / "synthetic_car_loan_reference.parquet"], options)


def test_what_it_is(made):
    assert made.notes == []
    assert made.reference.events == 50_000
    assert len(made.parts) == 512
    assert {axis.name for axis in made.reference.grid.axes if not isinstance(axis, Numeric)} == {
        "repaid_loan_on_prev_car",
        "salary_range",
        "size_of_downpayment",
    }
    assert "prediction" in made.reference.grid.names


def test_bins_hold_about_the_same(made):
    grid = made.reference.grid
    for name in ("car_value", "debt_to_income_ratio", "driver_tenure"):
        i = grid.index[name]
        counts = made.reference.counts[grid.first[i] : grid.first[i] + grid.cells[i]]
        assert counts[0] == counts[-1] == 0
        assert len(counts) == 62
        # All 50,000 values are in the sample: bins differ by ties at their edges alone.
        assert abs(counts[1:-1] / (50_000 / 60) - 1).max() < 0.02


@pytest.mark.parametrize("n", [100, 1_000, 2_500])
def test_its_replay_is_that_of_independent_data(made, n):
    """Rows do not depend on their neighbours: the mean M of the replayed statistic is about B - 1."""
    reference = made.reference
    replay, _ = reference.replay(np.full(len(reference.grid), float(n)))
    assert replay is not None
    df = reference.groups(int(power_of_two(np.array([n]))[0]))[0].sizes - 1
    factor = replay.mean / df
    # Of K windows the mean has a standard error of sqrt(2 / (K df)).
    error = np.sqrt(2 / (replay.windows * df))
    assert (abs(factor - 1) < 4 * error + 0.05).all(), dict(zip(reference.grid.names, factor, strict=True))


def test_its_rows_as_events(made, shared_data):
    path = shared_data / "nannyml_car_loan" / "synthetic_car_loan_analysis.parquet"
    options = EventOptions("car_loan", "1", prediction="y_pred_proba", ignore=("id", "y_pred"))
    events = list(open_events(path, options))
    assert [offset for offset, _ in events] == list(range(50_000))
    assert events[0][1].startswith(
        b'{"kind":"prediction","model":"car_loan","version":"1","id":"0","time":1540922400000,'
    )
