"""Panels and what they are made of: short makers over Grafana's own builders, so that a dashboard reads as a list.

The rules that every panel keeps (a test checks them): it has a description, a unit, and `none`, the words that stand in
it where its queries return nothing. What is not known is an empty panel that says why, never a 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import barchart, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = Builder[model.Panel]
SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

GREEN, YELLOW, RED, GREY, BLUE = "green", "yellow", "red", "#808080", "blue"
DEAD: Final = "Not known: no driftd that is chosen above answers Prometheus."
"""What stands in a panel whose query returns something from every driftd that runs."""


@dataclass(frozen=True)
class Query:
    """PromQL, and the name of its series. `dashed`: a threshold, drawn as one."""

    expr: str
    legend: str = ""
    dashed: bool = False


def _target(query: Query, number: int, *, instant: bool, rows: bool = False) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(chr(ord("A") + number)).expr(query.expr).datasource(SOURCE)
    target = target.instant() if instant else target.range()
    if rows:
        target = target.format(PromQueryFormat.TABLE)
    return target.legend_format(query.legend or "__auto")


def steps(*levels: tuple[float, str], base: str = GREEN) -> build.ThresholdsConfig:
    """Colours from a value on: `base` below the first."""
    found = [model.Threshold(value=None, color=base), *(model.Threshold(value=v, color=c) for v, c in levels)]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(found)


def words(table: Mapping[str, tuple[str, str]]) -> list[model.ValueMapping]:
    """Values shown as words: {value: (word, colour)}."""
    results = {
        value: model.ValueMappingResult(text=text, color=color, index=i)
        for i, (value, (text, color)) in enumerate(table.items())
    }
    return [model.ValueMap(options=results)]


YES_NO: Final = {"1": ("yes", GREEN), "0": ("no", RED)}


@dataclass(frozen=True)
class Link:
    """Where a click leads."""

    title: str
    url: str

    def plain(self) -> dict[str, object]:
        return {"title": self.title, "url": self.url, "targetBlank": False}


def to_model(name: str = "${__data.fields.model:percentencode}", title: str = "This model") -> Link:
    """From a row or a series with a label `model` to that model's dashboard, over the same time."""
    rest = "var-datasource=${datasource}&${instance:queryparam}&${__url_time_range}"
    return Link(title, f"/d/driftd-model?var-model={name}&{rest}")


def number(
    title: str,
    description: str,
    expr: str,
    *,
    none: str = DEAD,
    unit: str = "short",
    levels: build.ThresholdsConfig | None = None,
    mapped: Mapping[str, tuple[str, str]] | None = None,
    width: int = 4,
    height: int = 4,
    names: str = "",
    links: Sequence[Link] = (),
) -> Panel:
    """A tile with the newest value; with `names` (a legend), one name beside each value."""
    panel = (
        stat.Panel().title(title).description(description).datasource(SOURCE).span(width).height(height)
        .with_target(_target(Query(expr, names), 0, instant=True))
        .unit(unit).no_value(none).thresholds(levels or steps())
        .graph_mode(shapes.BigValueGraphMode.NONE).color_mode(shapes.BigValueColorMode.BACKGROUND)
        .text_mode(shapes.BigValueTextMode.VALUE_AND_NAME if names else shapes.BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False).fields(""))
    )  # fmt: skip
    if mapped:
        panel = panel.mappings(words(mapped))
    if links:
        panel = panel.data_links([build.DashboardLink(one.title).url(one.url) for one in links])
    return panel


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    none: str = DEAD,
    levels: build.ThresholdsConfig | None = None,
    width: int = 12,
    height: int = 8,
    least: float | None = None,
    most: float | None = None,
    logarithmic: bool = False,
    stacked: bool = False,
    mapped: Mapping[str, tuple[str, str]] | None = None,
    links: Sequence[Link] = (),
) -> Panel:
    """Values over time. With `levels` their lines are drawn; queries that are `dashed` are thresholds too."""
    panel = (
        timeseries.Panel().title(title).description(description).datasource(SOURCE).span(width).height(height)
        .unit(unit).no_value(none).line_width(1).fill_opacity(30 if stacked else 0)
        .show_points(shapes.VisibilityMode.AUTO).span_nulls(span_nulls=False)
        .legend(
            common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.TABLE).show_legend(show_legend=True)
            .placement(shapes.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
    )  # fmt: skip
    for i, query in enumerate(queries):
        panel = panel.with_target(_target(query, i, instant=False))
        if query.dashed:
            panel = panel.override_by_query(chr(ord("A") + i), _dashed())
    if levels is not None:
        style = common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.LINE)
        panel = panel.thresholds(levels).thresholds_style(style)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
    if logarithmic:
        scale = common.ScaleDistributionConfig().type(shapes.ScaleDistribution.LOG).log(10)
        panel = panel.scale_distribution(scale)
    if least is not None:
        panel = panel.min(least)
    if most is not None:
        panel = panel.max(most)
    if mapped:
        panel = panel.mappings(words(mapped))
    if links:
        panel = panel.data_links([build.DashboardLink(one.title).url(one.url) for one in links])
    return panel


def _dashed() -> list[model.DynamicConfigValue]:
    return [
        model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        model.DynamicConfigValue("custom.lineWidth", 2),
        model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": RED}),
    ]


@dataclass(frozen=True)
class Column:
    """A column of a table: a label, or the value of a query (`A`, `B`, ...).

    `gauge`: drawn as a bar too; `links`: where a cell leads.
    """

    source: str
    title: str
    unit: str = ""
    levels: build.ThresholdsConfig | None = None
    gauge: bool = False
    links: tuple[Link, ...] = ()
    mapped: Mapping[str, tuple[str, str]] | None = None


def rows(
    title: str,
    description: str,
    queries: Sequence[str],
    columns: Sequence[Column],
    *,
    none: str,
    worst: str | None = None,
    width: int = 12,
    height: int = 8,
    unit: str = "short",
) -> Panel:
    """The newest values, a row for each set of labels, in the columns told and no others; `worst`: sorted by this one."""
    panel = (
        table.Panel().title(title).description(description).datasource(SOURCE).span(width).height(height)
        .unit(unit).no_value(none).show_header(show_header=True).filterable(filterable=True).thresholds(steps())
    )  # fmt: skip
    for i, expr in enumerate(queries):
        panel = panel.with_target(_target(Query(expr), i, instant=True, rows=True))
    if len(queries) > 1:
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    field = {c.source: _field(c.source, len(queries)) for c in columns}
    panel = panel.with_transformation(
        model.DataTransformerConfig(
            id_val="filterFieldsByName", options={"include": {"names": [field[c.source] for c in columns]}}
        )
    ).with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {},
                "indexByName": {field[c.source]: i for i, c in enumerate(columns)},
                "renameByName": {field[c.source]: c.title for c in columns},
            },
        )
    )
    for column in columns:
        panel = panel.override_by_name(column.title, _cell(column))
    if worst is not None:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(worst).desc(desc=True)])
    return panel


def _field(source: str, queries: int) -> str:
    """How Grafana names the field: a label by its name, a value by its query, if there are several."""
    if len(source) == 1 and source.isupper():
        return f"Value #{source}" if queries > 1 else "Value"
    return source


def _cell(column: Column) -> list[model.DynamicConfigValue]:
    found: list[model.DynamicConfigValue] = []
    if column.unit:
        found.append(model.DynamicConfigValue("unit", column.unit))
    if column.levels is not None:
        found.append(model.DynamicConfigValue("thresholds", column.levels.build()))
    cell: dict[str, Any] | None = None
    if column.gauge:
        cell = {"type": "gauge", "mode": "basic"}
    elif column.levels is not None or column.mapped is not None:
        cell = {"type": "color-text"}
    if cell is not None:
        found.append(model.DynamicConfigValue("custom.cellOptions", cell))
    if column.mapped is not None:
        found.append(model.DynamicConfigValue("mappings", words(column.mapped)))
    if column.links:
        found.append(model.DynamicConfigValue("links", [one.plain() for one in column.links]))
    return found


def bars(title: str, description: str, *queries: Query, by: str, none: str, width: int = 12, height: int = 8) -> Panel:
    """Shares side by side, a group of bars for each value of the label `by`; a query is a colour."""
    panel = (
        barchart.Panel().title(title).description(description).datasource(SOURCE).span(width).height(height)
        .unit("percentunit").no_value(none).x_field(by).orientation(shapes.VizOrientation.VERTICAL)
        .show_value(shapes.VisibilityMode.NEVER).x_tick_label_rotation(-45).x_tick_label_max_length(40)
        .group_width(0.7).bar_width(0.95).fill_opacity(70).min(0).stacking(shapes.StackingMode.NONE)
        .legend(
            common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.LIST).show_legend(show_legend=True)
            .placement(shapes.LegendPlacement.BOTTOM).calcs([])
        )
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.NONE))
    )  # fmt: skip
    for i, query in enumerate(queries):
        panel = panel.with_target(_target(query, i, instant=True, rows=True))
    names = {f"Value #{chr(ord('A') + i)}": query.legend for i, query in enumerate(queries)}
    kept = [by, *names]
    for step, options in (
        ("merge", {}),
        ("filterFieldsByName", {"include": {"names": kept}}),
        ("organize", {"excludeByName": {}, "indexByName": {n: i for i, n in enumerate(kept)}, "renameByName": names}),
        ("sortBy", {"fields": {}, "sort": [{"field": by}]}),
    ):
        panel = panel.with_transformation(model.DataTransformerConfig(id_val=step, options=options))
    return panel
