"""Real programs that tests run against: found on the machine, or installed; in CI their lack is a failure."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import lacks


def _apt(*arguments: str) -> str | None:
    """Runs apt-get; what went wrong, or None."""
    done = subprocess.run(
        ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", *arguments],  # another worker may be installing
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    return None if done.returncode == 0 else done.stderr.strip()[-500:] or f"exit code {done.returncode}"


@functools.cache
def _installed(program: str, package: str) -> Path | str:
    """The program's path, or why it cannot be had."""
    found = shutil.which(program)
    if found is not None:
        return Path(found)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return f"{program} is not installed, and only root on Debian can install it: apt-get install {package}"
    install = ("install", "-y", "--no-install-recommends", package)
    try:
        if _apt(*install) is not None:  # the lists may be missing or old
            _apt("update")
            failure = _apt(*install)
            if failure is not None:
                return f"apt-get install {package} failed: {failure}"
    except subprocess.TimeoutExpired:
        return f"apt-get install {package} took too long"
    found = shutil.which(program)
    return Path(found) if found else f"{package} does not hold {program}"


def alertmanager() -> Path:
    """Prometheus' Alertmanager, from Debian's package. Skips, or in CI fails, where it cannot be had."""
    found = _installed("prometheus-alertmanager", "prometheus-alertmanager")
    return found if isinstance(found, Path) else lacks(found)


def openssl() -> Path:
    """Makes certificates for servers of the tests."""
    found = _installed("openssl", "openssl")
    return found if isinstance(found, Path) else lacks(found)


def promtool() -> Path:
    """Prometheus' own checker, from Debian's package. Skips, or in CI fails, where it cannot be had."""
    found = _installed("promtool", "prometheus")
    return found if isinstance(found, Path) else lacks(found)


def prometheus() -> Path:
    """Prometheus itself, from the same package."""
    found = _installed("prometheus", "prometheus")
    return found if isinstance(found, Path) else lacks(found)


def amtool() -> Path:
    """Alertmanager's own checker, from its package."""
    found = _installed("amtool", "prometheus-alertmanager")
    return found if isinstance(found, Path) else lacks(found)


def setpriv() -> Path:
    """Runs a program as another user, with the rights that are named."""
    found = _installed("setpriv", "util-linux")
    return found if isinstance(found, Path) else lacks(found)


def systemd_analyze() -> Path:
    """Systemd's own checker of units."""
    found = _installed("systemd-analyze", "systemd")
    return found if isinstance(found, Path) else lacks(found)
