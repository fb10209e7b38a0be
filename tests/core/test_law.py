"""P-values against scipy.stats, brute force and simulation. None is ever NaN, and each takes the side that waits."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from driftd.core.law import independent, rate_rise, rate_score, replayed
from tests.core.streams import SEEDED

positive = st.floats(1e-12, 1e12)
statistics = st.floats(0, 1e12) | st.sampled_from([0.0, 1e-300])
dfs = st.sampled_from([1.0, 2.0, 4.0, 9.0, 59.0, 250.0])
windows = st.sampled_from([2.0, 20.0, 60.0, 168.0, 512.0])


def p_of(x: float, df: float, k: float, mean: float, variance: float) -> float:
    return float(replayed(*(np.array([v], float) for v in (x, df, k, mean, variance)))[0])


def by_moments(x: float, df: float, k: float, mean: float, variance: float) -> float:
    """The first law of the page, by scipy's own F."""
    v = min(df, 2 * mean**2 / (variance * (1 + np.sqrt(2 / k))))
    return float(stats.f.sf(x / mean, v, k * v))


def by_tail(x: float, df: float, c: float) -> float:
    """P(chi2(df) + c z^2 >= x) by adaptive integration, cut where the integrand has its kink."""
    kink = np.sqrt(x / c)

    def integrand(z: float) -> float:
        return float(2 * stats.norm.pdf(z) * stats.chi2.sf(max(x - c * z * z, 0), df))

    pieces = [0.0, *(float(kink * share) for share in (0.25, 0.5, 0.75, 0.9, 1.0) if kink * share < 12), 12.0]
    return sum(float(integrate.quad(integrand, a, b, epsabs=0, epsrel=1e-9, limit=200)[0]) for a, b in pairwise(pieces))


# -- the independent law ---------------------------------------------------------------------------------------------


@SEEDED
@given(statistics, dfs)
def test_the_independent_law_is_chi_square(x, df) -> None:
    ours = float(independent(np.array([x]), np.array([df]))[0])
    assert ours == pytest.approx(float(stats.chi2.sf(x, df)), rel=1e-9, abs=1e-300)


def test_without_groups_nothing_is_unlikely() -> None:
    assert independent(np.array([5.0, -1.0]), np.array([0.0, 3.0])).tolist() == [1.0, 1.0]


# -- the replayed law ------------------------------------------------------------------------------------------------

CASES = [
    # df, K, M, V: iid; AR(1) 0.9; heavy; a replay that was calmer than chance; one that barely moved
    (9.0, 512.0, 9.0, 18.0),
    (9.0, 20.0, 9.0, 18.0),
    (9.0, 60.0, 40.0, 600.0),
    (4.0, 168.0, 30.0, 3_000.0),
    (1.0, 60.0, 1.2, 4.0),
    (59.0, 60.0, 45.0, 30.0),
    (9.0, 25.0, 8.0, 1e-3),
]


@pytest.mark.parametrize(("df", "k", "mean", "variance"), CASES)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0])
def test_the_replayed_law_is_the_larger_of_the_two_of_the_page(df, k, mean, variance, share) -> None:
    x = mean * share
    c = max(0.0, mean - df) + np.sqrt(variance / k)
    larger = max(by_moments(x, df, k, mean, variance), by_tail(x, df, c))
    assert p_of(x, df, k, mean, variance) == pytest.approx(larger, rel=1e-6, abs=1e-30)


@pytest.mark.parametrize(("df", "c"), [(9.0, 0.2), (9.0, 30.0), (1.0, 5.0)])
def test_the_tail_law_is_what_a_simulation_finds(df, c) -> None:
    rng = np.random.default_rng(1)
    values = rng.chisquare(df, 1_000_000) + c * rng.normal(size=1_000_000) ** 2
    for level in (0.1, 0.01, 0.001):
        x = float(np.quantile(values, 1 - level))
        # K without end and almost no variance: c comes from the mean alone.
        replay = (1e12, df + c, 1e-6)
        expected = max(level, by_moments(x, df, *replay))
        assert p_of(x, df, *replay) == pytest.approx(expected, rel=5 / np.sqrt(level * 1_000_000))


def test_the_f_law_holds_its_level_where_mean_and_variance_were_measured() -> None:
    # K windows of chi-square measure M and V; a new one is judged by them. Nominal 5 and 1 %.
    rng = np.random.default_rng(2)
    n, k, df = 20_000, 20, 9
    replays = rng.chisquare(df, (n, k))
    new = rng.chisquare(df, n)
    ones = np.ones(n)
    p = replayed(new, df * ones, k * ones, replays.mean(axis=1), replays.var(axis=1, ddof=1))
    assert 0.02 < (p <= 0.05).mean() < 0.055
    assert 0.002 < (p <= 0.01).mean() < 0.012


@SEEDED
@given(statistics, dfs, windows, positive, positive)
def test_a_p_value_is_a_p_value(x, df, k, mean, variance) -> None:
    p = p_of(x, df, k, mean, variance)
    assert 0.0 <= p <= 1.0  # false for NaN


@SEEDED
@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=50), dfs, windows, st.floats(0.1, 1e4), st.floats(1e-4, 1e8))
def test_the_larger_the_statistic_the_smaller_the_p_value(xs, df, k, mean, variance) -> None:
    x = np.sort(np.array(xs))
    same = np.ones(len(x))
    p = replayed(x, df * same, k * same, mean * same, variance * same)
    assert (np.diff(p) <= 1e-12).all()
    assert (p >= 0).all()


@SEEDED
@given(st.floats(0, 200), dfs, windows, st.floats(0.5, 50))
def test_a_replay_that_was_worse_makes_nothing_more_certain(x, df, k, factor) -> None:
    calm = p_of(x, df, k, df, 2 * df)
    assert p_of(x, df, k, df * max(factor, 1), 2 * df * max(factor, 1) ** 2) >= calm - 1e-9


@pytest.mark.parametrize(
    ("k", "mean", "variance"), [(0.0, 9.0, 18.0), (1.0, 9.0, 18.0), (20.0, 0.0, 0.0), (20.0, 9.0, 0.0)]
)
def test_a_replay_that_showed_nothing_leaves_the_independent_law(k, mean, variance) -> None:
    assert p_of(21.0, 9.0, k, mean, variance) == pytest.approx(float(stats.chi2.sf(21.0, 9.0)))


def test_signals_do_not_meet() -> None:
    columns = np.array([(30.0, *case) for case in CASES]).T
    columns[3, 2] = 0.0  # one of them has no replay
    assert replayed(*columns).tolist() == pytest.approx([p_of(*row) for row in columns.T], rel=1e-12)


# -- rates -----------------------------------------------------------------------------------------------------------


def rise(hits: float, n: float, reference_hits: float, m: float, k: float = 0.0, inflation: float = 1.0) -> float:
    return float(rate_rise(*(np.array([v], float) for v in (hits, n, reference_hits, m, k, inflation)))[0])


counts = st.tuples(st.integers(0, 300), st.integers(0, 1_000), st.integers(0, 300), st.integers(0, 100_000))


@SEEDED
@given(counts)
def test_a_rise_is_the_larger_of_the_score_test_and_the_exact_one(drawn) -> None:
    hits, more, reference_hits, many = drawn
    n, m = hits + more, reference_hits + many
    exact = float(stats.binom.sf(hits - 1, hits + reference_hits, n / (n + m))) if n + m and hits else 1.0
    pooled = (hits + reference_hits) / max(n + m, 1)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / max(n, 1) + 1 / max(m, 1)))
    z = (hits / max(n, 1) - reference_hits / max(m, 1)) / spread if spread > 0 else 0.0
    assert rise(hits, n, reference_hits, m) == pytest.approx(max(exact, float(stats.norm.sf(z))), rel=1e-9, abs=1e-300)


def test_the_exact_test_is_fishers_where_events_are_few_among_many() -> None:
    # Given all hits those of now are binomial; Fisher's test, hypergeometric, says the same in the limit.
    table = [[8, 992], [20, 99_980]]
    fisher = float(stats.fisher_exact(table, "greater")[1])
    assert rise(8, 1_000, 20, 100_000) == pytest.approx(fisher, rel=0.2)


@SEEDED
@given(counts, st.sampled_from([0.0, 2.0, 20.0, 512.0]), st.floats(0, 1e6))
def test_a_p_value_of_a_rate_is_a_p_value(drawn, k, inflation) -> None:
    hits, more, reference_hits, many = drawn
    assert 0.0 <= rise(hits, hits + more, reference_hits, reference_hits + many, k, inflation) <= 1.0


@SEEDED
@given(st.integers(0, 50), st.integers(1, 1_000), st.integers(0, 500), st.sampled_from([0.0, 20.0]), st.floats(1, 50))
def test_more_hits_are_less_likely_and_more_wobble_more_likely(hits, n, reference_hits, k, inflation) -> None:
    n += hits + 1
    p = [rise(h, n, reference_hits, 10_000, k, inflation) for h in (hits, hits + 1)]
    assert p[1] <= p[0] + 1e-12
    assert rise(hits, n, reference_hits, 10_000, k, inflation * 2) >= min(p[0], 0.5) - 1e-9


def test_no_rise_is_no_evidence() -> None:
    assert rise(0, 100, 0, 100) == 1.0
    assert rise(0, 0, 0, 0) == 1.0
    assert rise(0, 100, 50, 100) == 1.0
    assert rise(10, 100, 1_000, 10_000) >= 0.4
    assert float(rate_score(*(np.array([v]) for v in (0.0, 0.0, 0.0, 0.0)))[0]) == 0.0
    assert float(rate_score(*(np.array([v]) for v in (9.0, 9.0, 9.0, 9.0)))[0]) == 0.0  # everything, both times


@pytest.mark.parametrize("rate", [0.0005, 0.01, 0.2])
@pytest.mark.parametrize("n", [100, 1_000])
def test_the_level_of_a_rate_holds_in_simulation(rate, n) -> None:
    rng = np.random.default_rng([n, int(rate * 1e6)])
    m, pairs = 20_000, 100_000
    hits, reference_hits = rng.binomial(n, rate, pairs).astype(float), rng.binomial(m, rate, pairs).astype(float)
    ones = np.ones(pairs)
    p = rate_rise(hits, n * ones, reference_hits, m * ones, 0 * ones, ones)
    for level in (0.05, 0.01, 0.001):
        found = int((p <= level).sum())
        assert stats.binom.sf(found - 1, pairs, level) > 1e-4, (level, found / pairs)


def test_hits_in_bursts_count_as_fewer() -> None:
    # 40 nulls in a row are one accident. The replay saw such ones: the mean square of its scores was 40.
    alone, in_bursts = rise(40, 1_000, 500, 100_000), rise(40, 1_000, 500, 100_000, 60, 40.0)
    assert alone < 1e-20
    assert 0.01 < in_bursts < 0.5
