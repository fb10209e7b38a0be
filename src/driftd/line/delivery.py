"""`driftd outbox`, `receivers`, `routes`: who hears of what, and what waits."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from driftd.line.options import DEFAULT_CONFIG, Config, Output, examples, group

outbox_app = group(
    "Show and replay what waits to be delivered, and what died.",
    "driftd outbox list --dead",
    "driftd outbox show 17",
    "driftd outbox replay 17",
)
receivers_app = group("Try receivers out.", "driftd receivers test ops")
routes_app = group("See who would hear of what.", "driftd routes test --model churn")


@outbox_app.command("list", epilog=examples("driftd outbox list", "driftd outbox list --dead"))
def outbox_list(
    *,
    config: Config = DEFAULT_CONFIG,
    dead: Annotated[bool, typer.Option("--dead", help="What died, not what waits.")] = False,
) -> None:
    """List what waits, or what died."""
    from driftd.commands import outbox as command  # noqa: PLC0415

    raise typer.Exit(command.list_(config, dead))


@outbox_app.command("show", epilog=examples("driftd outbox show 17"))
def outbox_show(
    number: Annotated[int, typer.Argument(min=0, metavar="NUMBER", help="Its number in `driftd outbox list`.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Show one delivery: body, attempts, last error."""
    from driftd.commands import outbox as command  # noqa: PLC0415

    raise typer.Exit(command.show(config, number))


@outbox_app.command("replay", epilog=examples("driftd outbox replay 17", "driftd outbox replay --all"))
def outbox_replay(
    *,
    number: Annotated[
        int | None, typer.Argument(min=0, metavar="NUMBER", help="Its number in `driftd outbox list --dead`.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    all_: Annotated[bool, typer.Option("--all", help="Everything that died.")] = False,
) -> None:
    """Give what died to its receiver again."""
    from driftd.commands import outbox as command  # noqa: PLC0415

    raise typer.Exit(command.replay(config, number, all_))


@receivers_app.command(
    "test", epilog=examples("driftd receivers test ops", "driftd receivers test ops --config driftd.yaml")
)
def receivers_test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The receiver's name in the settings.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Send a notification that is marked as a test."""
    from driftd.commands import receivers as command  # noqa: PLC0415

    raise typer.Exit(command.test(config, name))


@routes_app.command(
    "test",
    epilog=examples(
        "driftd routes test --model churn",
        "driftd routes test --model churn --severity critical --rule drift --label team=risk",
    ),
)
def routes_test(
    *,
    model: Annotated[str, typer.Option(metavar="NAME", help="The model that is told of.")],
    version: Annotated[str | None, typer.Option(metavar="VERSION", help="Its version.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="The kind of event: prediction by default.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="NAME", help="This rule alone.")] = None,
    severity: Annotated[Literal["warning", "critical"] | None, typer.Option(help="This severity alone.")] = None,
    type_: Annotated[
        Literal["firing", "resolved", "retrain"] | None, typer.Option("--type", help="This type alone.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A label, over those that the settings give.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    output: Annotated[Output, typer.Option(help="How to print it.")] = "text",
) -> None:
    """Say who would hear of a model's notifications, and by which route. Sends nothing."""
    from driftd.commands import routes as command  # noqa: PLC0415

    asked = command.Asked(model, version, kind, rule, severity, type_, tuple(label or ()))
    raise typer.Exit(command.test(config, asked, output))
