"""What a person does about an alert at night: acknowledge it, mute it, mark it as false."""

from __future__ import annotations

from typing import Annotated

import typer

from driftd.line.options import DEFAULT_CONFIG, Config, Output, duration_s, examples, instant_ms

night_app = typer.Typer()

Author = Annotated[str | None, typer.Option(metavar="NAME", help="Who does it; the user's name where it is not given.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever wonders about the silence.")]
Alert = Annotated[str, typer.Argument(metavar="ID", help="The id of a notification, or of one alert in it.")]


@night_app.command(epilog=examples("driftd ack ntf_4be1c2", "driftd ack alt_09f3ab --reason 'on it'"))
def ack(id_: Alert, config: Config = DEFAULT_CONFIG, author: Author = None, reason: Reason = "") -> None:
    """Acknowledge an alert: others see that somebody is at it. It is told on as before."""
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.acknowledge(config, id_, author, reason))


@night_app.command("false", epilog=examples("driftd false ntf_4be1c2 --reason 'the loader was tested'"))
def false_(id_: Alert, reason: Reason, config: Config = DEFAULT_CONFIG, author: Author = None) -> None:
    """Mark an alert as false: counted against its rule; nobody is told more of it but its end."""
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.mark_false(config, id_, author, reason))


@night_app.command(
    epilog=examples(
        "driftd mute --model churn --for 4h --reason 'backfill until noon'",
        "driftd mute --model churn --rule drift --signal age --signal plan --until 2026-11-25T08:00:00Z --reason ...",
        "driftd mute ntf_4be1c2 --for 1d --reason 'known, mended tomorrow'",
    )
)
def mute(
    *,
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="What this notification or alert speaks of, and its rule.")
    ] = None,
    reason: Reason,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="This model.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="NAME", help="This rule alone.")] = None,
    signal: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This signal alone; may be repeated.")
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="So long: 4h by default, at most 30d.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Up to then: RFC 3339 or epoch milliseconds.")
    ] = None,
    author: Author = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Tell nobody of what fires there, for a while. It is recorded; what still fires at the end is told then."""
    for_s, end = duration_s(for_), instant_ms(until)
    for_ms = None if for_s is None else round(for_s * 1000)
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.mute(config, id_, model, rule, signal or [], end, for_ms, author, reason))


@night_app.command(epilog=examples("driftd unmute 3 --reason 'mended'"))
def unmute(
    number: Annotated[int, typer.Argument(min=1, metavar="NUMBER", help="Its number in `driftd mutes`.")],
    reason: Reason,
    config: Config = DEFAULT_CONFIG,
    author: Author = None,
) -> None:
    """End a mute before its time, or take back a mark as false or an acknowledgement (`driftd mutes --all`)."""
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.unmute(config, number, author, reason))


@night_app.command(epilog=examples("driftd mutes", "driftd mutes --all --output json"))
def mutes(
    *,
    config: Config = DEFAULT_CONFIG,
    all_: Annotated[bool, typer.Option("--all", help="Whatever people did, the newest first.")] = False,
    output: Annotated[Output, typer.Option(help="How to print them.")] = "text",
) -> None:
    """List what is muted now, until when, by whom and why."""
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.list_(config, output, all_=all_))
