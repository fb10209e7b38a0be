"""JSON lines (also gzipped): the lines of a file, and the objects in them, a chunk at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NoReturn, cast

import msgspec

from driftd.core.fault import UserError

CHUNK: Final = 1 << 20
LONGEST: Final = 64 << 20
"""Bytes of one line; a longer one is refused."""
BOM: Final = b"\xef\xbb\xbf"

_decoder: Final = msgspec.json.Decoder(dict[str, object])


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of one file. `first`: the number of the first of them, from 1; `done`: bytes read of the file."""

    path: Path
    first: int
    body: bytes
    done: int


def chunks(path: Path, size: int = CHUNK) -> Iterator[Chunk]:
    """The file's lines in order, some at a time."""
    rest, line = b"", 1
    try:
        with path.open("rb") as raw:
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if path.name.lower().endswith(".gz") else raw)
            while more := stream.read(size):
                cut = more.rfind(b"\n") + 1
                if not cut:
                    rest += more
                    if len(rest) > LONGEST:
                        raise UserError(
                            f"{path}, line {line} is longer than {LONGEST:,} bytes", "write one JSON object a line"
                        )
                    continue
                body, rest = rest + more[:cut], more[cut:]
                yield Chunk(path, line, body.removeprefix(BOM) if line == 1 else body, raw.tell())
                line += body.count(b"\n")
            if rest.strip():
                yield Chunk(path, line, rest.removeprefix(BOM) if line == 1 else rest, raw.tell())
    except (OSError, EOFError, zlib.error) as fault:
        raise UserError(f"{path} cannot be read: {fault}", "is it whole, and of the format its name says?") from fault


def objects(chunk: Chunk) -> list[dict[str, object]]:
    """The objects of a chunk, blank lines skipped; a line that holds none is refused with its number."""
    try:
        return _decoder.decode_lines(chunk.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [_object(chunk, number, line) for number, line in numbered(chunk)]


def numbered(chunk: Chunk) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    for number, line in enumerate(chunk.body.split(b"\n"), chunk.first):
        stripped = line.strip()
        if stripped:
            yield number, stripped


def refuse(chunk: Chunk, row: int, problem: str, remedy: str) -> NoReturn:
    """Raises the error for the object `row`, counted from 0, of `objects(chunk)`."""
    for i, (number, _) in enumerate(numbered(chunk)):
        if i == row:
            raise UserError(f"{chunk.path}, line {number}: {problem}", remedy)
    raise UserError(f"{chunk.path}: {problem}", remedy)


def _object(chunk: Chunk, number: int, line: bytes) -> dict[str, object]:
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        remedy = "write one JSON object a line"
        if b"NaN" in line or b"Infinity" in line:
            remedy = "NaN and Infinity are no JSON: write null"
        raise UserError(f"{chunk.path}, line {number}: {fault}", remedy) from fault
