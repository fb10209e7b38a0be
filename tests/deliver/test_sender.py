from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import structlog

from driftd.core.action import Delivery
from driftd.deliver.backoff import Backoff
from driftd.deliver.receiver import Dead, Outcome, Receiver, Refused, Retry, Sent
from driftd.deliver.sender import REFUSALS, Patience, Sender
from driftd.deliver.webhook import Webhook
from driftd.store.outbox import Outbox
from driftd.store.store import Store
from tests.deliver import endpoint as answers
from tests.deliver.endpoint import SECRET, free_port, wait_until
from tests.store.examples import action, owed

ROOT = Path(__file__).parents[2]
QUICK = Patience(backoff=Backoff(0.01, 0.03), refused=Backoff(0.01, 0.03), poll_s=0.02)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path, group="driftd") as opened:
        yield opened


@pytest.fixture
def outbox(store, tmp_path):
    with Outbox(tmp_path) as opened:
        yield opened


@contextmanager
def sending(outbox: Outbox, *receivers: Receiver, patience: Patience = QUICK, clock=time.time):
    sender = Sender(outbox, receivers, patience=patience, clock=clock)
    sender.start()
    try:
        yield sender
    finally:
        assert sender.close(10.0)


def hook(endpoint: answers.Endpoint, name: str = "ops", timeout_s: float = 5.0) -> Webhook:
    return Webhook(name, endpoint.url, secret=SECRET, timeout_s=timeout_s)


def settled(outbox: Outbox) -> bool:
    return all(waiting == 0 for waiting, _ in outbox.depth().values())


class Scripted:
    """A receiver that gives the outcomes it is told to, then Sent."""

    def __init__(self, name: str, outcomes: Sequence[Outcome | Exception] = ()) -> None:
        self.name = name
        self.outcomes = list(outcomes)
        self.sent: list[Delivery] = []
        self.closed = False

    def send(self, delivery: Delivery) -> Outcome:
        self.sent.append(delivery)
        outcome = self.outcomes.pop(0) if self.outcomes else Sent()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        self.closed = True


def test_what_was_committed_arrives_and_a_wake_up_makes_it_soon(store, outbox, endpoint):
    patient = Patience(poll_s=60.0)
    with sending(outbox, hook(endpoint), patience=patient) as sender:
        wait_until(sender._couriers[0].is_alive)
        store.commit(owed(*(action(i, alerts=(str(i),)) for i in range(40))))
        sender.wake()
        requests = endpoint.wait_for(40)
        wait_until(lambda: settled(outbox))
        (view,) = sender.views()
    assert [request.id for request in requests] == [action(i).id for i in range(40)]
    assert all(request.verify()["type"] == "driftd.alert.firing" for request in requests)
    assert (view.receiver, view.waiting, view.dead, view.sent, view.failed) == ("ops", 0, 0, 40, 0)


def test_every_retry_has_the_same_id_and_the_same_bytes(store, outbox, endpoint):
    endpoint.script = [
        answers.status(500),
        answers.reset,
        answers.status(429, retry_after="0"),
        answers.status(404),
        answers.hang,
        answers.status(503),
    ]
    store.commit(owed(action(1)))
    with sending(outbox, hook(endpoint, timeout_s=0.3)) as sender:
        requests = endpoint.wait_for(7)
        wait_until(lambda: settled(outbox))
        (view,) = sender.views()
    assert {(request.id, request.body) for request in requests} == {(action(1).id, action(1).body())}
    assert all(request.verify() for request in requests)
    assert (view.sent, view.failed) == (1, 6)


def test_resolved_comes_after_firing_whatever_fails(store, outbox, endpoint):
    chance = random.Random(7)
    bad = [answers.status(500), answers.reset, answers.status(408), answers.status(422)]
    endpoint.script = [chance.choice([*bad, answers.status(200)]) for _ in range(60)]
    for i in range(10):
        alerts = (f"alert {i}", "shared") if i % 3 == 0 else (f"alert {i}",)
        store.commit(owed(action(2 * i, alerts=alerts)))
        store.commit(owed(action(2 * i + 1, "driftd.alert.resolved", alerts=alerts)))
    with sending(outbox, hook(endpoint)):
        wait_until(lambda: settled(outbox))
    # The endpoint saw each attempt; of a pair, no attempt at "resolved" came before the last one at "firing".
    tries = [request.id for request in endpoint.requests]
    for i in range(10):
        firing = action(2 * i).id
        resolved = action(2 * i + 1, "driftd.alert.resolved").id
        last_firing = max(n for n, it in enumerate(tries) if it == firing)
        assert last_firing < tries.index(resolved)
    assert len(outbox.entries("sent")) + len(outbox.entries("dead")) == 20


def test_a_dead_receiver_does_not_delay_another(store, outbox, endpoint, other):
    endpoint.answer = answers.hang
    receivers = [hook(endpoint, "stuck"), hook(other, "ops"), Webhook("closed", f"http://127.0.0.1:{free_port()}")]
    store.commit(owed(*(action(i, alerts=(str(i),)) for i in range(20)), receivers=("stuck", "ops", "closed")))
    with sending(outbox, *receivers) as sender:
        endpoint.wait_for(1)
        other.wait_for(20)
        wait_until(lambda: "ops" not in outbox.depth())
        assert len(endpoint.requests) == 1
        views = {view.receiver: view for view in sender.views()}
        assert views["ops"].sent == 20
        assert views["stuck"].waiting == views["closed"].waiting == 20
        endpoint.ended.set()


def test_one_delivery_that_chokes_the_receiver_does_not_hold_up_the_others(store, outbox):
    class Choking(Scripted):
        def send(self, delivery: Delivery) -> Outcome:
            self.sent.append(delivery)
            return Retry("HTTP 500") if delivery.number == 1 else Sent()

    receiver = Choking("ops")
    store.commit(owed(*(action(i, alerts=(str(i),)) for i in range(10))))
    with sending(outbox, receiver):
        wait_until(lambda: outbox.depth() == {"ops": (1, 0)})
    assert [each.number for each in receiver.sent if each.number != 1] == list(range(2, 11))


def test_retry_after_is_honoured(store, outbox, endpoint):
    endpoint.script = [answers.status(429, retry_after="1")]
    store.commit(owed(action(1), action(2, alerts=("b",))))
    with sending(outbox, hook(endpoint)) as sender:
        first = endpoint.wait_for(1)[0]
        sender.wake()  # a new commit does not cut the rest short
        requests = endpoint.wait_for(3)
    assert requests[1].at - first.at >= 0.95
    assert {request.id for request in requests[1:]} == {action(1).id, action(2).id}


def test_what_is_refused_is_tried_some_times_and_then_set_aside_for_replay(store, outbox, endpoint):
    endpoint.answer = answers.status(401, b"wrong signature")
    store.commit(owed(action(1)))
    with sending(outbox, hook(endpoint)) as sender:
        wait_until(lambda: outbox.depth() == {"ops": (0, 1)})
        assert len(endpoint.requests) == REFUSALS
        entry = outbox.show(1)
        assert entry is not None
        assert entry.delivery.last_error == "HTTP 401: wrong signature"
        endpoint.answer = answers.status(200)
        outbox.revive(None, time.time())  # by `driftd outbox replay`, in another process: nobody wakes the sender
        wait_until(lambda: outbox.depth() == {})
        (view,) = sender.views()
    assert (view.sent, view.failed) == (1, REFUSALS)
    assert len({(request.id, request.body) for request in endpoint.requests}) == 1


def test_a_refusal_counts_only_refusals(store, outbox):
    outage = [Retry("ConnectError")] * 8
    receiver = Scripted("ops", [*outage, *[Refused("HTTP 404")] * (REFUSALS - 1)])
    store.commit(owed(action(1)))
    with sending(outbox, receiver):
        wait_until(lambda: settled(outbox))
    assert outbox.depth() == {}


def test_gone_is_dead_at_once_and_does_not_block(store, outbox):
    receiver = Scripted("ops", [Dead("HTTP 410")])
    store.commit(owed(action(1), action(2, "driftd.alert.resolved")))
    with sending(outbox, receiver):
        wait_until(lambda: settled(outbox))
    assert [each.number for each in receiver.sent] == [1, 2]
    assert outbox.depth() == {"ops": (0, 1)}


def test_after_a_day_it_is_given_up(store, outbox):
    ahead = [0.0]
    receiver = Scripted("ops", [Retry("HTTP 500")] * 100)
    store.commit(owed(action(1)))
    with sending(outbox, receiver, clock=lambda: time.time() + ahead[0]):
        wait_until(lambda: len(receiver.sent) >= 3)
        assert outbox.depth() == {"ops": (1, 0)}
        ahead[0] = 86_500.0
        wait_until(lambda: outbox.depth() == {"ops": (0, 1)})
    entry = outbox.show(1)
    assert entry is not None
    assert entry.delivery.last_error == "given up: HTTP 500"


def test_a_receiver_that_never_comes_back_cannot_fill_the_outbox(store, outbox):
    """Given up after 0.2 s here: also what was never tried, so that one try at a time need not work the list off."""
    patience = Patience(backoff=Backoff(0.05, 0.05), give_up_after_s=0.2, poll_s=0.02)
    store.commit(owed(*(action(i, alerts=(str(i),)) for i in range(1_000))))
    assert outbox.full(1_000)
    receiver = Scripted("ops", [Retry("ConnectError")] * 10_000)
    with sending(outbox, receiver, patience=patience):
        wait_until(lambda: outbox.depth() == {"ops": (0, 1_000)})
    assert not outbox.full(1_000)
    assert len(receiver.sent) < 500


def test_after_a_long_stop_everything_is_tried_at_least_once(store, outbox):
    """Two days after the commit, a receiver that stutters at first: nothing dies untried."""
    receiver = Scripted("ops", [Retry("HTTP 503")])
    store.commit(owed(*(action(i, alerts=(str(i),)) for i in range(20))))
    later = time.time() + 2 * 86_400
    with sending(outbox, receiver, clock=lambda: later):
        wait_until(lambda: settled(outbox))
    assert outbox.depth() == {"ops": (0, 1)}
    assert len(receiver.sent) == 20


def test_what_is_owed_to_a_receiver_that_was_removed_is_set_aside(store, outbox):
    store.commit(owed(action(1), receivers=("former", "ops")))
    with sending(outbox, Scripted("ops")):
        wait_until(lambda: settled(outbox))
    assert outbox.depth() == {"former": (0, 1)}


def test_a_fault_in_a_receivers_code_is_a_failed_attempt(store, outbox):
    receiver = Scripted("ops", [ZeroDivisionError("secret"), KeyError("secret")])
    store.commit(owed(action(1)))
    with sending(outbox, receiver) as sender:
        wait_until(lambda: settled(outbox))
        (view,) = sender.views()
    assert (view.sent, view.failed) == (1, 2)
    assert receiver.closed


def test_an_outbox_that_cannot_be_written_repeats_and_loses_nothing(store, outbox, monkeypatch):
    receiver = Scripted("ops")
    store.commit(owed(action(1)))
    real, calls = outbox.sent, []

    def failing(number: int) -> None:
        calls.append(number)
        if len(calls) < 3:
            raise OSError("disk full")
        real(number)

    monkeypatch.setattr(outbox, "sent", failing)
    with sending(outbox, receiver):
        wait_until(lambda: settled(outbox))
    assert [(each.id, each.body) for each in receiver.sent] == [(action(1).id, action(1).body())] * 3


def test_close_waits_for_the_attempt_under_way_and_says_if_it_did_not_end(store, outbox, endpoint):
    endpoint.answer = answers.hang
    store.commit(owed(action(1)))
    sender = Sender(outbox, [hook(endpoint, timeout_s=30.0)], patience=QUICK)
    sender.start()
    endpoint.wait_for(1)
    began = time.monotonic()
    assert not sender.close(0.1)
    assert time.monotonic() - began < 2.0
    endpoint.ended.set()
    assert sender.close(10.0)
    assert outbox.depth() == {"ops": (1, 0)}


def test_a_sender_that_was_never_started_closes(outbox):
    assert Sender(outbox, [Scripted("ops")]).close(1.0)


def test_logs_hold_neither_bodies_nor_secrets_nor_what_the_receiver_said(store, outbox, endpoint):
    endpoint.script = [answers.status(500, b"echo: feature a"), answers.status(410, b"echo: feature a")]
    store.commit(owed(action(1), action(2, alerts=("b",))))
    with structlog.testing.capture_logs() as logs, sending(outbox, hook(endpoint)):
        wait_until(lambda: settled(outbox))
    text = repr(logs)
    assert {log["event"] for log in logs} == {"delivery_failed", "delivery_dead", "delivery_sent"}
    for hidden in ("feature", SECRET, endpoint.url, "echo"):
        assert hidden not in text


def test_many_receivers_and_commits_at_once_lose_nothing(store, outbox):
    """Four threads on one outbox beside the loop's commits."""
    receivers = [Scripted(f"r{i}", [Retry("HTTP 500")] * i) for i in range(4)]
    names = tuple(receiver.name for receiver in receivers)
    with sending(outbox, *receivers) as sender:
        for i in range(50):
            store.commit(owed(action(i, alerts=(str(i),)), receivers=names))
            sender.wake()
        wait_until(lambda: settled(outbox))
    for receiver in receivers:
        heard = dict.fromkeys(each.id for each in receiver.sent)
        assert set(heard) == {action(i).id for i in range(50)}


@pytest.mark.chaos
def test_after_kill_9_the_delivery_is_repeated_with_the_same_id(tmp_path, endpoint):
    """Killed while the receiver has the request and has not answered; then at random instants until all is sent."""
    count = 30
    actions = [action(i, alerts=(str(i),)) for i in range(count)]
    bodies = {each.id: each.body() for each in actions}
    with Store.open(tmp_path, group="driftd") as store:
        store.commit(owed(*actions))
    command = [sys.executable, "-m", "tests.deliver.sender_process", str(tmp_path), endpoint.url]
    chance = random.Random(20261124)

    @contextmanager
    def process():
        with subprocess.Popen(command, cwd=ROOT) as running:
            try:
                yield running
            finally:
                running.send_signal(signal.SIGKILL)

    endpoint.script = [answers.hang]
    with process():
        endpoint.wait_for(1)
    with Outbox(tmp_path) as watched:
        assert watched.depth() == {"ops": (count, 0)}

        def reached(wanted: int) -> bool:
            return len(endpoint.requests) >= wanted or settled(watched)

        for _ in range(8):
            wanted = len(endpoint.requests) + 1 + chance.randrange(5)
            with process():
                wait_until(partial(reached, wanted))
                time.sleep(chance.random() * 0.01)  # the random instant itself
        with process():
            wait_until(lambda: settled(watched))
        assert watched.depth() == {}
    ids = [request.id for request in endpoint.requests]
    assert ids[:2] == [action(0).id] * 2
    assert set(ids) == set(bodies)
    assert all(request.body == bodies[request.id] and request.verify() for request in endpoint.requests)
    order = [list(bodies).index(it) for it in ids]
    assert all(later - earlier in (0, 1) for earlier, later in pairwise(order))


def test_threads_end_with_their_sender(store, outbox, endpoint):
    before = threading.active_count()
    with sending(outbox, hook(endpoint), Scripted("chat")):
        pass
    assert threading.active_count() <= before


class Keeping(Scripted):
    """A receiver that has something to tell again and again; `outcomes` are what that comes to."""

    def __init__(self, outcomes: Sequence[Outcome | Exception | None]) -> None:
        super().__init__("ops")
        self.rounds = list(outcomes)
        self.tended = 0

    def tend(self) -> Outcome | None:
        self.tended += 1
        outcome = self.rounds.pop(0) if self.rounds else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_what_keeps_telling_is_asked_again_and_again_and_its_failures_are_counted(store, outbox):
    receiver = Keeping([None, Sent(), Retry("HTTP 503"), ZeroDivisionError("secret"), Refused("HTTP 400"), Sent()])
    with structlog.testing.capture_logs() as logs, sending(outbox, receiver) as sender:
        wait_until(lambda: receiver.tended >= 8)
        store.commit(owed(action(1)))
        sender.wake()
        wait_until(lambda: settled(outbox))
        (view,) = sender.views()
    assert (view.sent, view.failed) == (1, 3)
    told = [log["error"] for log in logs if log["event"] == "receiver_not_tended"]
    assert told == ["HTTP 503", "fault of the receiver's code: ZeroDivisionError", "HTTP 400"]


def test_nothing_of_an_event_steers_a_terminal_through_the_log(store, outbox, endpoint):
    """Whatever models, signals and answers are called."""
    evil = "\x1b[2J\x1b]0;x\x07\r\nforged=line <!channel> <script> {{ x }}"
    endpoint.script = [answers.status(503, evil.encode()), answers.status(400, evil.encode())]
    store.commit(owed(action(1, model=evil, alerts=(evil,))))
    with structlog.testing.capture_logs() as logs, sending(outbox, hook(endpoint)):
        wait_until(lambda: settled(outbox))
    assert len(logs) == 3
    for hidden in ("\x1b", "\\x1b", "forged", "channel", "script", "{{"):
        assert hidden not in repr(logs)
