"""Distances between the shares of groups, beside PSI: Jensen-Shannon, Hellinger, total variation, L-infinity,
Kullback-Leibler, chi-square and G.

Each takes group counts [..., groups], of windows and of a reference, as `distance.psi` does, and gives [..., signals].
p and q are the shares now and in the reference. All but Kullback-Leibler are finite without smoothing and take the
shares as they are. Where either side has no value at all, nothing can be said, and 0 is given: who asks must look at n.
Beside a lone cell only a rise of the rest counts, as for PSI. What each is with no drift is in `null`.

What binning costs. Each is that of the groups; the *exact* one is that of the raw values, each distinct value a group
of its own. Putting values together can only lower an f-divergence (Csiszar 1967). The most that it loses in a group c of
shares p_c, q_c (counts a_c of n, b_c of m) is what that group would add if no value of it were on both sides; this is
the bound that each names, a sum over the groups of several values. A group of one value (a category, an atom) loses
nothing. L-infinity is no f-divergence: it has bounds of its own.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from driftd.core.distance import ADDED, Floats, Grouping, only_rise


def jensen_shannon_divergence(groups: Grouping, current: Floats, reference: Floats) -> Floats:
    """Mean of KL(p || r) and KL(q || r), r = (p + q) / 2, in nats.

    Range [0, ln 2 = 0.693]; symmetric; no smoothing (Lin, "Divergence measures based on the Shannon entropy", 1991).
    Exact less binned: in [0, sum r_c h(p_c / (p_c + q_c))], h(x) = -x ln x - (1 - x) ln(1 - x).
    """
    p, q = groups.shares(current), groups.shares(reference)
    r = (p + q) / 2
    # Rounding may leave some -1e-17 where nothing differs.
    out = np.maximum(groups.totals(special.rel_entr(p, r) + special.rel_entr(q, r)) / 2, 0.0)
    return _said(groups, out, current, reference)


def jensen_shannon_distance(groups: Grouping, current: Floats, reference: Floats) -> Floats:
    """Square root of the Jensen-Shannon divergence in nats: a metric, which the divergence is not.

    Range [0, 0.833]; symmetric; no smoothing (Endres & Schindelin, "A new metric for probability distributions", 2003).
    In bits (base 2, range [0, 1]) it is this divided by sqrt(ln 2). Exact^2 less binned^2: as for the divergence.
    """
    return np.sqrt(jensen_shannon_divergence(groups, current, reference))


def hellinger(groups: Grouping, current: Floats, reference: Floats) -> Floats:
    """sqrt(sum (sqrt p - sqrt q)^2 / 2).

    Range [0, 1], 1 where no group has values of both; symmetric, a metric; no smoothing (Hellinger 1909; Le Cam & Yang,
    "Asymptotics in Statistics", 2000). Exact^2 less binned^2: in [0, sum sqrt(p_c q_c)].
    """
    p, q = groups.shares(current), groups.shares(reference)
    out = np.sqrt(groups.totals((np.sqrt(p) - np.sqrt(q)) ** 2) / 2)
    # Of shares that add up to 1 but for rounding it may be a hair above 1.
    return _said(groups, np.minimum(out, 1.0), current, reference)


def total_variation(groups: Grouping, current: Floats, reference: Floats) -> Floats:
    """Half the sum of |p - q|: the share of values that would have to move to another group.

    Range [0, 1]; symmetric, a metric; no smoothing (Levin, Peres & Wilmer, "Markov Chains and Mixing Times", 2009,
    4.1). Exact less binned: in [0, sum min(p_c, q_c)].
    """
    p, q = groups.shares(current), groups.shares(reference)
    out = np.minimum(groups.totals(np.abs(p - q)) / 2, 1.0)
    return _said(groups, out, current, reference)


def l_infinity(groups: Grouping, current: Floats, reference: Floats) -> Floats:
    """The greatest |p - q|: by how much the group that moved most has changed its share.

    Range [0, 1]; symmetric, a metric; no smoothing (Chebyshev's distance). At most the total variation. It speaks of
    the groups, so it is for categories; of a number the groups are ours. Exact: at most max(p_c, q_c) over the groups
    of several values and binned over the others; at least binned / k, k the most distinct values in a group.
    """
    p, q = groups.shares(current), groups.shares(reference)
    out = np.maximum.reduceat(np.abs(p - q), groups.first[:-1], axis=-1)
    return _said(groups, out, current, reference)


def kullback_leibler(groups: Grouping, current: Floats, reference: Floats) -> Floats:
    """KL(p || q) = sum p ln(p / q), in nats: what is lost by taking the reference for what is there now.

    Range [0, inf); not symmetric; p and q are shares after 0.5 is added to every group (Kullback & Leibler, "On
    information and sufficiency", 1951). Its sum with the two sides exchanged is PSI. The exact one is infinite as soon
    as one value is new, so binning has no upper bound; the other way binned <= exact + what smoothing adds: with B
    groups, e = B / (2 n + B) and f = B / (2 m + B), that is e ln(e / f) where n <= m, else (f - e) ln B.
    """
    p, q = groups.shares(current, ADDED), groups.shares(reference, ADDED)
    out = np.maximum(groups.totals(special.rel_entr(p, q)), 0.0)
    return _said(groups, out, current, reference)


def chi_square(groups: Grouping, current: Floats, reference: Floats) -> Floats:
    """Pearson's statistic of the 2 x B table of counts: sum of (count - expected)^2 / expected over both rows.

    Expected from both rows together, so that the reference is a sample, too. Range [0, n + m]; symmetric; no smoothing,
    no correction for continuity; groups without any value are left out (Pearson 1900; two samples: Cramer,
    "Mathematical Methods of Statistics", 1946, 30.6). It grows with n: times 1/n + 1/m it is sum (p - q)^2 / pooled
    share, and close to PSI. Exact less binned: in [0, (n + m)(1/n + 1/m) sum a_c b_c / (a_c + b_c)].
    """
    n, m = groups.totals(current), groups.totals(reference)
    both = current + reference
    p, q = groups.shares(current), groups.shares(reference)
    # (p - q)^2 / (a + b) is what both rows' terms are together, but for n m.
    terms = groups.totals((p - q) ** 2 / np.where(both > 0, both, 1.0))
    return _said(groups, n * m * terms, current, reference)


def g_statistic(groups: Grouping, current: Floats, reference: Floats) -> Floats:
    """The likelihood ratio's statistic of the 2 x B table of counts: 2 sum count ln(count / expected) over both rows.

    Range [0, 2 (n + m) ln 2]; symmetric; no smoothing, an empty cell adds nothing (Wilks 1938; Sokal & Rohlf,
    "Biometry", 1981, 17.4). It is 2 (n + m) times the mutual information of row and group, and with n = m 4 n times the
    Jensen-Shannon divergence. Exact less binned: in [0, 2 sum (a_c + b_c) h(a_c / (a_c + b_c))].
    """
    sizes = groups.sizes
    n, m = groups.totals(current), groups.totals(reference)
    pooled = (current + reference) / np.repeat(np.maximum(n + m, 1), sizes, axis=-1)
    # Of shares, not of counts: where both rows have the same, the ratio is 1 but for one rounding.
    p, q = groups.shares(current), groups.shares(reference)
    terms = np.repeat(n, sizes, axis=-1) * special.rel_entr(p, pooled)
    terms += np.repeat(m, sizes, axis=-1) * special.rel_entr(q, pooled)
    return _said(groups, np.maximum(2 * groups.totals(terms), 0.0), current, reference)


def _said(groups: Grouping, out: Floats, current: Floats, reference: Floats) -> Floats:
    """0 where there is nothing to compare, or nothing that counts."""
    some = (groups.totals(current) > 0) & (groups.totals(reference) > 0)
    return only_rise(groups, np.where(some, out, 0.0), current, reference)
