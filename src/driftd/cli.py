"""What a person types. Only options and help stand here; each command's module is imported when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

import driftd
from driftd.core.fault import UserError, printable
from driftd.line.after import after_app
from driftd.line.delivery import outbox_app, receivers_app, routes_app
from driftd.line.demo import demo_app
from driftd.line.night import night_app
from driftd.line.options import (
    DEFAULT_CONFIG,
    Categorical,
    Config,
    Ignore,
    Label,
    Output,
    Prediction,
    Time,
    examples,
    instant_ms,
    names,
)
from driftd.line.reference import reference_app
from driftd.line.rules import rules_app

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


app.add_typer(reference_app, name="reference")
app.add_typer(demo_app, name="demo")
app.add_typer(outbox_app, name="outbox")
app.add_typer(receivers_app, name="receivers")
app.add_typer(routes_app, name="routes")
app.add_typer(rules_app, name="rules")
app.add_typer(night_app)
app.add_typer(after_app)


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
        "driftd replay --what-if stricter.yaml --drifts known.csv events.jsonl",
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
    what_if: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RULES", help="A file of rules laid over those of the settings: a table of what each tells."
        ),
    ] = None,
    drifts: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Drifts that are known (model,signal,start,end): what was found, how soon."),
    ] = None,
) -> None:
    """Run the engine over recorded events and print every notification that would have been sent."""
    span = instant_ms(since), instant_ms(until)
    from driftd.commands import replay as command  # noqa: PLC0415
    from driftd.core.event import UNVERSIONED  # noqa: PLC0415
    from driftd.files.events import EventOptions  # noqa: PLC0415

    columns = tuple(names(ignore)), tuple(names(categorical))
    options = EventOptions(model, version or UNVERSIONED, time, prediction, label, id_, *columns)
    if what_if or drifts is not None:
        from driftd.commands import whatif  # noqa: PLC0415

        raise typer.Exit(whatif.main(config, events, what_if or [], drifts, output, options, span))
    raise typer.Exit(command.main(config, events, output, options, *span))


@app.command(
    epilog=examples(
        "driftd sniff --config driftd.yaml scoring-log",
        "driftd sniff --brokers localhost:9092 --output yaml scoring-log > driftd.yaml",
        "driftd sniff --from earliest --records 200 --values scoring-log",
        "driftd sniff --output json scoring-log | jq .candidates",
        "driftd sniff --brokers localhost:9092 --schema-registry http://localhost:8081 scored-avro",
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
        Literal["latest", "earliest"],
        typer.Option("--from", help="Look at the newest records, or at the oldest; then the draft begins there, too."),
    ] = "latest",
    records: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="At how many records to look.")] = 1_000,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The one model that all records are of.")] = None,
    schema_registry: Annotated[
        str | None, typer.Option(metavar="URL", help="The registry of framed records; by default that of the settings.")
    ] = None,
    values: Annotated[bool, typer.Option("--values", help="Also show examples of what fields hold.")] = False,
    output: Annotated[
        Literal["text", "yaml", "json"], typer.Option(help="All in words; the draft alone; all for programs.")
    ] = "text",
) -> None:
    """Look at a sample of a topic, say what it is, and draft the settings that read it. Changes nothing."""
    from driftd.commands import sniff as command  # noqa: PLC0415

    raise typer.Exit(
        command.main(
            topic,
            config,
            brokers,
            records,
            output,
            model,
            schema_registry,
            earliest=from_ == "earliest",
            values=values,
        )
    )


@app.command(epilog=examples("driftd explain alert_4be1c2", "driftd explain --output json alert_4be1c2"))
def explain(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The id of a transition, an alert or a request.")],
    config: Config = DEFAULT_CONFIG,
    output: Annotated[Output, typer.Option(help="How to print it.")] = "text",
) -> None:
    """Show everything behind one transition: panes, counts, law, thresholds, offsets."""
    from driftd.commands import explain as command  # noqa: PLC0415

    raise typer.Exit(command.main(config, id_, output))


@app.command(epilog=examples("driftd models", "driftd models churn", "driftd models --output json"))
def models(
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Say more of this one, and what its rules find.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    output: Annotated[Output, typer.Option(help="How to print them.")] = "text",
) -> None:
    """List the models that were seen: by which settings they are watched, their state, and those that are ignored."""
    from driftd.commands import models as command  # noqa: PLC0415

    raise typer.Exit(command.main(config, output, name))


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
