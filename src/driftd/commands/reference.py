"""`driftd reference build` and `driftd reference show`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from driftd.core.fault import UserError, printable
from driftd.core.grid import Numeric
from driftd.core.reference import LEAST_PART, LEAST_WINDOWS, Reference
from driftd.files import reference_file
from driftd.files.build import BuildOptions, Built
from driftd.files.build import Progress as Report
from driftd.files.build import build as build_reference
from driftd.files.summary import Line, bins, lines

DISPENSABLE = ("values", "centre", "scale", "floor@1k", "absent", "floor@10k")
"""Columns that a narrow terminal does without, first to last."""
PHASES = {"types": "reading types", "values": "finding bins", "counts": "counting"}


def build(
    model: str,
    version: str | None,
    categorical: str | Sequence[str] | None,
    ignore: str | Sequence[str] | None,
    time: str | None,
    prediction: str | None,
    label: str | None,
    output: Path,
    data: list[Path],
    grid: Path | None = None,
    quiet: bool = False,  # noqa: FBT001, FBT002 - the command line's own
) -> int:
    """Build a reference file from data files. `categorical` and `ignore`: names, or names joined by commas."""
    _check_output(output, data)
    options = BuildOptions(model, version, _names(categorical), _names(ignore), time, prediction, label)
    known = reference_file.read(grid)[1].grid if grid is not None else None
    with _progress(quiet=quiet) as report:
        built = build_reference(data, options, known, report)
    reference_file.write(output, built.header, built.reference, built.parts)
    for note in built.notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    if not quiet:
        print(_summary(output, built))
    return 0


def show(path: Path, signal: str | None = None) -> int:
    """Print what is in a reference file; of one signal all its bins."""
    header, reference = reference_file.read(path)
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    if signal is not None:
        if signal not in reference.grid.index:
            raise UserError(
                f"{path} has no signal {signal!r}", f"it has {', '.join(reference.grid.names[:20]) or 'none'}"
            )
        _print(console, ("bin", "events", "share"), bins(reference, signal))
        return 0
    _print(console, None, _about(header, reference))
    console.print()
    _print(console, Line.TITLES, (line.cells() for line in lines(reference)))
    return 0


def _about(header: reference_file.Header, reference: Reference) -> Iterator[tuple[str, ...]]:
    yield "model", header.model
    yield "version", header.version
    yield "events", f"{header.events:,} of {', '.join(header.rows) or 'unknown files'}"
    if header.start is not None and header.end is not None:
        yield "time", f"{_time(header.start)} to {_time(header.end)}"
    yield "parts", f"{reference.parts:,} of about {header.events // max(reference.parts, 1):,} events, in order"
    yield "law", _law(reference)
    yield "grid", header.hash
    yield "id", header.id


def _law(reference: Reference) -> str:
    if reference.calibrated:
        longest = max(size for size, _ in reference.replays)
        return f"calibrated on windows of 1 to {longest} parts of it, at least {LEAST_WINDOWS} of each"
    return (
        f"uncalibrated: that takes {LEAST_WINDOWS} parts of at least {LEAST_PART} events "
        f"({LEAST_WINDOWS * LEAST_PART:,} events in the order of their time); the law of independent data holds"
    )


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _summary(output: Path, built: Built) -> str:
    reference = built.reference
    numeric = sum(isinstance(axis, Numeric) for axis in reference.grid.axes)
    return printable(
        f"{output}: {reference.events:,} events, {numeric} numeric and {len(reference.grid) - numeric} categorical "
        f"signals, {reference.parts} parts, {'calibrated' if reference.calibrated else 'uncalibrated'}, "
        f"grid {built.header.hash}; `driftd reference show {output}` tells more"
    )


def _names(said: str | Sequence[str] | None) -> tuple[str, ...]:
    parts = [said] if isinstance(said, str) else list(said or ())
    return tuple(name for part in parts for name in part.split(",") if name)


def _check_output(output: Path, data: Sequence[Path]) -> None:
    """Says so before the long work, not after it."""
    if output.is_dir():
        raise UserError(f"{output} is a directory", "give the name of a file")
    if not output.parent.is_dir():
        raise UserError(f"there is no directory {output.parent}", f"make it: mkdir -p {output.parent}")
    if output.exists() and any(path.exists() and path.samefile(output) for path in data):
        raise UserError(f"{output} is also a file to read", "write to another file")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Report | None]:
    """A bar on stderr; none where nobody looks."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        phase = ""

        def report(name: str, done: int, total: int) -> None:
            nonlocal phase
            if name != phase:
                phase = name
                bar.reset(task, description=PHASES.get(name, name), total=total)
            bar.update(task, completed=done)

        yield report


def _print(console: Console, titles: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> None:
    """A table; plain columns where it is no terminal, for grep and awk."""
    clean = [[printable(cell) for cell in row] for row in rows]
    if console.is_terminal and titles is not None:
        kept = _that_fit(titles, clean, console.width)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for i in kept:
            table.add_column(titles[i], no_wrap=titles[i] not in {"signal", "bin"}, overflow="fold")
        for row in clean:
            table.add_row(*(Text(row[i]) for i in kept))
        console.print(table)
        if len(kept) < len(titles):
            left_out = [title for i, title in enumerate(titles) if i not in kept]
            console.print(f"\nFor {', '.join(left_out)}: a wider terminal, or a pipe.", style="dim")
        return
    whole = [list(titles), *clean] if titles is not None else clean
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    for row in whole:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _that_fit(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that a line has room for: no number is ever cut."""
    widths = [max(map(cell_len, (title, *(row[i] for row in rows)))) + 2 for i, title in enumerate(titles)]
    kept = list(range(len(titles)))
    for title in DISPENSABLE:
        if title in titles and sum(widths[i] for i in kept) > width + 2:
            kept.remove(titles.index(title))
    return kept
