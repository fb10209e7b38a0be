"""The NannyML car loan streams as driftd's events: a reference file, and the analysis rows 1 s apart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.e2e.daemon import driftd, event

START = 1_514_764_800_000
EVERY = 500
LENGTH = 2_500
DRIFTED = {"car_value", "salary_range", "loan_length", "repaid_loan_on_prev_car", "prediction"}
STEADY = {"debt_to_income_ratio", "size_of_downpayment", "driver_tenure"}
NUMERIC = ["car_value", "loan_length", "debt_to_income_ratio", "driver_tenure"]
NOT_FEATURES = ("id", "timestamp", "y_pred", "y_pred_proba", "repaid")


@dataclass(frozen=True)
class CarLoan:
    """`events[i]`: row i as a native event; its event time is START + i seconds."""

    reference: Path
    events: list[bytes]
    lines: Path

    def monitoring(self) -> dict[str, Any]:
        """The settings of the model under the issue's windows and rules."""
        return {
            "monitoring": {
                "window": {"length": f"{LENGTH}s", "every": f"{EVERY}s", "max_skew": "10d"},
                "rules": {"jump": {"detector": "adwin", "on": NUMERIC, "delta": 0.002, "min_effect": 0.1}},
            },
            "models": {"car_loan": {"reference": {"file": str(self.reference)}}},
        }


def car_loan(data: Path, directory: Path) -> CarLoan:
    """Builds the reference by the command, and writes the events as JSON lines."""
    folder = data / "nannyml_car_loan"
    reference = directory / "car_loan.json"
    done = driftd(
        "reference", "build", "--model", "car_loan", "--version", "1", "--prediction", "y_pred_proba",
        "--ignore", "id,timestamp,y_pred,repaid", "--output", reference,
        folder / "synthetic_car_loan_reference.parquet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(folder / "synthetic_car_loan_analysis.parquet").to_pylist()
    events = []
    for i, row in enumerate(rows):
        features = {name: value for name, value in row.items() if name not in NOT_FEATURES}
        events.append(event("car_loan", "1", START + 1000 * i, features, row["y_pred_proba"]))
    lines = directory / "analysis.jsonl"
    lines.write_bytes(b"\n".join(events) + b"\n")
    return CarLoan(reference, events, lines)


def row_of(transition: dict[str, Any]) -> int:
    """The row at whose time a transition's window ends."""
    from datetime import datetime

    return int((datetime.fromisoformat(transition["timestamp"]).timestamp() * 1000 - START) // 1000)


def signals_of(transition: dict[str, Any]) -> set[str]:
    return {signal["signal"] for signal in transition["data"]["signals"]}


def parsed(bodies: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(body) for body in bodies]
