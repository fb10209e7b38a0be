"""What one scrape sees: each part of the View beside its labels, already written as text."""

from __future__ import annotations

from driftd.core.event import PartitionId
from driftd.core.view import DetectorView, ModelView, PartitionView, Runtime, SeriesView, StatisticView, View
from driftd.http.exposition import escape
from driftd.http.published import Published


class Scrape:
    """What one scrape sees: one View and one Runtime, each part beside its labels as text."""

    def __init__(self, published: Published, now: float, started: float) -> None:
        self.view: View = published.view
        self.runtime: Runtime = published.runtime
        self.now, self.started = now, started
        self.models: list[tuple[str, ModelView]] = [
            (f'model="{escape(model.model)}"', model) for model in self.view.models
        ]
        self.series: list[tuple[str, SeriesView]] = [
            (series_labels(model, series), series) for model in self.view.models for series in model.series
        ]
        self.statistics: list[tuple[str, StatisticView]] = [
            (f'{rule_labels(text, one)},statistic="{escape(one.statistic)}"', one)
            for text, series in self.series
            for one in series.statistics
        ]
        self.detectors: list[tuple[str, DetectorView]] = [
            (rule_labels(text, one), one) for text, series in self.series for one in series.detectors
        ]
        self.partitions: list[tuple[str, PartitionView]] = [
            (topic_labels(p.partition), p) for p in self.view.partitions
        ]


def series_labels(model: ModelView, series: SeriesView) -> str:
    return f'model="{escape(model.model)}",version="{escape(series.version)}",kind="{series.kind}"'


def rule_labels(series: str, one: StatisticView | DetectorView) -> str:
    return f'{series},signal="{escape(one.signal)}",rule="{escape(one.rule)}"'


def topic_labels(partition: PartitionId) -> str:
    return f'topic="{escape(partition.topic)}",partition="{partition.number}"'
