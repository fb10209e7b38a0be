"""`make bench`: processor time an event, of driftd beside a bare loop and beside the straightforward service.

A backlog on the real broker is read by each in turn, several times over, in one run on one machine; what counts is the
ratio. How dense the events lie in event time decides how many a block has, and with it what a block costs an event:

- `dense`: 10,000 a second over 4 partitions, which makes blocks of 8,192 records. Speed matters where events are many,
  so the limits are for this one.
- `sparse`: 100 a second, which makes blocks of 126 records (5 s of a partition), and windows are judged all the time.
  It is shown beside the other; at such a rate the whole daemon takes a thousandth of a processor.

`--events` and `--rounds` make it small for CI; events are rounded up to whole blocks. Exit 1 where driftd takes more
than 2 times the bare loop's time or more than a third of the straightforward service's (`--no-limits` only reports).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from driftd.kafka.block import MOST_RECORDS, SPAN_MS
from tests.broker import LocalKafka
from tests.e2e.daemon import driftd, produce

PARTITIONS = 4
START = 1_790_000_000_000
NUMERIC, CATEGORICAL = 16, 4


@dataclass(frozen=True)
class Backlog:
    """A topic: events of one model, round-robin over the partitions."""

    topic: str
    per_second: int
    events: int

    @property
    def step_ms(self) -> float:
        return 1_000 / self.per_second

    @property
    def block(self) -> int:
        """Records that a block of a partition has."""
        return min(MOST_RECORDS, math.ceil(SPAN_MS / (PARTITIONS * self.step_ms)) + 1)

    def whole(self) -> Backlog:
        """The same, with as many events as make whole blocks in every partition."""
        unit = PARTITIONS * self.block
        return Backlog(self.topic, self.per_second, -(-self.events // unit) * unit)


@dataclass(frozen=True)
class Contender:
    """`name`: one of tests.bench.contenders. `limits`: at most so many times another's time. `watched`: features with
    a detector of their own, which driftd by default gives to the prediction alone.
    """

    title: str
    name: str
    backlog: str
    limits: tuple[tuple[str, float], ...] = ()
    watched: tuple[str, ...] = ()


CONTENDERS = (
    Contender("bare loop", "bare", "dense"),
    Contender("straightforward", "straightforward", "few"),
    Contender("driftd", "driftd", "dense", (("bare loop", 2.0), ("straightforward", 1 / 3))),
    Contender("driftd, all ADWIN", "driftd", "dense", watched=tuple(f"n{j:02}" for j in range(NUMERIC))),
    Contender("driftd, sparse", "driftd", "sparse"),
)


def events(count: int, seed: int, per_second: int = 100) -> Iterator[bytes]:
    """Prediction events of one model, 16 numbers and 4 categories, so many a second of event time."""
    random_ = random.Random(seed)
    for i in range(count):
        features: dict[str, object] = {f"n{j:02}": round(random_.gauss(0, 1), 6) for j in range(NUMERIC)}
        features |= {f"c{j}": random_.choice(("alpha", "beta", "gamma", "delta")) for j in range(CATEGORICAL)}
        document = {
            "kind": "prediction", "id": f"{i:012x}", "model": "churn", "version": "7",
            "time": START + i * 1_000 // per_second, "features": features, "prediction": round(random_.random(), 6),
        }  # fmt: skip
        yield json.dumps(document).encode()


def fill(bootstrap: str, backlog: Backlog) -> None:
    """Make the topic and send it all; the Kafka timestamp is the event time."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topic = NewTopic(backlog.topic, PARTITIONS, config={"retention.ms": "-1"})
    admin.create_topics([topic])[backlog.topic].result()
    values = events(backlog.events, 2, backlog.per_second)
    stamped = ((i % PARTITIONS, START + i * 1_000 // backlog.per_second, value) for i, value in enumerate(values))
    produce(bootstrap, backlog.topic, stamped)


def built_reference(folder: Path) -> Path:
    lines = folder / "train.jsonl"
    lines.write_bytes(b"\n".join(events(20_000, seed=1)))
    reference = folder / "churn.json"
    done = driftd("reference", "build", "--model", "churn", "--version", "7", "--output", reference, lines)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return reference


def once(contender: Contender, bootstrap: str, backlog: Backlog, reference: Path) -> float:
    """Microseconds of processor time an event."""
    command = [sys.executable, "-m", "tests.bench.contenders", contender.name, bootstrap, backlog.topic]
    command += [str(backlog.events)] + ([str(reference), *contender.watched] if contender.name == "driftd" else [])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{contender.title}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return float(found["cpu_s"] / found["events"] * 1e6)


def report(spent: dict[str, list[float]]) -> bool:
    """Print the table; whether every limit is kept."""
    print(f"{'us of CPU an event':<20}{'median':>8}{'min':>8}{'max':>8}")
    for title, values in spent.items():
        print(f"{title:<20}{statistics.median(values):>8.2f}{min(values):>8.2f}{max(values):>8.2f}")
    kept = True
    for contender in CONTENDERS:
        for other in ("bare loop", "straightforward"):
            if contender.name != "driftd":
                continue
            # Round by round, so that what else the machine does at the time hits both.
            pairs = zip(spent[contender.title], spent[other], strict=True)
            ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            limit = dict(contender.limits).get(other)
            print(f"{contender.title}: {ratio:.2f} times {other}" + (f" (at most {limit:.2f})" if limit else ""))
            kept &= limit is None or ratio <= limit
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-limits", action="store_true")
    arguments = parser.parse_args()
    count = arguments.events
    planned = (
        Backlog("dense", 10_000, count),
        Backlog("few", 10_000, min(count, 40_000)),  # it takes twenty times as long as the others
        Backlog("sparse", 100, min(count, 100_000)),
    )
    backlogs = {backlog.topic: backlog.whole() for backlog in planned}
    spent: dict[str, list[float]] = {contender.title: [] for contender in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder, LocalKafka() as broker:
        reference = built_reference(Path(folder))
        for backlog in backlogs.values():
            fill(broker.bootstrap_servers, backlog)
            print(f"{backlog.topic}: {backlog.events:,} events, {backlog.block:,} in a block", flush=True)
        for _ in range(arguments.rounds):
            for contender in CONTENDERS:
                backlog = backlogs[contender.backlog]
                spent[contender.title].append(once(contender, broker.bootstrap_servers, backlog, reference))
    kept = report(spent)
    return 0 if kept or arguments.no_limits else 1


if __name__ == "__main__":
    sys.exit(main())
