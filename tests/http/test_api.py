import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import quote

import pytest

from driftd.core.action import Action
from driftd.core.event import KINDS
from driftd.core.spec import SEVERITIES
from driftd.core.view import Judged, ModelView, SeriesView, SignalState, View
from driftd.http import openapi, schemas
from driftd.http.documents import encode, time_of
from driftd.http.server import application
from tests.http.example import END, FIRING, HOSTILE, MODEL, SERIES, UNJUDGED, UNKNOWN, VIEW, named

ACTION = Action(
    type="driftd.alert.firing",
    id="firing_0a1b",
    timestamp=END,
    model="churn",
    version="7",
    kind="prediction",
    rule="drift",
    severity="critical",
    labels={},
    data={"model": "churn", "signals": [{"signal": HOSTILE}]},
    explain={"offsets": {"predictions[0]": [10, 20]}, "worst": math.nan},
)


WITHHELD = [{"receiver": "ops", "act": 1, "state": "waiting"}]
STORED: dict[str, Any] = {
    "id": ACTION.id,
    "model": ACTION.model,
    "rule": ACTION.rule,
    "body": ACTION.body(),
    "explain": ACTION.explain,
    "withheld": WITHHELD,
}


class Stored:
    """A store of one transition; it notes what it was asked, and whether it was closed."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.open = 0
        self.stored: dict[str, Any] = STORED

    def opener(self) -> AbstractContextManager["Stored"]:
        @contextmanager
        def opened():
            self.open += 1
            try:
                yield self
            finally:
                self.open -= 1

        return opened()

    def transition(self, id: str) -> Mapping[str, Any] | None:  # noqa: A002 - as the protocol calls it
        self.asked.append(id)
        return self.stored if id == ACTION.id else None

    def transitions(
        self, model: str | None = None, limit: int = 100, before: str | None = None
    ) -> Sequence[Mapping[str, Any]]:
        self.asked.append((model, limit, before))
        return [self.stored]

    def judged(self) -> Sequence[Judged]:
        return [Judged("churn", "prediction", END - 3_600_000, END)]


def strict(raw: bytes) -> Any:
    """Parses JSON that must be ASCII, without NaN or Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(raw.decode("ascii"), parse_constant=refuse)


def conforms(value: object, schema: dict[str, Any], where: str = "$") -> None:
    """Whether the value is what the schema says: the part of JSON Schema that openapi.py uses."""
    if "$ref" in schema:
        conforms(value, schemas.SCHEMAS[schema["$ref"].rpartition("/")[2]], where)
        return
    if "const" in schema:
        assert value == schema["const"], where
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    types: dict[str, Any] = {
        "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None), "array": list,
        "object": dict,
    }  # fmt: skip
    assert any(isinstance(value, types[kind]) for kind in kinds), f"{where}: {value!r} is not {kinds}"
    assert "enum" not in schema or value in schema["enum"], where
    if schema.get("format") == "date-time" and isinstance(value, str):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", value), where
    if isinstance(value, list):
        for number, item in enumerate(value):
            conforms(item, schema["items"], f"{where}[{number}]")
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) == set(schema["properties"]), where
        for key, item in value.items():
            conforms(item, schema["properties"][key], f"{where}.{key}")
    elif isinstance(value, dict) and "additionalProperties" in schema:
        for key, item in value.items():
            conforms(item, schema["additionalProperties"], f"{where}.{key}")


def answer_schema(path: str) -> dict[str, Any]:
    schema: dict[str, Any] = openapi.PATHS[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return schema


# The description is true.


def test_openapi_describes_every_route_and_no_other():
    app: Any = application(None)._app  # type: ignore[arg-type, attr-defined]
    routes = {re.sub(":anything}", "}", route.path) for route in app.routes}
    assert routes == set(openapi.PATHS)


@pytest.mark.parametrize("view", [VIEW, View(), named(HOSTILE)], ids=["rich", "empty", "hostile"])
def test_answers_are_what_openapi_says(view, serve):
    edge = serve(view, transitions=Stored().opener)
    name = quote(view.models[0].model, safe="") if view.models else ""
    asked = {
        "/livez": "/livez",
        "/readyz": "/readyz",
        "/api/v1/models": "/api/v1/models",
        "/api/v1/models/{model}": f"/api/v1/models/{name}",
        "/api/v1/partitions": "/api/v1/partitions",
        "/api/v1/transitions": "/api/v1/transitions",
        "/api/v1/transitions/{id}": f"/api/v1/transitions/{ACTION.id}",
    }
    if not name:
        del asked["/api/v1/models/{model}"]
    for path, url in asked.items():
        answer = edge.get(url)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == "application/json"
        conforms(strict(answer.content), answer_schema(path), path)


def test_openapi_itself_is_served(edge):
    document = strict(edge.get("/api/v1/openapi.json").content)
    assert document == openapi.document()
    assert document["openapi"] == "3.1.0"
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"]
    assert schemas._SERIES["properties"]["kind"]["enum"] == list(KINDS)
    assert schemas._SEVERITY["enum"] == [*SEVERITIES, None]


# Models.


def test_a_model_with_every_signal(edge):
    found = strict(edge.get("/api/v1/models/churn").content)
    assert found["state"] == "firing"
    assert [(one["signal"], one["rule"], one["severity"]) for one in found["firing"]] == [
        ("age", "drift", "critical"),
        ("prediction", "jump", "warning"),
    ]
    age, plan = found["series"][0]["statistics"]
    assert age["effect"] == FIRING.effect
    assert age["since"] == "2026-11-23T09:50:00Z"
    assert (plan["value"], plan["effect"], plan["p_value"], plan["thresholds"]["critical"]) == (None,) * 4
    assert found["series"][0]["window"]["end"] == "2026-11-23T10:00:00Z"
    assert found["series"][1]["window"] is None
    assert found["transitions"] == [
        {"rule": "drift", "type": "driftd.alert.firing", "severity": "critical", "count": 1}
    ]


def states(*models: ModelView, serve) -> list[str]:
    return [one["state"] for one in strict(serve(View(models)).get("/api/v1/models").content)["models"]]


def test_what_is_not_known_is_never_ok(serve):
    def model(name: str, *series: SeriesView) -> ModelView:
        return dataclasses.replace(MODEL, model=name, series=series)

    def judged(*given: SignalState, insufficient: bool = False) -> SeriesView:
        statistics = tuple(dataclasses.replace(UNKNOWN, state=state) for state in given)
        return dataclasses.replace(SERIES, statistics=statistics, detectors=(), insufficient=insufficient)

    quiet = dataclasses.replace(UNJUDGED, detectors=())
    assert states(
        model("a"),
        model("b", quiet),
        model("c", judged("ok", "ok")),
        model("d", judged("ok", "ok"), quiet),
        model("e", judged("ok", "insufficient_data")),
        model("f", judged("insufficient_data", "unknown", "ok")),
        model("g", judged("pending", "unknown")),
        model("h", judged(insufficient=True)),
        model("i", dataclasses.replace(quiet, insufficient=True)),
        serve=serve,
    ) == [
        "unknown", "unknown", "ok", "unknown", "insufficient_data", "unknown", "pending", "insufficient_data",
        "unknown",
    ]  # fmt: skip


def test_models_are_paged_by_name(serve):
    edge = serve(View(tuple(dataclasses.replace(MODEL, model=f"m{number:03}") for number in reversed(range(250)))))
    names: list[str] = []
    after: str | None = ""
    while after is not None:
        query = {"limit": 100} | ({"after": after} if after else {})
        page = strict(edge.get("/api/v1/models", params=query).content)
        names += [one["model"] for one in page["models"]]
        after = page["next"]
    assert names == [f"m{number:03}" for number in range(250)]


@pytest.mark.parametrize("name", ["a/b", "/", "//", "a b", "a?b=c#d", "%2F", "é", HOSTILE, "a" * 5_000, "{model}"])
def test_a_model_of_any_name_can_be_asked_for(name, serve):
    found = serve(named(name)).get("/api/v1/models/" + quote(name, safe=""))
    assert found.status_code == 200
    assert strict(found.content)["model"] == name


def test_control_characters_leave_escaped(serve):
    edge = serve(named(HOSTILE))
    for path in ("/api/v1/models", "/api/v1/partitions", "/api/v1/models/" + quote(HOSTILE, safe="")):
        assert re.fullmatch(rb"[\x20-\x7e]*", edge.get(path).content), path


# Transitions.


def test_transitions_are_the_bodies_that_were_sent(serve):
    stored = Stored()
    edge = serve(transitions=stored.opener)
    found = strict(edge.get("/api/v1/transitions?model=churn&limit=7").content)
    assert found["transitions"] == [json.loads(ACTION.body())]
    nobody = {"acknowledged_by": None, "muted_until": None, "marked_false_by": None}
    assert found["acts"] == {ACTION.id: {**nobody, "shadow": False, "withheld": WITHHELD}}
    edge.get("/api/v1/transitions")
    assert stored.asked == [("churn", 7, None), (None, 100, None)]
    assert stored.open == 0


def test_pages_of_transitions_go_back_from_one_that_is_there(serve):
    stored = Stored()
    edge = serve(transitions=stored.opener)
    assert edge.get(f"/api/v1/transitions?before={ACTION.id}").status_code == 200
    assert stored.asked == [ACTION.id, (None, 100, ACTION.id)]
    assert edge.get("/api/v1/transitions?before=firing_none").status_code == 404


def test_what_was_judged_is_told_with_its_time(serve):
    answer = strict(serve(transitions=Stored().opener).get("/api/v1/judged").content)
    conforms(answer, answer_schema("/api/v1/judged"))
    assert answer == {
        "judged": [{"model": "churn", "kind": "prediction", "since": time_of(END - 3_600_000), "until": time_of(END)}]
    }


def test_a_shadow_says_so_in_its_transitions(serve):
    shadow = Stored()
    shadow.stored = {**STORED, "explain": {**ACTION.explain, "shadow": True}}
    found = strict(serve(transitions=shadow.opener).get(f"/api/v1/transitions/{ACTION.id}").content)
    assert found["acts"]["shadow"] is True


def test_explain(serve):
    edge = serve(transitions=Stored().opener)
    found = strict(edge.get(f"/api/v1/transitions/{ACTION.id}").content)
    assert found["transition"]["id"] == ACTION.id
    assert found["explain"] == {"offsets": {"predictions[0]": [10, 20]}, "worst": None}
    assert edge.get("/api/v1/transitions/firing_none").status_code == 404


def test_without_a_store_there_are_no_transitions(edge):
    for path in ("/api/v1/transitions", "/api/v1/transitions/x", "/api/v1/judged"):
        answer = edge.get(path)
        assert answer.status_code == 404
        assert strict(answer.content) == {"error": "transitions are not stored here"}


def test_a_store_that_fails_is_an_error_without_its_secrets(serve):
    @contextmanager
    def broken():
        raise OSError("/var/lib/secret/path")
        yield

    edge = serve(transitions=broken)
    answer = edge.get("/api/v1/transitions")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert edge.get("/livez").status_code == 200


# What cannot be understood.


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/api/v1/models?limit=0", "limit must be a whole number from 1 to 1000"),
        ("/api/v1/models?limit=1001", "limit must be"),
        ("/api/v1/models?limit=-1", "limit must be"),
        ("/api/v1/models?limit=", "limit must be"),
        ("/api/v1/models?limit=1e2", "limit must be"),
        ("/api/v1/models?limit=%D9%A1", "limit must be"),
        ("/api/v1/models?limit=" + "9" * 5_000, "limit must be"),
        ("/api/v1/models?limit=1&limit=2", "'limit' is given twice"),
        ("/api/v1/models?after=", "after must have 1 to 1024 characters"),
        ("/api/v1/models?page=2", "unknown query parameter 'page'; known here: limit, after"),
        ("/api/v1/models/churn?x=1", "known here: none"),
        ("/api/v1/partitions?x=1", "known here: none"),
        ("/api/v1/transitions?model=", "model must have"),
        ("/api/v1/transitions?model=" + "m" * 1_025, "model must have"),
        ("/api/v1/transitions?limit=x", "limit must be"),
        ("/api/v1/transitions?%1b[31m=x", "unknown query parameter"),
    ],
)
def test_a_bad_query_is_refused_with_what_would_be_good(url, says, serve):
    answer = serve(transitions=Stored().opener).get(url)
    assert answer.status_code == 400
    assert says in strict(answer.content)["error"]


# Encoding.


def test_json_is_strict():
    assert (
        encode({"a": [math.nan, math.inf, -math.inf, 1.5], 1: (None, True)})
        == b'{"a":[null,null,null,1.5],"1":[null,true]}'
    )


@pytest.mark.parametrize("ms", [10**18, -(10**18), 2**63, -62_135_596_800_001])
def test_a_year_that_cannot_be_written_is_null(ms):
    assert time_of(ms) is None


def test_times():
    assert (time_of(None), time_of(0), time_of(-1)) == (None, "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z")
