"""A body's numbers as sentences. Each gives one line, or "" where there is nothing to say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

MANY: Final = 3
"""So many signals that moved at once have one cause, not so many."""
SHOWN: Final = 5
_REASONS: Final = {
    "calm": "the effect stayed below 0.8 of the threshold",
    "retired": "the version is not watched any more, newer ones took its place",
    "replaced": "the version serves no more, another took its place",
    "promoted": "the version is the champion now, others are compared with it",
    "not compared": "the version is not compared with the champion any more",
    "returned": "the columns are as they were",
    "settled": "the new columns are part of the events by now",
    "re-baselined": "the model has another reference now",
    "rule removed": "the settings do not have the rule, or not for this signal, any more",
}
_FLAGS: Final = {
    "uncalibrated": "uncalibrated: the reference has no order to replay, the real chance may be higher",
    "extrapolated": "extrapolated beyond what the reference's replay shows",
    "short_replay": "the reference is too short to replay windows of this size",
    "noisy": "the reference itself moves this much, so the threshold was raised",
}
_RATES: Final = {
    "null_rate": "null",
    "absent_rate": "absent",
    "new_rate": "of categories never seen before",
    "type_error_rate": "of another type",
    "present_rate": "present",
    "share_of_new": "of categories never seen before",
    "share_of_rare": "of rare categories",
}
_CHANGES: Final = {"removed": "is gone", "retyped": "has another type", "added": "is new"}
"""Of a column."""

Data = Mapping[str, Any]


def number(value: object) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return "?"
    if value and (abs(value) >= 1e15 or abs(value) < 1e-3):
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def settings_of(parameters: object) -> str:
    """A detector's parameters by name, as a row of words."""
    if not isinstance(parameters, dict):
        return "?"
    return ", ".join(f"{name} {number(value)}" for name, value in parameters.items())


def percent(value: object) -> str:
    if not isinstance(value, (int, float)):
        return "?"
    share = 100 * value
    return f"{share:.0f} %" if share >= 10 or share == 0 else f"{share:.1f} %" if share >= 0.1 else "below 0.1 %"


def instant(text: object) -> str:
    """Of RFC 3339, as every body writes it."""
    return f"{text[:10]} {text[11:16]} UTC" if isinstance(text, str) and len(text) >= 16 else "an unknown time"


def span(first: object, last: object) -> str:
    return f"from {instant(first)} to {instant(last)}"


def effect(signal: Data) -> str:
    if signal.get("effect") is None:
        return str(signal.get("severity", ""))
    statistic = str(signal.get("statistic", "")).replace("_", " ")
    return f"{statistic} effect {number(signal['effect'])}, threshold {number(signal.get('threshold'))}"


def moved(told: object) -> str:
    """From what to what."""
    if not isinstance(told, dict):
        return ""
    what, ends = str(told.get("what")), (told.get("from"), told.get("to"))
    if what == "mean":
        return f"mean {number(ends[0])} → {number(ends[1])}"
    if what != "share":
        of = _RATES.get(what)
    elif "category" in told:
        name = str(told["category"])
        of = f"share of '{name if len(name) <= 60 else name[:59] + '…'}'"
    else:
        of = f"share {_range(told.get('above'), told.get('up_to'))}"
    return f"{of} {percent(ends[0])} → {percent(ends[1])}" if of else ""


def _range(above: object, up_to: object) -> str:
    if above is None:
        return "of all" if up_to is None else f"up to {number(up_to)}"
    return f"above {number(above)}" if up_to is None else f"above {number(above)} up to {number(up_to)}"


def change(signal: Data) -> str:
    """What happened to a column; "" where the schema did not change."""
    if signal.get("statistic") == "renamed":
        return f"looks renamed to '{str(signal.get('renamed_to'))[:60]}'"
    return _CHANGES.get(str(signal.get("statistic")), "")


def movement(signal: Data) -> str:
    told = moved(signal.get("moved"))
    if change(signal):
        return f"{change(signal)} ({told})" if told else change(signal)
    return f"{told} ({effect(signal)})" if told else effect(signal)


def together(signals: Sequence[Data], rest: Sequence[str]) -> str:
    """Since when; the signals that have no line of their own; and whether all moved at once."""
    onsets = Counter(str(one["onset"]) for one in signals if "onset" in one)
    if not onsets:
        return ""
    begun, count = onsets.most_common(1)[0]
    names = f"Also {', '.join(rest[:SHOWN])}{f' and {len(rest) - SHOWN} more' if len(rest) > SHOWN else ''}. "
    since = f"Since {instant(begun)}"
    if len(onsets) > 1 and len(signals) < MANY:
        since = f"Since {instant(min(onsets))}, the last since {instant(max(onsets))}"
    elif len(onsets) > 1:
        others = "the others later" if begun == min(onsets) else f"the first since {instant(min(onsets))}"
        since = f"{count} of {len(signals)} signals since {instant(begun)}, {others}"
    elif len(signals) >= MANY:
        since = f"All {len(signals)} signals moved together, since {instant(begun)}: look for one cause"
    return f"{names if rest else ''}{since}."


def prediction(data: Data, signals: Sequence[Data]) -> str:
    """Whether what the model says moved, too."""
    if any(one.get("signal") in ("prediction", "class") for one in signals):
        return "" if len(signals) == 1 else "The prediction is among them."
    told = data.get("prediction")
    if not isinstance(told, dict):
        return ""
    strength = f"effect {number(told.get('effect'))}, threshold {number(told.get('threshold'))}"
    if told.get("effect", 0) >= told.get("threshold", math.inf):
        return f"The prediction moved too: {moved(told.get('moved'))} ({strength})."
    return f"The prediction has not moved beyond its threshold ({strength})."


def sure(data: Data, signals: Sequence[Data]) -> str:
    """How often this is nothing: of the worst signal, and what the rule promises."""
    budget = data.get("budget")
    budget = budget if isinstance(budget, dict) else {}
    if "delta" in budget:
        return f"{str(budget.get('detector', '')).upper()} at its own false-alarm level of {number(budget['delta'])}."
    if "detector" in budget:
        return f"{str(budget['detector']).upper()} with {settings_of(budget.get('parameters'))}; no share of a budget."
    worst = signals[0] if signals else {}
    p = worst.get("p_value")
    told = []
    if isinstance(p, (int, float)):
        told.append(f"Without a drift {chance(p)} looks like this")
    allowed = budget.get("false_alarms_per_year")
    if isinstance(allowed, (int, float)):
        told.append(f"the rule may raise {allowed:g} false alarm{'' if allowed == 1 else 's'} a model-year")
    told += [_FLAGS[flag] for flag in worst.get("flags", []) if flag in _FLAGS]
    return "; ".join(told) + "." if told else ""


def chance(p: float) -> str:
    if p < 1e-9:
        return "less than one window in a billion"
    once = 1 / p
    digits = max(0, math.floor(math.log10(once)))
    return f"about one window in {round(once / 10**digits) * 10**digits:,}"


def compared(data: Data) -> str:
    """With whom, where it is not the reference."""
    champion = data.get("champion")
    return f"Compared with the champion, version {str(champion)[:40]}, in the same hours." if champion else ""


def deployed(data: Data) -> str:
    """The versions that were seen last."""
    versions = [one for one in data.get("versions", []) if isinstance(one, dict)]
    dated = [one for one in versions if one.get("since")]
    if not dated:
        return ""
    told = []
    for one in dated[:2]:
        before = _before(one["since"], data.get("onset"))
        told.append(f"version {str(one.get('version'))[:40]} first seen {instant(one['since'])}{before}")
    return f"Deployed: {', '.join(told)}."


def _before(since: object, onset: object) -> str:
    try:
        passed = datetime.fromisoformat(str(onset)) - datetime.fromisoformat(str(since))
    except ValueError:
        return ""
    minutes = round(passed.total_seconds() / 60)
    if not 0 <= minutes <= 1_440:
        return ""
    return f" ({minutes} min before)" if minutes < 120 else f" ({minutes // 60} h before)"


def next_step(data: Data, signals: Sequence[Data]) -> str:
    """The first that fits."""
    if not signals:
        return ""
    dated = [one for one in data.get("versions", []) if isinstance(one, dict) and one.get("since")]
    fresh = bool(dated) and bool(_before(dated[0]["since"], data.get("onset")))
    what = signals[0].get("statistic")
    told = data.get("prediction")
    holds = isinstance(told, dict) and told.get("effect", 0) < told.get("threshold", math.inf)
    advice = (
        (bool(data.get("champion")), "if this version is not meant to differ from the champion, stop its rollout"),
        (fresh, "compare with the version before; if only the new one shows it, roll it back"),
        (
            what in ("removed", "renamed", "retyped"),
            "ask whoever sends these events what changed; if it is meant, build a new reference",
        ),
        (what == "added", "nothing; if the model is to use it, build a new reference"),
        (len(signals) >= MANY, "find what they share: a join, a table, a deployment at that time"),
        (
            what in ("null_rate", "absent_rate"),
            "ask whoever fills this field what changed; mend it there, or build a new reference if it is meant",
        ),
        (
            what == "new_rate",
            "see which categories are new; retrain if they are here to stay, mend the source if they are not",
        ),
        (
            signals[0].get("signal") in ("label", "error"),
            "the model may not hold any more: look at its errors by segment, and retrain",
        ),
        (holds, "find out at the source why; the model's answers hold so far"),
        (True, "find out at the source why; if the world has changed, check fresh labels and retrain"),
    )
    return f"Next: {next(text for fits, text in advice if fits)}."


def over(data: Data) -> str:
    """Since when it is over, and why."""
    reason = str(data.get("reason", ""))
    begun = f"Began {instant(data['onset'])}, " if "onset" in data else ""
    text = f"{begun}over {instant(data.get('window_end'))}: {_REASONS.get(reason, reason)}."
    return text if begun else text[0].upper() + text[1:]


def policy(data: Data) -> str:
    told = data.get("policy")
    if not isinstance(told, dict):
        return ""
    when = ", ".join(str(one) for one in told.get("when", []))
    return f"By the policy: when {when}; {told.get('budget_per_day')} a day at most."
