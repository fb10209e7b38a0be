from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from driftd.core.event import PartitionId
from driftd.store.outbox import Outbox
from driftd.store.store import Store
from tests.store.examples import FIRST, action

ROOT = Path(__file__).parents[2]


def run_and_kill(directory: Path, chance: random.Random) -> int:
    """Starts a writer, kills it at a random instant after its first commit; gives the last commit it reported."""
    command = [sys.executable, "-m", "tests.store.writer_process", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        reported = int(writer.stdout.readline())
        for _ in range(chance.randrange(4)):
            reported = int(writer.stdout.readline())
        time.sleep(chance.random() * 0.02)  # the random instant itself: no condition to wait for
        writer.send_signal(signal.SIGKILL)
        rest = [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return int(rest[-1]) if rest else reported


def check_whole(directory: Path, reported: int, at_least: int) -> int:
    """Every part of the store tells of the same commit, and it is not older than what was reported durable."""
    with Store.open(directory, group="driftd") as store, Outbox(directory) as outbox:
        rows = store.load_rows()
        n = rows["n"]
        assert isinstance(n, int)
        assert max(reported, at_least) <= n <= reported + 1
        assert rows["big"] == {"n": n, "fill": bytes([n % 251]) * 60_000}
        assert rows.get("gone") == (None if n % 2 else n)
        assert store.positions() == {FIRST: n, PartitionId("predictions", 1): n}
        panes = list(store.panes("churn", "7", "prediction", 0, 10**12))
        assert [pane.start for pane in panes] == [i * 1_000 for i in range(1, n + 1)]
        assert all(pane.body == str(pane.start // 1_000).encode() * 2_000 for pane in panes)
        assert [it["id"] for it in store.transitions(limit=10**6)] == [action(i).id for i in range(n, 0, -1)]
        assert list(store.inputs()) == [("tick", i) for i in range(1, n + 1)]
        waiting = outbox.entries("waiting", limit=10**6)
        assert [(it.delivery.id, it.delivery.receiver) for it in waiting] == [
            (action(i).id, receiver) for i in range(1, n + 1) for receiver in ("ops", "chat")
        ]
        (damage,) = store._connection.execute("PRAGMA integrity_check").fetchone()
        assert damage == "ok"
    return n


@pytest.mark.chaos
def test_a_commit_is_whole_or_absent_after_kill_9(tmp_path):
    chance = random.Random(20261124)
    n = 0
    for _ in range(20):
        reported = run_and_kill(tmp_path, chance)
        n = check_whole(tmp_path, reported, n)
    assert n >= 20


def test_a_torn_end_of_the_log_is_dropped_whole(tmp_path):
    """What a power cut may leave: the log cut anywhere inside its last commit. That commit is then absent."""
    from tests.store.examples import nth_commit

    live, copy = tmp_path / "live", tmp_path / "copy"
    copy.mkdir()
    sizes = []
    with Store.open(live, group="driftd") as store:
        for n in (1, 2):
            store.commit(nth_commit(n))
            sizes.append((live / "driftd.sqlite-wal").stat().st_size)
        for name in ("driftd.sqlite", "driftd.sqlite-wal"):  # as the disk has them while the process runs
            (copy / name).write_bytes((live / name).read_bytes())
    chance = random.Random(1)
    whole = (copy / "driftd.sqlite-wal").read_bytes()
    base = (copy / "driftd.sqlite").read_bytes()
    for cut in sorted(chance.sample(range(sizes[0], sizes[1]), 20)):
        for leftover in copy.iterdir():
            leftover.unlink()
        (copy / "driftd.sqlite").write_bytes(base)
        (copy / "driftd.sqlite-wal").write_bytes(whole[:cut])
        assert check_whole(copy, 1, 1) == 1
