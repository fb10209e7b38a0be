"""Secrets: read from files, never printed."""

from __future__ import annotations

import stat
from typing import Annotated

from pydantic import BeforeValidator, SecretStr

from driftd.settings.quantity import refuse
from driftd.settings.section import path_of

MAX_BYTES = 64 * 1024


def _read(value: object) -> SecretStr:
    """The text of the file, without the line end that editors add."""
    if isinstance(value, SecretStr):
        return value
    path = path_of(value)
    remedy = "name a file that holds the secret and that this user may read"
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            refuse(f"{path} is not a file", remedy)
        if mode & stat.S_IWOTH:
            refuse(f"everybody may write to {path}", f"chmod o-w {path}: whoever writes it speaks for driftd")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        refuse(f"there is no file {path}", remedy)
    except OSError as error:
        refuse(f"{path} cannot be read: {error.strerror}", remedy)
    try:
        text = raw.decode().strip("\r\n")
    except UnicodeDecodeError:
        refuse(f"{path} is not UTF-8 text", remedy)
    if not text or len(raw) > MAX_BYTES:
        refuse(f"{path} is {'too large' if text else 'empty'}", remedy)
    return SecretStr(text)


Secret = Annotated[SecretStr, BeforeValidator(_read)]
"""Given as the path of a file; held as what is in it."""
