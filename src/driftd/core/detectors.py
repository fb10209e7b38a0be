"""Which detectors there are, by the names that the settings give them, and how a rule makes one for a signal.

None needs river: each is our own, and river is what the tests hold it to (decision 010).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from driftd.core.detector import DETECTOR, Adwin
from driftd.core.errors import Ddm, Eddm, Fhddm
from driftd.core.grid import Numeric
from driftd.core.hoeffding import HddmA, HddmW
from driftd.core.kswin import Kswin
from driftd.core.page_hinkley import PageHinkley
from driftd.core.sequential import Parameter, Sequential, Unit, count
from driftd.core.spec import DetectorName, DetectorRule

Detector = Adwin | Sequential

_BY_NAME: Final[Mapping[str, type[Sequential]]] = {
    cls.name: cls for cls in (PageHinkley, HddmA, HddmW, Kswin, Ddm, Eddm, Fhddm)
}
_ADWIN: Final[Mapping[str, Parameter]] = {
    "clock": count(32),
    "max_buckets": count(5, 2, 1_000),
    "min_window_length": count(5),
    "grace_period": count(10, 0),
}
PARAMETERS: Final[Mapping[str, Mapping[str, Parameter]]] = {
    DETECTOR: _ADWIN,
    **{name: cls.parameters for name, cls in _BY_NAME.items()},
}
"""What each detector takes beside what every rule has; of ADWIN `delta` is a key of the rule."""
RISES_ONLY: Final = frozenset({"ddm", "eddm", "fhddm"})
"""These find that errors become more frequent, and take zeros and ones."""

_REACH: Final = 4.0
"""Standard deviations from the centre to either end, where a detector wants values in [0, 1] and a signal is not."""


def parameters_of(rule: DetectorRule) -> dict[str, float]:
    """Every parameter of the rule's detector, by name: the rule's own, else the default."""
    return {name: rule.parameters.get(name, one.default) for name, one in PARAMETERS[rule.detector].items()}


def check(rule: DetectorRule) -> None:
    """ValueError where a parameter that the detector takes is out of bounds, or does not go with another."""
    values = parameters_of(rule)
    for name, allowed in PARAMETERS[rule.detector].items():
        allowed.check(name, values[name])
    if rule.detector != DETECTOR:
        _BY_NAME[rule.detector](values)


def make(rule: DetectorRule, axis: Numeric, deviation: float) -> Detector | None:
    """A detector for this signal, whose reference has this standard deviation; None where it does not take the values.

    ValueError where a parameter is out of bounds.
    """
    values = parameters_of(rule)
    if rule.detector == DETECTOR:
        return Adwin(delta=rule.delta, **{name: int(value) for name, value in values.items()})
    if not takes(rule.detector, axis):
        return None
    return _BY_NAME[rule.detector](values, _unit(rule.detector, axis, deviation), rule.direction)


def takes(detector: DetectorName, axis: Numeric) -> bool:
    """Whether the detector can make something of the values: DDM, EDDM and FHDDM of those in [0, 1], or of two."""
    return detector not in RISES_ONLY or (axis.centre, axis.scale) == (0.0, 1.0)


def _unit(detector: DetectorName, axis: Numeric, deviation: float) -> Unit:
    """What is 0 and 1 to the detector, in the grid's units."""
    if detector in ("page_hinkley", "kswin"):
        return 0.0, deviation
    if (axis.centre, axis.scale) != (0.0, 1.0):
        return -_REACH, 2 * _REACH
    # Of the signals that keep their units only those of two values can be negative: then these are its 0 and 1.
    least, most = float(axis.bounds[0]), float(axis.bounds[-1])
    return (least, most - least) if least < -1e-6 else (0.0, 1.0)


def serves(detector: Detector, rule: DetectorRule) -> bool:
    """Whether it is what the rule would make now: with other settings a detector begins anew."""
    if isinstance(detector, Adwin):
        same = {name: getattr(detector, name) for name in _ADWIN} == parameters_of(rule)
        return rule.detector == DETECTOR and detector.delta == rule.delta and same
    named = (detector.name, detector.values, detector.direction)
    return named == (rule.detector, parameters_of(rule), rule.direction)


def restore(state: Mapping[str, object]) -> Detector:
    """The detector that a snapshot is of. ValueError where it is of another format, or broken."""
    name = state.get("detector")
    found = _BY_NAME.get(name) if isinstance(name, str) else None
    return found.restore(state) if found is not None else Adwin.restore(state)
