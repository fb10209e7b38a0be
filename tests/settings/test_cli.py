import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import driftd
from driftd import cli
from driftd.core.fault import UserError
from driftd.files.events import EventOptions

PROGRAM = Path(sys.executable).with_name("driftd")
COMMANDS = [
    [],
    ["run"],
    ["demo"],
    ["demo", "receiver"],
    ["demo", "traffic"],
    ["check"],
    ["replay"],
    ["sniff"],
    ["reference"],
    ["reference", "build"],
    ["reference", "show"],
    ["review"],
    ["diff"],
    ["explain"],
    ["ack"],
    ["false"],
    ["mute"],
    ["unmute"],
    ["mutes"],
    ["outbox"],
    ["models"],
    ["outbox", "list"],
    ["outbox", "show"],
    ["outbox", "replay"],
    ["receivers"],
    ["receivers", "test"],
    ["routes"],
    ["routes", "test"],
    ["rules"],
    ["rules", "explain"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_parses(command, capsys):
    assert cli.main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"(Examples?|Start here):\n\n    ", text)
    assert " ".join(["    driftd", *command]) in text
    assert "\x1b" not in text


def test_every_command_is_in_the_list():
    import typer.main

    def walk(command: object, path: list[str]) -> Iterator[list[str]]:
        yield path
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, [*path, name])

    assert sorted(walk(typer.main.get_command(cli.app), [])) == sorted(COMMANDS)


def processor_time(*command: str) -> float:
    """The least of five, in seconds."""
    took = []
    for _ in range(5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        took.append(used.ru_utime + used.ru_stime)
    return min(took)


def test_help_is_fast():
    """What stands in the way is imports: help may take no more than twice what its own library takes to be there."""
    assert processor_time(str(PROGRAM), "--help") < 2 * processor_time(sys.executable, "-c", "import typer.main")


def test_help_imports_nothing_heavy():
    heavy = {"numpy", "pydantic", "confluent_kafka", "rich"}
    code = f"import sys, driftd.cli; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"driftd {driftd.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chekc"], "No such command 'chekc'"),
        (["check", "--conect"], "No such option: --conect"),
        (["explain"], "Missing argument"),
        (["outbox", "show", "x"], "see driftd outbox show --help"),
        (["replay", "--since", "yesterday", "x.jsonl"], "'yesterday' is not a time; write 2026-11-23T10:00:00Z"),
        (["demo", "--for", "90"], "90s or 1h30m"),
    ],
)
def test_a_wrong_line_gets_one_line(arguments, said, capsys):
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


def test_nothing_typed_prints_the_help(capsys):
    assert cli.main([]) == 2
    assert "Usage: driftd" in capsys.readouterr().err


class TestCalls:
    """What the command modules are given. They are stood in for: each has tests of its own."""

    @pytest.fixture
    def called(self, monkeypatch):
        import types

        calls: list[tuple[str, tuple[object, ...]]] = []

        def note(name: str, *arguments: object) -> int:
            calls.append((name, arguments))
            return 0

        def stand_in(module: str, *functions: str) -> None:
            fake = types.ModuleType(module)
            for name in functions:
                setattr(fake, name, partial(note, name))
            package, _, leaf = module.rpartition(".")
            if package not in sys.modules:
                try:
                    __import__(package)
                except ImportError:
                    monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
            monkeypatch.setitem(sys.modules, module, fake)
            monkeypatch.setattr(sys.modules[package], leaf, fake, raising=False)

        stand_in("driftd.commands.run", "main")
        stand_in("driftd.commands.replay", "main")
        stand_in("driftd.commands.explain", "main")
        stand_in("driftd.commands.outbox", "list_", "show", "replay")
        stand_in("driftd.commands.receivers", "test")
        stand_in("driftd.commands.reference", "build", "show")
        stand_in("driftd.demo.command", "main")
        return calls

    @pytest.mark.parametrize(
        ("line", "function", "arguments"),
        [
            ("run", "main", (Path("driftd.yaml"), None)),
            ("run -c a.yaml --state s", "main", (Path("a.yaml"), Path("s"))),
            (
                "replay --model m --time ts --ignore a,b --until 2026-01-01T00:00:00Z x.csv",
                "main",
                (
                    Path("driftd.yaml"),
                    ["x.csv"],
                    "text",
                    EventOptions("m", time="ts", ignore=("a", "b")),
                    None,
                    1767225600000,
                ),
            ),
            ("explain id1", "main", (Path("driftd.yaml"), "id1", "text")),
            ("outbox list --dead", "list_", (Path("driftd.yaml"), True)),
            ("outbox show 7", "show", (Path("driftd.yaml"), 7)),
            ("outbox replay 7", "replay", (Path("driftd.yaml"), 7, False)),
            ("outbox replay --all", "replay", (Path("driftd.yaml"), None, True)),
            ("receivers test ops", "test", (Path("driftd.yaml"), "ops")),
            ("demo --for 1m30s", "main", (90.0, False, False)),
            ("demo --plain", "main", (None, False, True)),
            ("reference show r.json --signal a", "show", (Path("r.json"), "a")),
            (
                "reference build --model m --categorical a,b --ignore id --time ts -o r.json x.csv y.csv",
                "build",
                (
                    "m",
                    None,
                    ["a", "b"],
                    ["id"],
                    "ts",
                    None,
                    None,
                    Path("r.json"),
                    [Path("x.csv"), Path("y.csv")],
                    None,
                    False,
                ),
            ),
        ],
    )
    def test_arguments(self, called, line, function, arguments):
        assert cli.main(line.split()) == 0
        ((name, given),) = called
        assert (name, given) == (function, arguments)

    def test_exit_codes_and_errors(self, called, monkeypatch, capsys):
        from driftd.commands import run

        def fail(*_):
            raise UserError("the broker \x1b[31mis down", "start it", exit_code=1)

        monkeypatch.setattr(run, "main", fail)
        assert cli.main(["run"]) == 1
        assert capsys.readouterr().err == "the broker \\x1b[31mis down; start it\n"
        monkeypatch.setattr(run, "main", lambda *_: 1)
        assert cli.main(["run"]) == 1


def test_a_reader_that_has_seen_enough():
    """`driftd ... | head` ends quietly."""
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([PROGRAM, "--help"], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
