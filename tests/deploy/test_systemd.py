"""The unit of config/systemd: systemd's own opinion of it, and whether it says what driftd says."""

import re
import shlex
import subprocess
from pathlib import Path

from driftd.settings.load import load
from tests.broker import ROOT
from tests.components import systemd_analyze
from tests.deploy.files import parses

UNIT = ROOT / "config" / "systemd" / "driftd.service"


def keys() -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))


def test_systemd_takes_it(tmp_path: Path):
    """With a program that is there: systemd looks for it, and that one need not be installed."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(shlex.split(keys()["ExecStart"])[0], "/bin/true"))
    command = (systemd_analyze(), "verify", "--man=no", unit)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_a_command_on_the_state_that_the_settings_name():
    program, *words = shlex.split(keys()["ExecStart"])
    assert Path(program).name == "driftd"
    parses(words)
    state = str(load(ROOT / "config" / "driftd.yaml", {}).state.directory)
    assert f"/var/lib/{keys()['StateDirectory']}" == keys()["WorkingDirectory"] == state
    assert keys()["Environment"].startswith(f"NUMBA_CACHE_DIR={state}/")


def test_it_starts_again_after_all_but_wrong_settings():
    assert keys()["Restart"] == "on-failure"
    assert keys()["RestartPreventExitStatus"] == "2"
    assert keys()["StartLimitIntervalSec"] == "0"
