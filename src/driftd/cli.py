"""What a person types. Only options and help stand here; each command's module is imported when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

import driftd
from driftd.core.fault import UserError, printable

Output = Literal["text", "json"]

app = typer.Typer(
    name="driftd",
    help="Watches model serving on Kafka and says, at a stated false-alarm rate, when a model's world has changed.",
    epilog="Start here:\n\n\b\n  driftd demo\n  driftd check --config driftd.yaml\n  driftd run --config driftd.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def examples(*lines: str) -> str:
    """An epilog that is printed as it stands."""
    return "\n".join([f"Example{'s' if len(lines) > 1 else ''}:\n\n\b", *(f"  {line}" for line in lines)])


def _group(text: str, *lines: str) -> typer.Typer:
    return typer.Typer(help=text, epilog=examples(*lines), no_args_is_help=True)


reference_app = _group(
    "Build and show references: what a model's signals look like when all is well.",
    "driftd reference build --model churn --output churn.json train.parquet",
    "driftd reference show churn.json",
)
outbox_app = _group(
    "Show and replay what waits to be delivered, and what died.",
    "driftd outbox list --dead",
    "driftd outbox show 17",
    "driftd outbox replay 17",
)
receivers_app = _group("Try receivers out.", "driftd receivers test ops")
routes_app = _group("See who would hear of what.", "driftd routes test --model churn")
demo_app = typer.Typer(
    invoke_without_command=True, epilog=examples("driftd demo", "driftd demo --for 90s --serve", "driftd demo traffic")
)
app.add_typer(reference_app, name="reference")
app.add_typer(demo_app, name="demo")
app.add_typer(outbox_app, name="outbox")
app.add_typer(receivers_app, name="receivers")
app.add_typer(routes_app, name="routes")

Config = Annotated[
    Path,
    # Whether it can be read is the settings' to say, with a remedy.
    typer.Option("--config", "-c", envvar="DRIFTD_CONFIG", metavar="FILE", readable=False, help="The settings file."),
]
DEFAULT_CONFIG = Path("driftd.yaml")
Categorical = Annotated[str | None, typer.Option(metavar="A,B", help="Columns of numbers that are categories.")]
Ignore = Annotated[str | None, typer.Option(metavar="A,B", help="Columns that are no signals.")]
Time = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the event time.")]
Prediction = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the prediction.")]
Label = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the label.")]


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _duration_s(text: str | None) -> float | None:
    """Seconds of `90s`."""
    if text is None:
        return None
    from driftd.settings.quantity import duration_s  # noqa: PLC0415 - keeps --help fast

    return duration_s(text)


def _instant_ms(text: str | None) -> int | None:
    """Milliseconds since the epoch, of those or of RFC 3339."""
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{text!r} is not a time", "write 2026-11-23T10:00:00Z, or epoch milliseconds") from None
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"{text!r} is no setting", "write security.protocol=SSL")
    return name, value


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it
    if value:
        print(f"driftd {driftd.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


@app.command(epilog=examples("driftd run --config driftd.yaml", "DRIFTD_KAFKA__START=earliest driftd run"))
def run(
    config: Config = DEFAULT_CONFIG,
    state: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="Keep the state here, not where the settings say.")
    ] = None,
) -> None:
    """Run the daemon until it is told to stop (SIGINT or SIGTERM)."""
    from driftd.commands import run as command  # noqa: PLC0415

    raise typer.Exit(command.main(config, state))


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
            raise UserError("options of driftd demo do not go with traffic", "give traffic's own after its name")
        return
    for_s = _duration_s(for_)
    from driftd.demo import command  # noqa: PLC0415

    raise typer.Exit(command.main(for_s, serve, plain))


@demo_app.command(
    "traffic",
    epilog=examples(
        "driftd demo traffic --bootstrap localhost:9092",
        "driftd demo traffic --bootstrap kafka:9092 --rate 50 --calm 1h --drift 10m",
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
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="End after this long; else on Ctrl-C.")
    ] = None,
    client: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A setting of librdkafka, such as its security.")
    ] = None,
) -> None:
    """Send the demo's traffic to a broker of yours, at the pace of the wall: calm, then drifting, by turns."""
    times = _duration_s(calm) or 0.0, _duration_s(drift) or 0.0
    pairs = dict(_pair(one) for one in client or ())
    for_s = _duration_s(for_)
    from driftd.demo import live  # noqa: PLC0415

    raise typer.Exit(live.main(live.Wanted(bootstrap, topic, partitions, rate, *times, for_s, pairs)))


@app.command(epilog=examples("driftd check --config driftd.yaml", "driftd check --connect"))
def check(
    *,
    config: Config = DEFAULT_CONFIG,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also try the broker, its topics, and the receivers' hosts.")
    ] = False,
) -> None:
    """Validate the settings and name file, line and key of every fault. Sends nothing."""
    from driftd.commands import check as command  # noqa: PLC0415

    raise typer.Exit(command.main(config, connect=connect))


@app.command(
    epilog=examples(
        "driftd replay --config driftd.yaml events.jsonl",
        "driftd replay --output json p0.parquet p1.parquet",
        "driftd replay --model churn --time ts --prediction score --ignore id scored.csv",
        "driftd replay --since 2026-11-23T10:00:00Z --until 2026-11-24T10:00:00Z kafka:predictions",
    )
)
def replay(
    events: Annotated[
        list[str], typer.Argument(metavar="EVENTS", help="JSON-lines, Parquet or CSV files, or kafka:TOPIC.")
    ],
    config: Config = DEFAULT_CONFIG,
    output: Annotated[Output, typer.Option(help="How to print what would have been sent.")] = "text",
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Of Kafka from here: RFC 3339 or epoch milliseconds.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Of Kafka up to here, exclusive.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Of which model the rows of tables are.")] = None,
    version: Annotated[str | None, typer.Option(metavar="VERSION", help="And of which version.")] = None,
    time: Time = None,
    prediction: Prediction = None,
    label: Label = None,
    id_: Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="The column of the event's id.")] = None,
    ignore: Ignore = None,
    categorical: Categorical = None,
) -> None:
    """Run the engine over recorded events and print every notification that would have been sent."""
    span = _instant_ms(since), _instant_ms(until)
    from driftd.commands import replay as command  # noqa: PLC0415
    from driftd.core.event import UNVERSIONED  # noqa: PLC0415
    from driftd.files.events import EventOptions  # noqa: PLC0415

    names = tuple(_names(ignore)), tuple(_names(categorical))
    options = EventOptions(model, version or UNVERSIONED, time, prediction, label, id_, *names)
    raise typer.Exit(command.main(config, events, output, options, *span))


@app.command(
    epilog=examples(
        "driftd sniff --config driftd.yaml scoring-log",
        "driftd sniff --brokers localhost:9092 --output yaml scoring-log > driftd.yaml",
        "driftd sniff --from earliest --records 200 --values scoring-log",
        "driftd sniff --output json scoring-log | jq .candidates",
    )
)
def sniff(
    *,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic to look at.")],
    config: Config = DEFAULT_CONFIG,
    brokers: Annotated[
        str | None, typer.Option("--brokers", "-b", metavar="HOST:PORT", help="The brokers; no settings are read then.")
    ] = None,
    from_: Annotated[
        Literal["latest", "earliest"], typer.Option("--from", help="Look at the newest records, or at the oldest.")
    ] = "latest",
    records: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="At how many records to look.")] = 1_000,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The one model that all records are of.")] = None,
    values: Annotated[bool, typer.Option("--values", help="Also show examples of what fields hold.")] = False,
    output: Annotated[
        Literal["text", "yaml", "json"], typer.Option(help="All in words; the draft alone; all for programs.")
    ] = "text",
) -> None:
    """Look at a sample of a topic, say what it is, and draft the settings that read it. Changes nothing."""
    from driftd.commands import sniff as command  # noqa: PLC0415

    raise typer.Exit(
        command.main(topic, config, brokers, records, output, model, earliest=from_ == "earliest", values=values)
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

    columns = _names(categorical), _names(ignore)
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


@app.command(epilog=examples("driftd explain alert_4be1c2", "driftd explain --output json alert_4be1c2"))
def explain(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The id of a transition, an alert or a request.")],
    config: Config = DEFAULT_CONFIG,
    output: Annotated[Output, typer.Option(help="How to print it.")] = "text",
) -> None:
    """Show everything behind one transition: panes, counts, law, thresholds, offsets."""
    from driftd.commands import explain as command  # noqa: PLC0415

    raise typer.Exit(command.main(config, id_, output))


@app.command(epilog=examples("driftd models", "driftd models --output json"))
def models(
    config: Config = DEFAULT_CONFIG,
    output: Annotated[Output, typer.Option(help="How to print them.")] = "text",
) -> None:
    """List the models that were seen: by which settings they are watched, their state, and those that are ignored."""
    from driftd.commands import models as command  # noqa: PLC0415

    raise typer.Exit(command.main(config, output))


Author = Annotated[str | None, typer.Option(metavar="NAME", help="Who does it; the user's name where it is not given.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever wonders about the silence.")]
Alert = Annotated[str, typer.Argument(metavar="ID", help="The id of a notification, or of one alert in it.")]


@app.command(epilog=examples("driftd ack ntf_4be1c2", "driftd ack alt_09f3ab --reason 'on it'"))
def ack(id_: Alert, config: Config = DEFAULT_CONFIG, author: Author = None, reason: Reason = "") -> None:
    """Acknowledge an alert: others see that somebody is at it. It is told on as before."""
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.acknowledge(config, id_, author, reason))


@app.command("false", epilog=examples("driftd false ntf_4be1c2 --reason 'the loader was tested'"))
def false_(id_: Alert, reason: Reason, config: Config = DEFAULT_CONFIG, author: Author = None) -> None:
    """Mark an alert as false: counted against its rule; nobody is told more of it but its end."""
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.mark_false(config, id_, author, reason))


@app.command(
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
    for_s, end = _duration_s(for_), _instant_ms(until)
    for_ms = None if for_s is None else round(for_s * 1000)
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.mute(config, id_, model, rule, signal or [], end, for_ms, author, reason))


@app.command(epilog=examples("driftd unmute 3 --reason 'mended'"))
def unmute(
    number: Annotated[int, typer.Argument(min=1, metavar="NUMBER", help="Its number in `driftd mutes`.")],
    reason: Reason,
    config: Config = DEFAULT_CONFIG,
    author: Author = None,
) -> None:
    """End a mute before its time, or take back a mark as false or an acknowledgement (`driftd mutes --all`)."""
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.unmute(config, number, author, reason))


@app.command(epilog=examples("driftd mutes", "driftd mutes --all --output json"))
def mutes(
    *,
    config: Config = DEFAULT_CONFIG,
    all_: Annotated[bool, typer.Option("--all", help="Whatever people did, the newest first.")] = False,
    output: Annotated[Output, typer.Option(help="How to print them.")] = "text",
) -> None:
    """List what is muted now, until when, by whom and why."""
    from driftd.commands import verbs as command  # noqa: PLC0415

    raise typer.Exit(command.list_(config, output, all_=all_))


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


def _usage(error: TyperException) -> str:
    """What was wrong with the line that was typed, or the help where nothing was typed."""
    message = error.format_message()
    if message.startswith("Usage: "):
        return message
    context = getattr(error, "ctx", None)
    return f"{printable(message.rstrip('.'))}; see {context.command_path if context else 'driftd'} --help"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0 done, 1 failed, 2 wrong input or configuration, 130 interrupted."""
    try:
        code = app(args=arguments, prog_name="driftd", standalone_mode=False)
        sys.stdout.flush()
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except TyperException as error:
        print(_usage(error), file=sys.stderr)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader has seen enough; nothing is left to say to it when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return int(code or 0)
