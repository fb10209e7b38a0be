"""What the demo shows, in numbers: the stream, when it drifts, how fast its time runs, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from driftd.core.spec import MINUTE

DRIFTING: Final = "loans"
STEADY: Final = "steady"
MODELS: Final = (DRIFTING, STEADY)
VERSION: Final = "1"
TOPIC: Final = "predictions"
FEATURES: Final = ("salary", "commission", "age", "loan", "education", "zipcode")
SIGNALS: Final = (*FEATURES, "prediction")
DRIFTED: Final = frozenset({"salary", "zipcode", "prediction"})
"""What must fire; nothing else may."""

PERIOD: Final = 500
"""Event time between two events of a model, ms."""
WINDOW: Final = 20 * MINUTE
EVERY: Final = 2 * MINUTE


@dataclass(frozen=True, slots=True)
class Plan:
    """`training` and `calm` are events of each model. `speed`: event time over wall time, until the verdict.

    `patience`: event time after the drift, ms, at which traffic ends and what has not come by then is missing.
    """

    training: int = 20_000
    calm: int = 60 * MINUTE // PERIOD
    drift: bool = True
    speed: float = 150.0
    patience: int = 45 * MINUTE
    give_up_s: float = 120.0

    @property
    def enough(self) -> int:
        """Event time after the drift, ms, from which on the verdict may be good: a whole window of drifted traffic."""
        return WINDOW + 2 * EVERY

    def start(self, now: int) -> int:
        """Event time of the first event served, ms, so that the demo ends about now.

        At the edge of a pane: so the windows hold the same events in every run, and the run says the same.
        """
        return (now - self.calm * PERIOD - self.enough) // EVERY * EVERY

    def drift_at(self, start: int) -> int:
        return start + self.calm * PERIOD
