"""The hot loops of the map, compiled: whole columns of a block to counts and fixed-point sums, in one pass.

Imported when the first events are to be counted: that takes half a second, and some seconds more the very first time
on a machine; the compiled code is then kept beside this file or, where that cannot be written, in the user's cache.
What is kept is known by this file alone, so constants of other files come in as arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
P = ParamSpec("P")
R = TypeVar("R")


def _compiled(signature: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """With a signature it is compiled, or loaded, here and now, and not within the first block.

    No fast maths: the same numbers on every machine.
    """

    def compiled(loop: Callable[P, R]) -> Callable[P, R]:
        try:
            made = numba.njit(signature, cache=True, error_model="numpy")(loop)
        except RuntimeError:  # nowhere to keep it: a file system that only lets itself be read
            made = numba.njit(signature, error_model="numpy")(loop)
        return cast("Callable[P, R]", made)

    return compiled


@_compiled("void(f8[:,::1], i8[:,::1], i8[::1], f8[::1], i8[::1], i8[::1], f8[:,::1], f8, f8, i8[::1], i8[:,::1])")
def tally(
    values: Floats,
    coded: Ints,
    rows: Ints,
    bounds: Floats,
    bound: Ints,
    code: Ints,
    units: Floats,
    clip: float,
    fixed: float,
    counts: Ints,
    moments: Ints,
) -> None:
    """Add these rows to `counts[codes]` and `moments[3, numeric signals]`.

    `values[r]`: a numeric signal, whose bounds are `bounds[bound[r]:bound[r + 1]]`, first code `code[r]`, centre and
    scale `units[:, r]`. `coded[c]`: a categorical one, as codes of the grid.
    """
    chosen = np.empty(len(rows), np.float64)
    at = np.empty(len(rows), np.int64)
    for r in range(len(values)):
        low, size, base = bound[r], bound[r + 1] - bound[r], code[r]
        centre, scale = units[0, r], units[1, r]
        s1, s2, clipped = np.int64(0), np.int64(0), 0
        for i, j in enumerate(rows):
            chosen[i] = values[r, j]
        # The first bound that is not below x, for all rows step by step: no branch to mispredict, and the steps of
        # different rows overlap. Five times as fast as one search after the other.
        at[:] = low
        left = size
        while left > 1:
            half = left >> 1
            for i, x in enumerate(chosen):
                at[i] += half * (bounds[at[i] + half - 1] < x)
            left -= half
        for i, x in enumerate(chosen):
            if not np.isfinite(x):
                # The three states behind the cells: null, absent, bad.
                counts[base + size + 1 + (0 if np.isnan(x) else 1 if x > 0 else 2)] += 1
                continue
            counts[base + at[i] - low + (bounds[at[i]] < x)] += 1
            z = (x - centre) / scale
            clipped += abs(z) > clip
            q = np.int64(np.rint(min(max(z, -clip), clip) * fixed))
            s1 += q
            s2 += (q * q + (1 << 19)) >> 20
        moments[0, r] += s1
        moments[1, r] += s2
        moments[2, r] += clipped
    for c in range(len(coded)):
        for j in rows:
            counts[coded[c, j]] += 1


@_compiled("i8(f8[::1], i8[::1], i8[::1], i8, f8, f8, f8, f8, i8[:,::1])")
def slices(
    values: Floats,
    seconds: Ints,
    rows: Ints,
    signal: int,
    centre: float,
    scale: float,
    clip: float,
    fixed: float,
    out: Ints,
) -> int:
    """Rows of (signal, second, n, s1, s2) of a signal's numbers; `rows` in the order of their seconds. How many."""
    last = -1
    for j in rows:
        x = values[j]
        if not np.isfinite(x):
            continue
        if last < 0 or out[last, 1] != seconds[j]:
            last += 1
            out[last, 0], out[last, 1] = signal, seconds[j]
            out[last, 2:] = 0
        q = np.int64(np.rint(min(max((x - centre) / scale, -clip), clip) * fixed))
        out[last, 2] += 1
        out[last, 3] += q
        out[last, 4] += (q * q + (1 << 19)) >> 20
    return last + 1


@_compiled("i8(i8[:,::1], i8[:,::1], i8[:,::1])")
def merge(one: Ints, other: Ints, out: Ints) -> int:
    """Two sets of such rows as one, each sorted by signal and second, which are there once. How many rows of `out`."""
    i = j = used = 0
    while i < len(one) or j < len(other):
        if j == len(other):
            order = -1
        elif i == len(one):
            order = 1
        else:
            order = one[i, 0] - other[j, 0]
            if order == 0:
                order = one[i, 1] - other[j, 1]
        row = one[i] if order <= 0 else other[j]
        out[used] = row
        if order == 0:
            out[used, 2:] += other[j, 2:]
        i += order <= 0
        j += order >= 0
        used += 1
    return used
