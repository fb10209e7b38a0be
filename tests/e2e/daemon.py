"""The real program as a process, on a real broker, with a real receiver: what the end-to-end tests drive."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
from confluent_kafka import Consumer, Producer, TopicPartition

from driftd.store.database import FILE
from driftd.store.reader import Reader
from tests.kafka_fixture import Kafka

T = TypeVar("T")
PROGRAM = Path(sys.executable).parent / "driftd"


def driftd(*arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False)


def wait_for(what: str, probe: Callable[[], T | None], timeout: float = 90.0) -> T:
    """Until `probe` gives something true. Fails with the name of what was waited for."""
    end = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:.0f} s in vain for {what}")
        time.sleep(0.05)


class Receiver:
    """Takes webhooks. `bodies`: every delivery as (id, body), in order of arrival."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.bodies.append((self.headers["webhook-id"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass
class Daemon:
    """`driftd run` with the settings given, as a mapping that is written as YAML (JSON is YAML)."""

    directory: Path
    settings: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / "log"
        self.config.write_text(json.dumps(self.settings))

    @property
    def config(self) -> Path:
        return self.directory / "driftd.yaml"

    @property
    def state(self) -> Path:
        return Path(self.settings["state"]["directory"])

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, "run", "--config", self.config], stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def url(self) -> str | None:
        """Where its HTTP server listens: it says so in its log when it has started."""
        lines = self.log.read_bytes().splitlines() if self.log.exists() else []
        for line in reversed(lines):
            if b'"started"' in line:
                return f"http://127.0.0.1:{json.loads(line)['http']}"
        return None

    def get(self, path: str) -> Any:
        """A document of the API; None while nobody answers."""
        self.check_alive()
        url = self.url()
        if url is None:
            return None
        try:
            answer = httpx.get(url + path, timeout=5)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.headers["content-type"].startswith("application/json") else answer.text

    def metric(self, name: str) -> float:
        """The sum of its series; 0 while nobody answers."""
        found = self.get("/metrics") or ""
        series = (line for line in found.splitlines() if line.startswith((name + "{", name + " ")))
        return sum(float(line.rpartition(" ")[2]) for line in series)

    def check_alive(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")

    def transitions(self, model: str) -> list[bytes]:
        """The bodies of a model's transitions in the order in which they were stored."""
        if not (self.state / FILE).exists():
            return []
        with Reader.open_read_only(self.state) as reader:
            return [one["body"] for one in reversed(reader.transitions(model, limit=10_000))]

    def pane_count(self, model: str) -> int:
        """How many panes of a model have closed and are durable."""
        if not (self.state / FILE).exists():
            return 0
        with closing(sqlite3.connect(f"file:{self.state / FILE}?mode=ro", uri=True)) as connection:
            try:
                (count,) = connection.execute("SELECT count(*) FROM pane WHERE model = ?", (model,)).fetchone()
            except sqlite3.OperationalError:  # the tables are not made yet
                return 0
        return int(count)

    def panes(self, model: str) -> list[tuple[str, str, int, int, bytes]]:
        """Every closed pane of a model: version, kind, start, end, body."""
        if not (self.state / FILE).exists():
            return []
        with closing(sqlite3.connect(f"file:{self.state / FILE}?mode=ro", uri=True)) as connection:
            select = 'SELECT version, kind, start, "end", body FROM pane WHERE model = ? ORDER BY 1, 2, 3'
            return list(connection.execute(select, (model,)))


@contextmanager
def running(daemon: Daemon) -> Iterator[Daemon]:
    """Started; stopped at the end, unless it has ended by itself."""
    daemon.start()
    try:
        yield daemon
    finally:
        assert daemon.process is not None
        if daemon.process.poll() is None:
            daemon.stop()


def settings(
    bootstrap: str, directory: Path, topic: str, receiver: Receiver | None = None, **more: Any
) -> dict[str, Any]:
    """Settings for one topic of predictions, everything on loopback, old events told as if they were new."""
    base: dict[str, Any] = {
        "kafka": {
            "bootstrap_servers": bootstrap,
            "group_id": f"driftd-{directory.name}",
            "start": "earliest",
            "topics": {"predictions": [topic], "features": [], "labels": []},
            "dead_letters": {"topic": None},
        },
        "state": {"directory": str(directory / "state"), "commit_every": "1s"},
        "http": {"listen": "127.0.0.1:0"},
        "notify_max_age": "90y",
    }
    if receiver is not None:
        base["receivers"] = {"here": {"webhook": {"url": receiver.url}}}
    return {**base, **more}


def produce(bootstrap: str, topic: str, records: Iterable[tuple[int, int, bytes]], **config: Any) -> None:
    """Records as (partition, Kafka timestamp in ms, value); returns when all are acknowledged."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, **config})
    for partition, timestamp, value in records:
        while True:
            try:
                producer.produce(topic, value, partition=partition, timestamp=timestamp)
            except BufferError:
                producer.poll(0.05)
                continue
            break
    assert producer.flush(60) == 0


def event(model: str, version: str, time_ms: int, features: dict[str, object], prediction: object) -> bytes:
    """One native prediction event."""
    document = {
        "kind": "prediction", "model": model, "version": version, "time": time_ms, "features": features, "prediction": prediction,
    }  # fmt: skip
    return json.dumps(document).encode()


def sums(daemon: Daemon) -> Counter[str]:
    """Every metric, summed over its series."""
    found: Counter[str] = Counter()
    for line in (daemon.get("/metrics") or "").splitlines():
        if line.startswith("driftd_"):
            series, _, value = line.rpartition(" ")
            found[series.partition("{")[0]] += float(value)  # type: ignore[assignment]
    return found


def when(daemon: Daemon, what: str, holds: Callable[[Counter[str]], bool]) -> Counter[str]:
    """The sums once they are so."""

    def probe() -> Counter[str] | None:
        now = sums(daemon)
        return now if now and holds(now) else None

    return wait_for(what, probe)


def read_up(daemon: Daemon, records: int) -> bool:
    """Whether all of the topic is read, and the broker says that there is no more."""
    now = sums(daemon)
    return now["driftd_records_total"] == records and now["driftd_lag_known"] > 0 and not now["driftd_lag_records"]


Letter = tuple[str, int, int, str, bytes | None]
"""Topic, partition, offset and reason, as the headers say; and the record's bytes."""


def letters(kafka: Kafka, dead: str, enough: Callable[[list[Letter]], bool]) -> list[Letter]:
    """What the dead-letter topic holds, as soon as that is enough."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": f"{dead}-letters"})
    consumer.assign([TopicPartition(dead, 0, 0)])
    found: list[Letter] = []

    def read() -> bool:
        for message in consumer.consume(500, 0.1):
            headers: Any = message.headers()
            said = {key: value.decode() for key, value in headers}
            found.append(
                (
                    said["driftd.topic"],
                    int(said["driftd.partition"]),
                    int(said["driftd.offset"]),
                    said["driftd.reason"],
                    message.value(),
                )
            )
        return enough(found)

    try:
        wait_for("the dead letters", read)
    finally:
        consumer.close()
    return found
