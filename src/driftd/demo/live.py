"""`driftd demo traffic`: the demo's two models on a broker of yours, at the pace of the wall, until it is told to stop.

Calm and drift take turns, so that who watches sees alerts begin and end. Nothing is trained or drawn anew between
them: only who applies changes, as in the demo. Before that it may send a past: calm traffic that is stamped as if it had
been served, so that there is something to look at and to learn from.
"""

from __future__ import annotations

import itertools
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from driftd.core.fault import UserError
from driftd.demo.plan import DRIFTING, MODELS, TOPIC, Plan
from driftd.demo.shape import SHAPES, Record, Shape, native
from driftd.demo.stream import Application, Serving, applications

TIMEOUT_S: Final = 30.0
TELL_S: Final = 60.0
STEP_S: Final = 0.05
MOST_BEHIND_S: Final = 5.0
"""A process that was stopped for longer does not send what it missed: its time would be long past."""
_OURS: Final = frozenset({"bootstrap.servers", "on_delivery", "error_cb", "logger"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """`rate`: events a second of each model. `calm_s` without a drift, then `drift_s` with it, and so on.

    `for_s`: when to end; None: never. `client`: further settings of librdkafka. `past_s`: how much calm traffic of before
    is sent at first. `shape`: in which form.
    """

    bootstrap: str
    topic: str = TOPIC
    partitions: int = 4
    rate: float = 20.0
    calm_s: float = 1200.0
    drift_s: float = 1200.0
    for_s: float | None = None
    client: Mapping[str, str] | None = None
    past_s: float = 0.0
    shape: Shape = "native"


def main(wanted: Wanted) -> int:
    """Sends until SIGINT, SIGTERM or `for_s`. Raises UserError where nothing can be sent."""
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    producer = _producer(wanted)
    partitions = _topic(wanted)
    plan = Plan(training=5_000, drift=False)
    models = [Live(Serving(name, plan), SHAPES[wanted.shape]) for name in MODELS]
    sender = Sender(producer, wanted.topic, partitions, models)
    _tell(f"{', '.join(MODELS)} send to {wanted.topic} ({partitions} partitions) on {wanted.bootstrap}")
    _send_past(wanted, sender, stop)
    _send(wanted, sender, stop)
    left = producer.flush(TIMEOUT_S)
    if left:
        raise UserError(f"{left} events could not be delivered within {TIMEOUT_S:.0f} s", exit_code=1)
    return 0


class Live:
    """One model's two worlds. Numbers go on over both, and over restarts: they begin at the clock."""

    def __init__(self, serving: Serving, shape: Callable[[Mapping[str, Any]], Record] = native) -> None:
        self.serving, self.shape = serving, shape
        self.calm = serving.stream
        at_once = Plan(training=0, calm=0)
        drifts = serving.name == DRIFTING
        self.drifted: Iterator[Application] = applications(serving.name, at_once) if drifts else self.calm
        self.numbers = itertools.count(time.time_ns() // 1_000_000)

    def event(self, time_ms: int, *, drifted: bool) -> Record:
        one = next(self.drifted if drifted else self.calm)
        return self.shape(self.serving.prediction(replace(one, number=next(self.numbers)), time_ms))


class Sender:
    """Events of every model to partitions in turn. `sent` of each model, and how many the brokers refused or lost."""

    def __init__(self, producer: Producer, topic: str, partitions: int, models: Sequence[Live]) -> None:
        self.producer, self.topic, self.partitions, self.models = producer, topic, partitions, models
        self.sent = self.failed = 0
        self.why = ""

    def send(self, time_ms: int, *, drifted: bool, stop: threading.Event) -> None:
        """One event of each model. Waits, if the brokers are gone and the queue is full, until that or `stop`."""
        for model in self.models:
            value, headers = model.event(time_ms, drifted=drifted)
            while not stop.is_set():
                try:
                    self.producer.produce(
                        self.topic,
                        value,
                        partition=self.sent % self.partitions,
                        timestamp=time_ms,
                        headers=headers,
                        on_delivery=self._told,
                    )
                except BufferError:
                    self.producer.poll(0.5)
                    continue
                break
        self.producer.poll(0)
        self.sent += 1

    def _told(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self.failed += 1
            self.why = error.str()


def drifts_at(elapsed_s: float, calm_s: float, drift_s: float) -> bool:
    """Whether this many seconds after the start are of a drift."""
    return elapsed_s % (calm_s + drift_s) >= calm_s if drift_s else False


def _send_past(wanted: Wanted, sender: Sender, stop: threading.Event) -> None:
    """As fast as it goes; the pace of the wall begins after it, with no gap but the time that this took."""
    events = round(wanted.past_s * wanted.rate)
    if not events:
        return
    end = time.time_ns() // 1_000_000
    for number in range(events, 0, -1):
        if stop.is_set():
            return
        sender.send(end - round(number * 1000 / wanted.rate), drifted=False, stop=stop)
    _tell(f"{events:,} events of each model sent, of the {wanted.past_s / 60:.0f} minutes before")


def _send(wanted: Wanted, sender: Sender, stop: threading.Event) -> None:
    first = sender.sent
    began = told = time.monotonic()
    drifted: bool | None = None
    behind = 0.0  # time that was skipped
    while not stop.is_set():
        now = time.monotonic()
        if wanted.for_s is not None and now - began >= wanted.for_s:
            return
        turn = drifts_at(now - began, wanted.calm_s, wanted.drift_s)
        if turn != drifted:
            drifted = turn
            _tell(f"{DRIFTING} drifts" if turn else "all is calm")
        late = (now - began - behind) - (sender.sent - first) / wanted.rate
        behind += max(0.0, late - MOST_BEHIND_S)
        due = first + int((now - began - behind) * wanted.rate)
        while sender.sent < due and not stop.is_set():
            sender.send(time.time_ns() // 1_000_000, drifted=turn, stop=stop)
        if now - told >= TELL_S:
            told = now
            failed = f"; {sender.failed:,} were not delivered: {sender.why}" if sender.failed else ""
            _tell(f"{sender.sent:,} events of each model{failed}")
        sender.producer.poll(0)
        stop.wait(STEP_S)


def _producer(wanted: Wanted) -> Producer:
    try:
        # Refused connections are told by what is not delivered, once a minute and not once an attempt.
        return Producer({"linger.ms": 20, "log_level": 2, **_client(wanted)})
    except KafkaException as error:
        raise UserError(f"Kafka's client refuses its settings: {error.args[0].str()}", "see --client") from None


def _client(wanted: Wanted) -> dict[str, str]:
    given = dict(wanted.client or {})
    if clash := sorted(_OURS & given.keys()):
        raise UserError(f"--client cannot set {clash[0]}", "the brokers are --bootstrap")
    return {"bootstrap.servers": wanted.bootstrap, **given}


def _topic(wanted: Wanted) -> int:
    """The partitions of the topic, which is made if it is not there."""
    admin = AdminClient({"log_level": 2, **_client(wanted)})
    try:
        found = admin.list_topics(timeout=TIMEOUT_S).topics.get(wanted.topic)
        if found is not None:
            return len(found.partitions)
        # As many replicas as the brokers say: one would not be accepted everywhere.
        made = NewTopic(wanted.topic, num_partitions=wanted.partitions, replication_factor=-1)
        admin.create_topics([made], operation_timeout=TIMEOUT_S)[wanted.topic].result(timeout=TIMEOUT_S)
    except KafkaException as error:
        reason: KafkaError = error.args[0]
        if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:  # another made it meanwhile
            return _topic(wanted)
        if reason.retriable() or reason.code() in {KafkaError._TRANSPORT, KafkaError._TIMED_OUT}:  # noqa: SLF001 - its names
            problem = f"the brokers at {wanted.bootstrap} do not answer"
            raise UserError(problem, "are they there, and is it their own address?", exit_code=1) from None
        problem = f"the topic {wanted.topic} cannot be made: {reason.str()}"
        raise UserError(problem, "make it, or name another with --topic", exit_code=1) from None
    return wanted.partitions


def _tell(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}", file=sys.stderr, flush=True)
