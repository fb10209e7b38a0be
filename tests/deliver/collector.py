"""A collector of OTLP over HTTP: it unpacks and parses what it is sent as the protocol says, and refuses what is no such."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from tests.deliver import endpoint as answers
from tests.deliver.endpoint import Answer, Endpoint, Request, serving

PATH = "/v1/metrics"
Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]


@dataclass
class Collector(Endpoint):
    """`pushed`: what it took. `faults`: what is wrong with what it was sent."""

    pushed: list[ExportMetricsServiceRequest] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def take(self, request: Request) -> Answer:
        with self.changed:
            self.requests.append(request)
            answer = self.script.pop(0) if self.script else self._taken(request)
            self.changed.notify_all()
            return answer

    def _taken(self, request: Request) -> Answer:
        kind, packed = request.headers.get("content-type"), request.headers.get("content-encoding")
        if (request.path, kind, packed) != (PATH, "application/x-protobuf", "gzip"):
            self.faults.append(f"{request.path} {kind} {packed}")
            return answers.status(400)
        try:
            self.pushed.append(ExportMetricsServiceRequest.FromString(gzip.decompress(request.body)))
        except (OSError, EOFError, zlib.error, DecodeError) as error:
            self.faults.append(repr(error))
            return answers.status(400)
        said = ExportMetricsServiceResponse().SerializeToString()
        return answers.status(200, said, content_type="application/x-protobuf")

    def wait_for_pushes(self, count: int, timeout: float = 60.0) -> list[ExportMetricsServiceRequest]:
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.pushed) >= count or self.faults, timeout)
            assert came, f"{len(self.pushed)} of {count} pushes came"
            assert self.faults == []
            return list(self.pushed)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    with serving(collector):
        yield collector


def metrics(*requests: ExportMetricsServiceRequest) -> list[pb.Metric]:
    return [m for r in requests for of in r.resource_metrics for scope in of.scope_metrics for m in scope.metrics]


def resource(request: ExportMetricsServiceRequest) -> dict[str, str]:
    (of,) = request.resource_metrics
    return dict(labels(of.resource.attributes))


def labels(attributes: object) -> Labels:
    found: list[KeyValue] = list(attributes)  # type: ignore[call-overload]
    assert len({one.key for one in found}) == len(found), "a label is given twice"
    return tuple(sorted((one.key, one.value.string_value) for one in found))


def samples(*requests: ExportMetricsServiceRequest) -> Samples:
    """Every point as the text formats have it: histograms by their buckets; one that comes twice is an error."""
    found: Samples = {}

    def add(name: str, own: Labels, value: float) -> None:
        assert (name, own) not in found, f"{name} {own} is there twice"
        found[name, own] = float(value)

    for metric in metrics(*requests):
        if metric.HasField("histogram"):
            for point in metric.histogram.data_points:
                own, so_far = labels(point.attributes), 0
                bounds = [*map(str, point.explicit_bounds), "+Inf"]
                for bound, count in zip(bounds, point.bucket_counts, strict=True):
                    so_far += count
                    add(f"{metric.name}_bucket", tuple(sorted((*own, ("le", bound)))), so_far)
                add(f"{metric.name}_count", own, point.count)
                add(f"{metric.name}_sum", own, point.sum)
            continue
        for number in metric.sum.data_points if metric.HasField("sum") else metric.gauge.data_points:
            whole = number.WhichOneof("value") == "as_int"
            add(metric.name, labels(number.attributes), number.as_int if whole else number.as_double)
    return found
