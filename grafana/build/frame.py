"""What all dashboards share: variables, links to one another, annotations, and how they become text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from grafana.build.panels import GREY, SOURCE, Panel

TAG: Final = "driftd"
ALL: Final = model.VariableOption(selected=True, text="All", value="$__all")


def frame(uid: str, title: str, description: str, *, since: str) -> build.Dashboard:
    """An empty dashboard with the variables `datasource` and `instance`, and links to the others."""
    return (
        build.Dashboard(title).uid(uid).description(description).tags([TAG]).editable().timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR).refresh("1m").time(since, "now")
        .link(
            build.DashboardLink("driftd").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
            .keep_time(keep_time=True).include_vars(include_vars=True)
        )
        .with_variable(
            build.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
            .description("The Prometheus that scrapes driftd.")
        )
        .with_variable(
            choice("instance", "label_values(driftd_build_info, instance)", "driftd", "Which driftd, where there are several.")
        )
    )  # fmt: skip


def choice(name: str, query: str, label: str, description: str, *, several: bool = True) -> build.QueryVariable:
    """A variable with the values of a label; `several`: any number of them, at first all."""
    variable = (
        build.QueryVariable(name).label(label).description(description).datasource(SOURCE)
        .query({"query": query, "refId": f"variable-{name}"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.NATURAL_ASC)
        .multi(several).include_all(several)
    )  # fmt: skip
    return variable.all_value(".*").current(ALL) if several else variable


def note(name: str, expr: str, colour: str, *, title: str, text: str, step: str = "1m") -> Mapping[str, Any]:
    """An annotation where `expr` returns something; series that go on become one region. Times are the scrape's.

    The builder knows no PromQL but `expr`, so it is written as Grafana's editor writes it.
    """
    return {
        "name": name,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "expr": expr,
        "step": step,
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "",
        "useValueForTime": False,
    }


NOT_READY: Final = note(
    "Not ready",
    'max by (instance) (1 - driftd_ready{instance=~"$instance"}) > 0',
    GREY,
    title="driftd is not ready",
    text="{{instance}}: nothing new is known while it lasts",
)
"""In every dashboard: what stands still is told apart from what is well."""


def section(dashboard: build.Dashboard, title: str, *panels: Panel) -> None:
    """A row with its panels."""
    dashboard.with_row(build.Row(title).collapsed(collapsed=False))
    for panel in panels:
        dashboard.with_panel(panel)


def text(dashboard: build.Dashboard, notes: Sequence[Mapping[str, Any]] = ()) -> str:
    """The dashboard as JSON: stable, so that a change of it is a change of its code."""
    document = json.loads(json.dumps(dashboard.build(), cls=JSONEncoder))
    for variable in document["templating"]["list"]:
        # The builder writes keys of another kind of variable, which the schema refuses.
        for key in [key for key in variable if key.startswith("auto")]:
            del variable[key]
    for number, panel in enumerate(document["panels"], 1):
        panel["id"] = number
        if panel["type"] == "table":
            panel["options"].pop("footer", None)  # it has moved since the builder's version of Grafana
    document["annotations"] = {"list": [*notes, NOT_READY]}
    document["version"] = 1
    return json.dumps(document, indent=2, ensure_ascii=True, sort_keys=True) + "\n"
