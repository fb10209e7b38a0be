"""The PrometheusRule of Kubernetes from Prometheus' own rules, comments and all: `python -m tests.deploy.prometheusrule`."""

from __future__ import annotations

import textwrap

from tests.broker import ROOT

RULES = ROOT / "config" / "prometheus" / "rules.yml"
TARGET = ROOT / "config" / "kubernetes" / "base" / "prometheusrule.yaml"
HEAD = """\
# Made from config/prometheus/rules.yml by `make prometheusrule`: change that.

apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: driftd
spec:
"""


def rendered() -> str:
    return HEAD + textwrap.indent(RULES.read_text(), "  ")


if __name__ == "__main__":
    TARGET.write_text(rendered())
