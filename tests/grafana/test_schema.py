"""Grafana's own types judge the dashboards: the document, and the options of each panel by its type.

TypeScript refuses unknown keys and wrong types of a literal. What it does not see (places, keys of queries, names of
panel types) is in test_emitted.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.grafana import boards
from tests.grafana.boards import Json
from tests.grafana.node import grafana_schema

PANELS = ("stat", "timeseries", "table", "barchart")
OF_PROMETHEUS = {"expr", "step", "titleFormat", "textFormat", "tagKeys", "useValueForTime"}
"""Keys of an annotation that are its datasource's business: Grafana's types know none of these."""
VALUES = """
type Value<T extends number> = number extends T ? number : `${T}` extends `${infer N extends number}` ? N : never;
type Values<T> = T extends string ? `${T}` : T extends number ? Value<T> : T extends boolean | null | undefined ? T
  : T extends (infer E)[] ? Values<E>[] : T extends object ? { [K in keyof T]: Values<T[K]> } : T;
"""
"""A literal of JSON can name no enum, so that enums are taken by their values."""
CHECK = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--target",
    "es2022",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
]


def typed(document: Json) -> str:
    """The dashboard as TypeScript: a literal for the whole, and one for the options and the fields of each panel."""

    def literal(name: str, kind: str, value: object) -> str:
        return f"export const {name}: Values<{kind}> = {json.dumps(value, indent=1)};"

    lines = ['import type { Dashboard } from "@grafana/schema";', VALUES]
    for kind in PANELS:
        source = f"./node_modules/@grafana/schema/dist/types/raw/composable/{kind}/panelcfg/x/types.gen"
        lines.append(f'import type * as {kind} from "{source}";')
    plain = json.loads(json.dumps(document))
    for note in plain["annotations"]["list"]:
        for key in OF_PROMETHEUS & set(note):
            del note[key]
    lines.append(literal("board", "Dashboard", plain))
    for panel in plain["panels"]:
        if panel["type"] in PANELS:
            lines.append(literal(f"options{panel['id']}", f"Partial<{panel['type']}.Options>", panel["options"]))
            if custom := panel["fieldConfig"]["defaults"].get("custom"):
                lines.append(literal(f"fields{panel['id']}", f"Partial<{panel['type']}.FieldConfig>", custom))
    return "\n".join(lines) + "\n"


def wrong() -> Json:
    """One with a fault of each kind."""
    document = boards.board("fleet")
    stat, other = [panel for panel in document["panels"] if panel["type"] == "stat"][:2]
    stat["options"]["colourMode"] = "none"
    other["options"]["graphMode"] = "curve"
    stat["fieldConfig"]["defaults"]["noValue"] = 7
    document["templating"]["list"][0]["auto"] = True
    return document


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The lines of each dashboard that the compiler complains of, and what it says."""
    folder = tmp_path_factory.mktemp("types")
    node, modules = grafana_schema()
    (folder / "node_modules").symlink_to(modules)
    for name, document in {**{name: boards.board(name) for name in boards.NAMES}, "wrong": wrong()}.items():
        (folder / f"{name}.ts").write_text(typed(document), "utf-8")
    files = [path.name for path in folder.glob("*.ts")]
    command = [str(node), str(modules / "typescript" / "bin" / "tsc"), *CHECK, *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    found: dict[str, list[str]] = {}
    for name, line, said in re.findall(r"^(\w+)\.ts\((\d+),\d+\): error (.*)$", done.stdout, re.MULTILINE):
        source = (folder / f"{name}.ts").read_text("utf-8").splitlines()[int(line) - 1]
        found.setdefault(name, []).append(f"{source.strip()}  <- {said}")
    assert "wrong" in found, done.stdout + done.stderr
    return found


@pytest.mark.parametrize("name", boards.NAMES)
def test_grafanas_types_accept_it(name: str, refused: dict[str, list[str]]):
    assert refused.get(name, []) == []


def test_they_would_refuse_what_is_wrong(refused: dict[str, list[str]]):
    lines = [line.partition(":")[0].strip('"') for line in refused["wrong"]]
    assert sorted(lines) == ["auto", "colourMode", "graphMode", "noValue"]
