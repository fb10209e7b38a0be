"""`make bench`: processor time an event, of driftd beside a bare loop and beside the straightforward service.

A backlog on the real broker is read by each in turn, several times over, in one run on one machine; what counts is the
ratio. `--events` and `--rounds` make it small for CI. Exit 1 where driftd takes more than 2 times the bare loop's time
or more than a third of the straightforward service's (`--no-limits` only reports).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from tests.broker import LocalKafka
from tests.e2e.daemon import driftd, produce

PARTITIONS = 4
START = 1_790_000_000_000
NUMERIC, CATEGORICAL = 16, 4
LIMITS = {"bare": 2.0, "straightforward": 1 / 3}


def events(count: int, seed: int) -> Iterator[bytes]:
    """Prediction events of one model, 16 numbers and 4 categories, 100 a second of event time."""
    random_ = random.Random(seed)
    for i in range(count):
        features: dict[str, object] = {f"n{j:02}": round(random_.gauss(0, 1), 6) for j in range(NUMERIC)}
        features |= {f"c{j}": random_.choice(("alpha", "beta", "gamma", "delta")) for j in range(CATEGORICAL)}
        document = {
            "kind": "prediction", "id": f"{i:012x}", "model": "churn", "version": "7", "time": START + 10 * i,
            "features": features, "prediction": round(random_.random(), 6),
        }  # fmt: skip
        yield json.dumps(document).encode()


def measure(bootstrap: str, count: int, rounds: int, reference: Path) -> dict[str, list[float]]:
    """Microseconds of processor time an event, by contender, round by round."""
    out: dict[str, list[float]] = {"bare": [], "straightforward": [], "driftd": []}
    for _ in range(rounds):
        for name, spent in out.items():
            few = min(count, 40_000) if name == "straightforward" else count
            command = [sys.executable, "-m", "tests.bench.contenders", name, bootstrap, "bench", str(few)]
            command += [str(reference)] if name == "driftd" else []
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            spent.append(found["cpu_s"] / found["events"] * 1e6)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-limits", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalKafka() as broker:
        bootstrap = broker.bootstrap_servers
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for future in admin.create_topics([NewTopic("bench", PARTITIONS, config={"retention.ms": "-1"})]).values():
            future.result()
        lines = Path(folder) / "train.jsonl"
        lines.write_bytes(b"\n".join(events(20_000, seed=1)))
        reference = Path(folder) / "churn.json"
        built = driftd("reference", "build", "--model", "churn", "--version", "7", "--output", reference, lines)
        if built.returncode:
            raise RuntimeError(built.stderr)
        produce(
            bootstrap,
            "bench",
            ((i % PARTITIONS, START + 10 * i, value) for i, value in enumerate(events(arguments.events, seed=2))),
        )
        spent = measure(bootstrap, arguments.events, arguments.rounds, reference)
    median = {name: statistics.median(values) for name, values in spent.items()}
    print(f"{'':<18}{'us/event':>10}{'min':>10}{'max':>10}   driftd is")
    failed = False
    for name, values in spent.items():
        ratios = [ours / theirs for ours, theirs in zip(spent["driftd"], values, strict=True)]
        ratio = statistics.median(ratios)
        limit = LIMITS.get(name)
        print(f"{name:<18}{median[name]:>10.2f}{min(values):>10.2f}{max(values):>10.2f}   {ratio:.2f} times", end="")
        print(f" (at most {limit:.2f})" if limit else "")
        failed |= limit is not None and ratio > limit
    return 1 if failed and not arguments.no_limits else 0


if __name__ == "__main__":
    sys.exit(main())
