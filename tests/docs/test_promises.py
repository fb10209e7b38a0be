"""docs/promises.md has a row for every promise, and what its rows name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.broker import ROOT
from tests.docs import pages
from tests.docs.collected import defined
from tests.docs.test_commands import TARGETS, unknown

PAGE = "docs/promises.md"
DESIGN = [f"P{n}" for n in range(1, 9)]
"""Section 5 of the design."""
ISSUE = [f"S{n}" for n in range(1, 13)]
"""The lines of the first issue under "What it must show", and its last."""
ADOPTED = [f"A{n}" for n in range(1, 11)]
"""The lines of the fourth under "What it must show", and one of what must be there."""
SAYS_NOTHING = ("Models fail in silence", "As the documentation of each had it")
"""Sentences of the README that promise nothing, unless a row quotes them."""
STATES = re.compile(r"shown|shown: .+|partly: .+|open: .+")


class Row(NamedTuple):
    id: str
    promise: str
    shown_by: str
    state: str


ROWS = [Row(*row) for row in pages.tables(PAGE)]


def by(row: Row) -> list[str]:
    return re.findall(r"`([^`]+)`", row.shown_by)


def fault(evidence: str) -> str | None:
    """Why a test or command does not stand for anything, or None."""
    if "::" in evidence:
        return None if evidence in defined() else "there is no such test"
    if evidence.startswith("make "):
        return None if evidence.removeprefix("make ") in TARGETS else "the Makefile has no such target"
    if evidence == ".ci/run":
        return None if "make demo" in (ROOT / evidence).read_text() else "it does not run the demo"
    if evidence.startswith("driftd "):
        return "there is no such command" if unknown(evidence.split()[1:]) else None
    if found := re.match(r"python -m (tests(?:\.\w+)+)", evidence):
        path = ROOT / found[1].replace(".", "/")
        return (
            None if path.with_suffix(".py").exists() or (path / "__main__.py").exists() else "there is no such module"
        )
    return "it is neither a test nor a command that is known here"


def test_no_promise_is_missing_and_none_is_there_twice():
    ids = [row.id for row in ROWS]
    assert len(set(ids)) == len(ids)
    own = [f"R{n}" for n in range(1, sum(identity.startswith("R") for identity in ids) + 1)]
    assert ids == own + DESIGN + ISSUE + ADOPTED


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_a_promise_is_shown_by_what_is_there(row: Row):
    assert by(row), "no test or command is named"
    faults = {evidence: why for evidence in by(row) if (why := fault(evidence))}
    assert faults == {}
    assert STATES.fullmatch(row.state), "say `shown`, `partly: in what`, or `open: why`"


@pytest.mark.parametrize("row", [row for row in ROWS if row.id.startswith("R")], ids=lambda row: row.id)
def test_the_readme_still_says_so(row: Row):
    assert row.promise in " ".join(pages.sentences("README.md"))


def test_every_sentence_of_the_readme_has_its_row():
    promises = [row.promise for row in ROWS if row.id.startswith("R")]
    bare = [
        sentence
        for sentence in pages.sentences("README.md")
        if not any(promise in sentence for promise in promises) and not sentence.startswith(SAYS_NOTHING)
    ]
    assert bare == [], f"quote the promise of each in {PAGE}, with the test that shows it"


@pytest.mark.parametrize(
    "evidence",
    ["tests/docs/test_promises.py::test_gone", "make nothing", "driftd frobnicate", "python -m tests.nothing", "faith"],
)
def test_what_is_gone_is_noticed(evidence: str):
    assert fault(evidence)


def test_what_is_there_is_not_complained_of():
    for evidence in ("make demo", "driftd replay --output json", "python -m tests.bench"):
        assert fault(evidence) is None
    assert fault(f"{Path(__file__).relative_to(ROOT)}::test_what_is_gone_is_noticed") is None


def test_there_is_no_pickle():
    """Nor anything else that makes code of data."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "marshal", "shelve", "dill", "joblib"} & {m.partition(".")[0] for m in modules}, (
                    path
                )
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile"}, path
