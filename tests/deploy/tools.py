"""Checkers that are Go programs, built once and kept in .cache: `python -m tests.deploy.tools` builds them beforehand."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.broker import ROOT
from tests.conftest import lacks

CACHE: Final = ROOT / ".cache"
GO_LOCK: Final = Path(__file__).parent / "go.lock"
NEEDS_GO: Final = (1, 24)
SOURCES: Final = {
    "compose-go": "github.com/compose-spec/compose-go/v2/cmd@v2.16.2",
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1",
}
"""Each with the module and version that it is built from; Go itself checks them against its checksum database."""
_BUILDS: Final = {"compose-go": "cmd"}
"""What `go install` calls it, where that is not its name."""


def tool(name: str) -> Path:
    """One of SOURCES. Skips, or in CI fails, where it cannot be had."""
    found = _tool(name)
    return found if isinstance(found, Path) else lacks(found)


@functools.cache
def _tool(name: str) -> Path | str:
    """The program's path, or why it cannot be had. Other workers wait for the one that builds it."""
    version = SOURCES[name].rpartition("@")[2]
    built = CACHE / "go-tools" / f"{name}-{version}"
    built.parent.mkdir(parents=True, exist_ok=True)
    with (built.parent / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if built.exists():
            return built
        print(f"building {name} {version} with Go, once", file=sys.stderr)
        try:
            _build(name, built)
        except (OSError, subprocess.SubprocessError) as fault:
            told = getattr(fault, "stderr", None) or fault
            return f"{name} cannot be built with Go: {str(told).strip()[-500:]}"
    return built


def _build(name: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as place:
        environment = os.environ | {
            "GOPATH": f"{place}/path",
            "GOBIN": f"{place}/bin",
            "GOFLAGS": "-modcacherw",  # or the folder could not be removed
            "GOTOOLCHAIN": "local",
            "GOCACHE": f"{target.parent.resolve()}/build",  # what the tools have in common is compiled once
        }
        _run(_go(), "install", SOURCES[name], environment=environment, folder=Path(place))
        (Path(place) / "bin" / _BUILDS.get(name, name)).rename(target)


def _go() -> str:
    """The machine's Go if it is new enough, else PyPI's."""
    if found := shutil.which("go"):
        told = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
        version = re.match(r"go(\d+)\.(\d+)", told)
        if version and (int(version[1]), int(version[2])) >= NEEDS_GO:
            return found
    home = CACHE / "go-tools" / "go"
    if not (home / "go" / "bin" / "go").exists():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:")
        _run(*pip, "--target", str(home), "-r", str(GO_LOCK), environment=dict(os.environ), folder=CACHE)
    return str(home / "go" / "bin" / "go")


def _run(*command: str, environment: dict[str, str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=850)


if __name__ == "__main__":
    missing = [found for found in map(_tool, SOURCES) if not isinstance(found, Path)]
    sys.exit("\n".join(missing) or 0)
