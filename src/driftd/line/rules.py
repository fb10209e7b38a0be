"""`driftd rules explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from driftd.line.options import DEFAULT_CONFIG, Config, Output, examples, group

rules_app = group("See what the rules cost and what they find.", "driftd rules explain --model churn")


@rules_app.command(
    "explain", epilog=examples("driftd rules explain", "driftd rules explain --model churn --output json")
)
def rules_explain(
    *,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="This model alone.")] = None,
    config: Config = DEFAULT_CONFIG,
    output: Annotated[Output, typer.Option(help="How to print it.")] = "text",
) -> None:
    """Say of each rule its level, its false alarms, and the smallest shift that it finds at the traffic seen."""
    from driftd.commands import rules as command  # noqa: PLC0415

    raise typer.Exit(command.main(config, model, output))
