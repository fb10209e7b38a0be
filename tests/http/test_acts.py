"""What a person does by the API and by a signed link, on a real state."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from driftd.core import link
from driftd.http import schemas
from driftd.http.acts import BODY_BYTES, Acting, Links
from driftd.http.server import HEADERS
from driftd.settings.load import load
from driftd.settings.quantity import duration_s
from driftd.store.reader import Reader
from driftd.store.store import Store
from driftd.verbs import Verbs
from tests.http.conftest import Edge
from tests.http.example import HOSTILE, NOW
from tests.http.test_api import conforms, strict
from tests.http.test_server import Page
from tests.store.examples import action, owed

KEY = bytes(range(32))
POLICY = "Content-Security-Policy"
NOTICE = action(1, alerts=("a", "b"))


@dataclass
class Desk:
    """A server on a state in which a notification of two signals was told, and one of a model with a hostile name."""

    edge: Edge
    directory: Path

    def post(self, verb: str, **more: Any) -> httpx.Response:
        return self.edge.client.post("/api/v1/acts", json={"verb": verb, "author": "ada", "reason": "why", **more})

    def raw(self, body: bytes, **headers: str) -> httpx.Response:
        return self.edge.client.post(
            "/api/v1/acts", content=body, headers={"Content-Type": "application/json", **headers}
        )

    def acts(self, path: str = "/api/v1/acts") -> list[dict[str, Any]]:
        answer = self.edge.get(path)
        assert answer.status_code == 200
        found = strict(answer.content)
        conforms(found, schemas.SCHEMAS["Acts"])
        acts: list[dict[str, Any]] = found["acts"]
        return acts


@pytest.fixture
def desk(tmp_path: Path, serve: Callable[..., Edge]) -> Desk:
    state, config = tmp_path / "state", tmp_path / "driftd.yaml"
    config.write_text(json.dumps({"state": {"directory": str(state)}, "models": {"planned": {}}}))
    with Store.open(state, group="driftd", clock=lambda: NOW) as store:
        store.commit(owed(NOTICE, action(2, model=HOSTILE, alerts=("c",))))
    links = Links(KEY, Verbs(lambda: load(config, {}), "link", lambda: NOW))
    acting = Acting(Verbs(lambda: load(config, {}), "api", lambda: NOW), duration_s, links)
    edge = serve(transitions=lambda: Reader.open_read_only(state), acting=acting)
    return Desk(edge, state)


def test_an_act_is_stored_and_given_back(desk: Desk) -> None:
    answer = desk.post("mute", model="churn", rule="drift", signals=["age", "plan"], **{"for": "90m"})
    assert answer.status_code == 201
    made = strict(answer.content)
    conforms(made, schemas.SCHEMAS["Act"])
    assert made == {
        "number": 1, "at": "2026-11-23T10:01:00Z", "verb": "mute", "author": "ada", "reason": "why", "model": "churn",
        "rule": "drift", "signals": ["age", "plan"], "alerts": [], "until": "2026-11-23T11:31:00Z", "lifts": None,
        "via": "api",
    }  # fmt: skip
    assert desk.acts("/api/v1/mutes") == desk.acts() == [made]
    seen = strict(desk.post("acknowledge", id=NOTICE.id, reason=None).content)
    assert (seen["signals"], seen["alerts"], seen["reason"]) == (["feature a", "feature b"], ["a", "b"], "")
    mark = strict(desk.post("false", id="b").content)
    assert (mark["model"], mark["rule"], mark["signals"], mark["alerts"]) == ("churn", "drift", ["feature b"], ["b"])
    again = desk.post("false", id="b", author="grace")
    assert (again.status_code, strict(again.content)) == (201, mark)
    lift = strict(desk.post("lift", number=1).content)
    assert (lift["lifts"], lift["model"], lift["rule"]) == (1, "churn", "drift")
    assert desk.acts("/api/v1/mutes") == []
    assert desk.acts() == [lift, mark, seen, made]
    assert desk.acts("/api/v1/acts?limit=2") == [lift, mark]


def test_a_mute_by_the_id_is_of_what_it_speaks_of(desk: Desk) -> None:
    made = strict(desk.post("mute", id=NOTICE.id).content)
    assert (made["model"], made["rule"], made["signals"]) == ("churn", "drift", ["feature a", "feature b"])
    assert made["until"] == "2026-11-23T14:01:00Z"  # four hours, where nothing is said
    made = strict(desk.post("mute", id="a", until="2026-11-24T00:00:00Z").content)
    assert (made["signals"], made["until"]) == (["feature a"], "2026-11-24T00:00:00Z")


def test_a_model_of_the_settings_can_be_muted_before_it_is_seen(desk: Desk) -> None:
    assert desk.post("mute", model="planned").status_code == 201


@pytest.mark.parametrize(
    ("verb", "fields", "said"),
    [
        ("mute", {"model": "churm"}, "nothing is known of a model 'churm'; `driftd models` lists those that are"),
        ("mute", {"model": "churn", "rule": "drft"}, "model churn has no rule 'drft'; the settings name: drift, gaps, jump"),
        ("mute", {"model": "churn", "for": "31d"}, "a mute lasts at most 30 days"),
        ("mute", {"model": "churn", "for": "0s"}, "a mute ends in the future"),
        ("mute", {"model": "churn", "for": "4"}, "4"),
        ("mute", {"model": "churn", "until": "tomorrow"}, "'tomorrow' is not a time"),
        ("mute", {"model": "churn", "until": "2026-11-23T10:00:00Z"}, "a mute ends in the future"),
        ("mute", {"model": "churn", "for": "1h", "until": "2026-11-24T00:00:00Z"}, "both an end and a time"),
        ("mute", {"model": "churn", "signals": "age"}, "signals is a list of texts"),
        ("mute", {"model": "churn", "signals": [1]}, "signals is a list of texts"),
        ("mute", {"model": "churn", "signals": ["x" * 2_000]}, "each of 1 to 1024 characters"),
        ("mute", {"model": "churn", "id": "a"}, "an id says which model"),
        ("mute", {}, "model is a text"),
        ("mute", {"model": "churn", "reason": ""}, "no reason"),
        ("mute", {"model": "churn", "author": " "}, "no author"),
        ("mute", {"model": "churn", "author": 7}, "author is a text"),
        ("mute", {"model": "churn", "number": 1}, "unknown: 'number'; known of mute: author, for, id, model"),
        ("false", {"id": "alt_none"}, "no alert that fired has the id 'alt_none'"),
        ("false", {"id": "a", "reason": None}, "no reason"),
        ("acknowledge", {}, "id is a text"),
        ("lift", {"number": 5}, "no act that can be taken back has the number 5"),
        ("lift", {"number": "1"}, "number is a whole number"),
        ("lift", {"number": 2**70}, "number is a whole number"),
        ("silence", {}, "verb is one of acknowledge, mute, false, lift"),
        (["mute"], {}, "verb is one of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_stored(desk: Desk, verb: str, fields: dict[str, Any], said: str) -> None:
    answer = desk.post(verb, **fields)
    assert answer.status_code == 400
    assert said in strict(answer.content)["error"]
    assert desk.acts() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_a_body_is_a_json_object(desk: Desk, body: bytes) -> None:
    assert desk.raw(body).status_code == 400


def test_a_body_is_bounded(desk: Desk) -> None:
    assert desk.raw(b" " * (BODY_BYTES + 1)).status_code == 413


def test_other_sites_and_forms_can_do_nothing(desk: Desk) -> None:
    body = json.dumps({"verb": "mute", "model": "churn", "author": "ada", "reason": "why"}).encode()
    for site in ("cross-site", "same-site"):
        assert desk.raw(body, **{"Sec-Fetch-Site": site}).status_code == 403
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert desk.raw(body, **{"Content-Type": media}).status_code == 415
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert desk.edge.client.request(method, "/api/v1/acts").status_code == 405
    assert desk.acts() == []
    assert desk.raw(body, **{"Sec-Fetch-Site": "same-origin"}).status_code == 201


def test_hostile_names_are_only_text(desk: Desk) -> None:
    made = strict(desk.post("mute", model=HOSTILE, author=HOSTILE, reason=HOSTILE).content)
    assert made["model"] == HOSTILE
    assert "\n" not in made["author"] + made["reason"]
    assert "\x1b" not in made["author"] + made["reason"]
    assert desk.post("false", id="c").status_code == 201


def test_where_nothing_is_stored_nothing_can_be_done(edge: Edge) -> None:
    for path in ("/api/v1/acts", "/api/v1/mutes"):
        assert edge.get(path).status_code == 404
    answer = edge.client.post("/api/v1/acts", json={"verb": "lift", "number": 1, "author": "a", "reason": "b"})
    assert answer.status_code == 404


def test_models_and_pages_show_what_was_done(edge: Edge) -> None:
    age, prediction = strict(edge.get("/api/v1/models/churn").content)["firing"]
    assert (age["acknowledged_by"], age["muted_until"], age["marked_false_by"]) == ("grace", None, None)
    assert (prediction["acknowledged_by"], prediction["muted_until"]) == (None, "2026-11-23T11:00:00Z")
    page = edge.get("/").text
    assert "(1 acknowledged, 1 muted)" in page
    assert "a load test" in page
    assert "2 withheld" in page
    metrics = edge.get("/metrics").text.splitlines()
    for line in (
        'driftd_acts_total{rule="drift",verb="acknowledge"} 3',
        'driftd_acts_total{rule="*",verb="mute"} 1',
        "driftd_mutes 1",
        "driftd_alerts_acknowledged 1",
        "driftd_withheld_notifications 2",
    ):
        assert line in metrics
    edge.clock.now += 7_200
    assert "driftd_mutes 0" in edge.get("/metrics").text.splitlines()
    assert strict(edge.get("/api/v1/models/churn").content)["firing"][1]["muted_until"] is None


def test_transitions_show_what_was_done(desk: Desk) -> None:
    desk.post("acknowledge", id="a")
    with Reader.open_read_only(desk.directory) as reader:
        standing = reader.standing(round(NOW * 1000))
    edge = desk.edge
    edge.published.runtime = type(edge.published.runtime)(standing=standing)
    shown = strict(edge.get(f"/api/v1/transitions/{NOTICE.id}").content)
    assert shown["acts"]["acknowledged_by"] is None  # one of two signals
    desk.post("acknowledge", id=NOTICE.id, author="grace")
    with Reader.open_read_only(desk.directory) as reader:
        edge.published.runtime = type(edge.published.runtime)(standing=reader.standing(round(NOW * 1000)))
    assert strict(edge.get(f"/api/v1/transitions/{NOTICE.id}").content)["acts"]["acknowledged_by"] == "grace"
    assert strict(edge.get("/api/v1/transitions").content)["acts"][NOTICE.id]["acknowledged_by"] == "grace"


# By a signed link.

UNTIL = link.expiry(round(NOW * 1000))
FORM = {"author": "ada", "reason": "why"}


def linked(verb: str, id_: str, *, key: bytes = KEY, until: int = UNTIL) -> str:
    return f"/act/{verb}/{quote(id_, safe='')}?{link.query(key, verb, id_, until)}"  # type: ignore[arg-type]


@pytest.mark.parametrize(("verb", "stored"), [("mute", "mute"), ("false", "false"), ("acknowledge", "acknowledge")])
def test_a_link_asks_first_and_does_it_when_that_is_confirmed(desk: Desk, verb: str, stored: str) -> None:
    url = linked(verb, NOTICE.id)
    assert desk.edge.client.head(url).status_code == 200
    asked = desk.edge.get(url)
    assert asked.status_code == 200
    assert desk.acts() == []
    assert "form-action 'self'" in asked.headers["content-security-policy"]
    assert {name: asked.headers[name] for name in HEADERS if name != POLICY} == {
        name: value for name, value in HEADERS.items() if name != POLICY
    }
    page = Page(asked.text)
    assert page.tags.count("form") == 1
    assert "action" not in page.attributes  # it is sent to where it came from, behind any proxy
    assert not {"script", "link", "img", "iframe", "base"} & set(page.tags)
    assert "feature a, feature b" in page.text
    done = desk.edge.client.post(url, data=FORM, headers={"Sec-Fetch-Site": "same-origin"})
    assert done.status_code == 200
    (act,) = desk.acts()
    assert (act["verb"], act["via"], act["author"], act["model"], act["rule"]) == (
        stored,
        "link",
        "ada",
        "churn",
        "drift",
    )
    assert act["signals"] == ["feature a", "feature b"]
    assert act["until"] == ("2026-11-23T14:01:00Z" if verb == "mute" else None)
    assert "driftd unmute 1" in Page(done.text).text
    assert "form-action 'none'" in done.headers["content-security-policy"]


def test_a_link_holds_as_it_was_signed_and_no_longer(desk: Desk) -> None:
    good, other = linked("mute", NOTICE.id), action(2, model=HOSTILE).id
    bad = [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good.replace("/mute/", "/false/"),
        good.replace("/mute/", "/lift/"),
        good.replace(NOTICE.id, other),
        good.replace(f"signed={UNTIL}", f"signed={UNTIL + 86_400_000}"),
        good.replace("signed=", "signed=0"),
        good.replace("signed=", "signed=%D9%A3"),
        good.partition("?")[0],
        good.partition("?")[0] + "?signed=",
        good.partition("?")[0] + f"?signed={UNTIL}.",
        good.partition("?")[0] + "?signed=" + "9" * 5_000 + ".x",
        good + "%C3%A9",
        linked("mute", NOTICE.id, key=bytes(32)),
        linked("mute", NOTICE.id, until=round(NOW * 1000)),
        linked("lift", "1"),
    ]
    for url in bad:
        for answer in (desk.edge.get(url), desk.edge.client.post(url, data=FORM)):
            assert answer.status_code == 403, url
            assert answer.headers["content-type"].startswith("text/html")
            assert "this link does not hold" in answer.text
            assert "feature" not in answer.text
    assert desk.acts() == []
    desk.edge.clock.now = UNTIL / 1000 - 1
    assert desk.edge.get(good).status_code == 200
    desk.edge.clock.now = UNTIL / 1000
    assert desk.edge.get(good).status_code == 403


def test_another_sites_page_cannot_confirm(desk: Desk) -> None:
    url = linked("mute", NOTICE.id)
    for site in ("cross-site", "same-site"):
        assert desk.edge.client.post(url, data=FORM, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert desk.edge.client.post(url, json=FORM).status_code == 415
    assert desk.edge.client.post(url, data=FORM | {"reason": "x" * BODY_BYTES}).status_code == 413
    assert desk.acts() == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"author": ""}, "no author"), ({"reason": " "}, "no reason"), ({"hours": "9000"}, "not one of those offered"),
     ({"reason": "w" * 600}, "a reason has at most")],
)  # fmt: skip
def test_a_form_that_is_wrong_comes_back_as_it_was_filled_in(desk: Desk, fields: dict[str, str], said: str) -> None:
    filled = {"author": '"><script>', "reason": "why", "hours": "24"} | fields
    answer = desk.edge.client.post(linked("mute", NOTICE.id), data=filled)
    assert answer.status_code == 400
    assert said in Page(answer.text).text
    assert "<script" not in answer.text
    assert "form-action 'self'" in answer.headers["content-security-policy"]
    assert desk.acts() == []


def test_for_how_long_is_chosen(desk: Desk) -> None:
    assert desk.edge.client.post(linked("mute", NOTICE.id), data=FORM | {"hours": "168"}).status_code == 200
    assert desk.acts()[0]["until"] == "2026-11-30T10:01:00Z"


def test_a_link_to_hostile_names_shows_text(desk: Desk) -> None:
    url = linked("mute", action(2, model=HOSTILE, alerts=("c",)).id)
    for answer in (desk.edge.get(url), desk.edge.client.post(url, data=FORM | {"author": HOSTILE})):
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "\x1b" not in answer.text
    assert desk.acts()[0]["model"] == HOSTILE


def test_a_link_to_what_is_not_stored_any_more_says_so(desk: Desk) -> None:
    url = linked("mute", "ntf_gone")
    for answer in (desk.edge.get(url), desk.edge.client.post(url, data=FORM)):
        assert answer.status_code == 404
        assert "no alert that fired has the id" in answer.text


def test_without_a_key_no_link_holds(edge: Edge) -> None:
    assert edge.get(linked("mute", NOTICE.id)).status_code == 403
