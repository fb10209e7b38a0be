"""How long to wait after the n-th failure in a row: exponential with full jitter.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: of the forms compared there, drawing
from the whole interval spreads the callers of a service that comes back best, at the least work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounds in seconds: the n-th wait is drawn evenly from [0, min(most_s, first_s * 2^(n-1))]."""

    first_s: float = 1.0
    most_s: float = 300.0
    chance: Random = field(default_factory=Random)

    def delay_s(self, failures: int) -> float:
        """The wait after so many failures in a row, at least one."""
        doublings = min(max(failures - 1, 0), 60)  # 2.0 ** 1100 would be an error
        return self.chance.uniform(0.0, min(self.most_s, self.first_s * 2.0**doublings))
