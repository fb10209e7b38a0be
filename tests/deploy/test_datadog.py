"""config/datadog/openmetrics.yaml, as far as it can be tried without Datadog's agent: by what its check documents.

The options are those of the check's example and of its model (`InstanceConfig`), the rules those of its `MetricTransformer`:
https://github.com/DataDog/integrations-core, datadog_checks_base and openmetrics, read in November 2026.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as parse_text

from driftd.core.catalogue import BY_NAME, CATALOGUE
from driftd.core.view import View
from tests.broker import ROOT
from tests.http.example import FIRING, MODEL, SERIES, VIEW
from tests.http.reading import text_of

OPTIONS: dict[str, Any] = {
    "openmetrics_endpoint": str, "namespace": str, "raw_metric_prefix": str, "metrics": list, "extra_metrics": list,
    "exclude_metrics": list, "exclude_metrics_by_labels": dict, "exclude_labels": list, "include_labels": list,
    "rename_labels": dict, "share_labels": dict, "enable_health_service_check": bool, "hostname_label": str,
    "collect_histogram_buckets": bool, "histogram_buckets_as_distributions": bool, "use_latest_spec": bool,
    "non_cumulative_histogram_buckets": bool, "collect_counters_with_distributions": bool, "timeout": (int, float),
    "min_collection_interval": (int, float), "max_returned_metrics": int, "tags": list, "service": str,
}  # fmt: skip
NATIVE = {"counter", "gauge", "histogram", "summary"}
"""Types that the check submits by themselves."""
TEXT = (ROOT / "config" / "datadog" / "openmetrics.yaml").read_text()
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
(INSTANCE,) = DOCUMENT["instances"]


def families() -> dict[str, str]:
    """What the check would see of a rich page: names less the prefix, and types."""
    found = {family.name: family.type for family in parse_text(text_of(VIEW))}
    return {name.removeprefix(INSTANCE["raw_metric_prefix"]): kind for name, kind in found.items()}


def test_its_options_are_documented_and_of_their_types():
    assert DOCUMENT.keys() == {"init_config", "instances"}
    for name, value in INSTANCE.items():
        assert name in OPTIONS, name
        assert isinstance(value, OPTIONS[name]), name
    assert re.fullmatch(r"\w*", INSTANCE["namespace"])


@pytest.mark.parametrize("name", INSTANCE["metrics"])
def test_a_metric_that_it_asks_for_is_there_under_that_name_and_can_be_sent(name: str):
    assert re.escape(name) == name, "what is escaped is an expression to the check, that matches anywhere in a name"
    assert families()[name] in NATIVE


def test_nothing_is_asked_for_twice_and_watchdog_is_among_it():
    assert len(set(INSTANCE["metrics"])) == len(INSTANCE["metrics"])
    assert {"watchdog", "ready", "alert_firing"} <= set(INSTANCE["metrics"])


def test_labels_that_it_names_are_there_and_none_stays_that_means_something_else_to_datadog():
    asked = [
        m for m in CATALOGUE if m.family.removeprefix("driftd_") in INSTANCE["metrics"] or m.name == "driftd_model_info"
    ]
    labels = {label for metric in asked for label in metric.labels}
    assert INSTANCE["rename_labels"].keys() <= labels
    generic = {"cluster", "cluster_name", "env", "host", "host_name", "hostname", "service", "timestamp", "version"}
    assert labels & generic <= INSTANCE["rename_labels"].keys()
    for name, shared in INSTANCE["share_labels"].items():
        metric = BY_NAME[f"driftd_{name}"]
        assert set(shared["match"]) <= set(metric.labels)
        assert all(label in metric.labels or label.startswith("label_") for label in shared["labels"])


def test_a_model_has_as_many_of_these_series_as_the_comment_reckons():
    """One version, 20 signals, by the rules that there are before anybody writes one."""
    statistics = tuple(
        replace(FIRING, signal=f"f{i}", statistic=statistic, state="ok", severity=None)
        for i in range(20)
        for statistic in ("psi", "null_rate", "absent_rate", "new_rate")
    )

    def asked(*names: str) -> int:
        series = replace(SERIES, statistics=statistics, detectors=(), shares=())
        models = tuple(replace(MODEL, model=name, series=(series,)) for name in names)
        prefix = INSTANCE["raw_metric_prefix"]
        return sum(
            len(family.samples)
            for family in parse_text(text_of(View(models)))
            if family.name.removeprefix(prefix) in INSTANCE["metrics"]
        )

    of_one = asked("a", "b") - asked("a")
    (reckoned,) = re.findall(r"a model of 20 signals has about (\d+) of these", TEXT)
    assert abs(of_one - int(reckoned)) < 15, of_one
    assert INSTANCE["max_returned_metrics"] > 50 * of_one
