"""The collector: the catalogue's metrics out of what is published, and the process's own CPU and memory.

Nothing is kept from one scrape to the next, so a series whose subject is gone is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.parser import parse_labels
from prometheus_client.registry import Collector

from driftd.core.catalogue import CATALOGUE, Metric, MetricType
from driftd.http.exposition import Family, render
from driftd.http.published import Published
from driftd.http.rows import SOURCES
from driftd.http.scrape import Scrape


class ViewCollector(Collector):
    """A prometheus-client collector over the published View and Runtime.

    `families` is for the lean writer of `driftd.http.exposition`; `collect` gives the same to everything else
    that speaks prometheus-client.
    """

    def __init__(self, published: Published, clock: Callable[[], float] = time.time) -> None:
        self._published = published
        self._clock = clock
        self._started = clock()

    def families(self, names: Collection[str] = ()) -> Iterator[Family]:
        """One family for each metric of the catalogue (of those in `names`, if any are given).

        The View and the Runtime are taken once, when the first family is asked for.
        """
        scrape = Scrape(self._published, self._clock(), self._started)
        for metric in CATALOGUE:
            if not names or metric.name in names:
                yield Family(metric, SOURCES[metric.name](scrape))

    def collect(self) -> Iterator[ClientMetric]:
        for family in self.families():
            metric = family.metric
            client = ClientMetric(metric.family, metric.help, metric.type, metric.unit)
            for suffix, labels, value in family.rows:
                client.add_sample(metric.name + suffix, parse_labels(labels), value)
            yield client

    def describe(self) -> Iterator[ClientMetric]:
        for metric in CATALOGUE:
            yield ClientMetric(metric.family, metric.help, metric.type, metric.unit)


class Exposition:
    """The whole answer to a scrape, in pieces; and the same as families, for who pushes it."""

    def __init__(self, collector: ViewCollector) -> None:
        self._collector = collector
        self._process = CollectorRegistry(auto_describe=True)  # so that it knows its names
        ProcessCollector(registry=self._process)

    def families(self, names: Collection[str] = ()) -> Iterator[Family]:
        yield from self._collector.families(names)
        for client in (self._process.restricted_registry(names) if names else self._process).collect():
            kind: MetricType = "counter" if client.type == "counter" else "gauge"
            for sample in client.samples:
                metric = Metric(sample.name, kind, (), client.documentation, "the process itself", "process")
                yield Family(metric, [("", "", sample.value)])

    def pieces(self, *, openmetrics: bool, names: Collection[str] = ()) -> Iterator[bytes]:
        yield from render(self._collector.families(names), openmetrics=openmetrics)
        process = self._process.restricted_registry(names) if names else self._process
        if openmetrics:
            yield openmetrics_exposition.generate_latest(process)  # and the end mark
        else:
            yield generate_latest(process)
