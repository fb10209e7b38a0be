"""Writes the dashboards of `grafana/dashboards` anew: `make grafana`. Grafana is given these files, not this code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from grafana.build.daemon import daemon
from grafana.build.fleet import fleet
from grafana.build.model import model

FOLDER: Final = Path(__file__).parents[1] / "dashboards"
DASHBOARDS: Final[dict[str, Callable[[], str]]] = {"fleet": fleet, "model": model, "driftd": daemon}
"""By the name of its file."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, made in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(made(), "utf-8")


if __name__ == "__main__":
    main()
