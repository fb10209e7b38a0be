"""Metrics as tests read them: through prometheus-client's parser, by name and labels."""

from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.parser import text_string_to_metric_families as parse_text

from driftd.core.view import Runtime, View
from driftd.http.collector import ViewCollector
from driftd.http.exposition import render
from driftd.http.published import Published
from tests.http.conftest import Edge
from tests.http.example import NOW, RUNTIME

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(families: list[ClientMetric]) -> Samples:
    """Every sample by name and labels; a duplicate is an error."""
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} is there twice"
            found[key] = float(sample.value)
    return found


def ours(found: Samples) -> Samples:
    return {key: value for key, value in found.items() if key[0].startswith("driftd_")}


def scrape(edge: Edge) -> Samples:
    return samples(list(parse_text(edge.get("/metrics").text)))


def text_of(view: View, runtime: Runtime = RUNTIME, *, openmetrics: bool = False) -> str:
    """What the lean writer says, without a server."""
    collector = ViewCollector(Published(view, runtime), lambda: NOW)
    text = b"".join(render(collector.families(), openmetrics=openmetrics)).decode()
    return text + "# EOF\n" if openmetrics else text


def read(view: View, runtime: Runtime = RUNTIME) -> Samples:
    return samples(list(parse_text(text_of(view, runtime))))


def only(found: Samples, name: str, **labels: str) -> list[float]:
    return [value for (sample, own), value in found.items() if sample == name and labels.items() <= dict(own).items()]
