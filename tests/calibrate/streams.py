"""Null data of a cell: what kind of values, and how each depends on those before it.

Every kind is a function of a latent series of variance 1: so a category, an integer and a null can be autocorrelated, too.
PSI and the rates see ranks alone, so that numbers are squeezed into (0, 1), which keeps their order: a grid of them is made
without a sum over 200,000 floats. A statistic that sees more than ranks asks for the values as they are (`exact`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtri
from scipy.stats import poisson

from tests.core.streams import Floats

Rng = np.random.Generator
WOBBLE = 0.1
"""Standard deviation of the level of an hour, in those of the values."""
BURN_IN = 200
"""0.9 to this power is 1e-9."""


@dataclass(frozen=True)
class Kind:
    """`values` makes floats of the latent series. `shares`: of the discrete ones 0, 1, ... instead, at cuts of it."""

    name: str
    values: Callable[[Floats], Floats] | None = None
    shares: tuple[float, ...] = ()
    degrees: int = 0
    """Of the Student's law of the noise; 0: normal."""
    role: str = "number"
    """number, category; or null, absent: value 1 is that state, 0 a number."""

    @property
    def ranks(self) -> bool:
        """Numbers without atoms: of independent ones the counts follow from ranks alone, whatever their law is."""
        return self.role == "number" and not self.shares and self.name != "zero-inflated"

    def of(self, latent: Floats, *, exact: bool) -> Floats:
        if self.shares:
            return np.searchsorted(ndtri(np.cumsum(self.shares)[:-1]), latent).astype(np.float64)
        assert self.values is not None
        out = self.values(latent)
        return out if exact else 0.5 + 0.5 * out / (1 + np.abs(out))


def _zipf(categories: int) -> tuple[float, ...]:
    weights = 1 / np.arange(1, categories + 1)
    return tuple((weights / weights.sum()).tolist())


_POISSON = poisson.pmf(np.arange(20), 3)
KINDS = (
    Kind("normal", lambda z: z),
    Kind("lognormal", np.exp),
    Kind("zero-inflated", lambda z: np.maximum(z - ndtri(0.8), 0)),
    Kind("integers", shares=tuple((_POISSON / _POISSON.sum()).tolist())),
    Kind("heavy-tailed", lambda z: z, degrees=3),
    Kind("3 categories", shares=(0.6, 0.3, 0.1), role="category"),
    Kind("200 Zipf categories", shares=_zipf(200), role="category"),
    Kind("nulls, 1 %", shares=(0.99, 0.01), role="null"),
    Kind("nulls, 5 %", shares=(0.95, 0.05), role="null"),
    Kind("absences, 1 %", shares=(0.99, 0.01), role="absent"),
    Kind("absences, 5 %", shares=(0.95, 0.05), role="absent"),
)
BY_NAME = {kind.name: kind for kind in KINDS}
DEPENDENCES = ("independent", "AR(1) 0.5", "AR(1) 0.9", "hourly wobble")


class Latent:
    """Series [signals, events] that go on where they were left, each with nothing to do with the others."""

    def __init__(self, rng: Rng, kind: Kind, dependence: str, signals: int, hour: int) -> None:
        self.rng, self.kind, self.signals, self.hour = rng, kind, signals, hour
        self.phi = {"AR(1) 0.5": 0.5, "AR(1) 0.9": 0.9}.get(dependence, 0.0)
        self.wobbles = dependence == "hourly wobble"
        self.state = np.zeros((signals, 1))
        if self.phi:
            self.take(BURN_IN)

    def take(self, events: int) -> Floats:
        """The next ones. With a wobble they begin with an hour; the last one may be cut short."""
        shape, degrees = (self.signals, events), self.kind.degrees
        out = self.rng.standard_t(degrees, shape) * np.sqrt(1 - 2 / degrees) if degrees else self.rng.normal(size=shape)
        if self.phi:
            out *= np.sqrt(1 - self.phi**2)
            out, self.state = lfilter([1.0], [1.0, -self.phi], out, axis=1, zi=self.state)
        if self.wobbles:
            levels = self.rng.normal(0, WOBBLE, (self.signals, -(-events // self.hour)))
            out += np.repeat(levels, self.hour, axis=1)[:, :events]
        return np.asarray(out, np.float64)
