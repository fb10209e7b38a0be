"""Prometheus' own checkers and parsers judge what a started server says."""

import dataclasses
import gzip
import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from driftd.core.catalogue import BY_NAME, CATALOGUE, REFERENCE_STATES, SIGNAL_STATES, Metric
from driftd.core.view import ReferenceState, SignalState, View
from driftd.http.collector import ViewCollector
from driftd.http.exposition import wants_gzip, wants_openmetrics
from driftd.http.published import Published
from driftd.http.reference import renewed
from driftd.http.rows import SOURCES
from tests.components import promtool
from tests.http.example import HOSTILE, NOW, RUNTIME, VIEW, named
from tests.http.reading import only, ours, samples, scrape, text_of

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3"}


def allowed(metric: Metric, name: str, labels: set[str]) -> bool:
    expected = set(metric.labels)
    if metric.type == "histogram" and name.endswith("_bucket"):
        expected |= {"le"}
    free = {label for label in expected if label.endswith("*")}
    prefixes = tuple(label[:-1] for label in free)
    return labels - {label for label in labels if prefixes and label.startswith(prefixes)} == expected - free


# What the formats' own programs say.


@pytest.mark.parametrize("view", [VIEW, View(), named(HOSTILE)], ids=["rich", "empty", "hostile"])
def test_promtool_has_nothing_to_say(view, serve):
    edge = serve(view)
    for headers in ({}, {"Accept": "text/plain"}):
        text = edge.get("/metrics", headers=headers).content
        checked = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_openmetrics_is_negotiated_and_parses(edge):
    answer = edge.get("/metrics", headers=OPENMETRICS)
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")
    strict = ours(samples(list(parse_openmetrics(answer.text))))
    assert strict == ours(scrape(edge))
    units = {family.name: family.unit for family in parse_openmetrics(answer.text)}
    assert units["driftd_commit_seconds"] == "seconds"
    assert units["driftd_read_bytes"] == "bytes"


@pytest.mark.parametrize("view", [VIEW, View(), named(HOSTILE)], ids=["rich", "empty", "hostile"])
def test_the_lean_writer_says_what_prometheus_client_says(view):
    registry = CollectorRegistry()
    registry.register(ViewCollector(Published(view, RUNTIME), lambda: NOW))
    theirs = samples(list(parse_text(generate_latest(registry).decode())))
    assert samples(list(parse_text(text_of(view)))) == theirs
    theirs = samples(list(parse_openmetrics(generate_openmetrics(registry).decode())))
    assert samples(list(parse_openmetrics(text_of(view, openmetrics=True)))) == theirs


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False),
        ("text/plain, application/openmetrics-text;q=0.1", False),
        # Prometheus 3
        (
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
                "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,*/*;q=0.2"
            ),
            True,
        ),
    ],
)
def test_accept(accept, openmetrics):
    assert wants_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept", "packed"), [("", False), ("gzip", True), ("gzip;q=0", False), ("br, gzip;q=0.5", True), ("br", False)]
)
def test_accept_encoding(accept, packed):
    assert wants_gzip(accept) is packed


def test_gzip_if_asked(edge):
    plain = edge.get("/metrics?name[]=driftd_effect", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with edge.client.stream("GET", "/metrics?name[]=driftd_effect", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(answer.iter_raw())) == plain.content


def test_single_metrics_can_be_asked_for(edge):
    found = samples(list(parse_text(edge.get("/metrics?name[]=driftd_effect&name[]=process_cpu_seconds_total").text)))
    assert {name for name, _ in found} == {"driftd_effect", "process_cpu_seconds_total"}


def test_the_process_is_measured(edge):
    found = scrape(edge)
    assert only(found, "process_cpu_seconds_total")[0] > 0
    assert only(found, "process_resident_memory_bytes")[0] > 1_000_000


# The catalogue is the truth.


def test_every_series_is_in_the_catalogue_with_exactly_its_labels(edge):
    for name, labels in ours(scrape(edge)):
        metric = BY_NAME.get(name) or BY_NAME[re.sub("_(bucket|count|sum)$", "", name)]
        assert allowed(metric, name, {label for label, _ in labels}), (name, labels)


def test_every_metric_of_the_catalogue_is_shown_by_the_rich_example(edge):
    assert set(SOURCES) == set(BY_NAME)
    assert len(BY_NAME) == len(CATALOGUE)
    shown = {re.sub("_seconds_(bucket|count|sum)$", "_seconds", name) for name, _ in scrape(edge)}
    assert {name for name in shown if name.startswith("driftd_")} == set(BY_NAME)


def test_the_catalogue_keeps_to_the_conventions():
    vocabulary = {
        "model", "version", "kind", "signal", "statistic", "rule", "severity", "type", "topic", "partition",
        "reason", "receiver", "state", "flag", "result", "group", "verb", "label_*",
    }  # fmt: skip
    for metric in CATALOGUE:
        assert re.fullmatch(r"driftd_[a-z][a-z_]*[a-z]", metric.name)
        assert metric.name.endswith("_total") == (metric.type == "counter"), metric.name
        assert metric.name.endswith("_info") == (metric.type == "info"), metric.name
        assert set(metric.labels) <= vocabulary, metric.name
        assert metric.help.endswith("."), metric.name
        assert not set('\\"\n|') & set(metric.help), metric.name
        assert not metric.unit or metric.family.endswith("_" + metric.unit)


def test_every_source_is_a_field_that_exists():
    import driftd.core.view as shared

    for metric in CATALOGUE:
        for owner, name in re.findall(r"(\w+View|View|Runtime)\.(\w+)", metric.source):
            assert name in {field.name for field in dataclasses.fields(getattr(shared, owner))}, metric.source


def test_docs_list_the_catalogue():
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
    assert page == renewed(page), "run: python -m driftd.http.reference docs/metrics.md"
    elsewhere = page.partition("<!-- the catalogue")[0]
    known = {*BY_NAME, "driftd_heartbeat_", "driftd_last_commit_"}
    assert set(re.findall(r"driftd_\w*", elsewhere)) - {"driftd_"} <= known


def test_the_catalogue_knows_every_state():
    assert get_args(SignalState) == SIGNAL_STATES
    assert get_args(ReferenceState) == REFERENCE_STATES
