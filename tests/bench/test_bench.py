"""`make bench`, small: that it runs and reports. What it measures is no matter of a shared machine."""

import subprocess
import sys

import pytest

from tests.broker import ROOT

pytestmark = pytest.mark.slow


def test_a_small_bench_prints_its_table(java):
    command = [sys.executable, "-m", "tests.bench", "--events", "20000", "--rounds", "1", "--no-limits"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    for title in ("bare loop", "straightforward", "driftd", "driftd, all ADWIN", "driftd, sparse"):
        assert any(line.startswith(title.ljust(20)) for line in done.stdout.splitlines()), done.stdout
    assert "driftd: " in done.stdout
    assert "times bare loop (at most 2.00)" in done.stdout
