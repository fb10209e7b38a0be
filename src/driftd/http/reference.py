"""Writes the table of metrics into docs/metrics.md: `python -m driftd.http.reference docs/metrics.md`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from driftd.core.catalogue import markdown

BEGIN: Final = "<!-- the catalogue: python -m driftd.http.reference docs/metrics.md -->\n"
END: Final = "<!-- end of the catalogue -->\n"


def renewed(page: str) -> str:
    """The page with the catalogue between its markers. Raises ValueError if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN.strip()} ... {END.strip()}")
    return f"{before}{BEGIN}\n{markdown()}\n{END}{after}"


def main(path: Path) -> None:
    path.write_text(renewed(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
