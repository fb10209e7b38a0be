from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from driftd.store import outbox as module
from driftd.store.commit import Commit
from driftd.store.database import StoreError
from driftd.store.outbox import Outbox
from driftd.store.store import Store
from tests.store.examples import action, owed

NOW = 1_795_430_000.0


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path, group="driftd", clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def outbox(store, tmp_path):
    with Outbox(tmp_path) as opened:
        yield opened


def numbers(outbox: Outbox, receiver: str = "ops", now: float = NOW, limit: int = 100) -> list[int]:
    return [delivery.number for delivery in outbox.due(receiver, now, limit)]


def test_a_delivery_holds_what_was_committed(store, outbox):
    store.commit(owed(action(1, alerts=("a", "b", "a"))))
    (delivery,) = outbox.due("ops", NOW, 10)
    assert delivery.id == action(1).id
    assert delivery.body == action(1, alerts=("a", "b", "a")).body()
    assert delivery.subjects == ("a", "b")
    assert (delivery.attempts, delivery.not_before, delivery.last_error) == (0, 0.0, "")
    assert outbox.due("chat", NOW, 10) == []


def test_each_receiver_is_owed_once(store, outbox):
    store.commit(owed(action(1), receivers=("ops", "chat", "ops")))
    assert outbox.depth() == {"ops": (1, 0), "chat": (1, 0)}
    outbox.sent(numbers(outbox, "ops")[0])
    assert outbox.depth() == {"chat": (1, 0)}


def test_resolved_waits_for_firing_and_others_do_not(store, outbox):
    store.commit(owed(action(1, alerts=("a", "b")), action(2, "driftd.alert.resolved", alerts=("b",))))
    store.commit(owed(action(3, alerts=("c",)), action(4, alerts=("b",))))
    assert numbers(outbox) == [1, 3]
    outbox.failed(1, NOW + 60, "HTTP 500")
    assert numbers(outbox) == [3]
    assert numbers(outbox, now=NOW + 60) == [1, 3]
    outbox.sent(1)
    assert numbers(outbox) == [2, 3]


def test_a_dead_delivery_does_not_block(store, outbox):
    store.commit(owed(action(1), action(2, "driftd.alert.resolved")))
    outbox.dead(1, "HTTP 410 Gone")
    assert numbers(outbox) == [2]
    assert outbox.depth() == {"ops": (1, 1)}


def test_a_retrain_request_waits_for_no_alert(store, outbox):
    store.commit(owed(action(1), action(2, "driftd.retrain.requested"), action(3, "driftd.alert.resolved")))
    assert numbers(outbox) == [1, 2]
    assert outbox.due("ops", NOW, 10)[1].subjects == (action(2, "driftd.retrain.requested").id,)


def test_revived_it_is_as_new_also_by_another_process(store, outbox, tmp_path):
    store.commit(owed(*(action(i, alerts=(str(i),)) for i in range(1, 4))))
    for number in (1, 2, 3):
        outbox.failed(number, NOW + 9, "HTTP 500")
        outbox.dead(number, "HTTP 404")
    assert numbers(outbox) == []
    assert outbox.revive(2, NOW + 100) == 1
    assert outbox.revive(2, NOW + 100) == 0
    entry = outbox.show(2)
    assert entry is not None
    assert (entry.state, entry.queued, entry.delivery.attempts, entry.delivery.not_before) == (
        "waiting",
        NOW + 100,
        0,
        0,
    )
    script = (
        "import sys, pathlib\n"
        "from driftd.store.outbox import Outbox\n"
        "print(Outbox(pathlib.Path(sys.argv[1])).revive(None, 5.0))"
    )
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout == "2\n"
    assert numbers(outbox) == [1, 2, 3]


def test_what_waited_too_long_is_given_up(store, outbox):
    store.commit(owed(action(1), action(2, alerts=("b",))))
    outbox.failed(1, NOW + 9, "HTTP 500")
    assert outbox.expire("ops", NOW, untried=False) == 0
    assert outbox.expire("ops", NOW + 1, untried=False) == 1
    assert numbers(outbox) == [2]
    entry = outbox.show(1)
    assert entry is not None
    assert entry.delivery.last_error == "given up: HTTP 500"
    assert outbox.expire("chat", NOW + 1, untried=True) == 0
    assert outbox.expire("ops", NOW + 1, untried=True) == 1


def test_what_waits_for_a_receiver_that_is_gone_dies(store, outbox):
    store.commit(owed(action(1), receivers=("ops", "former", "also former")))
    assert outbox.abandon({"ops", "chat"}, "not in the settings") == 2
    assert outbox.depth() == {"ops": (1, 0), "former": (0, 1), "also former": (0, 1)}


def test_it_is_full_when_too_many_wait_over_all_receivers(store, outbox):
    store.commit(owed(action(1), action(2), receivers=("ops", "chat")))
    assert outbox.full(4)
    assert not outbox.full(5)
    outbox.dead(1, "")
    assert not outbox.full(4)


def test_what_was_sent_is_kept_to_a_bound_a_receiver(store, outbox, monkeypatch):
    monkeypatch.setattr(module, "KEEP_SENT", 3)
    store.commit(owed(*(action(i, alerts=(str(i),)) for i in range(6)), receivers=("ops", "chat")))
    for number in numbers(outbox, "ops"):
        outbox.sent(number)
    outbox.sent(numbers(outbox, "chat")[0])
    assert [(e.delivery.receiver, e.delivery.number) for e in outbox.entries("sent")] == [
        ("chat", 2), ("ops", 7), ("ops", 9), ("ops", 11),
    ]  # fmt: skip


def test_a_clock_set_back_does_not_hold_a_delivery_for_years(store, outbox):
    store.commit(owed(action(1)))
    outbox.failed(1, NOW + 3_600, "HTTP 503")
    assert numbers(outbox) == []
    assert numbers(outbox, now=NOW - 365 * 86_400) == [1]


def test_read_only_it_changes_nothing(store, tmp_path):
    store.commit(owed(action(1)))
    with Outbox(tmp_path, read_only=True) as outbox:
        assert numbers(outbox) == [1]
        with pytest.raises(StoreError, match="readonly"):
            outbox.sent(1)
        assert numbers(outbox) == [1]


class OutboxAgainstModel(RuleBasedStateMachine):
    """Any order of commits, successes, failures, deaths and replays: nothing overtakes, nothing is lost."""

    @initialize()
    def begin(self):
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.store = Store.open(Path(self.folder.name), group="driftd", clock=lambda: self.now)
        self.outbox = Outbox(Path(self.folder.name))
        self.now = NOW
        self.count = 0
        self.rows: dict[int, tuple[frozenset[str], str, float]] = {}

    @rule(said=st.lists(st.frozensets(st.sampled_from("abcd"), min_size=1), min_size=1, max_size=3))
    def commit(self, said):
        actions = []
        for alerts in said:
            self.count += 1
            actions.append((action(self.count, alerts=sorted(alerts)), ("ops",), False))
            self.rows[self.count] = (alerts, "waiting", 0.0)
        self.store.commit(Commit(actions=actions))

    def expected(self) -> list[int]:
        blocked: set[str] = set()
        due = []
        for number, (alerts, state, not_before) in sorted(self.rows.items()):
            if state == "waiting":
                if not blocked & alerts and not_before <= self.now:
                    due.append(number)
                blocked |= alerts
        return due

    @rule(data=st.data(), how=st.sampled_from(["sent", "failed", "dead"]))
    def attempt(self, data, how):
        due = self.expected()
        if not due:
            return
        number = data.draw(st.sampled_from(due))
        alerts, _, _ = self.rows[number]
        if how == "failed":
            self.outbox.failed(number, self.now + 10, "HTTP 500")
            self.rows[number] = (alerts, "waiting", self.now + 10)
        else:
            if how == "sent":
                self.outbox.sent(number)
            else:
                self.outbox.dead(number, "HTTP 404")
            self.rows[number] = (alerts, how, 0.0)

    @rule(seconds=st.sampled_from([1, 9, 10, 30]))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def replay(self):
        dead = [number for number, row in self.rows.items() if row[1] == "dead"]
        assert self.outbox.revive(None, self.now) == len(dead)
        for number in dead:
            self.rows[number] = (self.rows[number][0], "waiting", 0.0)

    @rule()
    def restart(self):
        self.outbox.close()
        self.store.close()
        self.store = Store.open(Path(self.folder.name), group="driftd", clock=lambda: self.now)
        self.outbox = Outbox(Path(self.folder.name))

    @invariant()
    def agrees(self):
        assert numbers(self.outbox, now=self.now) == self.expected()
        assert numbers(self.outbox, now=self.now, limit=2) == self.expected()[:2]

    def teardown(self):
        if hasattr(self, "outbox"):
            self.outbox.close()
            self.store.close()
            self.folder.cleanup()


TestOutboxAgainstModel = OutboxAgainstModel.TestCase
TestOutboxAgainstModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
