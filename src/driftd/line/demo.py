"""`driftd demo`, and its parts one by one: `driftd demo traffic`, `driftd demo receiver`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from driftd.core.fault import UserError
from driftd.line.options import duration_s, examples, pair

demo_app = typer.Typer(
    invoke_without_command=True, epilog=examples("driftd demo", "driftd demo --for 90s --serve", "driftd demo traffic")
)


@demo_app.callback()
def demo(
    context: typer.Context,
    *,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Give up after this long, such as 90s.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Go on serving the pages at the end.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print lines, not a live view.")] = False,
) -> None:
    """Watch driftd find a drift: a broker, a real model's traffic, the daemon and a receiver, in about a minute."""
    if context.invoked_subcommand:
        if for_ is not None or serve or plain:
            name = context.invoked_subcommand
            raise UserError(f"options of driftd demo do not go with {name}", f"give {name}'s own after its name")
        return
    for_s = duration_s(for_)
    from driftd.demo import command  # noqa: PLC0415

    raise typer.Exit(command.main(for_s, serve, plain))


@demo_app.command(
    "traffic",
    epilog=examples(
        "driftd demo traffic --bootstrap localhost:9092",
        "driftd demo traffic --bootstrap kafka:9092 --rate 50 --calm 1h --drift 10m",
        "driftd demo traffic --bootstrap localhost:9092 --topic scoring-log --shape nested --past 30m --drift 0s",
    ),
)
def demo_traffic(
    *,
    bootstrap: Annotated[str, typer.Option(metavar="HOST:PORT", help="The brokers, several with commas between.")],
    topic: Annotated[str, typer.Option(metavar="NAME", help="Where to; made if it is not there.")] = "predictions",
    partitions: Annotated[int, typer.Option(min=1, help="Of the topic, if it has to be made.")] = 4,
    rate: Annotated[float, typer.Option(min=0.1, max=2000, help="Events a second, of each of the two models.")] = 20.0,
    calm: Annotated[str, typer.Option(metavar="TIME", help="How long all is well, at first and each time.")] = "20m",
    drift: Annotated[str, typer.Option(metavar="TIME", help="How long one of them drifts then.")] = "20m",
    past: Annotated[
        str, typer.Option(metavar="TIME", help="Send so much calm traffic at first, stamped as of before now.")
    ] = "0s",
    shape: Annotated[
        Literal["native", "nested", "cloudevents"],
        typer.Option(help="driftd's own form of events, or one that a platform of its own might have."),
    ] = "native",
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="End after this long; else on Ctrl-C.")
    ] = None,
    client: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A setting of librdkafka, such as its security.")
    ] = None,
) -> None:
    """Send the demo's traffic to a broker of yours, at the pace of the wall: calm, then drifting, by turns."""
    times = duration_s(calm) or 0.0, duration_s(drift) or 0.0
    pairs = dict(pair(one) for one in client or ())
    for_s = duration_s(for_)
    from driftd.demo import live  # noqa: PLC0415

    wanted = live.Wanted(bootstrap, topic, partitions, rate, *times, for_s, pairs, duration_s(past) or 0.0, shape)
    raise typer.Exit(live.main(wanted))


@demo_app.command("receiver", epilog=examples("driftd demo receiver", "driftd demo receiver --listen 127.0.0.1:8800"))
def demo_receiver(
    *,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it listens.")] = "127.0.0.1:8800",
) -> None:
    """Stand in for a channel: take what is sent to Slack's incoming webhook, or to a webhook, and print it."""
    from driftd.demo import channel  # noqa: PLC0415

    raise typer.Exit(channel.main(listen))
