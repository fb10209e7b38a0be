"""What is written is what is read, to the bit; what is damaged is refused."""

import base64
import json
import random
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftd.core.fault import UserError
from driftd.core.reference import Reference
from driftd.files import reference_file
from driftd.files.build import Built
from tests.files.tables import built, write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Built:
    rng = np.random.default_rng(11)
    columns = {"x": rng.normal(size=4_000), "c": rng.choice(["a", "b", "ü\n"], 4_000), "k": np.arange(4_000) % 7}
    return built(write(tmp_path_factory.mktemp("made"), "parquet", columns), version="7")


@pytest.fixture
def path(made: Built, tmp_path: Path) -> Path:
    reference_file.write(tmp_path / "R.json", made.header, made.reference, made.parts)
    return tmp_path / "R.json"


def same(a: Reference, b: Reference) -> bool:
    """Equal to the bit in all that a reference is asked for."""
    arrays = ("windows", "mean", "variance", "worst", "inflation", "worst_rate")
    return (
        a.grid.plain() == b.grid.plain()
        and (a.events, a.parts) == (b.events, b.parts)
        and all((getattr(a, name) == getattr(b, name)).all() for name in ("counts", "moments", "new_expected"))
        and a.replays.keys() == b.replays.keys()
        and all(
            getattr(replay, name).tobytes() == getattr(b.replays[key], name).tobytes()
            for key, replay in a.replays.items()
            for name in arrays
        )
    )


def test_round_trip(made, path, tmp_path):
    header, reference = reference_file.read(path)
    assert header == made.header
    assert same(reference, made.reference)
    assert reference_file.read_header(path) == header
    again, reference, parts = reference_file.read_parts(path)
    assert (parts == made.parts).all()
    reference_file.write(tmp_path / "again.json", again, reference, parts)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    rebuilt = Reference.build(reference.grid, reference.events, reference.moments, parts, reference.new_expected)
    assert same(rebuilt, made.reference)


def test_what_was_read_answers_as_what_was_written(made, path):
    _, reference = reference_file.read(path)
    for n in (1.0, 50.0, 1_000.0, 1e9):
        sizes = np.full(len(reference.grid), n)
        ours, theirs = reference.replay(sizes)[0], made.reference.replay(sizes)[0]
        assert ours is not None
        assert theirs is not None
        assert (ours.mean == theirs.mean).all()


def test_a_small_and_an_uncalibrated_one(tmp_path):
    small = built(write(tmp_path, "jsonl", {"x": [1]}))
    reference_file.write(tmp_path / "R.json", small.header, small.reference, small.parts)
    _, reference = reference_file.read(tmp_path / "R.json")
    assert same(reference, small.reference)
    assert not reference.calibrated


def test_it_is_written_whole_or_not_at_all(made, tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        reference_file.write(tmp_path / "no" / "R.json", made.header, made.reference, made.parts)
    (tmp_path / "R.json").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        reference_file.write(tmp_path / "R.json", made.header, made.reference, made.parts)
    assert [p.name for p in tmp_path.iterdir()] == ["R.json"]


def test_no_byte_can_be_flipped_unseen(made, path):
    whole = path.read_bytes()
    chance = random.Random(3)
    refused = 0
    for _ in range(600):
        at = chance.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :])
        try:
            _, reference, parts = reference_file.read_parts(path)
        except UserError as fault:
            refused += str(path) in str(fault)
        else:
            # In what is said of the reference, or in bits that base64 does not use.
            assert same(reference, made.reference)
            assert (parts == made.parts).all()
    assert refused > 500


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_file_cut_short(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match="no sound reference"):
        reference_file.read(path)


def _bomb(integers: int) -> str:
    return base64.b64encode(b"\0" + zlib.compress(bytes(integers), 9)).decode()


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "format": (lambda d: d.update(format="driftd.reference/2"), "its format is 'driftd.reference/2'"),
    "unknown key": (lambda d: d.update(more=1), "unknown field"),
    "no counts": (lambda d: d.pop("counts"), "counts"),
    "events": (lambda d: d.update(events=d["events"] + 1), "do not add up"),
    "negative events": (lambda d: d.update(events=-1), "events"),
    "huge events": (lambda d: d.update(events=2**60), "events"),
    "a bound": (lambda d: d["grid"][-1]["bounds"].pop(), "not the one of its hash"),
    "bounds fall": (lambda d: d["grid"][-1]["bounds"].reverse(), "bounds do not rise"),
    "no axis": (lambda d: d.update(grid=[{}]), "an axis is an object with a name"),
    "axis twice": (lambda d: d["grid"].append(d["grid"][0]), "same name"),
    "huge scale": (lambda d: d["grid"][-1].update(scale=10**400), "no sound reference"),
    "counts bomb": (lambda d: d.update(counts=_bomb(1 << 28)), "as many as there should be"),
    "parts of another": (lambda d: d["parts"].update(count=d["parts"]["count"] - 1), "not those of its id"),
    "digest": (lambda d: d["parts"].update(digest="0" * 16), "not those of its id"),
    "replay bomb": (
        lambda d: d["replays"].update(values=base64.b64encode(zlib.compress(bytes(1 << 28))).decode()),
        "as many as there should be",
    ),
    "replay sets": (lambda d: d["replays"].update(sets=0), "no sound reference"),
    "replay key": (lambda d: d["replays"]["keys"].pop(), "replay is not that of its parts"),
    "no base64": (lambda d: d.update(moments="###"), "base64"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named(path, case):
    damage, message = DAMAGE[case]
    document = json.loads(path.read_bytes())
    damage(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError) as refused:
        reference_file.read(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff\xfe", b"{" * 100_000, b'{"format": 3}', b"hello"])
def test_what_is_no_reference_at_all(tmp_path, body):
    path = tmp_path / "R.json"
    path.write_bytes(body)
    for reading in (reference_file.read, reference_file.read_header, reference_file.read_parts):
        with pytest.raises(UserError, match="no sound reference"):
            reading(path)
    with pytest.raises(UserError, match="cannot be read"):
        reference_file.read(tmp_path)


def test_a_header_of_another_is_not_written(made, tmp_path):
    other = built(write(tmp_path, "jsonl", {"x": [1]}))
    with pytest.raises(ValueError, match="another"):
        reference_file.write(tmp_path / "R.json", other.header, made.reference, made.parts)


def test_a_hundred_references_of_twenty_signals_are_read_in_a_second_or_so(tmp_path):
    rng = np.random.default_rng(2)
    columns: dict[str, object] = {f"n{i}": rng.normal(size=40_000) for i in range(16)}
    words = np.array([f"v{i}" for i in range(300)])
    columns |= {f"c{i}": words[rng.zipf(1.4, 40_000) % 300] for i in range(4)}
    big = built(write(tmp_path, "parquet", columns))
    reference_file.write(tmp_path / "R.json", big.header, big.reference, big.parts)
    start = time.process_time()
    for _ in range(100):
        reference_file.read(tmp_path / "R.json")
    assert time.process_time() - start < 1.5  # measured: 0.17 s
