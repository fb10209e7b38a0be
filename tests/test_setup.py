"""What `make install` relies on, and what a checkout must not hold."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.broker import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PINNED = re.compile(
    r"""^ (?P<name> [\w.-]+ ) == (?P<version> \S+ ) (?: [ ];[ ] [^\\\n]+ )? [ ]\\\n  # the marker is optional
        (?: [ ]+ --hash=sha256:[0-9a-f]{64} (?: [ ]\\ )? \n )+""",
    re.MULTILINE | re.VERBOSE,
)


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["dev"]]


def test_everything_in_the_lock_is_pinned_and_hashed_and_nothing_else_is_in_it():
    rest = re.sub(r"^ *#.*\n", "", PINNED.sub("", LOCK), flags=re.MULTILINE)
    assert rest == ""
    assert "://" not in LOCK


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_the_lock_holds_what_the_project_asks_for(requirement: Requirement):
    locked = {canonicalize_name(found["name"]): found["version"] for found in PINNED.finditer(LOCK)}
    assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])


def test_no_file_names_a_path_of_this_machine():
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert ROOT / "pyproject.toml" in files
    own = [f"{folder}/".encode() for folder in (ROOT, Path.home()) if folder != Path("/")]
    assert [str(file) for file in files if any(path in file.read_bytes() for path in own)] == []
