"""Pushes to a collector that parses them: what is said is what /metrics says, and nothing it does disturbs anybody."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.parser import parse_labels
from prometheus_client.parser import text_string_to_metric_families as parse_text

import driftd
from driftd.core.catalogue import BY_NAME
from driftd.core.view import Pushes, Runtime, View
from driftd.deliver.otlp import OtlpPush
from driftd.deliver.points import POINTS_A_REQUEST, UNITS, requests
from driftd.http.collector import Exposition, ViewCollector
from driftd.http.exposition import Family
from driftd.http.published import Published
from tests.deliver import endpoint as answers
from tests.deliver.collector import Collector, collecting, metrics, resource, samples
from tests.deliver.endpoint import free_port, wait_until
from tests.http.example import HOSTILE, MODEL, NOW, RUNTIME, VIEW, named
from tests.http.reading import ours
from tests.http.reading import samples as samples_of_text

RESOURCE = {"service.name": "driftd", "service.instance.id": "abc", "service.version": driftd.__version__}
NOW_NS, STARTED_NS = round(NOW * 1e9), round(NOW * 1e9) - 60_000_000_000


def exposition(view: View = VIEW, runtime: Runtime = RUNTIME) -> Exposition:
    return Exposition(ViewCollector(Published(view, runtime), lambda: NOW))


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as one:
        yield one


class Told:
    """Where the counts go."""

    def __init__(self) -> None:
        self.pushes = Pushes()

    def __call__(self, pushes: Pushes) -> None:
        self.pushes = pushes


@contextmanager
def pushing(
    url: str, told: Told, published: Published | None = None, close_s: float = 20.0, **more: Any
) -> Iterator[OtlpPush]:
    shown = Exposition(ViewCollector(published or Published(VIEW, RUNTIME), lambda: NOW))
    push = OtlpPush(url, shown.families, RESOURCE, told, **{"every_s": 0.05, "timeout_s": 20.0, **more})
    push.start()
    try:
        yield push
    finally:
        push.close(close_s)


# What is said.


@pytest.mark.parametrize("view", [VIEW, View(), named(HOSTILE)], ids=["rich", "empty", "hostile"])
def test_names_labels_and_values_are_those_of_the_page(view: View):
    shown = exposition(view)
    text = b"".join(shown.pieces(openmetrics=False)).decode()
    pushed = samples(*requests(shown.families(), RESOURCE, now_ns=NOW_NS, started_ns=STARTED_NS))
    page = samples_of_text(list(parse_text(text)))
    assert ours(pushed) == ours(page)
    assert pushed.keys() == page.keys(), "and the process's own"


def test_types_units_temporality_and_times_are_those_of_the_catalogue():
    told = metrics(*requests(exposition().families(), RESOURCE, now_ns=NOW_NS, started_ns=STARTED_NS))
    assert {m.name for m in told} >= {name for name in BY_NAME if "otlp" not in name}
    for metric in (m for m in told if m.name in BY_NAME):
        said = BY_NAME[metric.name]
        kind = {"counter": "sum", "histogram": "histogram"}.get(said.type, "gauge")
        assert (metric.WhichOneof("data"), metric.unit, metric.description) == (kind, UNITS[said.unit], said.help)
        data: Any = getattr(metric, kind)
        if kind != "gauge":
            assert data.aggregation_temporality == pb.AGGREGATION_TEMPORALITY_CUMULATIVE
        if kind == "sum":
            assert data.is_monotonic
        # What outlives a restart has no known beginning: to a collector it must not look as counted since the start.
        since = {"gauge": 0}.get(kind, STARTED_NS if said.life == "process" else 0)
        assert {point.start_time_unix_nano for point in data.data_points} == {since}, metric.name
        assert {point.time_unix_nano for point in data.data_points} == {NOW_NS}


def test_whole_numbers_stay_whole():
    (events,) = [m for m in metrics(*requests(exposition().families(), RESOURCE, now_ns=1, started_ns=1))
                 if m.name == "driftd_events_total"]  # fmt: skip
    assert events.sum.data_points[0].as_int == 12_345_678_901_234_567
    huge = Family(BY_NAME["driftd_models"], [("", "", 2**70), ("", 'a="b"', float("nan"))])
    (only,) = metrics(*requests([huge], RESOURCE, now_ns=1, started_ns=1))
    assert [point.as_double for point in only.gauge.data_points] == [2.0**70]


def test_it_is_what_opentelemetrys_own_encoder_says():
    families = [Family(f.metric, list(f.rows)) for f in exposition().families()]
    (ours_,) = requests(families, RESOURCE, now_ns=NOW_NS, started_ns=STARTED_NS)
    scope = sdk.ScopeMetrics(
        InstrumentationScope("driftd", driftd.__version__), [_sdk(f) for f in families if f.rows], ""
    )
    theirs = encode_metrics(sdk.MetricsData([sdk.ResourceMetrics(Resource(dict(RESOURCE)), [scope], "")]))
    assert metrics(ours_) == metrics(theirs)
    assert ours_ == theirs


def _sdk(family: Family) -> sdk.Metric:
    metric, rows = family.metric, list(family.rows)
    since = STARTED_NS if metric.life == "process" else 0
    data: Any
    if metric.type == "histogram":
        by = {suffix or labels: value for suffix, labels, value in rows if suffix != "_bucket"}
        buckets = [(float(parse_labels(labels)["le"]), int(n)) for suffix, labels, n in rows if suffix == "_bucket"]
        counts = [n - before for (_, n), before in zip(buckets, [0, *(n for _, n in buckets)], strict=False)]
        bounds = [bound for bound, _ in buckets[:-1]]
        nothing: Any = None
        point = sdk.HistogramDataPoint(
            {}, since, NOW_NS, int(by["_count"]), by["_sum"], counts, bounds, nothing, nothing
        )
        data = sdk.Histogram([point], sdk.AggregationTemporality.CUMULATIVE)
    else:
        start = since if metric.type == "counter" else 0
        points = [sdk.NumberDataPoint(dict(parse_labels(text)), start, NOW_NS, value) for _, text, value in rows]
        data = (
            sdk.Sum(points, sdk.AggregationTemporality.CUMULATIVE, is_monotonic=True)
            if metric.type == "counter"
            else sdk.Gauge(points)
        )
    return sdk.Metric(metric.name, metric.help, UNITS[metric.unit], data)


def test_a_fleet_goes_in_requests_of_bounded_size_and_no_point_is_lost():
    many = View(tuple(dataclasses.replace(MODEL, model=f"m{i}") for i in range(400)))
    shown = exposition(many)
    sent = list(requests(shown.families(), RESOURCE, now_ns=1, started_ns=1))
    assert len(sent) > 3
    sizes = [sum(len(m.gauge.data_points) + len(m.sum.data_points) + len(m.histogram.data_points) for m in metrics(r))
             for r in sent]  # fmt: skip
    assert set(sizes[:-1]) == {POINTS_A_REQUEST}
    assert 0 < sizes[-1] <= POINTS_A_REQUEST
    assert max(r.ByteSize() for r in sent) < 4 * 1024 * 1024
    assert {tuple(resource(r).items()) for r in sent} == {tuple(sorted(RESOURCE.items()))}
    page = samples_of_text(list(parse_text(b"".join(shown.pieces(openmetrics=False)).decode())))
    assert samples(*sent).keys() == page.keys()


# How it is said.


def test_a_push_is_packed_and_says_who_we_are(collector: Collector):
    headers = {"x-scope-orgid": "team-a", "authorization": "Bearer s3cret"}
    with pushing(collector.url, told := Told(), headers=headers):
        first, *_ = collector.wait_for_pushes(2)
    assert resource(first) == RESOURCE
    assert collector.requests[0].headers["authorization"] == "Bearer s3cret"
    assert collector.requests[0].headers["x-scope-orgid"] == "team-a"
    assert collector.requests[0].headers["user-agent"] == f"driftd/{driftd.__version__}"
    assert told.pushes.sent == len(collector.pushed)
    assert told.pushes.failed == 0
    assert told.pushes.last is not None


def test_a_series_that_is_gone_is_in_no_push(collector: Collector):
    published = Published(VIEW, RUNTIME)
    with pushing(collector.url, Told(), published):
        assert "driftd_effect" in {m.name for m in metrics(collector.wait_for_pushes(1)[0])}
        published.view = View()
        seen = len(collector.pushed)
        last = collector.wait_for_pushes(seen + 2)[-1]
    names = {m.name for m in metrics(last)}
    assert "driftd_effect" not in names
    assert "driftd_models" in names


def test_a_collector_that_asks_to_be_left_alone_is(collector: Collector):
    collector.script = [answers.status(503, b"busy", retry_after="2")]
    with pushing(collector.url, told := Told()):
        collector.wait_for_pushes(1)
    put_off, taken = collector.requests[:2]
    assert taken.at - put_off.at >= 2.0
    assert told.pushes.failed == 1


def test_an_outage_is_told_once_counted_and_over_once():
    port = free_port()
    told, published = Told(), Published(VIEW, RUNTIME)
    with structlog.testing.capture_logs() as logs:
        with pushing(f"http://127.0.0.1:{port}/v1/metrics", told, published, headers={"authorization": "s3cret"}):
            wait_until(lambda: told.pushes.failed >= 3)
        assert [one["event"] for one in logs] == ["otlp_push_failed"]
        assert told.pushes.sent == 0
    assert "s3cret" not in repr(logs)
    with collecting() as collector, structlog.testing.capture_logs() as logs:
        collector.script = [answers.status(500)] * 3
        with pushing(collector.url, told):
            collector.wait_for_pushes(2)
    assert [one["event"] for one in logs] == ["otlp_push_failed", "otlp_push_back"]


def test_points_that_are_refused_are_told(collector: Collector):
    said = ExportMetricsServiceResponse()
    said.partial_success.rejected_data_points = 7
    said.partial_success.error_message = "too old\x1b[31m"
    collector.script = [answers.status(200, said.SerializeToString())]
    with structlog.testing.capture_logs() as logs, pushing(collector.url, told := Told()):
        wait_until(lambda: told.pushes.failed and told.pushes.sent)
    assert (logs[0]["event"], logs[0]["error"]) == ("otlp_push_failed", "7 points were refused")
    assert "\x1b" not in repr(logs)


@pytest.mark.parametrize(
    ("answer", "timeout_s", "why"),
    [
        (answers.status(401, b"who are you"), 20.0, "HTTP 401"),
        (answers.status(302, location="http://evil.example.com/"), 20.0, "HTTP 302: redirects are not followed"),
        (answers.hang, 0.5, "no answer within 0.5 s"),
        (answers.drip(b"HTTP/1.1 200 OK\r\nx-y: "), 0.5, "no answer within 0.5 s"),
        (answers.reset, 20.0, "Error"),
    ],
    ids=["refused", "redirect", "hang", "drip", "reset"],
)
def test_whatever_a_collector_does_the_next_push_is_tried(
    collector: Collector, answer: answers.Answer, timeout_s: float, why: str
):
    collector.script = [answer]
    with structlog.testing.capture_logs() as logs, pushing(collector.url, told := Told(), timeout_s=timeout_s):
        collector.wait_for_pushes(1)
        wait_until(lambda: told.pushes.sent)
    assert told.pushes.failed >= 1, "a slow machine may miss half a second more than once"
    assert re.search(re.escape(why), logs[0]["error"])


def test_what_cannot_be_shown_is_a_failed_push_and_not_the_last(collector: Collector):
    fails = threading.Event()
    fails.set()

    def families() -> Iterator[Family]:
        if fails.is_set():
            raise RuntimeError("a bug with s3cret in it")
        yield from exposition().families()

    push = OtlpPush(collector.url, families, RESOURCE, told := Told(), every_s=0.05)
    with structlog.testing.capture_logs() as logs:
        push.start()
        wait_until(lambda: told.pushes.failed)
        fails.clear()
        collector.wait_for_pushes(1)
        assert push.close(20)
    assert logs[0]["error"] == "RuntimeError"


def test_the_last_push_is_made_at_the_end(collector: Collector):
    published = Published(VIEW, RUNTIME)
    with pushing(collector.url, Told(), published, every_s=3_600.0) as push:
        collector.wait_for_pushes(1)
        published.runtime = dataclasses.replace(RUNTIME, commits=4_711)
        assert push.close(20)
    first, last = collector.pushed
    assert samples(first)["driftd_commits_total", ()] == RUNTIME.commits
    assert samples(last)["driftd_commits_total", ()] == 4_711


def test_a_collector_that_hangs_at_the_end_keeps_nobody(collector: Collector):
    collector.answer = answers.hang
    collector.script = [answers.hang] * 9
    with pushing(collector.url, Told(), timeout_s=60.0, close_s=0.1) as push:
        collector.wait_for(1)
        began = time.monotonic()
        assert not push.close(0.2)
        assert time.monotonic() - began < 30


def test_after_a_reload_it_goes_on_where_the_other_left_off(collector: Collector):
    """A later start of the counters would look to a collector as if all of them had begun anew."""
    with pushing(collector.url, told := Told(), started=NOW, before=lambda: Pushes(sent=40, failed=2)):
        pushed = collector.wait_for_pushes(1)
    assert told.pushes.sent > 40
    assert told.pushes.failed == 2
    (commits,) = [m for m in metrics(pushed[0]) if m.name == "driftd_commits_total"]
    assert commits.sum.data_points[0].start_time_unix_nano == NOW_NS


def test_points_that_are_refused_hold_up_no_others(collector: Collector):
    said = ExportMetricsServiceResponse()
    said.partial_success.rejected_data_points = 3
    collector.script = [answers.status(200, said.SerializeToString())]
    many = View(tuple(dataclasses.replace(MODEL, model=f"m{i}") for i in range(200)))
    with structlog.testing.capture_logs() as logs, pushing(collector.url, told := Told(), Published(many, RUNTIME)):
        wait_until(lambda: told.pushes.failed)
    assert collector.pushed, "the next requests of the same push came, too"
    assert logs[0]["error"] == "3 points were refused"
