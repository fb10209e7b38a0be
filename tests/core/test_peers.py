"""What others compute of the same data: each case's own definition first, then how ours differs from it.

The cases are read where they lie, nothing of them is here but their names. PSI's are in test_distance.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from pyarrow import parquet
from scipy import stats
from scipy.spatial.distance import jensenshannon

from driftd.core import null
from driftd.core.distance import Floats, Grouping, grouping, power_of_two
from driftd.core.divergence import (
    chi_square,
    hellinger,
    jensen_shannon_distance,
    jensen_shannon_divergence,
    kullback_leibler,
    l_infinity,
    total_variation,
)
from driftd.core.grid import Grid, Numeric
from driftd.core.ordered import kolmogorov_smirnov
from tests.core.sides import Sides
from tests.core.streams import numeric, pane_of

Distance = Callable[[Grouping, Floats, Floats], Floats]
Values = NDArray[Any]

NOT_OURS = {
    "popmon.ks_prob.0.1": "Kolmogorov's law, not a distance",
    "scipy.ks_2samp.500v600.asymp": "one-sided",
    "datasketches.ks_test.sketch": "a yes or no of two sketches, whose own error is larger than the shift",
}
"""Cases of the categories below that are of something else."""
CATEGORIES = {
    *("hellinger", "hellingerdistance", "jensen_shannon", "jensenshannon", "js", "kl_div", "ks", "kolmogorov_smirnov"),
    *("wasserstein", "chi2", "chisquare", "tvd", "linf", "l_infinity"),
}
BITS = math.sqrt(math.log(2))
"""A Jensen-Shannon distance in bits, times this, is one in nats."""


# -- the cases and their data ----------------------------------------------------------------------------------------


class Cases(dict[str, dict[str, Any]]):
    """By id; remembers which were looked up."""

    def __init__(self, cases: list[dict[str, Any]]) -> None:
        super().__init__((case["id"], case) for case in cases)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> dict[str, Any]:
        self.used.add(name)
        return super().__getitem__(name)


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> Cases:
    return Cases(json.loads((shared_data / "reference_values.json").read_text()))


@pytest.fixture(scope="module")
def arrays(shared_data: Path) -> dict[str, Values]:
    found = json.loads((shared_data / "reference_arrays.json").read_text())
    return {name: np.array(values) for name, values in found.items()}


class Pair(NamedTuple):
    current: Values
    reference: Values

    @property
    def numbers(self) -> "Pair":
        return Pair(self.current.astype(float), self.reference.astype(float))

    @property
    def counts(self) -> tuple[Floats, Floats]:
        """Of each distinct value, nulls left out."""
        sides = [np.array([v for v in side.tolist() if v is not None], dtype=object) for side in self]
        values = sorted({*sides[0].tolist(), *sides[1].tolist()})
        place = {value: i for i, value in enumerate(values)}
        now, then = (np.bincount([place[v] for v in side], minlength=len(values)).astype(float) for side in sides)
        return now, then

    def histograms(self, edges: Floats) -> tuple[Floats, Floats]:
        """Shares in these bins; what lies outside of them is a bin more."""
        now, then = (np.histogram(side, edges)[0] / len(side) for side in self)
        rest = 1 - now.sum()
        return (np.append(now, rest), np.append(then, 0)) if rest > 1e-12 else (now, then)


def column(path: Path, name: str) -> Values:
    return np.array(parquet.read_table(path, columns=[name])[name].to_pylist(), dtype=object)


def loans(shared_data: Path, name: str) -> list[Pair]:
    """Each 5,000 rows of the analysis, beside the whole reference."""
    folder = shared_data / "nannyml_car_loan"
    reference = column(folder / "synthetic_car_loan_reference.parquet", name)
    rows = column(folder / "synthetic_car_loan_analysis.parquet", name)
    return [Pair(rows[i : i + 5_000], reference) for i in range(0, len(rows), 5_000)]


def evidentlys(shared_data: Path, data: str, name: str) -> Pair:
    if data == "car_loan":
        return loans(shared_data, name)[-1]
    if data == "elec2":
        rows = column(shared_data / "elec2" / "electricity-normalized.parquet", name)
        return Pair(rows[22_656:], rows[:22_656])
    path = shared_data / "adult" / "adults.parquet"
    chosen = np.isin(column(path, "education").astype(str), ["Some-college", "HS-grad", "Bachelors"])
    rows = column(path, name)
    return Pair(rows[chosen], rows[~chosen])


def of(distance: Distance, current: Any, reference: Any) -> float:
    """Ours of counts, each a group."""
    each = np.arange(len(current), dtype=np.int64)
    groups = Grouping(each, each, np.array([0, len(each)], np.int64), np.array([False]))
    return float(distance(groups, np.array(current, float), np.array(reference, float))[0])


class Grouped(NamedTuple):
    value: float
    null: float


def on_our_groups(distance: Distance, pair: Pair) -> Grouped:
    """Ours of numbers, by a grid of the reference and its groups."""
    current, reference = pair.numbers
    grid = Grid([numeric("x", reference)])
    now, then = (pane_of(grid, {"x": rows}).counts for rows in (current, reference))
    groups = grouping(grid, then, int(power_of_two(np.array([len(current)]))[0]))
    sizes = np.array([float(len(current))]), np.array([float(len(reference))])
    value = float(distance(groups, groups.sums(now), groups.sums(then))[0])
    return Grouped(value, float(null.jensen_shannon_distance(groups, *sizes)[0]))


def atoms(*sides: Values) -> Numeric:
    """An axis with a bin for each distinct value alone, so that nothing is lost."""
    values = np.unique(np.concatenate(sides).astype(float))
    bounds = np.unique(np.concatenate((np.nextafter(values, -np.inf), values)))
    return Numeric("x", bounds, 0.0, 1.0)


def plain_hellinger(p: Floats, q: Floats) -> float:
    return float(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2))


# -- categories: ours is theirs --------------------------------------------------------------------------------------

COUNTS = "ref_counts_of_1..6", "cur_counts_of_1..6"


def test_hellinger_of_counts_is_evidentlys(cases) -> None:
    case = cases["evidently.hellinger.cat.counts"]
    reference, current = (case["inputs"][side] for side in COUNTS)
    assert of(hellinger, current, reference) == pytest.approx(case["observed"][0], rel=1e-9)


def test_hellinger_of_one_value_each_is_whylogs(cases) -> None:
    case = cases["whylogs.hellinger.single.0"]
    pair = Pair(np.array(case["inputs"]["target"]), np.array(case["inputs"]["reference"]))
    assert of(hellinger, *pair.counts) == pytest.approx(case["expected"])


@pytest.mark.parametrize("name", ["salary_range", "size_of_downpayment", "y_pred"])
def test_hellinger_of_categories_is_nannymls(cases, shared_data, name) -> None:
    found = [of(hellinger, *pair.counts) for pair in loans(shared_data, name)]
    assert found == pytest.approx(cases[f"nannyml.peer.car_loan.{name}.hellinger"]["expected"], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["salary_range", "repaid_loan_on_prev_car"])
def test_l_infinity_is_nannymls(cases, shared_data, name) -> None:
    found = [of(l_infinity, *pair.counts) for pair in loans(shared_data, name)]
    assert found == pytest.approx(cases[f"nannyml.peer.car_loan.{name}.l_infinity"]["expected"], rel=1e-6)


def test_l_infinity_of_the_same_is_nannymls_0(cases) -> None:
    case = cases["nannyml.linf.no_change"]
    pair = Pair(np.array(case["inputs"]["cur"]), np.array(case["inputs"]["ref"]))
    assert of(l_infinity, *pair.counts) == case["expected"] == 0


@pytest.mark.parametrize("name", ["loan_length", "repaid_loan_on_prev_car", "y_pred"])
def test_jensen_shannon_of_few_values_is_nannymls_in_nats(cases, shared_data, name) -> None:
    """Theirs is in bits."""
    found = [of(jensen_shannon_distance, *pair.counts) for pair in loans(shared_data, name)]
    theirs = np.array(cases[f"nannyml.peer.car_loan.{name}.jensen_shannon"]["expected"])
    assert found == pytest.approx(theirs * BITS, rel=1e-6)


def test_jensen_shannon_of_categories_is_evidentlys(cases, shared_data) -> None:
    pair = evidentlys(shared_data, "car_loan", "salary_range")
    theirs = cases["evidently.peer.jensenshannon.car_loan.salary_range.last5000"]["expected"][0]
    assert of(jensen_shannon_distance, *pair.counts) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("name", ["scipy.jensenshannon.half", "scipy.jensenshannon.same"])
def test_jensen_shannon_distance_is_scipys(cases, name) -> None:
    sides = cases[name]["inputs"]
    current, reference = (np.array(sides[side]) * 2 for side in ("p", "q"))
    assert of(jensen_shannon_distance, current, reference) == pytest.approx(cases[name]["expected"], rel=1e-9)


def test_jensen_shannon_of_many_signals_at_once_is_scipys_along_an_axis(cases) -> None:
    case = cases["scipy.jensenshannon.axis0"]
    a, b = (np.array(case["inputs"][side], float) for side in ("a", "b"))
    groups = Grouping(np.arange(12), np.arange(12), np.arange(0, 13, 3), np.zeros(4, np.bool_))
    found = jensen_shannon_distance(groups, a.T.ravel(), b.T.ravel())
    assert found.tolist() == pytest.approx(case["expected"], abs=case["tolerance"]["abs"])


def test_jensen_shannon_divergence_is_popmons(cases) -> None:
    """What popmon calls so is the divergence in nats, no distance; it adds 1e-5 to each share, ours nothing."""
    case = cases["popmon.peer.jsd"]
    p, q = (np.array(case["inputs"][side]) for side in ("p", "q"))
    a, b, r = p + 1e-5, q + 1e-5, (p + q) / 2 + 1e-5
    assert float((a * np.log(a / r) + b * np.log(b / r)).sum() / 2) == pytest.approx(case["expected"], rel=1e-9)
    assert of(jensen_shannon_divergence, p * 100, q * 100) == pytest.approx(case["expected"], rel=1e-4)


def test_kullback_leibler_of_shares_is_popmons(cases) -> None:
    """Theirs adds 1e-5 to each share, ours 0.5 to each count: of many values it is the same."""
    case = cases["popmon.kl.pq"]
    p, q = (np.array(case["inputs"][side]) for side in ("p", "q"))
    assert float(((p + 1e-5) * np.log((p + 1e-5) / (q + 1e-5))).sum()) == pytest.approx(case["observed"], rel=1e-9)
    assert of(kullback_leibler, p * 1e8, q * 1e8) == pytest.approx(case["expected"], abs=1e-4)


def test_chi_square_of_two_samples_is_scipys_and_frouros(cases) -> None:
    case = cases["scipy.chi2_contingency.doc"]
    assert of(chi_square, *case["inputs"]["observed"]) == pytest.approx(case["expected"]["statistic"], rel=1e-9)
    case = cases["frouros.chi2"]
    pair = Pair(*(np.array(case["inputs"][side]) for side in ("cur", "ref")))
    assert of(chi_square, *pair.counts) == pytest.approx(case["expected"]["statistic"], rel=1e-5)


def test_chi_square_of_categories_is_nannymls(cases, shared_data) -> None:
    pairs = loans(shared_data, "size_of_downpayment")
    theirs = cases["nannyml.peer.car_loan.size_of_downpayment.chi2"]["expected"]
    assert [of(chi_square, *pair.counts) for pair in pairs] == pytest.approx(theirs, rel=1e-6)


# -- categories: what differs ----------------------------------------------------------------------------------------


def test_chi_square_of_two_categories_is_nannymls_but_for_yates(cases, shared_data) -> None:
    """Theirs corrects two by two tables for continuity, which makes it smaller; ours never."""
    theirs = cases["nannyml.peer.car_loan.y_pred.chi2"]["expected"]
    tables = [np.array(pair.counts) for pair in loans(shared_data, "y_pred")]
    assert [stats.chi2_contingency(table).statistic for table in tables] == pytest.approx(theirs, rel=1e-6)
    for table, corrected in zip(tables, theirs, strict=True):
        assert corrected < of(chi_square, *table) < corrected + 0.3


@pytest.mark.parametrize("name", ["counts", "counts_doubled_ref", "same_tiny"])
def test_evidentlys_chi_square_takes_the_reference_for_the_truth(cases, name) -> None:
    """Its score is a p-value, and does not change when the reference is twice as large; ours nears its statistic."""
    case = cases[f"evidently.chi2.{name}"]
    if COUNTS[0] in case["inputs"]:
        reference, current = (np.array(case["inputs"][side], float) for side in COUNTS)
    else:
        current, reference = Pair(*(np.array(case["inputs"][side]) for side in ("cur", "ref"))).counts
    n, m = current.sum(), reference.sum()
    theirs = stats.chisquare(current, reference * n / m)
    score = case["observed"][0] if isinstance(case["observed"], list) else case["expected"][0]
    assert float(theirs.pvalue) == pytest.approx(score, rel=1e-9)
    if name == "same_tiny":
        assert of(chi_square, current, reference) == 0
        return
    found = [of(chi_square, current, reference * times) for times in (1, 2, 1_000_000)]
    assert found == sorted(found)
    assert found[0] < theirs.statistic
    assert found[2] == pytest.approx(theirs.statistic, rel=1e-4)


def test_evidentlys_chi_square_of_the_car_loans(cases, shared_data) -> None:
    current, reference = evidentlys(shared_data, "car_loan", "salary_range").counts
    theirs = stats.chisquare(current, reference / reference.sum() * current.sum())
    score = cases["evidently.peer.chisquare.car_loan.salary_range.last5000"]["expected"][0]
    assert float(theirs.pvalue) == pytest.approx(score, rel=1e-6)
    # The reference is ten times as large, so a tenth of the spread is its own.
    assert of(chi_square, current, reference) == pytest.approx(theirs.statistic, rel=0.15)


def test_chi_square_of_one_sample_is_that_of_a_reference_without_end(cases) -> None:
    case = cases["scipy.chisquare.doc.uniform"]
    found = of(chi_square, case["inputs"]["f_obs"], [10**9] * 6)
    assert found == pytest.approx(case["expected"]["statistic"], rel=1e-6)


def test_alibis_chi_square_drift(cases) -> None:
    """A test of each feature at 0.05 / 6; its statistic is ours."""
    case = cases["alibi.ChiSquareDrift"]
    limit = case["expected"]["threshold"]
    reference = [20] * 5 + [0]
    for key, current in ("same", [20] * 5 + [0]), ("new_categories", [0] + [20] * 5):
        p = stats.chi2.sf(of(chi_square, current, reference), 4 if key == "same" else 5)
        assert (p < limit) == bool(case["expected"][key])


@pytest.mark.parametrize(
    "name", ["tvd_permutation.1", "tvd_permutation.2", "tvd_permutation.3", "tvd_permutation_test.0"]
)
def test_evidentlys_total_variation_is_a_p_value_by_permutation(cases, name) -> None:
    """Of 100 or so permutations of ours the p-value is theirs, as near as chance of so few allows."""
    case = cases[f"evidently.{name}"]
    reference, current = (np.array(case["inputs"][side]) for side in COUNTS)
    theirs = case["expected"] if name.endswith("test.0") else case["expected"][0]
    rng = np.random.default_rng(0)
    drawn = rng.multivariate_hypergeometric(current + reference, int(current.sum()), 2_000)
    least = case["inputs"].get("observed", of(total_variation, current, reference))
    found = [of(total_variation, now, current + reference - now) for now in drawn]
    p = float(np.mean(np.array(found) >= least - 1e-12))
    assert p == pytest.approx(theirs, abs=4 * math.sqrt(max(p * (1 - p), 0.01) / 100))


@pytest.mark.parametrize(("data", "name"), [("adult", "workclass"), ("adult", "class"), ("car_loan", "salary_range")])
def test_kullback_leibler_of_categories_is_evidentlys_but_for_zeros(cases, shared_data, data, name) -> None:
    """Theirs gives 0.0001 to a share of 0 and takes KL(reference || current); ours adds 0.5 to each count."""
    now, then = evidentlys(shared_data, data, name).counts
    last = ".last5000" if data == "car_loan" else ""
    theirs = cases[f"evidently.peer.kl_div.{data}.{name}{last}"]["expected"][0]
    p, q = (np.where(side == 0, 1e-4, side / side.sum()) for side in (now, then))
    assert float(stats.entropy(q, p)) == pytest.approx(theirs, rel=1e-3)
    assert of(kullback_leibler, then, now) == pytest.approx(theirs, rel=0.1)


def test_hellinger_of_two_classes_is_evidentlys(cases, shared_data) -> None:
    pair = evidentlys(shared_data, "adult", "class")
    theirs = cases["evidently.peer.hellinger.adult.class"]["expected"][0]
    assert of(hellinger, *pair.counts) == pytest.approx(theirs, rel=1e-6)


# -- numbers: bins of their own --------------------------------------------------------------------------------------


def sturges(pair: Pair, *, distinct: bool = False) -> Floats:
    """Evidently's edges: of equal width over both sides; for Hellinger by the number of distinct values."""
    both = np.concatenate(pair)
    return np.histogram_bin_edges(np.unique(both) if distinct else both, "sturges")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("car_loan", "car_value"),
        ("car_loan", "debt_to_income_ratio"),
        ("car_loan", "y_pred_proba"),
        ("adult", "age"),
        ("adult", "hours-per-week"),
    ],
)
def test_evidentlys_hellinger_of_numbers(cases, shared_data, data, name) -> None:
    last = ".last5000" if data == "car_loan" else ""
    theirs = cases[f"evidently.peer.hellinger.{data}.{name}{last}"]["expected"][0]
    pair = evidentlys(shared_data, data, name).numbers
    bins = pair.histograms(sturges(pair, distinct=True))
    assert plain_hellinger(*bins) == pytest.approx(theirs, rel=1e-6)
    assert on_our_groups(hellinger, pair).value == pytest.approx(theirs, rel=0.4)


@pytest.mark.parametrize(
    ("data", "name"), [("car_loan", "debt_to_income_ratio"), ("adult", "age"), ("adult", "hours-per-week")]
)
def test_evidentlys_jensen_shannon_of_numbers(cases, shared_data, data, name) -> None:
    last = ".last5000" if data == "car_loan" else ""
    theirs = cases[f"evidently.peer.jensenshannon.{data}.{name}{last}"]["expected"][0]
    pair = evidentlys(shared_data, data, name).numbers
    assert jensenshannon(*pair.histograms(sturges(pair))) == pytest.approx(theirs, rel=1e-6)
    assert on_our_groups(jensen_shannon_distance, pair).value == pytest.approx(theirs, rel=0.5)


@pytest.mark.parametrize(
    ("data", "name"), [("elec2", "nswdemand"), ("car_loan", "car_value"), ("adult", "hours-per-week")]
)
def test_evidentlys_kullback_leibler_of_numbers(cases, shared_data, data, name) -> None:
    """KL(reference || current) on their bins, shares of 0 filled up."""
    last = ".last5000" if data == "car_loan" else ""
    theirs = cases[f"evidently.peer.kl_div.{data}.{name}{last}"]["expected"][0]
    pair = evidentlys(shared_data, data, name).numbers
    now, then = pair.histograms(sturges(pair))
    least = [side[side > 0].min() for side in (now, then)]
    p, q = (np.where(s == 0, 1e-4 if m > 1e-4 else m / 1e6, s) for s, m in zip((now, then), least, strict=True))
    assert float(stats.entropy(q, p)) == pytest.approx(theirs, rel=1e-6)
    # Ours is of ten groups, the other way round and never of a filled-up share: the same side of their 0.1.
    assert (on_our_groups(kullback_leibler, pair).value > 0.1) == (theirs > 0.1)


NANNYML_DRIFTS = {"car_value", "loan_length", "y_pred_proba"}
"""From the sixth 5,000 rows on."""


@pytest.mark.parametrize(
    ("statistic", "name"),
    [
        ("hellinger", "car_value"),
        ("hellinger", "debt_to_income_ratio"),
        ("jensen_shannon", "debt_to_income_ratio"),
        ("jensen_shannon", "y_pred_proba"),
    ],
)
def test_nannymls_distances_of_numbers(cases, shared_data, statistic, name) -> None:
    """Bins of equal width by Doane's rule on the reference, and one for all beyond; Jensen-Shannon in bits."""
    theirs = cases[f"nannyml.peer.car_loan.{name}.{statistic}"]["expected"]
    pairs = [pair.numbers for pair in loans(shared_data, name)]
    edges = np.histogram_bin_edges(pairs[0].reference, "doane")
    bins = [pair.histograms(edges) for pair in pairs]
    if statistic == "hellinger":
        again, ours, unit = [plain_hellinger(*b) for b in bins], hellinger, 1.0
    else:
        again, ours, unit = [float(jensenshannon(*b, base=2)) for b in bins], jensen_shannon_distance, BITS
    assert again == pytest.approx(theirs, rel=1e-6)
    found = [on_our_groups(ours, pair) for pair in pairs]
    for i, (mine, value) in enumerate(zip(found, theirs, strict=True)):
        if name in NANNYML_DRIFTS and i >= 5:
            assert mine.value == pytest.approx(value * unit, rel=0.4)
        else:  # nothing moved: what is left of ours, less its mean without drift, is little
            assert mine.value - mine.null < 0.012


@pytest.mark.parametrize(("name", "moved"), [("no_overlap", 7), ("shift_-2", -2)])
def test_nannymls_hellinger_of_normals(cases, name, moved) -> None:
    case = cases[f"nannyml.hellinger.{name}"]
    state = np.random.RandomState(1)
    reference, current = state.normal(0, 1, 10_000), state.normal(moved, 1, 10_000)
    pair = Pair(current, reference)
    bins = pair.histograms(np.histogram_bin_edges(reference, "doane"))
    assert plain_hellinger(*bins) == pytest.approx(case["observed"], rel=1e-6)
    # sqrt(1 - exp(-moved^2 / 8)) is the truth. Ten groups lose of it what lies in one: where all has moved into the last,
    # that tenth of the reference is no longer told apart.
    truth = math.sqrt(1 - math.exp(-(moved**2) / 8))
    mine = on_our_groups(hellinger, pair).value
    if moved == 7:
        assert mine == pytest.approx(math.sqrt(1 - math.sqrt(0.1)), abs=0.01)
    else:
        assert truth - 0.05 < mine < truth


@pytest.mark.parametrize("name", ["same", "different"])
def test_frouros_hellinger(cases, arrays, name) -> None:
    """Ten bins of equal width over both sides."""
    case = cases[f"frouros.HellingerDistance.{name}"]
    pair = Pair(*(arrays[case["inputs"][side]["$array"]] for side in ("cur", "ref")))
    bins = pair.histograms(np.linspace(np.concatenate(pair).min(), np.concatenate(pair).max(), 11))
    assert plain_hellinger(*bins) == pytest.approx(case["expected"], rel=1e-5)
    mine = on_our_groups(hellinger, pair)
    assert (mine.value - mine.null > 0.1) == (name == "different")


def test_hellinger_of_the_same_numbers_and_a_null_is_evidentlys_0(cases) -> None:
    case = cases["evidently.hellinger.num.same"]
    rows = np.array([math.nan if v == "NaN" else v for v in case["inputs"]["ref"]])
    assert on_our_groups(hellinger, Pair(rows, rows)).value == case["expected"][0] == 0


# -- Kolmogorov-Smirnov ----------------------------------------------------------------------------------------------


def scipys(name: str) -> tuple[Floats, Floats]:
    if name == "100v100.+2.1":
        return np.linspace(1, 100, 100), np.linspace(1, 100, 100) + 2.1
    if name == "100v110.b":
        return np.linspace(1, 100, 100), np.linspace(1, 100, 110) + 20 - 0.1
    if name == "10000v11000.asymp":
        return np.linspace(1, 200, 10_000) - 1 / 10_000 / 11_000 / 4, np.linspace(2, 200, 11_000)
    state = np.random.RandomState(123456)
    return state.normal(size=3_000), state.normal(size=3_001, scale=1.5)


@pytest.mark.parametrize(
    "name", ["2v4.plus", "ties.2356_3467", "100v100.+2.1", "100v110.b", "10000v11000.asymp", "gh11184.3000v3001"]
)
def test_scipys_ks_with_each_value_in_a_cell_of_its_own_is_ours(cases, name) -> None:
    case = cases[f"scipy.ks_2samp.{name}"]
    x, y = (np.array(case["inputs"][s]) for s in ("x", "y")) if "x" in case["inputs"] else scipys(name)
    exact = Sides(x, y, axis=atoms(x, y))
    assert exact.ks() == pytest.approx(case["expected"]["statistic"], rel=1e-9)
    # On the grid that a reference makes it is less, by at most what lies in one cell.
    sides = Sides(x, y)
    p, q = sides.shares
    assert 0 <= exact.ks() - sides.ks() + 1e-12 <= float(np.maximum(p, q).max()) + 1e-9


@pytest.mark.parametrize(
    ("data", "name"),
    [("elec2", "nswdemand"), ("car_loan", "debt_to_income_ratio"), ("adult", "age"), ("adult", "hours-per-week")],
)
def test_evidentlys_ks_is_the_p_value_of_the_raw_samples(cases, shared_data, data, name) -> None:
    last = ".last5000" if data == "car_loan" else ""
    theirs = cases[f"evidently.peer.ks.{data}.{name}{last}"]["expected"][0]
    pair = evidentlys(shared_data, data, name).numbers
    exact = stats.ks_2samp(pair.reference, pair.current)
    assert float(exact.pvalue) == pytest.approx(theirs, rel=1e-6)
    assert Sides(*pair).ks() == pytest.approx(float(exact.statistic), abs=0.006)


@pytest.mark.parametrize("name", ["car_value", "debt_to_income_ratio", "loan_length", "y_pred_proba"])
def test_nannymls_ks_is_the_statistic(cases, shared_data, name) -> None:
    """Theirs estimates it from the reference's quantiles where the reference is large, ours from 60 bins."""
    theirs = cases[f"nannyml.peer.car_loan.{name}.kolmogorov_smirnov"]["expected"]
    pairs = [pair.numbers for pair in loans(shared_data, name)]
    exact = [float(stats.ks_2samp(*pair).statistic) for pair in pairs]
    assert exact == pytest.approx(theirs, rel=0.03)
    assert [Sides(*pair).ks() for pair in pairs] == pytest.approx(exact, abs=0.01)


def test_frouros_ks_of_the_last_ten(cases, arrays) -> None:
    case = cases["frouros.IncrementalKS.same"]
    reference, stream = (arrays[case["inputs"][side]["$array"]] for side in ("ref", "stream"))
    sides = Sides(stream[-10:], reference, axis=atoms(stream[-10:], reference))
    assert sides.ks() == pytest.approx(case["expected"]["statistic"])
    far = np.concatenate((reference, reference.max() + 1 + np.arange(10.0)))
    assert Sides(far[-10:], reference).ks() == cases["frouros.IncrementalKS.different"]["expected"]["statistic"] == 1


def test_ks_of_many_windows_is_as_of_each(shared_data) -> None:
    """What the car loans' ten windows are one by one they are at once."""
    sides = [Sides(*pair.numbers) for pair in loans(shared_data, "car_value")]
    at_once = kolmogorov_smirnov(sides[0].cells, np.stack([s.a for s in sides]), sides[0].b)
    assert at_once[:, 0].tolist() == [s.ks() for s in sides]


# -- Wasserstein -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["simple2", "simple3", "simple4", "shift1", "weighted", "same_weighted"])
def test_scipys_wasserstein_with_each_value_in_a_cell_of_its_own_is_ours(cases, name) -> None:
    """Times the reference's standard deviation, which scipy's is not divided by; weights are how often a value comes."""
    case = cases[f"scipy.wasserstein.{name}"]
    u, v = (np.repeat(np.array(case["inputs"][s], float), case["inputs"].get(f"{s}_weights", 1)) for s in ("u", "v"))
    sides = Sides(u, v, axis=atoms(u, v))
    assert sides.wasserstein() * sides.deviation[0] == pytest.approx(case["expected"], abs=1e-6)


@pytest.mark.parametrize(("data", "name"), [("elec2", "nswprice"), ("car_loan", "y_pred_proba")])
def test_evidentlys_wasserstein_is_normed_like_ours(cases, shared_data, data, name) -> None:
    last = ".last5000" if data == "car_loan" else ""
    theirs = cases[f"evidently.peer.wasserstein.{data}.{name}{last}"]["expected"][0]
    pair = evidentlys(shared_data, data, name).numbers
    exact = stats.wasserstein_distance(*pair) / np.std(pair.reference)
    assert exact == pytest.approx(theirs, rel=1e-6)
    # Of the prices a third lies in the first bin, which held a sixtieth: where in it, no bin can tell.
    assert Sides(*pair).wasserstein() == pytest.approx(theirs, rel=0.12)


@pytest.mark.parametrize(("name", "within"), [("car_value", 0.001), ("driver_tenure", 0.04)])
def test_nannymls_wasserstein_is_in_units_of_the_data(cases, shared_data, name, within) -> None:
    """Theirs is estimated from bins where the reference is large: `within` of the exact one."""
    theirs = cases[f"nannyml.peer.car_loan.{name}.wasserstein"]["expected"]
    pairs = [pair.numbers for pair in loans(shared_data, name)]
    exact = [float(stats.wasserstein_distance(*pair)) for pair in pairs]
    assert exact == pytest.approx(theirs, rel=within)
    unit = float(np.std(pairs[0].reference))
    assert [Sides(*pair).wasserstein() for pair in pairs] == pytest.approx(np.array(exact) / unit, rel=0.1, abs=0.003)


def test_nannymls_wasserstein_of_normals(cases) -> None:
    case = cases["nannyml.wasserstein.mean_shift_-4"]
    state = np.random.RandomState(1)
    reference, current = state.normal(0, 1, 100_000), state.normal(-4, 1, 1_000)
    assert stats.wasserstein_distance(current, reference) == pytest.approx(case["expected"], abs=0.005)
    assert Sides(current, reference).wasserstein() == pytest.approx(case["expected"], rel=0.01)


# -- none is left out ------------------------------------------------------------------------------------------------


def test_every_case_of_a_distance_was_looked_up(cases, request) -> None:
    here = {item.originalname for item in request.session.items if item.path == Path(__file__)}
    if here != {name for name in globals() if name.startswith("test_")}:
        pytest.skip("only some of this module's tests run")
    wanted = {name for name, case in cases.items() if case["category"] in CATEGORIES}
    assert wanted - cases.used == NOT_OURS.keys()
