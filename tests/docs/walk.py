"""The walk of docs/walk.md, done as it is written: `python -m tests.docs.walk`, or `make walk`.

The commands are those of the page. Comments in it say what a person would do between them:

    walk: stays: TEXT     the command of the next block goes on; the walk does, too, when it has said TEXT
    walk: append: FILE    the next block is added to a file
    walk: shows: REGEX    the command of the next block is given until it prints this
    walk: stop: COMMAND   the one that began so gets a Ctrl-C
    walk: arrives: TEXT   what the channel prints is waited for

Exit code 0: the message arrived, and all of it kept to its limits.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.broker import ROOT, free_port
from tests.docs import pages

PAGE = "docs/walk.md"
MOST_S = 600.0
MOST_CPU_S = 180.0
PATIENCE_S = 180.0
AGAIN_S = 1.0
CHANNEL = "driftd demo receiver"
DIRECTIVES = ("stays", "append", "shows", "stop", "arrives")
_PART = re.compile(
    r"^## (?P<heading>.+)$|^<!-- walk: (?P<directive>\w+): (?P<what>.+) -->$"
    r"|^```(?P<language>\w+)\n(?P<body>(?s:.*?))^```$",
    re.MULTILINE,
)


class Step(NamedTuple):
    """`does`: command, or a directive; `what` its text; `body` the command or the block it is about."""

    heading: str
    does: str
    what: str
    body: str


class WalkError(Exception):
    """The walk came to nothing; the message says where and shows what was said there."""


def steps(text: str) -> Iterator[Step]:
    """What the page says to do, in its order. Raises WalkError for a directive that nobody knows."""
    heading, told = "", ("", "")
    for part in _PART.finditer(text):
        if part["heading"]:
            heading = part["heading"]
        elif part["directive"]:
            told = part["directive"], part["what"]
            if told[0] not in DIRECTIVES:
                raise WalkError(f"{PAGE}: `{told[0]}` is none of {', '.join(DIRECTIVES)}")
            if told[0] in ("stop", "arrives"):
                yield Step(heading, *told, "")
                told = "", ""
        elif told[0] == "append":
            yield Step(heading, *told, part["body"])
            told = "", ""
        elif part["language"] in pages.SHELL:
            for command in pages.commands_of(pages.Block(PAGE, part["language"], part["body"])):
                yield Step(heading, told[0] or "command", told[1], command)
            told = "", ""


@dataclass
class Staying:
    """A command that goes on, with all that it says in a file."""

    command: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(60)


@dataclass
class Walk:
    """In `folder`, with `replaced` addresses for those of the page, which may be taken on this machine."""

    folder: Path
    replaced: dict[str, str]
    environ: dict[str, str]
    staying: list[Staying] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def does(self, step: Step) -> None:
        body = step.body
        for shown, ours in self.replaced.items():
            body = body.replace(shown, ours)
        if step.does == "append":
            with (self.folder / step.what).open("a") as file:
                file.write(body)
        elif step.does == "stop":
            self._named(step.what).end()
        elif step.does == "arrives":
            self._arrives(step.what)
        elif step.does == "stays":
            self._stays(body, step.what)
        elif step.does == "shows":
            self._until(f"`{body}` shows {step.what}", lambda: re.search(step.what, self._types(body)) is not None)
        else:
            self._types(re.sub(r"\bID\b", self.ids[-1] if self.ids else "ID", body))

    def _types(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise WalkError(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _stays(self, command: str, until: str) -> None:
        log = self.folder / f"{len(self.staying)}.log"
        where = ROOT if command.startswith("make ") else self.folder
        with log.open("wb") as out:
            process = subprocess.Popen(
                shlex.split(command), cwd=where, env=self.environ, stdout=out, stderr=out, start_new_session=True
            )
        one = Staying(command, process, log)
        self.staying.append(one)
        self._until(f"`{command}` says {until}", lambda: until in one.said)

    def _arrives(self, text: str) -> None:
        channel = self._named(CHANNEL)
        self._until(f"{text} arrives", lambda: text in channel.said)
        said = channel.said[channel.said.index(text) :].partition("\n\n")[0]
        self.ids.append(said.splitlines()[-1])
        print("\n".join(f"      | {line}" for line in said.splitlines()), flush=True)

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            for one in self.staying:
                if one.process.poll() not in (None, 0, -signal.SIGINT):
                    raise WalkError(f"{one.command}: exit code {one.process.returncode}\n{one.said}")
            if time.monotonic() > end:
                logs = "\n".join(f"--- {one.command}\n{one.said[-2_000:]}" for one in self.staying)
                raise WalkError(f"waited {PATIENCE_S:.0f} s in vain until {what}\n{logs}")
            time.sleep(AGAIN_S / 10 if "says" in what else AGAIN_S)

    def _named(self, command: str) -> Staying:
        for one in reversed(self.staying):
            if one.command.startswith(command):
                return one
        raise WalkError(f"{PAGE}: no command that stays begins with {command}")

    def close(self) -> None:
        for one in reversed(self.staying):
            one.end()


def walk(folder: Path) -> None:
    """All steps; each told when it is done, with what it took."""
    kafka, http = free_port(), free_port()
    replaced = {
        "make kafka": f"make --silent kafka PORT={kafka}",
        "localhost:9092": f"127.0.0.1:{kafka}",
        "127.0.0.1:8800": f"127.0.0.1:{free_port()}",
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTD_")}
    environ |= {"PATH": f"{Path(sys.executable).parent}:{environ['PATH']}", "DRIFTD_HTTP__LISTEN": f"127.0.0.1:{http}"}
    with contextlib.closing(Walk(folder, replaced, environ)) as one:
        for step in steps(pages.text(PAGE)):
            began = time.monotonic()
            one.does(step)
            told = step.body if step.does in ("command", "stays", "shows") else f"({step.does} {step.what})"
            print(f"{time.monotonic() - began:6.1f} s  {step.heading}: {told}", flush=True)
        if not one.ids:
            raise WalkError("the page waits for no message")


def main() -> int:
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="driftd-walk-") as folder:
            walk(Path(folder))
    except WalkError as error:
        print(error, file=sys.stderr)
        return 1
    took = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    print(f"{took:6.1f} s  in all, at most {MOST_S:.0f}; {cpu:.1f} s of processor time, at most {MOST_CPU_S:.0f}")
    return 0 if took <= MOST_S and cpu <= MOST_CPU_S else 1


if __name__ == "__main__":
    sys.exit(main())
