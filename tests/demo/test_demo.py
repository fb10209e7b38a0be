"""The demo whole: as a newcomer runs it, and where there is nothing to be found."""

import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from driftd.demo import command
from driftd.demo.plan import Plan
from tests.e2e.daemon import PROGRAM, driftd, wait_for


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its directory."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_the_alert_and_the_retrain_request_arrive(temporary: Path):
    done = driftd("demo", "--plain", timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "no noise"
    lines = done.stdout.splitlines()
    received = [line for line in lines if line.startswith("received")]
    drift = next(i for i, line in enumerate(lines) if line.endswith("the drift begins"))
    assert not [line for line in lines[:drift] if line.startswith("received")]
    for name in ("salary", "zipcode", "prediction"):
        assert any(re.search(rf"FIRING +loans drift critical: .*{name} 0\.\d\d", line) for line in received)
    assert sum("RETRAIN  loans" in line for line in received) == 1
    assert not any(name in line for name in ("steady", "age", "commission") for line in received)
    seen, when, following = lines[-3:]
    assert seen.startswith("Seen: prediction, salary, zipcode of loans drifted")
    assert re.search(r"first drift alert \d+ min \([\d,]+ events\) after the drift", when)
    assert following.startswith("Next: driftd ")
    assert not list(temporary.iterdir()), "nothing is left"


@pytest.mark.slow
def test_without_a_drift_it_fails_and_says_what_is_missing(capsys: pytest.CaptureFixture[str]):
    plan = Plan(drift=False, calm=3_600, speed=200.0, patience=30 * 60_000)
    assert command.main(None, serve=False, plain=True, plan=plan) == 1
    out = capsys.readouterr().out
    assert "no drift alert on prediction, salary, zipcode of loans" in out
    assert "no retrain request for loans" in out
    assert "received" not in out


@pytest.mark.slow
def test_it_gives_up_when_it_is_told_to(capsys: pytest.CaptureFixture[str]):
    assert command.main(6.0, serve=False, plain=True) == 1
    assert "no retrain request for loans" in capsys.readouterr().out


@pytest.mark.slow
def test_serving_goes_on_until_ctrl_c(temporary: Path):
    with subprocess.Popen(
        [PROGRAM, "demo", "--plain", "--serve", "--for", "8s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            serving = next(line for line in lines if line.startswith("Serving"))
            url = re.search(r"http://[\d.:]+/metrics", serving)
            assert url is not None
            wait_for("the model's metrics", lambda: 'model="steady"' in httpx.get(url[0]).text)
        finally:
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=30)
    assert process.returncode == 1, f"it was given too little time to see the drift\n{out}"
    assert error == ""
    assert not list(temporary.iterdir())


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly(temporary: Path):
    with subprocess.Popen(
        [PROGRAM, "demo", "--plain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in iter(process.stdout.readline, ""):
                if line.startswith("driftd runs"):
                    break
            wait_for("the state of the daemon", lambda: list(temporary.glob("driftd-demo-*/state/*")))
        finally:
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error == ""
    assert not list(temporary.iterdir())
