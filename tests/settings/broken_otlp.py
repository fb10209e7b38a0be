"""Pushes of metrics that are broken in one way each: see `broken.py`."""

from __future__ import annotations

from tests.settings.broken import Broken


def otlp(*lines: str) -> str:
    return "otlp:\n" + "".join(f"  {line}\n" for line in lines)


AT = "endpoint: 'http://h:4318'"

OTLP = [
    Broken("otlp to no URL", otlp("endpoint: h:4318"), 2, "otlp.endpoint", "not http or https", "the whole address"),
    Broken(
        "otlp with a password in its address",
        otlp("endpoint: 'http://user:pass@h:4318'"),
        2,
        "otlp.endpoint",
        "printed in logs",
        "header_files: {authorization: FILE}",
    ),
    Broken("otlp with a query", otlp("endpoint: 'http://h/v1/metrics?key=x'"), 2, "otlp.endpoint", "with `?`", "alone"),
    Broken("otlp all the time", otlp(AT, "every: 10ms"), 3, "otlp.every", "more often than once a second", "write 1s"),
    Broken(
        "otlp of a metric that is none",
        otlp(AT, "metrics: [driftd_efect]"),
        3,
        "otlp.metrics",
        "no metric is called",
        "did you mean `driftd_effect`?",
    ),
    Broken(
        "otlp with a secret in the settings",
        otlp(AT, "headers: {Authorization: Bearer x}"),
        1,
        "otlp",
        "the header Authorization is a secret",
        "header_files: {Authorization: FILE}",
    ),
    Broken(
        "otlp with a header of two lines",
        otlp(AT, 'headers: {x-scope-orgid: "a\\r\\nb: c"}'),
        3,
        "otlp.headers.x-scope-orgid",
        "cannot be the value of a header",
        "printable ASCII",
    ),
    Broken(
        "otlp with a header that is none",
        otlp(AT, "headers: {'x y': a}"),
        1,
        "otlp",
        "cannot be the name of a header",
        "letters, digits and -",
    ),
    Broken("otlp with our header", otlp(AT, "headers: {Host: a}"), 1, "otlp", "driftd's own", "remove it"),
    Broken(
        "otlp with a header twice",
        otlp(AT, "headers: {x-a: b}", "header_files: {X-A: t}"),
        1,
        "otlp",
        "given twice",
        "keep one of the two",
        files={"t": "v"},
    ),
    Broken(
        "otlp with a secret of two lines",
        otlp(AT, "header_files: {authorization: t}"),
        3,
        "otlp.header_files.authorization",
        "does not hold the value of a header",
        "on one line",
        files={"t": "Bearer a\nBearer b\n"},
    ),
]
