"""The key by which links are signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.store import link_key
from driftd.store.database import StoreError


def test_it_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "link-key.new").write_text("half of one, from a kill")
    key = link_key.load_or_create(tmp_path)
    assert len(key) == link_key.BYTES
    assert (tmp_path / "link-key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link-key"]
    assert link_key.load_or_create(tmp_path) == key
    (tmp_path / "other").mkdir()
    assert link_key.load_or_create(tmp_path / "other") != key


@pytest.mark.parametrize("text", ["", "abcd", "z" * 64, "\xff" * 64, "00" * 33])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "link-key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(StoreError, match="is no key of 32 bytes; remove it"):
        link_key.load_or_create(tmp_path)


def test_one_that_others_can_read_is_refused(tmp_path: Path) -> None:
    link_key.load_or_create(tmp_path)
    (tmp_path / "link-key").chmod(0o640)
    with pytest.raises(StoreError, match="can be read by others, who could sign links; chmod 600 "):
        link_key.load_or_create(tmp_path)


def test_a_directory_that_is_not_there_is_an_error_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere/link-key cannot be used"):
        link_key.load_or_create(tmp_path / "nowhere")
