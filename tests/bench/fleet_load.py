"""What the fleet test feeds: reference files of many models, and their traffic. All of it is a function of the seed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from confluent_kafka import Producer

from driftd.core.reference import Reference
from driftd.files import reference_file
from driftd.files.build import BuildOptions, build

SPEED = 60
"""Seconds of event time in one of the wall."""
ROWS = 33_000
"""Rows of a reference: enough for as many parts as one may have."""
VARIANTS = 16
POOL = 4_096
"""Different feature vectors in the traffic."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run. The first `drifting` models drift from the middle on. `start`: event time of the first event, ms."""

    models: int = 1_000
    features: int = 20
    rate: int = 2_000
    seconds: int = 600
    kills: int = 3
    partitions: int = 4
    drifting: int = 10
    seed: int = 1
    start: int = 0

    @property
    def events(self) -> int:
        return self.rate * self.seconds

    def name(self, model: int) -> str:
        return f"model-{model:04}"

    def kill_at(self) -> list[float]:
        """Seconds after the first event, one instant in each even part of the run, not at its edges."""
        rng = np.random.default_rng([self.seed, 1])
        part = self.seconds / max(self.kills, 1)
        return [part * (i + float(rng.uniform(0.3, 0.7))) for i in range(self.kills)]


def vectors(plan: Plan, count: int, stream: int, shift: float = 0.0) -> list[str]:
    """Feature objects and predictions as text: four fifths numbers, the rest categories; `shift` moves the numbers."""
    rng = np.random.default_rng([plan.seed, 2, stream])
    numeric = plan.features - plan.features // 5
    numbers = rng.normal(shift, 1, (count, numeric)).round(4).tolist()
    categories = rng.choice(("alpha", "beta", "gamma", "delta"), (count, plan.features - numeric)).tolist()
    predictions = rng.beta(2, 5, count).round(4).tolist()
    out = []
    for number, category, prediction in zip(numbers, categories, predictions, strict=True):
        features = {f"n{i:02}": value for i, value in enumerate(number)}
        features |= {f"c{i:02}": value for i, value in enumerate(category)}
        out.append(f'"features":{json.dumps(features, separators=(",", ":"))},"prediction":{prediction}}}')
    return out


def event(model: str, time_ms: int, vector: str) -> bytes:
    return f'{{"kind":"prediction","model":"{model}","version":"1","time":{time_ms},{vector}'.encode()


def references(plan: Plan, folder: Path) -> dict[str, Path]:
    """A reference file a model. They share one grid and its counts; the order of the parts comes in few variants."""
    folder.mkdir()
    rows = folder / "rows.jsonl"
    rows.write_bytes(b"\n".join(event("fleet", i, vector) for i, vector in enumerate(vectors(plan, ROWS, 0))))
    built = build([rows], BuildOptions("fleet", "1"))
    known = built.reference
    variants = []
    for number in range(min(VARIANTS, plan.models)):
        order = np.random.default_rng([plan.seed, 3, number]).permutation(len(built.parts))
        parts = built.parts[order]
        reference = Reference.build(known.grid, known.events, known.moments, parts, known.new_expected)
        variants.append((reference, parts))
    out = {}
    for model in range(plan.models):
        name = plan.name(model)
        reference, parts = variants[model % len(variants)]
        out[name] = folder / f"{name}.json"
        reference_file.write(out[name], reference_file.Header.of(name, "1", reference, parts), reference, parts)
    return out


def traffic(plan: Plan) -> Iterator[tuple[int, int, bytes]]:
    """(partition, time in ms, value) of every event, in order of time; models by Zipf's law, the first most often."""
    rng = np.random.default_rng([plan.seed, 4])
    share = 1 / np.arange(1, plan.models + 1)
    share /= share.sum()
    calm, shifted = vectors(plan, POOL, 1), vectors(plan, POOL, 2, shift=1.0)
    names = [plan.name(model) for model in range(plan.models)]
    for second in range(plan.seconds):
        models = rng.choice(plan.models, plan.rate, p=share).tolist()
        picks = rng.integers(0, POOL, plan.rate).tolist()
        partitions = rng.integers(0, plan.partitions, plan.rate).tolist()
        drifted = second >= plan.seconds // 2
        for i, (model, pick, partition) in enumerate(zip(models, picks, partitions, strict=True)):
            at = plan.start + SPEED * (1_000 * second + 1_000 * i // plan.rate)
            vector = (shifted if drifted and model < plan.drifting else calm)[pick]
            yield partition, at, event(names[model], at, vector)


class Feed(threading.Thread):
    """Sends the traffic at its rate, from `start()` on. `sent`: events handed to the broker so far; `ended_s`: when."""

    def __init__(self, plan: Plan, bootstrap: str, topic: str) -> None:
        super().__init__(daemon=True)
        self.plan, self.topic = plan, topic
        self.sent = 0
        self.behind_s = 0.0
        """The most that the feed itself was behind its schedule."""
        self.failed: list[str] = []
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 5, "compression.type": "lz4", "enable.idempotence": True}
        )

    def run(self) -> None:
        began = time.monotonic()
        for partition, at, value in traffic(self.plan):
            due = began + self.sent / self.plan.rate
            wait = due - time.monotonic()
            if wait > 0.005:
                self._producer.poll(0)
                time.sleep(wait)
            self.behind_s = max(self.behind_s, -wait)
            while True:
                try:
                    self._producer.produce(
                        self.topic, value, partition=partition, timestamp=at, on_delivery=self._delivered
                    )
                except BufferError:
                    self._producer.poll(0.05)
                    continue
                break
            self.sent += 1
        if self._producer.flush(60):
            self.failed.append("the broker did not acknowledge all events")

    def _delivered(self, error: object, _: object) -> None:
        if error is not None:
            self.failed.append(str(error))
