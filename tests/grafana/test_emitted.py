"""The files are what the code emits, and what Grafana would pass over in silence is checked: places, keys, names, words."""

from __future__ import annotations

import itertools
import re
from typing import get_args

import pytest

from driftd.core.catalogue import BY_NAME, Metric
from driftd.core.spec import SEVERITIES
from grafana.build.__main__ import DASHBOARDS
from tests.broker import ROOT
from tests.grafana import boards
from tests.grafana.boards import Json
from tests.grafana.rulefile import recorded

TYPES = {"row", "stat", "timeseries", "table", "barchart"}
TRANSFORMERS = {"merge", "filterFieldsByName", "organize", "sortBy"}
TARGET_KEYS = {"datasource", "expr", "format", "instant", "legendFormat", "range", "refId"}
UNITS = {"short", "percentunit", "s", "sci", "bytes", "Bps", "eps", "ops", "recps", "dateTimeAsIso"}
"""Those of Grafana's list that are used here: one that it does not know is written behind the number as it is."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds to what it scrapes."""
OF_THE_CLIENT = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
WIDTH = 24

ALL = [(name, panel) for name in boards.NAMES for panel in boards.panels(name)]
each_panel = pytest.mark.parametrize(("name", "panel"), ALL, ids=[f"{name}: {panel['title']}" for name, panel in ALL])


@pytest.mark.parametrize("name", boards.NAMES)
def test_the_file_is_what_the_code_emits(name: str):
    assert (boards.FOLDER / f"{name}.json").read_text("utf-8") == DASHBOARDS[name](), "run: make grafana"
    assert {path.stem for path in boards.FOLDER.iterdir()} == set(DASHBOARDS) == set(boards.NAMES)


@pytest.mark.parametrize("name", boards.NAMES)
def test_panels_lie_on_the_grid_and_on_no_other(name: str):
    places: dict[tuple[int, int], str] = {}
    for panel in boards.board(name)["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["w"] > 0
        assert place["x"] + place["w"] <= WIDTH, panel["title"]
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        ):
            assert cell not in places, f"{panel['title']} lies on {places[cell]}"
            places[cell] = panel["title"]
    # No hole: a panel that was put in the wrong row leaves one.
    height = 1 + max(y for _, y in places)
    assert len(places) == WIDTH * height


@pytest.mark.parametrize("name", boards.NAMES)
def test_panels_can_be_told_apart(name: str):
    every = boards.board(name)["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    titles = [panel["title"] for panel in boards.panels(name)]
    assert len(set(titles)) == len(titles)


@each_panel
def test_a_panel_says_what_it_shows_in_which_unit_and_why_it_may_be_empty(name: str, panel: Json):
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["type"] in TYPES
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    assert defaults["unit"] in UNITS
    assert len(defaults["noValue"]) > 15
    assert defaults["noValue"].endswith(".")
    assert defaults["thresholds"]["steps"][0]["value"] is None if "thresholds" in defaults else panel["type"] != "stat"
    levels = [step["value"] for step in defaults.get("thresholds", {}).get("steps", [])[1:]]
    assert levels == sorted(levels)
    for override in panel["fieldConfig"]["overrides"]:
        for one in override["properties"]:
            assert one["id"] != "unit" or one["value"] in UNITS


@each_panel
def test_targets_have_the_keys_of_a_prometheus_query(name: str, panel: Json):
    assert panel["datasource"] == SOURCE
    assert [target["refId"] for target in panel["targets"]] == [*"ABCDEFG"[: len(panel["targets"])]]
    for target in panel["targets"]:
        assert set(target) <= TARGET_KEYS
        assert target["datasource"] == SOURCE
        assert target["instant"] is not target["range"]
        tabular = panel["type"] in ("table", "barchart")
        assert target.get("format", "time_series") == ("table" if tabular else "time_series")
        assert target["instant"] is (panel["type"] != "timeseries")


@each_panel
def test_the_columns_of_a_table_are_fields_that_its_queries_give(name: str, panel: Json):
    """Grafana drops a column that is misnamed without a word."""
    steps = {step["id"]: step["options"] for step in panel.get("transformations", [])}
    assert set(steps) <= TRANSFORMERS
    if "filterFieldsByName" not in steps:
        return
    several = len(panel["targets"]) > 1
    assert ("merge" in steps) is several
    given = {f"Value #{t['refId']}" if several else "Value" for t in panel["targets"]}
    for target in panel["targets"]:
        found = re.match(r"(?:\d+ \* )?(?:topk\(\d+, )?\w+ by \(([^)]*)\)", target["expr"])
        labels = found[1] if found else re.findall(r'"what"', target["expr"]) and "model, what"
        assert labels, target["expr"]
        given |= {label.strip() for label in str(labels).split(",")}
    kept = steps["filterFieldsByName"]["include"]["names"]
    assert set(kept) <= given
    assert steps["organize"]["indexByName"] == {field: i for i, field in enumerate(kept)}
    titles = {steps["organize"]["renameByName"].get(field, field) for field in kept}
    assert len(titles) == len(kept)
    overridden = {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"] if o["matcher"]["id"] == "byName"}
    assert overridden <= titles
    assert {sort["displayName"] for sort in panel["options"].get("sortBy", [])} <= titles


def variables(name: str) -> dict[str, Json]:
    return {one["name"]: one for one in boards.board(name)["templating"]["list"]}


@pytest.mark.parametrize("name", boards.NAMES)
def test_variables_are_defined_before_they_are_used_and_all_are_used(name: str):
    found = variables(name)
    known: set[str] = {"__rate_interval"}
    for variable in found.values():
        if variable["type"] == "datasource":
            assert variable["query"] == "prometheus"
            assert not {key for key in variable if key.startswith("auto")}
        else:
            assert variable["datasource"] == SOURCE
            assert set(re.findall(r"\$(\w+)", variable["query"]["query"])) <= known
            # All values are "anything": no label of a pod that was restarted is left behind in an expression.
            assert variable["multi"] is variable["includeAll"]
            assert variable.get("allValue") == (".*" if variable["multi"] else None)
        known.add(variable["name"])
    assert next(iter(found)) == "datasource"
    queries = [target.expr for target in [*boards.targets(name), *boards.notes(name)]]
    used = set(re.findall(r"\$(\w+)", " ".join(queries)))
    assert used <= known
    assert known - used <= {"datasource", "__rate_interval"}
    for expr in queries:
        assert 'instance=~"$instance"' in expr
        for variable in used - {"instance", "__rate_interval"}:
            one = f'{variable}="${variable}"', f'{variable}=~"${variable}"'
            several = found[variable]["multi"]
            assert one[0 if several else 1] not in expr


LABELS = {label for metric in BY_NAME.values() for label in metric.labels if "*" not in label}


def metric_of(name: str) -> Metric | None:
    return BY_NAME.get(name) or BY_NAME.get(re.sub("_(bucket|count|sum)$", "", name))


def labels_of(name: str) -> set[str]:
    if name in recorded():
        return recorded()[name] | SCRAPED
    metric = metric_of(name)
    assert metric is not None or name in OF_THE_CLIENT, f"{name} is in no catalogue"
    return SCRAPED | (set(metric.labels) if metric else set()) | ({"le"} if name.endswith("_bucket") else set())


QUERIES = [t for name in boards.NAMES for t in [*boards.targets(name), *boards.notes(name)]]


@pytest.mark.parametrize("target", QUERIES, ids=[f"{t.board}: {t.panel} {t.ref}" for t in QUERIES])
def test_every_metric_and_label_is_in_the_catalogue(target: boards.Target):
    named = boards.selectors(target.expr)
    assert named
    for name, matched in named:
        assert matched <= labels_of(name), name
    known = set.union(*(labels_of(name) for name, _ in named)) | boards.made(target.expr)
    assert boards.grouped(target.expr) <= known


def test_queries_of_variables_are_in_the_catalogue():
    for name in boards.NAMES:
        for variable in variables(name).values():
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
                assert found is not None
                for metric, matched in boards.selectors(found[1]):
                    assert matched | {found[2]} <= labels_of(metric)


def test_states_and_severities_that_are_matched_exist():
    from driftd.core.catalogue import REFERENCE_STATES, RETRAIN_STATES, SIGNAL_STATES

    for target in QUERIES:
        states = re.findall(r'\bstate=~?"([^"]+)"', target.expr)
        assert {s for one in states for s in one.split("|")} <= {*REFERENCE_STATES, *RETRAIN_STATES, *SIGNAL_STATES}
        assert set(re.findall(r'\bseverity="([^"]+)"', target.expr)) <= set(SEVERITIES)
        from driftd.core.spec import Statistic

        statistics = re.findall(r'\bstatistic=~"([^"]+)"', target.expr)
        assert {s for one in statistics for s in one.split("|")} <= set(get_args(Statistic))


def test_the_dashboards_lead_to_one_another():
    uids = {boards.board(name)["uid"] for name in boards.NAMES}
    assert len(uids) == len(boards.NAMES)
    for name in boards.NAMES:
        document = boards.board(name)
        assert document["links"][0]["tags"] == document["tags"] == ["driftd"]
        assert document["links"][0]["keepTime"]
        assert document["links"][0]["includeVars"]
        led = set(re.findall(r'"/d/([\w-]+)\?', (boards.FOLDER / f"{name}.json").read_text("utf-8")))
        assert led <= uids
        assert name == "driftd" or led
    assert "driftd-model" in (boards.FOLDER / "fleet.json").read_text("utf-8")


def test_make_grafana_writes_them():
    assert re.search(
        r"^grafana: install.*\n\t\$\(BIN\)/python -m grafana\.build$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ('sum by (a) (rate(x_total{b="1",c=~"y|z"}[5m])) > 0', [("x_total", {"b", "c"})]),
        ("x:y:z and on (q) topk(3, w @ end() offset 5m)", [("x:y:z", set()), ("w", set())]),
        ('label_replace(up == 1, "why", "a{b}", "", "") or v{k!=""}', [("v", {"k"}), ("up", set())]),
    ],
)
def test_the_reader_of_expressions_is_not_blind(expr: str, found: list[tuple[str, set[str]]]):
    assert boards.selectors(expr) == found
