"""The key by which links in messages are signed: made once, in the state directory, readable by nobody else."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from driftd.store.database import StoreError

FILE: Final = "link-key"
BYTES: Final = 32


def load_or_create(directory: Path) -> bytes:
    """Raises StoreError where it cannot be read or made, or is not what was made. Without it no link of before holds."""
    path = directory / FILE
    try:
        if path.exists():
            return _read(path)
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            file.write(secrets.token_hex(BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        return _read(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be used ({error.strerror})", "check its permissions") from error


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise StoreError(f"{path} can be read by others, who could sign links", f"chmod 600 {path}, or remove it")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii", errors="replace"))
    except ValueError:
        key = b""
    if len(key) != BYTES:
        raise StoreError(f"{path} is no key of {BYTES} bytes", "remove it; links that were sent end to hold")
    return key
