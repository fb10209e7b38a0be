"""config/prometheus/rules.yml, read."""

from __future__ import annotations

import functools
from typing import Any

import yaml

from tests.grafana.prometheus import RULES

LABELS = {
    "driftd:signals:count": {"model", "version", "kind", "state"},
    "driftd:effect_ratio:max": {"model", "version", "kind"},
    "driftd:unknown:why": {"model", "version", "kind", "why"},
}
"""The labels that each recorded series has. A live Prometheus says whether they are these (test_live)."""


@functools.cache
def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@functools.cache
def recorded() -> dict[str, set[str]]:
    names = {rule["record"] for rule in rules() if "record" in rule}
    assert names == set(LABELS)
    return LABELS


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]
