"""What is compared, each as a process of its own that reads the same backlog: `python -m tests.bench.contenders NAME ...`.

Prints one JSON line: the events it read and the processor seconds that all its threads took from the first record on.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition


def bare(bootstrap: str, topic: str, events: int) -> tuple[int, float]:
    """The bare limit: consume, and drop what orjson.loads returns."""
    import orjson

    return _loop(bootstrap, topic, events, orjson.loads)


def straightforward(bootstrap: str, topic: str, events: int) -> tuple[int, float]:
    """The service that one would write: orjson, river's ADWIN a numeric feature, numpy histograms."""
    import numpy as np
    import orjson
    from river.drift import ADWIN

    detectors: dict[str, Any] = {}
    histograms: dict[str, Any] = {}
    edges = np.linspace(-4, 4, 61)

    def take(value: bytes) -> None:
        for name, feature in orjson.loads(value)["features"].items():
            if isinstance(feature, float):
                detector = detectors.setdefault(name, ADWIN())
                detector.update(feature)
                counts = histograms.setdefault(name, np.zeros(62, np.int64))
                counts[np.searchsorted(edges, feature)] += 1
            else:
                table = histograms.setdefault(name, {})
                table[feature] = table.get(feature, 0) + 1

    return _loop(bootstrap, topic, events, take)


def _loop(bootstrap: str, topic: str, events: int, take: Callable[[bytes], object]) -> tuple[int, float]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    read = 0
    began = time.process_time()
    while read < events:
        for message in consumer.consume(2_000, 0.05):
            error = message.error()
            if error is None:
                take(message.value())  # type: ignore[arg-type]
                read += 1
            elif error.code() != KafkaError._PARTITION_EOF:
                raise RuntimeError(error.str())
    spent = time.process_time() - began
    consumer.close()
    return read, spent


class Watched:
    """A source that tells when its first record was read, and stops the daemon once so many were handed out and done."""

    def __init__(self, source: Any, events: int, stop: threading.Event) -> None:
        self._source, self._events, self._stop = source, events, stop
        self.handed = 0
        self.spent = 0.0
        self._began: float | None = None
        self._last = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def poll(self, timeout_s: float) -> list[Any]:
        # What was handed out before is decoded, counted, judged and, once a second, committed.
        now = time.process_time()
        if self._began is not None and self.handed >= self._events:
            self.spent = now - self._began
            self._stop.set()
            return []
        reads: list[Any] = self._source.poll(timeout_s)
        if self._began is None and self._source.greatest is not None:
            self._began = self._last  # the poll before: what it fetched was handed out by this one
        self._last = now
        self.handed += sum(len(read) for read in reads if isinstance(read, Sized))  # blocks; ticks have no length
        return reads


def driftd(bootstrap: str, topic: str, events: int, reference: str, *watched: str) -> tuple[int, float]:
    """The daemon itself, with its default rules: everything from decoding to the commits of its state.

    From the poll before the one that brings the first records until the last whole block is done; that is all of them.
    `watched`: features with a detector of their own, beside the prediction.
    """
    from driftd.app import Daemon
    from driftd.settings.load import load

    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        document = {
            "kafka": {
                "bootstrap_servers": bootstrap,
                "group_id": directory.name,  # a static member's place is kept for a while: not for the next round
                "start": "earliest",
                "topics": {"predictions": [topic], "features": [], "labels": []},
                "dead_letters": {"topic": None},
            },
            "state": {"directory": str(directory / "state")},
            "http": {"listen": "127.0.0.1:0"},
            "models": {
                "churn": {"reference": {"file": reference}, "rules": {"jump": {"on": ["prediction", *watched]}}},
            },
        }
        config = directory / "driftd.yaml"
        config.write_text(json.dumps(document))
        stop = threading.Event()
        sources: list[Watched] = []

        class Timed(Daemon):
            def _source(self, *arguments: Any) -> Any:
                sources.append(Watched(super()._source(*arguments), events, stop))
                return sources[0]

        Timed(load(config, os.environ)).run(stop)
        return sources[0].handed, sources[0].spent


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    contender = {"bare": bare, "straightforward": straightforward, "driftd": driftd}[name]
    bootstrap, topic, events = rest[0], rest[1], int(rest[2])
    count, seconds = contender(bootstrap, topic, events, *rest[3:])  # type: ignore[operator]
    print(json.dumps({"events": count, "cpu_s": seconds}))
