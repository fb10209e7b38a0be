"""Whether driftd said what it had to, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftd.core.spec import MINUTE
from driftd.demo.plan import DRIFTED, DRIFTING, PERIOD, STEADY
from driftd.demo.receiver import Arrival


@dataclass(frozen=True, slots=True)
class Verdict:
    """`missing` and `wrong`: one line each; the demo is good where both are empty. Times: the window's end, ms."""

    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    fired: dict[str, int]
    """Drifted signals by when their drift alert fired."""
    retrain: int | None

    @property
    def good(self) -> bool:
        return not self.missing and not self.wrong


def judge(arrivals: Sequence[Arrival], forged: int, drift_at: int) -> Verdict:
    """From what the receiver was told."""
    fired: dict[str, int] = {}
    wrong = [f"{forged} deliveries had a signature that does not hold"] if forged else []
    retrain: int | None = None
    for one in arrivals:
        names = [name for name, _, _ in one.signals]
        if one.end <= drift_at:
            wrong.append(f"before the drift: {one.line()}")
        elif one.model != DRIFTING:
            wrong.append(f"{one.model} did not drift: {one.line()}")
        elif one.firing and (odd := sorted(set(names) - DRIFTED)):
            wrong.append(f"{', '.join(odd)} did not drift: {one.line()}")
        elif one.retrain:
            retrain = one.end if retrain is None else retrain
        elif one.firing and one.rule == "drift":
            for name in names:
                fired.setdefault(name, one.end)
    missing = []
    if silent := sorted(DRIFTED - fired.keys()):
        missing.append(f"no drift alert on {', '.join(silent)} of {DRIFTING}")
    if retrain is None:
        missing.append(f"no retrain request for {DRIFTING}")
    return Verdict(tuple(missing), tuple(wrong), fired, retrain)


def after(end: int, drift_at: int) -> str:
    """How long after the drift, in event time and in events of the model."""
    ms = end - drift_at
    return f"{ms / MINUTE:.0f} min ({ms // PERIOD:,} events)"


def closing_lines(verdict: Verdict, drift_at: int, events: int, accuracy: tuple[float, float] | None) -> list[str]:
    """What was seen, how long after the drift, what to run next."""
    if not verdict.good:
        return [
            f"Seen: not what the demo must show: {'; '.join((*verdict.missing, *verdict.wrong))}.",
            f"When: within {events:,} events of each model.",
            "Next: driftd demo --plain, and report what it prints.",
        ]
    first, last = min(verdict.fired.values()), max(verdict.fired.values())
    assert verdict.retrain is not None
    seen = (
        f"Seen: {', '.join(sorted(DRIFTED))} of {DRIFTING} drifted, a retraining was asked for, and nothing else fired; "
        f"{STEADY} stayed silent."
    )
    if accuracy is not None:
        before, since = accuracy
        seen += f" (Unseen without labels: the model was right {before:.0%} of the time, and is now {since:.0%}.)"
    when = (
        f"When: first drift alert {after(first, drift_at)} after the drift, all after {after(last, drift_at)}, "
        f"the retrain request after {after(verdict.retrain, drift_at)}; nothing before it."
    )
    next_ = "Next: driftd reference build --model M --output R.json DATA, then driftd check and driftd run"
    return [seen, when, f"{next_} --config driftd.yaml"]
