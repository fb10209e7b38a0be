"""`driftd reference build|show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from driftd.line.options import Categorical, Ignore, Label, Prediction, Time, examples, group, names

reference_app = group(
    "Build and show references: what a model's signals look like when all is well.",
    "driftd reference build --model churn --output churn.json train.parquet",
    "driftd reference show churn.json",
)


@reference_app.command(
    "build",
    epilog=examples(
        "driftd reference build --model churn --output churn.json train.parquet",
        "driftd reference build --model churn --version 7 --categorical plan,region \\",
        "    --ignore id --time ts --prediction score --label churned --output churn-7.json train-*.csv",
    ),
)
def reference_build(
    *,
    model: Annotated[str, typer.Option(metavar="NAME", help="The model that it is for.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    data: Annotated[list[Path], typer.Argument(metavar="DATA", help="Parquet, CSV or JSON-lines files, in order.")],
    version: Annotated[str | None, typer.Option(metavar="VERSION", help="The version that it is for.")] = None,
    categorical: Categorical = None,
    ignore: Ignore = None,
    time: Time = None,
    prediction: Prediction = None,
    label: Label = None,
    grid: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Count on the grid of this reference, not on a new one.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Build a grid and a reference from training data, in bounded memory."""
    from driftd.commands import reference as command  # noqa: PLC0415

    columns = names(categorical), names(ignore)
    raise typer.Exit(command.build(model, version, *columns, time, prediction, label, output, data, grid, quiet))


@reference_app.command(
    "show", epilog=examples("driftd reference show churn.json", "driftd reference show churn.json --signal age")
)
def reference_show(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A reference.")],
    signal: Annotated[str | None, typer.Option(metavar="NAME", help="This signal, in full.")] = None,
) -> None:
    """Show what is in a reference."""
    from driftd.commands import reference as command  # noqa: PLC0415

    raise typer.Exit(command.show(path, signal))
