"""The deployment files, read: the Dockerfile's instructions, the compose project, what kustomize builds."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from driftd import cli
from tests.broker import ROOT
from tests.deploy.tools import tool

UID = 65532
"""Whom the image runs as."""
COMPOSE = ROOT / "docker-compose.yml"
KUBERNETES = ROOT / "config" / "kubernetes"


@dataclass(frozen=True)
class Instruction:
    """`stage`: 0 for the first FROM. `words`: of a JSON form its items, else what spaces divide."""

    stage: int
    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        if self.rest.startswith("["):
            items: list[str] = json.loads(self.rest)
            return items
        return self.rest.split()

    def option(self, name: str) -> str | None:
        found = re.search(rf"--{name}=(\S+)", self.rest)
        return found[1] if found else None


@functools.cache
def dockerfile() -> tuple[Instruction, ...]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found, stage = [], -1
    for line in filter(str.strip, text.splitlines()):
        name, _, rest = line.strip().partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, " ".join(rest.split())))
    return tuple(found)


def last(name: str) -> Instruction:
    """The instruction that counts in the image."""
    end = dockerfile()[-1].stage
    return [one for one in dockerfile() if one.name == name and one.stage == end][-1]


def image_environment() -> dict[str, str]:
    end = dockerfile()[-1].stage
    words = [word for one in dockerfile() if one.name == "ENV" and one.stage == end for word in one.words]
    return {name: value.strip('"') for name, _, value in (word.partition("=") for word in words)}


@functools.cache
def project() -> dict[str, Any]:
    """The compose project as the reference implementation reads it; paths are absolute in it."""
    done = subprocess.run(
        [tool("compose-go"), "-format", "json", COMPOSE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


@functools.cache
def built(folder: str) -> str:
    """What kustomize makes of config/kubernetes/FOLDER."""
    command = (tool("kustomize"), "build", KUBERNETES / folder)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "warnings, too, are to be mended"
    made: str = done.stdout
    return made


def manifests(folder: str) -> dict[str, dict[str, Any]]:
    """By kind: there is one of each."""
    found = [one for one in yaml.safe_load_all(built(folder)) if one is not None]
    by_kind = {one["kind"]: one for one in found}
    assert len(by_kind) == len(found)
    return by_kind


def parses(words: list[str]) -> None:
    """Fails unless driftd takes this command line. Nothing is run."""
    import typer.main

    command: Any = typer.main.get_command(cli.app)
    context = command.make_context("driftd", list(words), resilient_parsing=False)
    while rest := [*context._protected_args, *context.args]:
        inner = context.command.commands[rest[0]]
        context = inner.make_context(rest[0], rest[1:], parent=context)
        if not hasattr(inner, "commands"):
            return
    raise AssertionError(f"{words} names no command")


def checked(settings: Path) -> str:
    """What is wrong with a settings file, as `driftd check` says it."""
    from driftd.settings.load import examine

    return "\n".join(map(str, examine(settings, {}).faults))
