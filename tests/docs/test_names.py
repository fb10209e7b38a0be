"""What the documentation names is there: files, metrics, settings, variables of the environment, pages of the server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from driftd.core.catalogue import BY_NAME
from driftd.http import openapi
from driftd.settings.keys import ANY, ITEM, Shape, leaves, shape
from driftd.settings.schema import Settings
from tests.broker import ROOT
from tests.docs import pages

NOT_SETTINGS = re.compile(r"DRIFTD_(CONFIG|SHARED_DATA|TEST_\w*|SERVICE_HOST|PORT|SECTION__KEY)")
"""Variables that steer tests or the command line, that Kubernetes makes, and the pattern itself."""
PREFIXES = {"driftd_", "driftd_heartbeat_", "driftd_last_commit_"}
KEYS = [tuple(step for step in key if step not in (ANY, ITEM)) for key in leaves(shape(Settings))]
SECTIONS = {key[0] for key in KEYS} | {"window", "reference", "rules", "retrain", "limits"}
HEADERS = {"driftd.topic", "driftd.partition", "driftd.offset", "driftd.reason", "driftd.detail", "driftd.backfill"}
EVERY = pages.names()


@pytest.mark.parametrize("page", EVERY)
def test_links_lead_somewhere(page: str):
    for link in pages.links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in pages.anchors(str(target.resolve().relative_to(ROOT.resolve()))), f"{page}: {link}"


@pytest.mark.parametrize("page", EVERY)
def test_metrics_are_in_the_catalogue(page: str):
    named = set(re.findall(r"\bdriftd_\w*", pages.text(page))) - PREFIXES
    plain = {re.sub("_(bucket|count|sum)$", "", name) if name not in BY_NAME else name for name in named}
    assert plain <= set(BY_NAME), page


@pytest.mark.parametrize("page", EVERY)
def test_paths_of_the_server_are_served(page: str):
    served = {*openapi.PATHS, "/", "/api/v1/docs", "/api/v1", "/api/v1/openapi.json"}
    for path in re.findall(r"(?<![\w.])(/(?:metrics|livez|readyz|api/[\w/{}]+))", pages.text(page)):
        assert path in served or any(_matches(pattern, path) for pattern in served), f"{page}: {path}"


def _matches(pattern: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) is not None


@pytest.mark.parametrize("page", [*EVERY, "config/driftd.yaml"])
def test_variables_name_settings(page: str):
    for variable in re.findall(r"\bDRIFTD_[A-Z][A-Z0-9_]*", pages.text(page)):
        if not NOT_SETTINGS.fullmatch(variable):
            steps = variable.removeprefix("DRIFTD_").lower().split("__")
            assert _is_key(shape(Settings), steps), f"{page}: {variable}"


def _is_key(here: Shape, steps: list[str]) -> bool:
    """Names that people choose are taken as they come."""
    for step in steps:
        below = here.below(step)
        if below is None:
            return False
        here = below
    return True


@pytest.mark.parametrize("page", EVERY)
def test_settings_are_keys(page: str):
    for span in pages.spans(page):
        for path in _paths(span):
            assert any(_holds(key, path) for key in KEYS) or _is_named(path), f"{page}: `{span}`"


def _paths(span: str) -> Iterator[tuple[str, ...]]:
    """`a.b.c` and `a.b: value` whose first step is a section, and `key: value` of one step."""
    found = re.fullmatch(r"([a-z_]+(?:\.[A-Za-z_]+)+)(?:\[\])?(?::.*)?", span)
    if found and found[1].partition(".")[0] in SECTIONS and not found[1].endswith((".py", ".yaml", ".md", ".d")):
        yield tuple(step for step in found[1].split(".") if step != "NAME")


def _holds(key: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether the steps stand in the key one after another."""
    return any(key[i : i + len(path)] == path for i in range(len(key)))


def _is_named(path: tuple[str, ...]) -> bool:
    """With a name of somebody's choosing in it, such as rules.drift.critical or kafka.client.security."""
    here: Shape | None = shape(Settings)
    for start in (path, ("monitoring", *path)):
        here = shape(Settings)
        for step in start:
            here = here.below(step) if here is not None else None
        if here is not None:
            return True
    return False


def test_the_reader_of_settings_is_not_blind():
    assert list(_paths("window.every")) == [("window", "every")]
    assert any(_holds(key, ("window", "every")) for key in KEYS)
    wrong = ("window", "evry")
    assert not any(_holds(key, wrong) for key in KEYS)
    assert not _is_named(wrong)


def test_headers_of_dead_letters_and_backfill_are_those_of_the_code():
    source = "".join(path.read_text() for path in (ROOT / "src" / "driftd" / "kafka").glob("*.py"))
    for page in EVERY:
        for span in pages.spans(page):
            if span.startswith("driftd.") and span in HEADERS:
                assert f'"{span}"' in source, f"{page}: {span}"
