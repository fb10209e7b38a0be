"""The reference file: one JSON object, `driftd.reference/1`.

Integers are packed and floats are kept to the bit, so that what is read equals what was written and the same reference
gives the same bytes. Reading is strict: what is damaged, or does not add up, is refused. `parts` are most of the file
and are only looked at by `read_parts`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import zlib
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final, Self, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftd.core.fault import UserError
from driftd.core.grid import Grid
from driftd.core.pane import Ints, pack_ints
from driftd.core.reference import LEAST_WINDOWS, Reference, Replay, _stable_n

FORMAT: Final = "driftd.reference/1"
LARGEST: Final = 1 << 30
"""Bytes of a file that is read at all."""
MOST_EVENTS: Final = 1 << 40
_ROWS: Final = 10
"""Rows of numbers in a replay: windows, mean, variance, worst, inflation of three rates, worst of three rates."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_EVENTS)]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a reference is of. `rows`: the names of the files it was built from, without their folders.

    `start`, `end`: the least and the greatest event time, ms, where it was built with one; `hash` is the grid's, `id`
    that of everything counted.
    """

    format: str = FORMAT
    model: Name
    version: Name
    events: Count
    rows: list[str]
    start: int | None
    end: int | None
    hash: str
    id: str

    @classmethod
    def of(
        cls,
        model: str,
        version: str,
        reference: Reference,
        parts: Ints,
        *,
        rows: Sequence[str] = (),
        span: tuple[int, int] | None = None,
    ) -> Self:
        """The header that belongs to these counts."""
        return cls(
            model=model,
            version=version,
            events=reference.events,
            rows=list(rows),
            start=span[0] if span else None,
            end=span[1] if span else None,
            hash=reference.grid.hash,
            id=_identity(reference, _digest(parts)),
        )


class _Replays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[tuple[Count, Count, Count]]
    """(parts in a window, events, which of the `sets`)."""
    sets: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    values: str


class _Parts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: Annotated[int, msgspec.Meta(ge=1, le=65_536)]
    digest: str
    values: msgspec.Raw


class _File(Header, frozen=True, kw_only=True, forbid_unknown_fields=True):
    grid: list[dict[str, object]]
    counts: str
    moments: str
    new_expected: str
    replays: _Replays
    parts: _Parts


def write(path: Path, header: Header, reference: Reference, parts: Ints) -> None:
    """Write the file whole or not at all. Raises UserError where it cannot be written."""
    digest = _digest(parts)
    if header.id != _identity(reference, digest):
        raise ValueError("this header belongs to another reference")
    document = _File(
        **msgspec.structs.asdict(header),
        grid=reference.grid.plain(),
        counts=_packed(reference.counts),
        moments=_packed(reference.moments),
        new_expected=_packed(reference.new_expected),
        replays=_replays_plain(reference),
        parts=_Parts(len(parts), digest, msgspec.Raw(msgspec.json.encode(_packed(parts)))),
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(document) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written: {fault.strerror}", "name a place that can be written to") from fault


def read(path: Path) -> tuple[Header, Reference]:
    """The header and the reference. Raises UserError for a file that is not, to the last number, a reference."""
    with _blaming(path):
        return _read(_decode(path, _FILE))


def read_header(path: Path) -> Header:
    """Only what the file says it is."""
    with _blaming(path):
        return _decode(path, _HEADER)


def read_parts(path: Path) -> tuple[Header, Reference, Ints]:
    """The reference with its parts int64[P, codes]."""
    with _blaming(path):
        document = _decode(path, _FILE)
        header, reference = _read(document)
        text = msgspec.json.decode(document.parts.values, type=str)
        parts = _unpacked(text, document.parts.count * reference.grid.codes).reshape(document.parts.count, -1)
        if _digest(parts) != document.parts.digest or (parts.sum(axis=0) != reference.counts).any():
            raise ValueError("its parts do not add up to its counts")
        return header, reference, parts


_FILE: Final = msgspec.json.Decoder(_File)
_HEADER: Final = msgspec.json.Decoder(Header)
_H = TypeVar("_H", bound=Header)


def _decode(path: Path, decoder: msgspec.json.Decoder[_H]) -> _H:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it is longer than {LARGEST:,} bytes")
    body = path.read_bytes()
    try:
        document = decoder.decode(body)
    except msgspec.ValidationError:
        # Perhaps a reference of another format: then that is what must be said.
        found = cast("dict[str, object]", msgspec.json.decode(body, type=dict)).get("format")
        if isinstance(found, str) and found != FORMAT:
            raise ValueError(f"its format is {found[:64]!r}, and this driftd reads {FORMAT!r}") from None
        raise
    if document.format != FORMAT:
        raise ValueError(f"its format is {document.format[:64]!r}, and this driftd reads {FORMAT!r}")
    return document


@contextmanager
def _blaming(path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202
    try:
        yield
    except OSError as fault:
        raise UserError(f"{path} cannot be read: {fault.strerror}", "check the name and the rights") from fault
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as fault:
        raise UserError(
            f"{path} is no sound reference: {fault}", "build it again with `driftd reference build`"
        ) from fault


def _read(document: _File) -> tuple[Header, Reference]:
    grid = Grid.from_plain(document.grid)
    if grid.hash != document.hash:
        raise ValueError("its grid is not the one of its hash")
    counts = _unpacked(document.counts, grid.codes)
    new_expected = _unpacked(document.new_expected, len(grid))
    if (counts < 0).any() or (new_expected < 0).any():
        raise ValueError("a count is below zero")
    if len(grid) and (np.add.reduceat(counts, grid.first[:-1]) != document.events).any():
        raise ValueError("the counts of a signal do not add up to its events")
    reference = Reference(
        grid,
        document.events,
        counts,
        _unpacked(document.moments, 3 * len(grid)).reshape(3, -1),
        new_expected=new_expected,
        parts=document.parts.count,
        replays=_replays(document, len(grid)),
    )
    if _identity(reference, document.parts.digest) != document.id:
        raise ValueError("its counts are not those of its id")
    header = Header(**{name: getattr(document, name) for name in Header.__struct_fields__})
    return header, reference


def _replays_plain(reference: Reference) -> _Replays:
    """Many keys share one replay: each distinct one is stored once."""
    sets: dict[bytes, int] = {}
    keys = []
    for (size, n), replay in sorted(reference.replays.items()):
        rows = (replay.windows, replay.mean, replay.variance, replay.worst, *replay.inflation, *replay.worst_rate)
        body = np.stack(rows).astype("<f8").tobytes()
        keys.append((size, n, sets.setdefault(body, len(sets))))
    return _Replays(keys, len(sets), base64.b64encode(zlib.compress(b"".join(sets), 6)).decode())


def _replays(document: _File, signals: int) -> dict[tuple[int, int], Replay]:
    plain = document.replays
    body = _inflated(_base64(plain.values), plain.sets * _ROWS * signals * 8)
    values = np.frombuffer(body, "<f8").reshape(plain.sets, _ROWS, signals)
    if not np.isfinite(values).all() or (values[:, 0] < 0).any():
        raise ValueError("a number of its replay is not finite")
    found = {(size, n): number for size, n, number in plain.keys}
    if found.keys() != _replay_keys(document.events, document.parts.count) or (
        found and not 0 <= max(found.values()) < plain.sets
    ):
        raise ValueError("its replay is not that of its parts")
    replays = [Replay(v[0], v[1], v[2], v[3], v[4:7], v[7:10]) for v in values]
    return {key: replays[number] for key, number in found.items()}


def _replay_keys(events: int, parts: int) -> set[tuple[int, int]]:
    """What `Reference.build` replays, and `Reference.replay` asks for."""
    sizes = [1 << i for i in range((parts // LEAST_WINDOWS).bit_length())]
    scales = [1 << i for i in range(4, _stable_n(events).bit_length())]
    return {(size, n) for size in sizes for n in scales}


def _identity(reference: Reference, digest: str) -> str:
    """Depends on what was counted and in which order, not on how it is compressed."""
    whole = hashlib.sha256(f"{reference.grid.hash} {reference.events} {reference.parts} {digest} ".encode())
    for array in (reference.counts, reference.moments, reference.new_expected):
        whole.update(np.ascontiguousarray(array, "<i8").tobytes())
    return whole.hexdigest()[:16]


def _digest(parts: Ints) -> str:
    return hashlib.sha256(np.ascontiguousarray(parts, "<i8").tobytes()).hexdigest()[:16]


def _packed(values: Ints) -> str:
    return base64.b64encode(pack_ints(values)).decode()


def _unpacked(text: str, count: int) -> NDArray[np.int64]:
    """The reverse, for exactly `count` integers: what is longer is never inflated."""
    body = _base64(text)
    if not body or body[0] > 3:
        raise ValueError("packed integers have an unknown width")
    width = 1 << body[0]
    return np.frombuffer(_inflated(body[1:], count * width), f"<i{width}").astype(np.int64)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as fault:
        raise ValueError(f"base64 is damaged ({fault})") from fault


def _inflated(body: bytes, size: int) -> bytes:
    inflate = zlib.decompressobj()
    try:
        out = inflate.decompress(body, size + 1)
        out += inflate.flush() if len(out) == size and not inflate.eof else b""
    except zlib.error as fault:
        raise ValueError(f"packed numbers are damaged ({fault})") from fault
    if len(out) != size or not inflate.eof or inflate.unused_data:
        raise ValueError("packed numbers are not as many as there should be")
    return out
