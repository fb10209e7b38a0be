"""Metrics as OTLP says them: families of the catalogue to ExportMetricsServiceRequests of bounded size.

A counter is a monotonic cumulative sum, a gauge a gauge, a histogram a cumulative histogram with explicit bounds, an
info a gauge of 1; names, labels and values are those of /metrics, whole numbers as integers. A series that is not there
is not sent, and so goes stale. What is written is OpenTelemetry's own messages: its SDK takes three times as long to come
to the same bytes, which a test holds these to.

Sources: https://opentelemetry.io/docs/specs/otel/metrics/data-model/ and
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, Protocol

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

import driftd
from driftd.core.catalogue import Metric

POINTS_A_REQUEST: Final = 5_000
"""About 1 MiB before it is packed; collectors take 4 MiB, often more."""
UNITS: Final[Mapping[str, str]] = {
    "": "", "seconds": "s", "bytes": "By", "events": "{event}", "records": "{record}",
}  # fmt: skip
"""By the catalogue's unit, as UCUM writes it; in braces what is only counted."""
MOST_INT: Final = 2**63 - 1
CUMULATIVE: Final = pb.AGGREGATION_TEMPORALITY_CUMULATIVE

_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPE: Final = re.compile(r'\\([\\"n])')
_MEANT: Final = {"\\": "\\", '"': '"', "n": "\n"}

Row = tuple[str, str, float]
"""The suffix of the metric's name, the labels as the text formats write them, the value."""


class Family(Protocol):
    """All samples of one metric. `rows` can be read once."""

    @property
    def metric(self) -> Metric: ...

    @property
    def rows(self) -> Iterable[Row]: ...


def requests(
    families: Iterable[Family], resource: Mapping[str, str], *, now_ns: int, started_ns: int
) -> Iterator[ExportMetricsServiceRequest]:
    """Of at most POINTS_A_REQUEST points each. `started_ns`: when counters of this process were 0."""
    request, metrics = _empty(resource)
    points = 0
    for family in families:
        metric: pb.Metric | None = None
        for point in _points(family, now_ns, started_ns):
            if points >= POINTS_A_REQUEST:
                yield request
                (request, metrics), points, metric = _empty(resource), 0, None
            if metric is None:
                metric = metrics.metrics.add()
                _describe(metric, family.metric)
            _append(metric, point)
            points += 1
    if points:
        yield request


def _empty(resource: Mapping[str, str]) -> tuple[ExportMetricsServiceRequest, pb.ScopeMetrics]:
    request = ExportMetricsServiceRequest()
    of = request.resource_metrics.add()
    of.resource.attributes.extend(_attribute(name, value) for name, value in resource.items())
    metrics = of.scope_metrics.add()
    metrics.scope.name, metrics.scope.version = "driftd", driftd.__version__
    return request, metrics


def _describe(told: pb.Metric, metric: Metric) -> None:
    told.name, told.description, told.unit = metric.name, metric.help, UNITS[metric.unit]
    if metric.type == "counter":
        told.sum.aggregation_temporality, told.sum.is_monotonic = CUMULATIVE, True
    elif metric.type == "histogram":
        told.histogram.aggregation_temporality = CUMULATIVE
    else:
        told.gauge.SetInParent()


def _append(told: pb.Metric, point: pb.NumberDataPoint | pb.HistogramDataPoint) -> None:
    if isinstance(point, pb.HistogramDataPoint):
        told.histogram.data_points.append(point)
    elif told.HasField("sum"):
        told.sum.data_points.append(point)
    else:
        told.gauge.data_points.append(point)


def _points(family: Family, now_ns: int, started_ns: int) -> Iterator[pb.NumberDataPoint | pb.HistogramDataPoint]:
    """A value that is not finite is not known, and so it is left out."""
    metric = family.metric
    # A counter that outlives the process has no beginning that is known here: a collector must not take the first
    # value that it sees for what was counted since the start.
    since = started_ns if metric.life == "process" else 0
    if metric.type == "histogram":
        yield from _histograms(family.rows, now_ns, since)
        return
    for _, labels, value in family.rows:
        if not math.isfinite(value):
            continue
        point = pb.NumberDataPoint(attributes=_attributes(labels), time_unix_nano=now_ns)
        if isinstance(value, int) and abs(value) <= MOST_INT:
            point.as_int = value
        else:
            point.as_double = value
        if metric.type == "counter":
            point.start_time_unix_nano = since
        yield point


def _histograms(rows: Iterable[Row], now_ns: int, since: int) -> Iterator[pb.HistogramDataPoint]:
    """The catalogue has histograms without labels only: their buckets' one label is the bound."""
    bounds: list[float] = []
    cumulative: list[int] = []
    count, total = 0, 0.0
    for suffix, labels, value in rows:
        if suffix == "_bucket":
            ((_, text),) = _LABEL.findall(labels)
            bound = float(text)
            if math.isfinite(bound):
                bounds.append(bound)
                cumulative.append(int(value))
        elif suffix == "_count":
            count = int(value)
        else:
            total = float(value)
    each = [after - before for before, after in zip([0, *cumulative], [*cumulative, count], strict=True)]
    yield pb.HistogramDataPoint(
        start_time_unix_nano=since, time_unix_nano=now_ns, count=count, sum=total, bucket_counts=each,
        explicit_bounds=bounds,
    )  # fmt: skip


def _attributes(labels: str) -> list[KeyValue]:
    return [_label(*one) for one in _LABEL.findall(labels)]


@lru_cache(maxsize=65_536)
def _label(name: str, escaped: str) -> KeyValue:
    """Made once: a fleet has a million series, and of each label far fewer values."""
    return _attribute(name, _ESCAPE.sub(lambda found: _MEANT[found[1]], escaped) if "\\" in escaped else escaped)


def _attribute(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))
