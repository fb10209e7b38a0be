"""The traffic: river's loan applications (Agrawal et al. 1993), a model that river trains on them, and the drift.

At the drift two things happen. The concept changes (who is a good customer is decided by other rules): no feature
shows that, and without labels nobody can see it. And the applicants change: they earn more, and half of them come
from two zip codes: that is what driftd has to find, in these two features and in what the model makes of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from river.compose import Pipeline, Select
from river.datasets import synth
from river.linear_model import LogisticRegression
from river.preprocessing import StandardScaler

from driftd.demo.plan import DRIFTING, MODELS, PERIOD, VERSION, Plan
from driftd.demo.shape import native

Value = float | int | str
_CONCEPT, _NEXT_CONCEPT = 6, 1
"""Agrawal's functions: disposable income is positive; salary fits the age."""
_WIDTH: Final = 200
"""Events that the change of concept takes: river's sigmoid overflows for one that is much sharper."""
_RAISE: Final = 1.5
_NUMBERS: Final = ("salary", "commission", "age", "loan")
_EDUCATION: Final = ("none", "school", "college", "bachelor", "master")


class Classifier(Protocol):
    """What the demo needs of a river model."""

    def learn_one(self, x: dict[str, Value], y: bool) -> None: ...  # noqa: FBT001 - river's own signature

    def predict_proba_one(self, x: dict[str, Value]) -> dict[bool, float]: ...


@dataclass(frozen=True, slots=True)
class Application:
    """One event of the stream: what the model is told, and what only time would tell."""

    number: int
    features: dict[str, Value]
    good: bool


def applications(model: str, plan: Plan) -> Iterator[Application]:
    """The whole stream of a model, without end; the same in every run."""
    seed = 10 * (1 + MODELS.index(model))
    drifts = plan.drift and model == DRIFTING
    at = plan.training + plan.calm
    stream: Iterator[tuple[dict[str, float], int]] = iter(synth.Agrawal(_CONCEPT, seed=seed))
    if drifts:
        later = synth.Agrawal(_NEXT_CONCEPT, seed=seed + 1)
        both = synth.ConceptDriftStream(
            synth.Agrawal(_CONCEPT, seed=seed), later, seed=seed + 2, position=at, width=_WIDTH
        )
        stream = iter(both)
    chance = random.Random(seed + 3)  # noqa: S311 - seeded chance is what is wanted
    for number, (x, y) in enumerate(stream):
        features = _features(x)
        if drifts and number >= at:
            features["salary"] = round(x["salary"] * _RAISE, 2)
            if chance.random() < 0.5:
                features["zipcode"] = chance.choice(("zip 0", "zip 1"))
        yield Application(number, features, bool(y))


def _features(x: dict[str, float]) -> dict[str, Value]:
    numbers: dict[str, Value] = {name: round(x[name], 2) for name in _NUMBERS}
    return {**numbers, "education": _EDUCATION[int(x["elevel"])], "zipcode": f"zip {int(x['zipcode'])}"}


class Serving:
    """A model that was trained online on the first part of its stream, and now serves what follows, learning no more.

    `right` of `served`: how often it is right, which without labels only the demo knows.
    """

    def __init__(self, name: str, plan: Plan) -> None:
        self.name = name
        self.model: Classifier = Pipeline(Select(*_NUMBERS), StandardScaler(), LogisticRegression())
        self.stream = applications(name, plan)
        self.trained = [next(self.stream) for _ in range(plan.training)]
        for one in self.trained:
            self.model.learn_one(one.features, one.good)
        self.served = self.right = 0

    def write_training_traffic(self, path: Path, start: int) -> None:
        """What the trained model says of its training period, as native events before `start`: for the reference."""
        first = start - len(self.trained) * PERIOD
        with path.open("wb") as file:
            for one in self.trained:
                file.write(self.event(one, first + one.number * PERIOD) + b"\n")
        self.trained.clear()

    def serve(self, time_ms: int) -> bytes:
        """The next event of the stream, with the model's prediction."""
        return self.event(next(self.stream), time_ms)

    def event(self, one: Application, time_ms: int) -> bytes:
        """One native prediction event."""
        value, _ = native(self.prediction(one, time_ms))
        return value

    def prediction(self, one: Application, time_ms: int) -> dict[str, object]:
        """What is told of one application, in whatever form it is written."""
        score = self.model.predict_proba_one(one.features).get(True, 0.0)
        self.served += 1
        self.right += (score > 0.5) == one.good
        return {
            "kind": "prediction",
            "id": f"{self.name}-{one.number}",
            "model": self.name,
            "version": VERSION,
            "time": time_ms,
            "features": one.features,
            "prediction": round(score, 6),
        }

    @property
    def accuracy(self) -> float:
        return self.right / max(self.served, 1)

    def forget_accuracy(self) -> None:
        """Count from here on."""
        self.served = self.right = 0
