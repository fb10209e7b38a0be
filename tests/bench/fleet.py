"""`make fleet`: many models with reference files through the real broker and the real process, killed as it runs.

1,000 models of 20 features, Zipf traffic of 2,000 events a second for 10 minutes, event time 60 times as fast as the
wall, three times kill -9. Prints a table; exit 1 where a limit is broken: the lag must return to 0, resident memory stay
under 1 GiB, the p99 of a commit under 1 s, every event be counted exactly once, and the drifting models be found.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import httpx
from confluent_kafka.admin import AdminClient, NewTopic

from tests.bench.fleet_load import SPEED, Feed, Plan, references
from tests.bench.fleet_watch import TOTALS, Life, Watch
from tests.broker import LocalKafka
from tests.e2e.daemon import Daemon, Receiver, settings, wait_for

TOPIC = "fleet"
MIB = 1 << 20
MOST_RSS_MIB, MOST_COMMIT_S = 1_024, 1.0


@dataclass
class Result:
    """What was found. `broken`: the limits that do not hold, in words."""

    plan: Plan
    lives: list[Life]
    build_s: float = 0.0
    sent: int = 0
    feed_behind_s: float = 0.0
    counted: float = 0.0
    late: float = 0.0
    refused: float = 0.0
    lag: float = math.inf
    end_s: float = 0.0
    firing: dict[str, int] = field(default_factory=dict)
    deliveries: int = 0
    differing: int = 0
    scrape_mib: float = 0.0
    scrape_s: float = 0.0
    scrape_peak: float = 0.0
    state_mib: float = 0.0
    load: float = 0.0
    failed: list[str] = field(default_factory=list)

    def commit_below(self, share: float) -> float:
        """A bound that this share of all commits, over all lives, stayed below; inf where the last bucket was left."""
        total = sum(life.commits for life in self.lives)
        merged: Counter[float] = Counter()
        for life in self.lives:
            merged.update(life.buckets)
        return next((bound for bound, count in sorted(merged.items()) if count >= share * total), math.inf)

    @property
    def missed(self) -> list[str]:
        drifting = (self.plan.name(model) for model in range(self.plan.drifting))
        return [name for name in drifting if name not in self.firing]

    @property
    def false(self) -> dict[str, int]:
        drifting = {self.plan.name(model) for model in range(self.plan.drifting)}
        return {name: count for name, count in self.firing.items() if name not in drifting}

    def broken(self) -> list[str]:
        peak = max(life.peak for life in self.lives)
        holds = {
            f"lag is {self.lag:,.0f}, not 0": self.lag == 0,
            f"resident memory reached {peak:,.0f} MiB": peak < MOST_RSS_MIB,
            f"the p99 of a commit is up to {self.commit_below(0.99):g} s": self.commit_below(0.99) <= MOST_COMMIT_S,
            f"{self.sent:,} events were sent, {self.counted:,.0f} counted": self.sent == self.counted,
            f"{self.late:,.0f} events were late": self.late == 0,
            f"{self.refused:,.0f} records were refused": self.refused == 0,
            f"no alert for {', '.join(self.missed)}": not self.missed,
            f"{self.differing} deliveries of one id differ": self.differing == 0,
        }
        return [*(what for what, held in holds.items() if not held), *self.failed]

    def table(self) -> str:
        plan, lives = self.plan, self.lives
        head = f"{'life':>6}{'s':>8}{'ready s':>9}{'caught up s':>13}{'CPU':>7}{'RSS MiB':>9}{'peak MiB':>10}"
        lines = [f"{head}{'most lag':>10}{'commits':>9}{'mean s':>8}"]
        for i, life in enumerate(lives, 1):
            row = f"{i:>6}{life.seconds:>8.0f}{life.ready_s:>9.1f}{life.caught_up_s:>13.1f}"
            row += f"{life.cpu_s / max(life.seconds, 1):>7.0%}{life.rss:>9.0f}{life.peak:>10.0f}{life.most_lag:>10,.0f}"
            lines.append(f"{row}{life.commits:>9.0f}{life.commit_s / max(life.commits, 1):>8.3f}")
        cpu = sum(life.cpu_s for life in lives) / max(self.counted, 1) * 1e6
        p50, p99 = self.commit_below(0.5), self.commit_below(0.99)
        hours = plan.seconds * SPEED / 3_600
        budget = plan.models * hours / 8_760
        rows = {
            "models x features": f"{plan.models:,} x {plan.features}, {plan.partitions} partitions",
            "reference files built": f"{self.build_s:.0f} s",
            "events sent": f"{self.sent:,} ({plan.rate:,} a second for {plan.seconds} s; {self.feed_behind_s:.1f} s behind)",
            "events counted": f"{self.counted:,.0f}, late {self.late:,.0f}, refused {self.refused:,.0f}",
            "lag at the end": f"{self.lag:,.0f}, {self.end_s:.0f} s after the last event",
            "processor time": f"{cpu:.0f} us an event, starts and evaluation included",
            "commits": f"{sum(life.commits for life in lives):.0f}, p50 up to {p50:g} s, p99 up to {p99:g} s",
            "found": f"{plan.drifting - len(self.missed)} of {plan.drifting} drifting models",
            "false alarms": f"{sum(self.false.values())} in {budget:.2f} model-years {self.false or ''}",
            "deliveries": f"{self.deliveries}, differing under one id {self.differing}",
            "one full scrape": f"{self.scrape_mib:.0f} MiB in {self.scrape_s:.1f} s; peak then {self.scrape_peak:.0f} MiB",
            "state directory": f"{self.state_mib:.0f} MiB",
            "machine": f"{os.cpu_count()} processors, load {self.load:.1f} on the average, broker and feed included",
        }
        return "\n".join([*lines, "", *(f"{name:<28}{value}" for name, value in rows.items())])


def run(plan: Plan, bootstrap: str, folder: Path) -> Result:
    """The whole run on this broker; what it wrote stays in the folder."""
    plan = plan if plan.start else replace(plan, start=int(time.time() - SPEED * plan.seconds) * 1_000)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topic = NewTopic(TOPIC, plan.partitions, config={"retention.ms": "-1"})
    admin.create_topics([topic])[TOPIC].result(30)
    began = time.monotonic()
    files = references(plan, folder / "references")
    build_s = time.monotonic() - began
    receiver = Receiver()
    models = {name: {"reference": {"file": str(path)}} for name, path in files.items()}
    daemon = Daemon(folder / "fleet", settings(bootstrap, folder / "fleet", TOPIC, receiver, models=models))
    daemon.settings["state"].pop("commit_every")  # its default is what is measured
    daemon.__post_init__()
    result = Result(plan, [], build_s=build_s)
    try:
        _drive(plan, bootstrap, daemon, result)
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        receiver.close()
    bodies: dict[str, set[bytes]] = {}
    for key, body in receiver.bodies:
        bodies.setdefault(key, set()).add(body)
    result.deliveries, result.differing = len(receiver.bodies), sum(len(found) > 1 for found in bodies.values())
    result.state_mib = sum(path.stat().st_size for path in daemon.state.iterdir()) / MIB
    return result


def _drive(plan: Plan, bootstrap: str, daemon: Daemon, result: Result) -> None:
    watch = Watch(daemon, plan.rate)
    daemon.start()
    watch.start()
    wait_for("the first start", lambda: not math.isnan(watch.life.ready_s))
    feed = Feed(plan, bootstrap, TOPIC)
    feed.start()
    began = time.monotonic()
    for at in plan.kill_at():
        time.sleep(max(0.0, began + at - time.monotonic()))
        watch.look()
        daemon.check_alive()
        daemon.kill()
        result.lives.append(watch.life)
        watch.life = Life(time.monotonic())
        daemon.start()
        print(f"killed after {at:.0f} s", file=sys.stderr)
    result.lives.append(watch.life)
    feed.join()
    result.load = sum(watch.loads) / max(len(watch.loads), 1)
    ended = time.monotonic()
    result.sent, result.feed_behind_s, result.failed = feed.sent, feed.behind_s, feed.failed[:5]

    def done() -> bool:
        daemon.check_alive()
        if watch.life.lag:
            return False
        watch.look()
        return watch.life.totals.get("driftd_events_total", 0) >= feed.sent

    try:
        wait_for("all events", done, timeout=120)
    except AssertionError as late:
        result.failed.append(str(late))
    result.end_s = time.monotonic() - ended
    watch.ending.set()
    watch.join()
    watch.look()
    result.lag = watch.life.lag
    result.counted, result.late, result.refused = (watch.life.totals.get(name, 0.0) for name in TOTALS)
    _scrape(daemon, watch, result)
    daemon.stop()


def _scrape(daemon: Daemon, watch: Watch, result: Result) -> None:
    url = daemon.url()
    began = time.monotonic()
    size = 0
    with httpx.stream("GET", f"{url}/metrics", timeout=120) as answer:
        for line in answer.iter_lines():
            size += len(line) + 1
            if line.startswith("driftd_transitions_total{") and 'firing"' in line:
                name, count = line.split('model="')[1].split('"')[0], float(line.rsplit(" ", 1)[1])
                result.firing[name] = result.firing.get(name, 0) + int(count)
    result.scrape_s, result.scrape_mib = time.monotonic() - began, size / MIB
    before = watch.life.peak
    watch.look()
    result.scrape_peak, watch.life.peak = watch.life.peak, before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for one in fields(Plan):
        if one.name != "start":
            parser.add_argument(f"--{one.name}", type=int, default=one.default)
    plan = Plan(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="driftd-fleet-") as folder, LocalKafka() as broker:
        result = run(plan, broker.bootstrap_servers, Path(folder))
    print(result.table())
    broken = result.broken()
    print("\n".join(["", *(f"BROKEN: {what}" for what in broken)] if broken else ["", "every limit holds"]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
