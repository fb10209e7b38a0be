"""What each distance is, in the mean, where nothing has drifted: two independent samples of n and m of one distribution.

Distances between samples are never 0. What they show without any drift is taken off, so that effect = max(0, value -
null mean) is near 0 at any n. With s^2 = 1/n + 1/m the differences of shares are nearly normal, with variance
s^2 q_i (1 - q_i) and covariance -s^2 q_i q_j, q the reference's shares; all below follows from that, to the first order
in s, so it is a factor of the reference alone, times s or s^2. With 5 expected in a group it is right to a sixth, with 20
to a twentieth (docs/statistics.md has the figures, tests hold them). Beside a lone cell only a rise counts, so the mean is
about half: the whole is taken off, which is the side that waits.

Maxima of correlated normals have no closed form: their means are averages over DRAWS fixed normal numbers, so that no run
differs from another. They are right to one per cent, and cost some milliseconds a signal: they are for a reference, once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from driftd.core.distance import ADDED, Floats, Grouping
from driftd.core.ordered import Ordered
from driftd.core.pane import Ints

DRAWS: Final = 4096
_HALF_NORMAL: Final = float(np.sqrt(2 / np.pi))
"""The mean of |z|, z standard normal."""


def psi(groups: Grouping, n: Floats, m: Floats) -> Floats:
    """(B - 1) s^2 (Yurdakul & Naranjo 2020)."""
    return (groups.sizes - 1) * _square(n, m)


def kullback_leibler(groups: Grouping, n: Floats, m: Floats) -> Floats:
    """(B - 1) s^2 / 2: half of PSI's, whose two sides are alike where nothing differs much."""
    return psi(groups, n, m) / 2


def jensen_shannon_divergence(groups: Grouping, n: Floats, m: Floats) -> Floats:
    """(B - 1) s^2 / 8, as (p - q)^2 / 8 p is its second-order term (Lin 1991)."""
    return psi(groups, n, m) / 8


def jensen_shannon_distance(groups: Grouping, n: Floats, m: Floats) -> Floats:
    """The mean of chi with B - 1 degrees of freedom, sqrt(2) Gamma(B / 2) / Gamma((B - 1) / 2), times s / sqrt(8)."""
    b = np.maximum(groups.sizes, 2)
    chi = np.exp(special.gammaln(b / 2) - special.gammaln((b - 1) / 2)) * np.sqrt(2)
    return np.where(groups.sizes > 1, chi * np.sqrt(_square(n, m) / 8), 0.0)


hellinger = jensen_shannon_distance
"""The two are the same to the first order."""


def total_variation(groups: Grouping, reference: Floats, n: Floats, m: Floats) -> Floats:
    """Half the sum of the mean |normal| of standard deviation s sqrt(q (1 - q))."""
    q = groups.shares(reference)
    out: Floats = groups.totals(np.sqrt(q * (1 - q))) * _HALF_NORMAL / 2 * np.sqrt(_square(n, m))
    return out


def l_infinity(groups: Grouping, reference: Floats, n: Floats, m: Floats) -> Floats:
    """The mean of the largest of |normals| that add up to 0, times s."""
    q = groups.shares(reference)
    means = []
    for begin, end in zip(groups.first[:-1], groups.first[1:], strict=True):
        shares = q[begin:end]
        free = np.sqrt(shares) * _normals(end - begin)
        means.append(np.abs(free - shares * free.sum(axis=1, keepdims=True)).max(axis=1).mean())
    return np.array(means, np.float64) * np.sqrt(_square(n, m))


def chi_square(groups: Grouping, n: Floats, m: Floats) -> Floats:
    """(B - 1)(n + m) / (n + m - 1): exact, given the pooled counts, where no group is empty (Haldane 1940)."""
    both = np.maximum(n + m, 2)
    out: Floats = (groups.sizes - 1) * both / (both - 1)
    return out


def g_statistic(groups: Grouping, reference: Floats, n: Floats, m: Floats) -> Floats:
    """B - 1 + (sum 1/q - 1)(s^2 - 1/(n + m)) / 6: Williams' correction ("Improved likelihood ratio tests for complete
    contingency tables", 1976); q with 0.5 added to every group.
    """
    q = groups.shares(reference, ADDED)
    more = (groups.totals(1 / q) - 1) * (_square(n, m) - 1 / np.maximum(n + m, 1)) / 6
    return np.where(groups.sizes > 1, groups.sizes - 1 + more, 0.0)


def kolmogorov_smirnov(cells: Ordered, reference: Ints, n: Floats, m: Floats) -> Floats:
    """The mean of the largest |Brownian bridge| at the cumulated shares of the cells, times s; [numbers].

    Without ties and with cells without end it would be sqrt(pi / 2) ln 2 = 0.869 (Kolmogorov 1933); where one value holds
    nearly everything it is near 0.
    """
    through = cells.through(reference)
    means = []
    for begin, end in zip(cells.first[:-1], cells.first[1:], strict=True):
        at = through[begin:end]
        walk = np.cumsum(np.sqrt(np.diff(at, prepend=0.0)) * _normals(end - begin), axis=1)
        means.append(np.abs(walk - at * walk[:, -1:]).max(axis=1).mean())
    return np.array(means, np.float64) * np.sqrt(_square(n, m))


def wasserstein(cells: Ordered, reference: Ints, deviations: Floats, n: Floats, m: Floats) -> Floats:
    """The integral of sqrt(F (1 - F)) over the deviation, times s sqrt(2 / pi); [numbers] (del Barrio, Gine & Matran,
    "Central limit theorems for the Wasserstein distance", 1999); within a cell of what lies straight between its ends.
    """
    left, right = cells.before(reference), cells.through(reference)
    low, high = left * (1 - left), right * (1 - right)
    middle = (low + high + 2 * left * (1 - right)) / 4
    mean = (np.sqrt(low) + 4 * np.sqrt(middle) + np.sqrt(high)) / 6  # Simpson's rule
    whole = cells.integral(np.sqrt(low), np.sqrt(high), cells.near, mean)
    out: Floats = whole / deviations * _HALF_NORMAL * np.sqrt(_square(n, m))
    return out


def _square(n: Floats, m: Floats) -> Floats:
    return 1 / np.maximum(n, 1) + 1 / np.maximum(m, 1)


@lru_cache(maxsize=2)
def _normals(columns: int) -> NDArray[np.float64]:
    """[DRAWS, columns] normal numbers: SplitMix64 of a counter (Steele, Lea & Flood 2014), through the normal quantile."""
    with np.errstate(over="ignore"):
        x = np.arange(1, DRAWS * columns + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    uniform = ((x >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    out: NDArray[np.float64] = special.ndtri(uniform).reshape(DRAWS, columns)
    return out
