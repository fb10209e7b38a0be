"""`make calibrate`: how often each statistic passes a level when nothing has drifted, cell by cell.

Without `--cells` all of them, and docs/calibration.md is written. `--cells N` draws N of them by the seed, with a twentieth
of the windows, and writes nothing. Either way exit 1 where a cell fails that docs/calibration.md, as it was before, does not
name as failing, or where the budget is broken.
"""

from __future__ import annotations

import argparse
import os

from tests.calibrate.budget import RULES, most_alarms
from tests.calibrate.cells import LEVELS, all_cells, drawn
from tests.calibrate.page import PAGE, named, write
from tests.calibrate.run import Run, measure
from tests.calibrate.verdict import failures, rates

SAMPLE_SHARE = 0.05


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.calibrate", description=__doc__)
    parser.add_argument("--cells", type=int, help="draw so many cells, and do not write the page")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, help="of the windows of a full run (1; with --cells 0.05)")
    parser.add_argument("--hours", type=int, help="that the budget is watched (10,000 times the share)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    if any(given is not None and given <= 0 for given in (chosen.cells, chosen.share, chosen.hours, chosen.processes)):
        parser.error("--cells, --share, --hours and --processes are above 0")
    whole = chosen.cells is None
    cells = all_cells() if whole else drawn(chosen.cells, chosen.seed)
    run = Run(chosen.seed, chosen.share or (1.0 if whole else SAMPLE_SHARE), whole, cells, chosen.hours)
    known = named(PAGE.read_text()) if PAGE.exists() else set()
    outcome = measure(run, chosen.processes)
    found = failures(outcome.tallies)
    for cell, tally in outcome.tallies.items():
        shown = [
            f"{one.rate:7.2%} [{one.low:.2%}, {one.high:.2%}] at {level:.0%} {one.word}"
            for one, level in zip(rates(cell, tally), LEVELS, strict=True)
        ]
        print(f"{'FAIL' if any(name == str(cell) for name, _, _ in found) else 'ok  '} {cell}: {'; '.join(shown)}")
    if whole:
        write(run, outcome)
        print(f"wrote {PAGE}")
    print(f"{outcome.processor_s:.0f} s of processor time; all windows of these cells: {outcome.full_s:.0f} s")
    burst = [
        f"{case.name}, {rule.name}: {own.fired[rule.name]} alarms in {own.hours} hours"
        for case, own in outcome.alarms.items()
        for rule in RULES
        if own.fired[rule.name] > most_alarms(rule, own.hours, case.most)
    ]
    for line in burst:
        print(f"fails, more than the budget: {line}")
    fresh = sorted(found - known)
    for name, level, word in fresh:
        print(f"fails, and docs/calibration.md did not name it: {name}: {word} at {level:.0%}")
    return 1 if fresh or burst else 0


if __name__ == "__main__":
    raise SystemExit(main())
