"""Prints the part of requirements.lock that some packages need, hashes and all; without names: what driftd itself needs.

So no tool of the tests comes into an image. The lock says of each package what brought it ("via"), so the way from
pyproject.toml's `dependencies` can be followed down. Standard library alone: it runs before anything is installed.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==\S.*?\n(?P<rest>(?: +\S.*\n)+)", re.MULTILINE)
VIA = re.compile(r"^ +#(?: via)? +([A-Za-z0-9._-]+)$", re.MULTILINE)


def name_of(requirement: str) -> str:
    """The normalized name that a requirement begins with."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    if name is None:
        raise SystemExit(f"{requirement!r} is no requirement")
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def part(lock: str, roots: Iterable[str]) -> str:
    """The blocks of the lock that these requirements lead to, in their order."""
    blocks = {name_of(found["name"]): found for found in PINNED.finditer(lock)}
    brings: dict[str, set[str]] = {}
    for name, found in blocks.items():
        for parent in VIA.findall(found["rest"]):
            brings.setdefault(name_of(parent), set()).add(name)
    wanted: set[str] = set()
    ahead = [name_of(line) for line in roots]
    while ahead:
        name = ahead.pop()
        if name not in blocks:
            raise SystemExit(f"{name} is not in requirements.lock; run: make lock")
        if name not in wanted:
            wanted.add(name)
            ahead += brings.get(name, ())
    return "".join(found[0] for name, found in blocks.items() if name in wanted)


def main(roots: list[str]) -> None:
    """In the folder of pyproject.toml and requirements.lock."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = Path("requirements.lock").read_text(encoding="utf-8")
    sys.stdout.write(part(lock, roots or project["dependencies"]))


if __name__ == "__main__":
    main(sys.argv[1:])
