"""A folder in which what the documentation shows is done for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from driftd.commands.replay import Replay
from driftd.core.action import Action
from driftd.core.event import Kind, PartitionId
from driftd.core.outcome import ClosedPane, Outcome
from driftd.kafka.block import Cutter, RecordRun
from driftd.settings.load import load
from driftd.settings.schema import Settings
from driftd.store.commit import Commit, PaneRow
from driftd.store.store import Store
from tests.broker import ROOT
from tests.docs import churn, pages
from tests.e2e.daemon import Receiver

OPERATIONS = "docs/operations.md"
PROGRAMS = Path(sys.executable).parent


@dataclass
class Newcomer:
    """Somebody who types the README's commands, as written, in a folder of their own.

    What differs from the README is in the environment alone: the state's directory, and the address of `ops`.
    """

    folder: Path
    environ: dict[str, str]
    receiver: Receiver
    done: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def types(self, command: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Once: who types the same again is shown what came of it. `more`: variables of the environment."""
        if command not in self.done:
            self.done[command] = self._runs(command, more or {})
        return self.done[command]

    def _runs(self, command: str, more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        environ = self.environ
        if "config/driftd.yaml" in command:  # it has no receivers whose address could be another
            environ = {name: value for name, value in environ.items() if "RECEIVERS" not in name}
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**environ, **more},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def lives(self) -> Life:
        """A daemon's engine after it has read the events from the topic; nothing closes for want of more events."""
        life = Life(load(self.folder / "driftd.yaml", self.environ), {PARTITION: ("prediction",)})
        for run in _blocks():
            life.read(run)
        return life

    def stores(self) -> list[Action]:
        """The state directory of such a life, in one commit, and what is owed to `ops`."""
        life = self.lives()
        life.finish()
        settings = load(self.folder / "driftd.yaml", self.environ)
        settings.state.directory.mkdir(parents=True, exist_ok=True)
        store = Store.open(settings.state.directory, group=settings.kafka.group_id)
        try:
            store.commit(
                Commit(
                    rows=life.engine.changes(),
                    positions={PARTITION: churn.HOURS * churn.AN_HOUR},
                    panes=[PaneRow(p.model, p.version, p.kind, p.start, p.end, p.body()) for p in life.panes],
                    actions=[(action, ("ops",), False) for action in life.actions],
                )
            )
        finally:
            store.close()
        return life.actions


PARTITION = PartitionId("predictions", 0)


class Life(Replay):
    """The engine over records, keeping what came out."""

    def __init__(self, settings: Settings, kinds: dict[PartitionId, tuple[Kind, ...]]) -> None:
        super().__init__(settings, kinds)
        self.panes: list[ClosedPane] = []
        self.actions: list[Action] = []

    def _follow(self, outcome: Outcome) -> list[Action]:
        self.panes += outcome.panes
        self.actions += outcome.actions
        return super()._follow(outcome)


def _blocks() -> Iterator[RecordRun]:
    cutter = Cutter(PARTITION)
    lines = list(churn.events())
    nothing = [None] * len(lines)
    cutter.add(list(range(len(lines))), [time for time, _ in lines], [line for _, line in lines], nothing, nothing)
    while (run := cutter.cut()) is not None:
        yield run
    if (rest := cutter.flush()) is not None:
        yield rest


@pytest.fixture(scope="session")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """The README's settings, its training data and its events lie in the folder; the reference is built."""
    folder = tmp_path_factory.mktemp("newcomer")
    churn.lay_out(folder)
    (folder / "driftd.yaml").write_text(pages.block("README.md", "yaml"))
    (folder / "stricter.yaml").write_text(
        next(b.body for b in pages.blocks(OPERATIONS, "yaml") if b.body.startswith("drift:"))
    )
    (folder / "known.csv").write_text(pages.block(OPERATIONS, "csv"))
    shutil.copytree(ROOT / "config", folder / "config")
    receiver = Receiver()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTD_")}
    environ |= {
        "PATH": f"{PROGRAMS}:{environ['PATH']}",
        "DRIFTD_STATE__DIRECTORY": str(folder / "state"),
        "DRIFTD_RECEIVERS__OPS__WEBHOOK__URL": receiver.url,
    }
    someone = Newcomer(folder, environ, receiver)
    built = someone.types(next(c for c in pages.commands("README.md") if c.startswith("driftd reference build")))
    assert built.returncode == 0, built.stderr
    yield someone
    receiver.close()


@pytest.fixture(scope="session")
def transitions(newcomer: Newcomer) -> list[Action]:
    """What the state directory of the newcomer holds, too."""
    return newcomer.stores()
