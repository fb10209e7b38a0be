"""The pages of the documentation, taken apart: fenced blocks, commands, code in lines, links."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.broker import ROOT

README = "README.md"
SHELL = frozenset({"sh", "console"})
LANGUAGES = SHELL | {"", "text", "json", "yaml", "promql", "ini", "csv"}
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN_IN_A_COMMENT = re.compile(r"^#\s+((?:driftd|make) .+?)(?:\s{2,}.*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    body: str


def names() -> list[str]:
    """README, changelog and docs as paths from the root."""
    return [README, "CHANGELOG.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str, *languages: str) -> list[Block]:
    """The fenced blocks of a page; `languages`: these alone."""
    found = [Block(page, m["language"], m["body"]) for m in _FENCE.finditer(text(page))]
    return [block for block in found if not languages or block.language in languages]


def block(page: str, language: str, number: int = 0) -> str:
    return blocks(page, language)[number].body


def prose(page: str) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", text(page))


def spans(page: str) -> list[str]:
    """Code in lines."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def commands(page: str) -> list[str]:
    """Every command of a page's shell blocks, without prompts, comments and line continuations."""
    return [command for block in blocks(page, *SHELL) for command in commands_of(block)]


def commands_of(block: Block) -> Iterator[str]:
    lines = block.body.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        command = re.sub(r"(^|\s+)#.*$", "", line)
        if command.strip():
            yield " ".join(command.split())


def commands_in_comments(file: Path) -> list[str]:
    return _SHOWN_IN_A_COMMENT.findall(file.read_text())


def json_documents(body: str) -> list[Any]:
    """The JSON documents of a block, which may stretch over lines."""
    decoder, found = json.JSONDecoder(), []
    rest = body.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].lstrip()
    return found


def links(page: str) -> list[str]:
    """Targets of links that do not lead out of the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: str) -> set[str]:
    """What GitHub makes of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def sentences(page: str) -> list[str]:
    """The prose in sentences and items of lists, each in one line; headings, tables and comments left out."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n(?=- )", re.sub(r"<!--.*?-->", "", prose(page), flags=re.DOTALL)):
        if paragraph.strip().startswith(("#", "|")):
            continue
        whole = " ".join(paragraph.removeprefix("- ").split())
        found += [part for part in re.split(r"(?<=[.!?])\s+(?=[A-Z*`])", whole) if part]
    return found


def tables(page: str) -> list[list[str]]:
    """The rows of all tables, cell by cell; heads and rules left out."""
    rows: list[list[str]] = []
    lines: Sequence[str] = text(page).splitlines()
    for i, line in enumerate(lines):
        is_head = i + 1 < len(lines) and re.fullmatch(r"\|[-| :]+\|", lines[i + 1])
        if line.startswith("|") and not is_head and not re.fullmatch(r"\|[-| :]+\|", line):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
