"""Metrics as text: the Prometheus text format 0.0.4 and OpenMetrics 1.0.0, written in small pieces.

prometheus-client's own writer builds a dictionary of labels and an object for every sample, which at a thousand
models costs many seconds and hundreds of megabytes a scrape. Here a row carries its labels as finished text, and
a piece of the answer is made of a few thousand rows, so that no single call holds the interpreter for long. A test
holds both writers to the same result.

Formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from driftd.core.catalogue import Metric

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Row = tuple[str, str, float]
"""One sample: the suffix of the metric's name (empty but for histograms), the labels as text, the value."""

ROWS_A_PIECE: Final = 4_000

# What a terminal would obey, or what makes a text read other than it is. A line feed has its own escape.
_HOSTILE: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def inert(text: str) -> str:
    """The text with everything that a terminal or a page could obey written out, the escape character as x1b."""
    return text if text.isprintable() else _HOSTILE.sub(_visible, text)


@lru_cache(maxsize=65_536)
def escape(value: str) -> str:
    """A label's value, ready to stand between quotes."""
    return inert(value).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one metric. `rows` can be read once."""

    metric: Metric
    rows: Iterable[Row]


def header(metric: Metric, *, openmetrics: bool) -> str:
    if openmetrics:
        unit = f"# UNIT {metric.family} {metric.unit}\n" if metric.unit else ""
        return f"# HELP {metric.family} {metric.help}\n# TYPE {metric.family} {metric.type}\n{unit}"
    kind = "gauge" if metric.type == "info" else metric.type
    return f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {kind}\n"


def render(families: Iterable[Family], *, openmetrics: bool) -> Iterator[bytes]:
    """The families as pieces of text. A value that is not finite is not known, and so it is left out."""
    finite = math.isfinite
    for family in families:
        name = family.metric.name
        lines = [header(family.metric, openmetrics=openmetrics)]
        for suffix, labels, value in family.rows:
            if not finite(value):
                continue
            lines.append(f"{name}{suffix}{{{labels}}} {value}\n" if labels else f"{name}{suffix} {value}\n")
            if len(lines) >= ROWS_A_PIECE:
                yield "".join(lines).encode()
                lines.clear()
        if lines:
            yield "".join(lines).encode()


def gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces as one gzip stream. Level 1: this text shrinks to a twentieth even so."""
    packer = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)
    for piece in pieces:
        packed = packer.compress(piece)
        if packed:
            yield packed
    yield packer.flush()


def _weights(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """The entries of an Accept or Accept-Encoding header: name, parameters, weight (RFC 9110, 12.4.2)."""
    for entry in header.split(","):
        name, *raw = (part.strip().lower() for part in entry.split(";"))
        parameters = {key.strip(): value.strip() for key, _, value in (part.partition("=") for part in raw)}
        try:
            weight = float(parameters.get("q", "1"))
        except ValueError:
            weight = 0.0
        yield name, parameters, weight


def wants_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics is preferred to plain text: it must be named, in a version that is spoken here."""
    openmetrics = text = 0.0
    for name, parameters, weight in _weights(accept):
        if name == "application/openmetrics-text" and parameters.get("version", "1.0.0") in (
            "1.0.0",
            "0.0.1",
        ):
            openmetrics = max(openmetrics, weight)
        elif name in ("text/plain", "text/*"):
            text = max(text, weight)
    return openmetrics > 0 and openmetrics >= text


def wants_gzip(accept_encoding: str) -> bool:
    return any(name in ("gzip", "x-gzip") and weight > 0 for name, _, weight in _weights(accept_encoding))
