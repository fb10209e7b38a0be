"""The example of the README: what the model `churn` was trained on, and live events whose ages move at 11 o'clock."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import NormalDist

import pyarrow as pa
import pyarrow.parquet as pq

TRAINED_ON = 50_000
START = round(datetime.fromisoformat("2026-11-24T06:00:00Z").timestamp() * 1000)
STEP = 1_440
"""2,500 events an hour."""
AN_HOUR = 3_600_000 // STEP
HOURS, MOVED_AFTER = 7, 5
MOVED_BY = 5.4
_NORMAL = NormalDist()


def _row(chance: random.Random, moved_by: float) -> tuple[dict[str, object], float]:
    """Features and score. Only `random()` is used: its numbers are the same in every version of Python."""
    balance = None if chance.random() < 0.05 else round(1_000 * chance.random() ** 2, 2)
    age = round(41 + moved_by + 10 * _NORMAL.inv_cdf(max(chance.random(), 1e-12)))
    plan = ("free", "free", "pro")[int(3 * chance.random())]
    return {"age": age, "plan": plan, "balance": balance}, round(chance.random() ** 2, 4)


def events() -> Iterator[tuple[int, bytes]]:
    """Event times and native prediction events."""
    chance = random.Random(8)
    for i in range(HOURS * AN_HOUR):
        features, score = _row(chance, MOVED_BY if i >= MOVED_AFTER * AN_HOUR else 0.0)
        time = START + i * STEP
        document = {"kind": "prediction", "id": f"{i:06x}", "model": "churn", "version": "7", "time": time,
                    "features": features, "prediction": score, "tags": {"region": "eu"}}  # fmt: skip
        yield time, json.dumps(document).encode()


def lay_out(folder: Path) -> None:
    """The files that the README's commands read."""
    chance = random.Random(7)
    rows = [_row(chance, 0.0) for _ in range(TRAINED_ON)]
    columns: dict[str, list[object]] = {"id": [f"{i:06x}" for i in range(TRAINED_ON)]}
    columns |= {name: [features[name] for features, _ in rows] for name in ("age", "plan", "balance")}
    columns["score"] = [score for _, score in rows]
    pq.write_table(pa.table(columns), folder / "train.parquet")
    with (folder / "last-month.jsonl").open("wb") as file:
        file.writelines(line + b"\n" for _, line in events())
