"""The Dockerfile: linted, and its steps and claims tried as far as they go without a container engine."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import driftd
from driftd.settings.load import load
from tests.broker import ROOT
from tests.deploy.files import UID, checked, dockerfile, image_environment, last, parses

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK_OF = ROOT / "config" / "docker" / "lock_of.py"


@functools.cache
def lock_of(*roots: str) -> str:
    done = subprocess.run([sys.executable, "-I", LOCK_OF, *roots], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def names(lock: str) -> set[str]:
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}


def closure(roots: list[str]) -> set[str]:
    """What these requirements bring, by the installed packages' own word."""
    found: set[str] = set()
    ahead = [(Requirement(root), "") for root in roots]
    while ahead:
        requirement, extra = ahead.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name in found and not requirement.extras:
            continue
        found.add(name)
        needs = [Requirement(line) for line in importlib.metadata.requires(name) or ()]
        ahead += [(need, extra) for need in needs for extra in ("", *requirement.extras)]
    return found


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sys.executable).with_name("hadolint")
    command = (hadolint, "--failure-threshold", "style", "Dockerfile")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_it_copies_is_there_and_let_in_and_nothing_else_is():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert [path for path in let_in if not (ROOT / path).exists()] == []
    copies = [one for one in dockerfile() if one.name == "COPY" and one.option("from") is None]
    wanted = [word for one in copies for word in one.words[:-1]]
    assert [word for word in wanted if not (ROOT / word).exists()] == []
    assert [word for word in wanted if not any(word == path or word.startswith(f"{path}/") for path in let_in)] == []
    assert [path for path in let_in if not any(word == path or word.startswith(f"{path}/") for word in wanted)] == []


def test_both_stages_have_the_same_python_and_driftd_runs_on_it():
    bases = {one.words[0] for one in dockerfile() if one.name == "FROM"}
    assert len(bases) == 1, "the environment that is copied points to the interpreter of the base"
    found = re.fullmatch(r"python:(3\.\d+)-slim", bases.pop())
    assert found, "a tag of this kind gets the mends of its Python and of its Debian"
    assert SpecifierSet(PROJECT["requires-python"]).contains(found[1])


def test_what_is_installed_is_what_the_program_needs_and_no_more():
    locked = names(lock_of())
    needed = closure(PROJECT["dependencies"])
    assert needed <= locked
    # Packages for other systems are locked, too; their markers keep them out.
    elsewhere = {
        canonicalize_name(n) for n in re.findall(r"^([\w.-]+)==[^;\n]*; .*sys_platform", lock_of(), re.MULTILINE)
    }
    assert locked - needed <= elsewhere
    tools = {canonicalize_name(Requirement(line).name) for line in PROJECT["optional-dependencies"]["dev"]}
    assert not locked & (tools - needed)
    assert names(lock_of("hatchling")) == closure(["hatchling"])


def test_it_is_part_of_the_lock_to_the_letter_and_all_of_it_has_hashes():
    whole = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"^(?=\w)", lock_of(), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(names(lock_of()))
    assert all(block in whole and "--hash=sha256:" in block for block in blocks)
    done = subprocess.run([sys.executable, LOCK_OF, "no-such"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "no-such is not in requirements.lock; run: make lock\n")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_locked_package_has_a_wheel_for_the_images_python(machine: str, tmp_path: Path):
    (tmp_path / "driftd.lock").write_text(lock_of())
    python = dockerfile()[0].words[0].partition(":")[2].removesuffix("-slim")
    glibcs = [f"manylinux_2_{minor}_{machine}" for minor in range(17, 37)] + [f"manylinux2014_{machine}"]
    platforms = [word for one in glibcs for word in ("--platform", one)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-deps"),
            *("--require-hashes", "--only-binary", ":all:", "--python-version", python, *platforms),
            *("--target", tmp_path / "nowhere", "-r", tmp_path / "driftd.lock"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_driftd_runs_with_these_packages_alone(tmp_path: Path):
    """Links to them, and every module of driftd is imported: one that needs a tool of the tests would fail."""
    for name in closure(PROJECT["dependencies"]):
        for file in importlib.metadata.files(name) or ():
            top = file.parts[0]
            place = (
                Path(str(file.locate())).resolve()
                if len(file.parts) == 1
                else Path(str(file.locate())).parents[len(file.parts) - 2]
            )
            if top not in ("..", "__pycache__") and not (tmp_path / top).exists():
                (tmp_path / top).symlink_to(place)
    walk = (
        "import sys, pkgutil, importlib; sys.path[:0] = sys.argv[1:]; import driftd\n"
        "for one in pkgutil.walk_packages(driftd.__path__, 'driftd.'): importlib.import_module(one.name)\n"
        "print(*sorted(m for m in sys.modules if m.split('.')[0] == 'driftd'))"
    )
    src = Path(driftd.__file__).parents[1]
    command = (sys.executable, "-I", "-S", "-c", walk, src, tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"driftd.core.kernel", "driftd.demo.live", "driftd.http.server"} <= set(done.stdout.split())


def test_its_command_is_one_and_its_settings_are_right():
    entry, command = last("ENTRYPOINT").words, last("CMD").words
    assert last("ENTRYPOINT").rest.startswith("[")
    assert last("CMD").rest.startswith("["), "no shell stands between"
    assert entry == ["driftd"]
    parses(command)
    assert command[-1] == image_environment()["DRIFTD_CONFIG"] == "/etc/driftd/driftd.yaml"
    shipped = next(one.words[-2] for one in dockerfile() if one.name == "COPY" and one.words[-1] == command[-1])
    assert checked(ROOT / shipped) == ""


def test_port_volume_user_and_settings_agree():
    environment = image_environment()
    settings = load(ROOT / "config" / "driftd.yaml", {k: v for k, v in environment.items() if k.startswith("DRIFTD_")})
    assert settings.http.host == "0.0.0.0"  # noqa: S104 - within a container
    assert last("EXPOSE").rest == str(settings.http.port)
    assert last("VOLUME").rest == last("WORKDIR").rest == str(settings.state.directory)
    assert environment["NUMBA_CACHE_DIR"].startswith(f"{settings.state.directory}/")
    assert last("USER").rest == f"{UID}:{UID}"
    state = [one for one in dockerfile() if one.name == "COPY" and one.words[-1] == str(settings.state.directory)]
    assert [one.option("chown") for one in state] == [f"{UID}:{UID}"]
    assert last("STOPSIGNAL").rest == "SIGTERM"


def test_its_version_is_the_programs():
    label = next(one.rest for one in dockerfile() if one.name == "LABEL")
    assert f'org.opencontainers.image.version="{driftd.__version__}"' in label
    shown = re.findall(
        r"\bdriftd:(\d\S*)", (ROOT / "Dockerfile").read_text() + (ROOT / "docs" / "deploy.md").read_text()
    )
    assert shown
    assert set(shown) == {driftd.__version__}


def test_the_health_check_needs_no_shell_and_fails_where_nobody_listens():
    command = json.loads(last("HEALTHCHECK").rest.partition(" CMD ")[2])
    installed = next(one.words for one in dockerfile() if one.name == "COPY" and "config/docker/livez.py" in one.rest)
    assert command == ["python", f"{installed[-1]}livez.py"]
    from tests.broker import free_port

    nobody = os.environ | {"DRIFTD_HTTP__LISTEN": f"0.0.0.0:{free_port()}"}
    check = (sys.executable, "-I", ROOT / installed[0])
    done = subprocess.run(check, env=nobody, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "does not answer" in done.stdout
