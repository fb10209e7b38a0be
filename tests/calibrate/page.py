"""docs/calibration.md: written from a run, and read again for the cells that it names as failing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from scipy.stats import binom

from driftd.core.spec import HOUR, YEAR
from tests.calibrate.budget import PANE_VALUES, RULES, WINDOW, Alarms, Case, most_alarms
from tests.calibrate.cells import LEVELS, MEASURED, SIZES, Cell
from tests.calibrate.measure import FIXED_REFERENCES, Tally
from tests.calibrate.run import Outcome, Run
from tests.calibrate.streams import DEPENDENCES
from tests.calibrate.verdict import Failure, Rate, failures, rates
from tests.core.streams import Floats

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"
FAILING = "## Cells that fail"
LONGEST = [(n, m) for n, m in SIZES if n * 20 == m]

HEAD = """# Calibration

How often each statistic passes a level when nothing has drifted: `Reference.build` and `judge` themselves, on drawn data.
Written by `make calibrate`; what is measured and how, in `tests/calibrate`. What the numbers rest on:
[statistics.md](statistics.md#evidence).

A **cell** is a statistic, a kind of values, how they depend on each other, n values of a window and m of the reference.
Independent ones pass if the exact 99 % interval of their rate (Clopper & Pearson 1934) meets 0.8 to 1.25 times the level,
at 5 % and at 1 %; dependent ones if it meets at most 1.5 times at 5 % and 2 times at 1 %. A cell whose interval lies below
0.8 fails as one above does: a level that is kept by silence costs power. Of dependent ones that is allowed, and shown.

- AR(1): each value is 0.5 or 0.9 times the one before, plus noise. A category, an integer, a zero, a null is such a series
  cut at its quantiles. Heavy-tailed is Student's law with 3 degrees of freedom, of values or of noise.
- Hourly wobble: every hour has a level of its own, of a standard deviation of a tenth. A window is one hour; the parts of
  the reference fall as they fall.
- PSI sees ranks alone: independent normal, lognormal and heavy-tailed values are one thing to it, drawn three times.
- No cell looks at the effect: a rule also asks for 0.1 of PSI and for the floor, and its levels are far smaller.
"""


def write(run: Run, outcome: Outcome) -> None:
    PAGE.write_text("\n".join(_lines(run, outcome)) + "\n")


def _lines(run: Run, outcome: Outcome) -> Iterator[str]:
    tallies = outcome.tallies
    yield HEAD
    yield from _how(run, outcome)
    yield from _failing(tallies)
    for measured in MEASURED:
        own = {cell: tally for cell, tally in tallies.items() if cell.statistic == measured.name}
        yield f"\n## {measured.name}\n"
        yield "Of windows without drift, in percent, at 5 % · at 1 %. ↑ too often, ↓ too seldom: it fails; (in brackets): too"
        yield "seldom, where that is allowed.\n"
        yield from _marginal(own)
        yield f"\n{FIXED_REFERENCES} fixed references, {run.windows} windows of each: the median, 90th and 99th percentile"
        yield f"of their rates, in percent, at 5 % · at 1 %. Chance alone, with every rate as stated: {_chance(run.windows)}.\n"
        yield from _fixed(own)
    yield from _budget(outcome.alarms)


def _budget(alarms: Mapping[Case, Alarms]) -> Iterator[str]:
    yield "\n## The budget over repeated looks\n"
    yield f"Hourly windows of {12 * PANE_VALUES} normal values a signal, looked at every five minutes, without drift; the real"
    yield "rule on PSI with thresholds of 0, so that budget and floor alone hold. *Allowed*: what a Poisson count of the budget"
    yield "reaches with 99 %, of AR(1) 0.9 three times that; more (↑) fails. *Looks*: where the smallest p-value passed its"
    yield "level, whatever the floor says; where it is kept there are about those expected, in runs, because looks overlap.\n"
    yield "| | rule | hours | alarms | allowed | looks | expected |\n|---|---|---|---|---|---|---|"
    for case, own in sorted(alarms.items(), key=lambda item: item[0].number):
        for rule in RULES:
            fired, allowed = own.fired[rule.name], most_alarms(rule, own.hours, case.most)
            paid = WINDOW.length if rule.persist > 1 else WINDOW.every
            looks = rule.false_alarms_per_year * own.hours * HOUR / YEAR * paid / WINDOW.every
            yield (
                f"| {case.name} | {rule.name} | {own.hours:,} | {fired}{' ↑' if fired > allowed else ''} | {allowed} "
                f"| {own.passed[rule.name]} | {looks:.1f} |"
            )


def _how(run: Run, outcome: Outcome) -> Iterator[str]:
    yield "## How this page was made\n"
    yield f"    {run.command}\n"
    yield f"It took {outcome.processor_s / 60:.0f} minutes of processor time. A full run would by this"
    yield f"take {outcome.full_s / 60:.0f}; on two processors half of that."
    yield "Every window has a reference of its own, drawn for it:\n"
    yield "| m | windows |\n|---|---|"
    for m in sorted({m for _, m in SIZES}):
        counts = sorted({tally.windows for cell, tally in outcome.tallies.items() if cell.m == m}, reverse=True)
        yield f"| {m:,} | {', '.join(f'{count:,}' for count in counts)} |"
    yield "\nFewer are those of 200 Zipf categories, and of 200,000 values where each is drawn. The fewer, the wider the"
    yield "interval, and the less is found: a cell that is not named has not been shown to hold.\n"


def _failing(tallies: Mapping[Cell, Tally]) -> Iterator[str]:
    found = failures(tallies)
    cells = [cell for cell in tallies if any(str(cell) == name for name, _, _ in found)]
    words = {(name, level): word for name, level, word in found}
    often = len({name for name, _, word in found if word == "too often"})
    yield FAILING + "\n"
    yield f"{len(cells)} of {len(tallies)}: {often} too often, {len(cells) - often} too seldom alone. `make calibrate` exits 1"
    yield "where a cell fails that is not named here.\n"
    yield "| cell | at 5 % | at 1 % |\n|---|---|---|"
    for cell in cells:
        shown = [
            f"{words[str(cell), level]}: {_interval(one)}" if (str(cell), level) in words else ""
            for level, one in zip(LEVELS, rates(cell, tallies[cell]), strict=True)
        ]
        yield f"| {cell} | {' | '.join(shown)} |"


def named(text: str) -> set[Failure]:
    """The failures that the page names."""
    part = text.partition(FAILING)[2].partition("\n## ")[0]
    out: set[Failure] = set()
    for line in part.splitlines():
        columns = [column.strip() for column in line.strip("|").split("|")]
        if len(columns) == 1 + len(LEVELS) and ":" in columns[0]:
            words = [re.match(r"too (often|seldom)", column) for column in columns[1:]]
            out |= {(columns[0], level, word[0]) for level, word in zip(LEVELS, words, strict=True) if word}
    return out


def _interval(one: Rate) -> str:
    return f"{one.low:.2%} to {one.high:.2%}".replace("%", " %")


def _marginal(own: Mapping[Cell, Tally]) -> Iterator[str]:
    yield "| | " + " | ".join(f"{n:,} of {m:,}" for n, m in SIZES) + " |"
    yield "|---" * (1 + len(SIZES)) + "|"
    for name, row in _rows(own):
        shown = [" · ".join(_mark(one) for one in rates(row[size], own[row[size]])) for size in SIZES]
        yield f"| {name} | {' | '.join(shown)} |"


def _mark(one: Rate) -> str:
    mark = {"too often": " ↑", "too seldom": " ↓"}.get(one.word, "")
    text = f"{100 * one.rate:.2g}{mark}"
    return f"({text})" if one.word == "quiet" else text


def _fixed(own: Mapping[Cell, Tally]) -> Iterator[str]:
    yield "| | " + " | ".join(f"{n:,} of {m:,}" for n, m in LONGEST) + " |"
    yield "|---" * (1 + len(LONGEST)) + "|"
    for name, row in _rows(own):
        shown = []
        for size in LONGEST:
            table = np.array(own[row[size]].fixed)
            shown.append(" · ".join(_percentiles(table[:, i]) for i in range(len(LEVELS))))
        yield f"| {name} | {' | '.join(shown)} |"


def _percentiles(values: Floats) -> str:
    return " / ".join(f"{100 * v:.2g}" for v in np.quantile(values, (0.5, 0.9, 0.99), method="inverted_cdf"))


def _chance(windows: int) -> str:
    return " · ".join(
        " / ".join(f"{100 * q / windows:.2g}" for q in binom.ppf((0.5, 0.9, 0.99), windows, level)) for level in LEVELS
    )


def _rows(own: Mapping[Cell, Tally]) -> Iterator[tuple[str, dict[tuple[int, int], Cell]]]:
    for kind in dict.fromkeys(cell.kind for cell in own):
        for dependence in DEPENDENCES:
            row = {(c.n, c.m): c for c in own if c.kind == kind and c.dependence == dependence}
            yield f"{kind}, {dependence}", row
