"""What one scrape sees: each part of the View beside its labels, already written as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from driftd.core.event import PartitionId
from driftd.core.view import (
    ArrivalView,
    DetectorView,
    ModelView,
    PartitionView,
    Pushes,
    Runtime,
    SeriesView,
    ShareView,
    StatisticView,
    View,
)
from driftd.http.exposition import escape
from driftd.http.published import Published

T = TypeVar("T")


class Labelled(Generic[T]):
    """Items and the labels of each; iterated in pairs.

    Two lists and not one of pairs: a hundred thousand new tuples would call the garbage collector, which holds the
    interpreter for as long as it walks through the whole View.
    """

    __slots__ = ("_items", "_labels")

    def __init__(self) -> None:
        self._labels: list[str] = []
        self._items: list[T] = []

    def add(self, labels: str, item: T) -> None:
        self._labels.append(labels)
        self._items.append(item)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return zip(self._labels, self._items, strict=True)


class Scrape:
    """One View and one Runtime, taken once, and what became of pushes."""

    def __init__(self, published: Published, now: float, started: float) -> None:
        self.view: View = published.view
        self.runtime: Runtime = published.runtime
        self.pushes: Pushes | None = published.pushes
        self.now, self.started = now, started
        self.models = Labelled[ModelView]()
        self.arrivals = Labelled[ArrivalView]()
        self.series = Labelled[SeriesView]()
        self.statistics = Labelled[StatisticView]()
        self.detectors = Labelled[DetectorView]()
        self.shares = Labelled[ShareView]()
        self.partitions = Labelled[PartitionView]()
        for model in self.view.models:
            name = f'model="{escape(model.model)}"'
            self.models.add(name, model)
            for arrival in model.arrivals:
                self.arrivals.add(f'{name},kind="{arrival.kind}"', arrival)
            for series in model.series:
                self._add(model, series)
        for partition in self.view.partitions:
            self.partitions.add(topic_labels(partition.partition), partition)

    def _add(self, model: ModelView, series: SeriesView) -> None:
        text = series_labels(model, series)
        self.series.add(text, series)
        for statistic in series.statistics:
            self.statistics.add(f'{rule_labels(text, statistic)},statistic="{escape(statistic.statistic)}"', statistic)
        for detector in series.detectors:
            self.detectors.add(rule_labels(text, detector), detector)
        for share in series.shares:
            self.shares.add(f'{text},signal="{escape(share.signal)}",group="{escape(share.group)}"', share)


def series_labels(model: ModelView, series: SeriesView) -> str:
    return f'model="{escape(model.model)}",version="{escape(series.version)}",kind="{series.kind}"'


def rule_labels(series: str, one: StatisticView | DetectorView) -> str:
    return f'{series},signal="{escape(one.signal)}",rule="{escape(one.rule)}"'


def topic_labels(partition: PartitionId) -> str:
    return f'topic="{escape(partition.topic)}",partition="{partition.number}"'
