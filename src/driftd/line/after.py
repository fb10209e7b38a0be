"""What a person asks afterwards: were the rules worth it, do two instances say the same."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from driftd.line.options import DEFAULT_CONFIG, Config, Output, examples, span_ms

after_app = typer.Typer()

Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="From here: RFC 3339, epoch milliseconds, or so long ago: 30d.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Up to here; now if it is not given.")]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="This model alone.")]


@after_app.command(
    epilog=examples(
        "driftd review --since 30d",
        "driftd review --since 2026-11-01T00:00:00Z --until 2026-11-15T00:00:00Z --model churn",
        "driftd review --since 7d --output markdown",
    )
)
def review(
    config: Config = DEFAULT_CONFIG,
    since: Since = "30d",
    until: Until = None,
    model: Name = None,
    output: Annotated[Literal["text", "json", "markdown"], typer.Option(help="How to print it.")] = "text",
) -> None:
    """Say of each rule what its alerts were worth, and the threshold that its closed panes suggest. Changes nothing."""
    span = span_ms(since, until)
    from driftd.commands import review as command  # noqa: PLC0415

    raise typer.Exit(command.main(config, *span, model, output))


@after_app.command(
    epilog=examples(
        "driftd diff /var/lib/driftd /var/lib/driftd-shadow",
        "driftd diff --since 2d --model churn http://driftd:9464 http://driftd-shadow:9464",
    )
)
def diff(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A state directory, or http://HOST:PORT of a driftd that runs.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    since: Since = None,
    until: Until = None,
    model: Name = None,
    output: Annotated[Output, typer.Option(help="How to print it.")] = "text",
) -> None:
    """Compare what two instances told, over the time that both have judged. Exits 0: the same, 1: not, 2: cannot tell."""
    span = span_ms(since, until)
    from driftd.commands import diff as command  # noqa: PLC0415

    raise typer.Exit(command.main(a, b, *span, model, output))
