"""The fleet test in small: the same script on the same real process, so that `make fleet` goes on working."""

from pathlib import Path

import pytest

from tests.bench.fleet import run
from tests.bench.fleet_load import Plan, traffic
from tests.broker import LocalKafka

SMALL = Plan(models=20, features=5, rate=300, seconds=30, kills=1, drifting=0, seed=7)


@pytest.mark.usefixtures("java")
def test_a_small_fleet_keeps_every_limit(local_kafka: LocalKafka, tmp_path: Path):
    result = run(SMALL, local_kafka.bootstrap_servers, tmp_path)
    assert result.broken() == []
    assert len(result.lives) == SMALL.kills + 1
    assert all(life.commits for life in result.lives)
    assert "9,000 (300 a second" in result.table()


def test_a_seed_gives_the_same_traffic_whenever_it_is_asked():
    plan = Plan(models=20, features=5, rate=300, seconds=2, start=1_790_000_000_000)
    events = list(traffic(plan))
    assert events == list(traffic(plan))
    assert len(events) == plan.events
    assert [at for _, at, _ in events] == sorted(at for _, at, _ in events)
    assert events[-1][1] - events[0][1] < 120_000
