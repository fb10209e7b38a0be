"""The dashboards as Grafana is given them: their panels, queries, and what a query names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.broker import ROOT

FOLDER: Final = ROOT / "grafana" / "dashboards"
NAMES: Final = ("fleet", "model", "driftd")
Json = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One query of a panel."""

    board: str
    panel: str
    ref: str
    expr: str
    instant: bool


def board(name: str) -> Json:
    document: Json = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return document


def panels(name: str) -> list[Json]:
    """All panels but the rows, which hold none: they are not collapsed."""
    return [panel for panel in board(name)["panels"] if panel["type"] != "row"]


def targets(name: str) -> Iterator[Target]:
    for panel in panels(name):
        for target in panel["targets"]:
            yield Target(name, panel["title"], target["refId"], target["expr"], target["instant"])


def notes(name: str) -> Iterator[Target]:
    """Annotations, which are queried over a range."""
    for note in board(name)["annotations"]["list"]:
        yield Target(name, f"annotation {note['name']}", "Anno", note["expr"], instant=False)


def filled(expr: str, values: Mapping[str, str]) -> str:
    """With the variables as Grafana writes them. One that is not told is an error."""
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expr)


# What an expression names. Enough of PromQL's grammar for ours, and it says so where it is not.

STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
SELECTOR: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
MATCHER: Final = re.compile(r'([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"')
GROUPING: Final = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})


def selectors(expr: str) -> list[tuple[str, set[str]]]:
    """Every metric that is named, with the labels that are matched on it."""
    plain = STRING.sub('""', expr)
    found = [(name, set(MATCHER.findall(inside))) for name, inside in SELECTOR.findall(plain)]
    bare = GROUPING.sub(" ", re.sub(r"\[[^\]]*\]", "", SELECTOR.sub(" ", plain)))
    names = re.findall(r"(?<![\w:$.])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])", bare)
    return [*found, *((name, set()) for name in names if name not in WORDS)]


def grouped(expr: str) -> set[str]:
    """Labels that results are grouped or joined by."""
    return {label.strip() for _, inside in GROUPING.findall(expr) for label in inside.split(",") if label.strip()}


def made(expr: str) -> set[str]:
    """Labels that label_replace and label_join make."""
    return set(re.findall(r'label_(?:replace|join)\(.*?,\s*"(\w+)",', expr))
