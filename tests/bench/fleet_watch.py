"""What is seen of the process while the fleet test runs: memory, time, lag, and how long its commits took."""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.e2e.daemon import Daemon

TOTALS = ("driftd_events_total", "driftd_late_events_total", "driftd_refused_records_total")
METRICS_EVERY = 10
"""Seconds between two looks at the metrics, which are many: as a Prometheus would."""
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


@dataclass
class Life:
    """One process, from its start to its end. Seconds and MiB; `buckets`: commits by upper bound, cumulative."""

    started: float = 0.0
    ready_s: float = math.nan
    caught_up_s: float = math.nan
    seconds: float = 0.0
    cpu_s: float = 0.0
    rss: float = 0.0
    peak: float = 0.0
    lag: float = math.inf
    most_lag: float = 0.0
    commits: float = 0.0
    commit_s: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)


class Watch(threading.Thread):
    """Looks at the living process once a second. `caught_up_below`: the lag, in records, from which on it has caught up."""

    def __init__(self, daemon: Daemon, caught_up_below: int) -> None:
        super().__init__(daemon=True)
        self.daemon_, self.caught_up_below = daemon, caught_up_below
        self.life = Life(time.monotonic())
        self.loads: list[float] = []
        """Processes that ran or waited for a processor, a minute's mean."""
        self._one = threading.Lock()
        self.ending = threading.Event()

    def run(self) -> None:
        turns = 0
        while not self.ending.wait(1.0):
            turns += 1
            self.loads.append(os.getloadavg()[0])
            self.look(metrics=turns % METRICS_EVERY == 0)

    def look(self, *, metrics: bool = True) -> None:
        """At memory, time and lag; and at the metrics."""
        with self._one:
            process, life = self.daemon_.process, self.life
            assert process is not None
            try:
                memory = Path(f"/proc/{process.pid}/status").read_text()
                times = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                life.rss, life.peak = (_kib(memory, name) / 1_024 for name in ("VmRSS", "VmHWM"))
                life.cpu_s = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
                life.seconds = time.monotonic() - life.started
                url = self.daemon_.url()
                if url is not None:
                    self._lag(life, url)
                    if metrics:
                        self._metrics(life, url)
            except (OSError, AttributeError, httpx.HTTPError):
                return  # it does not answer yet, or was killed a moment ago

    def _lag(self, life: Life, url: str) -> None:
        partitions = httpx.get(f"{url}/api/v1/partitions", timeout=10).json()["partitions"]
        lags = [one["lag"] for one in partitions]
        if not lags or None in lags:
            return
        life.lag = sum(lags)
        life.most_lag = max(life.most_lag, life.lag)
        if math.isnan(life.ready_s):
            life.ready_s = life.seconds
        if math.isnan(life.caught_up_s) and life.lag <= self.caught_up_below:
            life.caught_up_s = life.seconds

    def _metrics(self, life: Life, url: str) -> None:
        names = [*TOTALS, "driftd_commit_seconds"]
        text = httpx.get(f"{url}/metrics", params={"name[]": names}, timeout=30).text
        sums: dict[str, float] = defaultdict(float)
        for name, labels, value in (m.groups() for line in text.splitlines() if (m := _SAMPLE.match(line))):
            if name == "driftd_commit_seconds_bucket":
                bound = float(labels.split('"')[1])
                if math.isfinite(bound):
                    life.buckets[bound] = float(value)
            else:
                sums[name] += float(value)
        life.totals = {name: sums[name] for name in TOTALS}
        life.commits, life.commit_s = sums["driftd_commit_seconds_count"], sums["driftd_commit_seconds_sum"]


def _kib(status: str, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    if found is None:
        raise ProcessLookupError(name)  # it is dead, and nobody has taken notice yet
    return int(found[1])
