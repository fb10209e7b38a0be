"""How likely a statistic is when nothing has drifted. Every p-value takes the side that waits: the larger.

With no drift and independent data x = PSI / (1/n + 1/m) follows chi-square with B - 1 degrees of freedom. Real streams
wobble and depend on their past, so a reference replays itself: K windows of it give the mean M and the variance V of x,
and a new x follows M * F(v, K v), v = min(B - 1, 2 M^2 / (V (1 + sqrt(2 / K)))) (Satterthwaite's match of moments; the
F law because M is itself measured). In the far tail that is too light, so the p-value is the larger of this and that
of chi2(B - 1) + c chi2(1), c = max(0, M - (B - 1)) + sqrt(V / K).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)
_SHARES, _STEPS = (_NODES + 1) / 2, _WEIGHTS / 2
"""Gauss-Legendre over [0, 1]."""
_REACH: Final = 12.0
"""|z| beyond it has a chance of 4e-33."""


def independent(x: Floats, df: Floats) -> Floats:
    """P(chi2(df) >= x); 1 where df is 0."""
    return np.where(df > 0, special.chdtrc(np.maximum(df, 1), np.maximum(x, 0)), 1.0)


def replayed(x: Floats, df: Floats, windows: Floats, mean: Floats, variance: Floats) -> Floats:
    """The p-value of x by the law that `windows` replayed statistics of this mean and variance give.

    All arrays are [signals]; `windows` >= 2. Where the replay showed no variance at all (a constant), the independent
    law is left.
    """
    out = independent(x, df)
    usable = (df > 0) & (windows >= 2) & (mean > 0) & (variance > 0)
    if usable.any():
        x, df, k, m, v = x[usable], df[usable], windows[usable], mean[usable], variance[usable]
        dfn = np.minimum(df, 2 * m * m / (v * (1 + np.sqrt(2 / k))))
        by_moments = special.fdtrc(dfn, k * dfn, np.maximum(x, 0) / m)
        extra = np.maximum(0, m - df) + np.sqrt(v / k)
        out[usable] = np.minimum(1.0, np.maximum(by_moments, _with_wobble(np.maximum(x, 0), df, extra)))
    return out


def _with_wobble(x: Floats, df: Floats, c: Floats) -> Floats:
    """P(chi2(df) + c z^2 >= x), c > 0: over |z| up to where c z^2 alone reaches x; beyond that it is certain."""
    reach = np.minimum(np.sqrt(x / c), _REACH)
    z = reach[:, None] * _SHARES
    chances = special.chdtrc(df[:, None], np.maximum(x[:, None] - c[:, None] * z * z, 0))
    density = np.sqrt(2 / np.pi) * np.exp(-z * z / 2)
    out: Floats = reach * ((chances * density) @ _STEPS) + special.erfc(reach / np.sqrt(2))
    return out


def rate_score(hits: Floats, n: Floats, reference_hits: Floats, m: Floats) -> Floats:
    """The score statistic z of a rise of a proportion: hits of n now against reference_hits of m; 0 where none is."""
    pooled = (hits + reference_hits) / np.maximum(n + m, 1)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1)))
    rise = hits / np.maximum(n, 1) - reference_hits / np.maximum(m, 1)
    return np.where(spread > 0, rise / np.where(spread > 0, spread, 1), 0.0)


def rate_rise(hits: Floats, n: Floats, reference_hits: Floats, m: Floats, windows: Floats, inflation: Floats) -> Floats:
    """One-sided p-value of a rise of a proportion.

    The larger of the score test (its variance inflated by what the reference's replay showed, with Student's law for
    the `windows` that measured it; normal where windows is 0) and of the exact conditional test: given all hits, those
    of now are binomial with share n / (n + m) (Przyborowski & Wilenski 1940). Hits that come in bursts are fewer
    events than they count: the exact test takes hits / inflation of them (quasi-likelihood; Wedderburn 1974).
    """
    inflation = np.maximum(inflation, 1.0)
    z = rate_score(hits, n, reference_hits, m) / np.sqrt(inflation)
    by_score = np.where(windows >= 2, special.stdtr(np.maximum(windows, 2), -z), special.ndtr(-z))
    now, then = np.maximum(hits, 1) / inflation, reference_hits / inflation
    exact = np.where(hits > 0, special.betainc(now, then + 1, n / np.maximum(n + m, 1)), 1.0)
    out: Floats = np.minimum(1.0, np.maximum(by_score, exact))
    return out
