"""A life of a model as a timeline: what its traffic is from when on, and who must hear what, and when.

    life = Timeline(case, folder)
    life.at(0).send(steady)
    life.at(300).send(drifted)
    life.want(between(400, 460), firing("drift"))
    life.at(500).mute()
    life.run(until=900)

Time is event time in seconds. The engine, the store, the outbox and the sender are the real ones; what was concluded
from each 20 seconds of traffic is delivered before the next are read. Whatever is heard must have been wanted.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from driftd.core.act import Act
from driftd.core.action import Action
from driftd.core.baseline import GivenReference
from driftd.core.engine import Engine
from driftd.core.event import Block, Columns, Discovered, PartitionId
from driftd.core.grid import Grid
from driftd.core.profile import profile
from driftd.core.spec import HOUR, SECOND, Model, ReferenceFiles, Spec, Window, WindowRule
from driftd.store.acts import ActLog
from driftd.store.commit import Commit
from driftd.store.memory import Memories
from driftd.store.outbox import Outbox
from driftd.store.store import Store
from tests.core.streams import Floats, numeric, reference_of
from tests.deliver.cases import Case, OfAlertmanager, OfPagerDuty, OfWebhook
from tests.deliver.endpoint import wait_until
from tests.deliver.test_sender import QUICK, sending, settled

STEP_S, A_SECOND = 20, 10
START = 1_795_430_400
"""Unix seconds."""
P = PartitionId("predictions", 0)
WINDOW = Window(
    length=60 * SECOND, every=STEP_S * SECOND, min_samples=100, max_length=60 * SECOND, allowed_lateness=SECOND
)
RULE = WindowRule("drift", false_alarms_per_year=10_000.0)
MODEL = Model("churn", WINDOW, ReferenceFiles("a file"), window_rules=(RULE,), detector_rules=())

Verb = Literal["mute", "lift"]
Traffic = Callable[[np.random.Generator, int], Floats]


def steady(chance: np.random.Generator, n: int) -> Floats:
    return chance.normal(41, 10, n)


def drifted(chance: np.random.Generator, n: int) -> Floats:
    """By less than what is critical."""
    return chance.normal(44.6, 10, n)


def broken(chance: np.random.Generator, n: int) -> Floats:
    return chance.normal(61, 10, n)


@dataclass(frozen=True)
class Heard:
    what: str
    rule: str
    severity: str | None = None


def firing(rule: str, severity: str = "warning") -> Heard:
    return Heard("firing", rule, severity)


def resolved(rule: str) -> Heard:
    return Heard("resolved", rule)


@dataclass(frozen=True)
class Span:
    begin: float
    end: float

    def __contains__(self, at: float) -> bool:
        return self.begin <= at <= self.end


def between(begin: float, end: float) -> Span:
    return Span(begin, end)


@dataclass
class At:
    life: Timeline
    second: int

    def send(self, traffic: Traffic) -> None:
        self.life.traffic[self.second] = traffic

    def mute(self) -> None:
        """The model, until `unmute`: new alerts are told to nobody, ends to whom the beginning was told."""
        self.life.verbs[self.second] = "mute"

    def unmute(self) -> None:
        self.life.verbs[self.second] = "lift"


class Timeline:
    def __init__(self, case: Case, folder: Path, *, failing: bool = True) -> None:
        """`failing`: the first attempt at whatever is sent is put off."""
        self.case, self.folder, self.failing = case, folder, failing
        self.traffic: dict[int, Traffic] = {}
        self.verbs: dict[int, Verb] = {}
        self.mute: Act | None = None
        self.wanted: list[tuple[Span, Heard]] = []
        self.heard: list[tuple[int, Heard]] = []
        self.retried = 0
        base = steady(np.random.default_rng(7), 20_000)
        reference = reference_of(Grid([numeric("age", base)]), {"age": base}, 200)
        spec = Spec("driftd", {"churn": MODEL})
        self.engine = Engine(spec, {"churn": {"": GivenReference("7", reference)}})
        self.engine.apply(Discovered({P: ("prediction",)}))
        self.chance = np.random.default_rng(11)
        self.offset = 0

    def at(self, second: int) -> At:
        return At(self, second)

    def want(self, span: Span, heard: Heard) -> None:
        self.wanted.append((span, heard))

    def run(self, until: int) -> None:
        """To the end, and then what was heard is compared with what was wanted."""
        state = self.folder / "state"
        with Store.open(state, group="driftd") as store, Outbox(state) as outbox:
            memories = Memories(state)
            receiver = self.case.receiver(memories.of(f"{self.case.name} ops"))
            with sending(outbox, receiver, patience=QUICK) as sender:
                for second in range(0, until, STEP_S):
                    self._does(state, self.verbs.get(second))
                    actions = [a for a in self._step(second) if a.type.startswith("driftd.alert.")]
                    # What begins while the model is muted is told once it is not; what ends was told to begin.
                    news = [a for a in actions if self.mute is None or a.type.endswith("resolved")]
                    if self.failing and (news or store.owes_withheld()):
                        self.case.later(after_s=0)
                        self.retried += 1
                    if actions:
                        store.commit(Commit(actions=[(action, ("ops",), False) for action in actions]))
                    if store.owes_withheld():
                        store.tell_withheld(("ops",))
                    sender.wake()
                    wait_until(lambda: settled(outbox))
                    told = list(heard(self.case))
                    self.heard += [(second + STEP_S, one) for one in told[len(self.heard) :]]
                (view,) = sender.views()
            memories.close()
            assert outbox.entries("dead") == []
            assert view.failed == self.retried
        assert self.case.faults() == []
        self._compare()

    def _does(self, state: Path, verb: Verb | None) -> None:
        """As another process would."""
        if verb is None:
            return
        now = round(time.time() * 1000)
        act = Act("mute", "ada", "a load test", "churn", at=now, until=now + HOUR)
        if verb == "lift":
            assert self.mute is not None
            act = Act("lift", "ada", "it is over", "", lifts=self.mute.number, at=now)
        with ActLog(state) as log:
            added = log.add(act)
        self.mute = added if verb == "mute" else None

    def _step(self, second: int) -> list[Action]:
        """Read the traffic of 20 seconds; what is concluded from it."""
        traffic = self.traffic[max(at for at in self.traffic if at <= second)]
        n = STEP_S * A_SECOND
        times = (START + second) * 1_000 + np.arange(n, dtype=np.int64) * (1_000 // A_SECOND)
        offsets = np.arange(self.offset, self.offset + n, dtype=np.int64)
        columns = Columns("churn", "7", "prediction", times, offsets, {"age": traffic(self.chance, n)})
        first, self.offset = self.offset, self.offset + n
        # All its records were written as it ended: the pane of the step before can close.
        stamp = int(times[-1])
        block = Block(P, first, self.offset, n, stamp, stamp, (columns,))
        return self.engine.apply(profile(block, self.engine.plan_of)).actions

    def _compare(self) -> None:
        left = list(self.heard)
        for span, wanted in self.wanted:
            found = next((one for one in left if one[1] == wanted and one[0] in span), None)
            assert found is not None, f"{wanted} was not heard in {span}, but {self.heard}"
            left.remove(found)
        assert left == [], "this was heard, and nobody wanted it"


def heard(case: Case) -> Iterator[Heard]:
    """All that the people of the service were told so far, in order."""
    if isinstance(case, OfWebhook):
        for id_, body in dict.fromkeys((r.id, r.body) for r in case.service.requests):
            document = json.loads(body)
            assert document["id"] == id_
            yield _heard(document["type"].rpartition(".")[2], document["data"]["rule"], document["data"]["severity"])
    elif isinstance(case, OfAlertmanager):
        yield from _alerts(case)
    elif isinstance(case, OfPagerDuty):
        for one in case.service.shown:  # type: ignore[attr-defined]
            if "resolve" in one:
                yield resolved(case.service.incidents[one["resolve"]]["class"])  # type: ignore[attr-defined]
            else:
                yield _titled(one["text"])
    else:
        for text in case.shown():
            yield _titled(text)


def _heard(what: str, rule: str, severity: str) -> Heard:
    return Heard(what, rule, severity if what == "firing" else None)


def _titled(text: str) -> Heard:
    found = re.match(r"\[(\w+)\] churn 7: (\w+) in", text)
    assert found is not None, text
    return resolved(found[2]) if found[1] == "resolved" else firing(found[2], found[1])


def _alerts(case: OfAlertmanager) -> Iterator[Heard]:
    """A severity that rises is two alerts there: the end of the one is no end of the trouble."""
    state: Heard | None = None
    for request in case.service.requests:
        told = json.loads(request.body)
        going_on = [one for one in told if _stands(one)]
        labels = (going_on or told)[-1]["labels"]
        now = firing(labels["rule"], labels["severity"]) if going_on else resolved(labels["rule"])
        if now != state:
            yield now
        state = now


def _stands(alert: dict[str, str]) -> bool:
    """Whether its end lies rounds ahead of now."""
    return (datetime.fromisoformat(alert["endsAt"]) - datetime.now(UTC)).total_seconds() > 60
