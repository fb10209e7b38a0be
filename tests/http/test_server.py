import dataclasses
import re
import socket
import subprocess
import sys
import time
from html.parser import HTMLParser

import httpx
import pytest

from driftd.core.fault import UserError
from driftd.core.view import Runtime, View
from driftd.http.pages import ROWS_MAX
from driftd.http.published import Published
from driftd.http.server import HEADERS, HttpServer, parse_listen
from tests.http.example import HOSTILE, MODEL, NOW, RUNTIME, VIEW, named

PATHS = ["/", "/metrics", "/livez", "/readyz", "/api/v1/models", "/api/v1/docs", "/api/v1/openapi.json", "/nothing"]


# Alive and ready.


@pytest.mark.parametrize(
    ("heartbeat", "after_start", "alive"),
    [(0.0, 0.0, True), (59.0, 0.0, True), (61.0, 0.0, False), (None, 59.0, True), (None, 61.0, False)],
)
def test_alive_while_the_loop_turns(heartbeat, after_start, alive, serve):
    beat = None if heartbeat is None else NOW + after_start - heartbeat
    edge = serve(runtime=dataclasses.replace(RUNTIME, heartbeat=beat))
    edge.clock.now = NOW + after_start
    answer = edge.get("/livez")
    assert answer.status_code == (200 if alive else 503)
    if alive:
        assert answer.json() == {"alive": True}
    else:
        assert "the loop has not" in answer.json()["error"]
        assert edge.get("/readyz").status_code == 503


def test_not_ready_says_every_reason(serve):
    edge = serve(runtime=dataclasses.replace(RUNTIME, unready=("not assigned: p[1]", "lag of p[2] not known")))
    answer = edge.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["not assigned: p[1]", "lag of p[2] not known"]
    edge.published.runtime = RUNTIME
    assert edge.get("/readyz").json() == {"ready": True}


def test_at_first_it_is_alive_and_not_ready(serve):
    edge = serve(View(), Runtime())
    assert edge.get("/livez").status_code == 200
    assert edge.get("/readyz").json()["reasons"] == ["starting"]
    assert edge.get("/metrics").status_code == 200
    assert "No event has been seen yet." in edge.get("/").text


# The server.


def test_the_port_is_open_when_start_returns_and_closed_after_stop():
    server = HttpServer("127.0.0.1:0", Published())
    server.start()
    url = f"http://127.0.0.1:{server.port}/livez"
    assert httpx.get(url, trust_env=False).status_code == 200
    with pytest.raises(RuntimeError):
        server.start()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    server.stop()
    assert server._thread is not None
    assert not server._thread.is_alive()


def test_a_taken_port_is_an_error_of_start():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = HttpServer(f"127.0.0.1:{taken.getsockname()[1]}", Published())
        with pytest.raises(OSError, match="in use"):
            server.start()
    server.stop()


def test_only_loopback_is_bound(edge):
    assert edge.server._application is not None
    listening = {line.split()[3] for line in _listening() if f":{edge.server.port}" in line}
    assert listening <= {f"127.0.0.1:{edge.server.port}"}


def _listening() -> list[str]:
    try:
        return subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


@pytest.mark.parametrize(
    ("listen", "parsed"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        (":80", ("", 80)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_listen(listen, parsed):
    assert parse_listen(listen) == parsed


@pytest.mark.parametrize(
    "listen", ["", "9464", "localhost", "localhost:", "localhost:x", "h:65536", "::1:80", "h:-1", "h:٣"]
)
def test_listen_refuses(listen):
    with pytest.raises(ValueError, match=re.escape(repr(listen))):
        parse_listen(listen)


def test_a_process_with_a_running_server_can_end():
    code = (
        "from driftd.http.server import HttpServer; from driftd.http.published import Published; "
        "HttpServer('127.0.0.1:0', Published()).start()"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


def test_health_answers_while_a_scrape_is_read_slowly(serve):
    edge = serve(View(tuple(dataclasses.replace(MODEL, model=f"m{number}") for number in range(3_000))))
    with edge.client.stream("GET", "/metrics", headers={"Accept-Encoding": "identity"}) as scrape:
        next(scrape.iter_raw(1_000))
        began = time.monotonic()
        assert edge.get("/livez").status_code == 200
        assert time.monotonic() - began < 2


# What every answer has, and what none allows.


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_protective_headers(path, edge):
    answer = edge.get(path, headers={"Origin": "https://evil.example"})
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "server" not in answer.headers
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/metrics", "/api/v1/models", "/"])
def test_other_methods_are_refused(method, path, edge):
    answer = edge.client.request(method, path)
    assert answer.status_code == 405
    assert answer.json() == {"error": "Method Not Allowed"}
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/nothing"])
def test_head_has_no_body(path, edge):
    answer = edge.client.head(path)
    assert answer.status_code == 200
    assert answer.content == b""


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/api", "/api/v1", "/metrics/", "/api/v1/models/none", "/../../etc/passwd", "/%2e%2e/x", "/<script>"],
)
def test_unknown_paths_are_a_404_in_json(path, edge):
    answer = edge.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert "script" not in answer.text
    assert set(answer.json()) == {"error"}


# Pages.


class Page(HTMLParser):
    """The elements and the text of a page, and what its links point to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("path", ["/", "/api/v1/docs"])
@pytest.mark.parametrize("view", [VIEW, View(), named(HOSTILE)], ids=["rich", "empty", "hostile"])
def test_pages_load_nothing_and_run_nothing(path, view, serve):
    answer = serve(view).get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(answer.text)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(page.tags)
    assert page.tags.count("style") == 1
    assert not any(name.startswith("on") or name == "style" for name in page.attributes)
    assert all(link.startswith("/") and not link.startswith("//") for link in page.links)


def test_hostile_names_are_only_text(serve):
    answer = serve(named(HOSTILE)).get("/")
    assert "<script" not in answer.text
    assert "<script>alert" in Page(answer.text).text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", answer.text)


def test_links_lead_somewhere(serve):
    edge = serve(View((*VIEW.models, *named(HOSTILE).models, *named("a/b c?d#e").models), VIEW.partitions))
    links = {link for path in ("/", "/api/v1/docs") for link in Page(edge.get(path).text).links}
    assert len(links) > 8
    for link in links - {"/api/v1/transitions", "/api/v1/judged", "/api/v1/acts", "/api/v1/mutes"}:
        assert edge.get(link).status_code == 200, link


def test_the_worst_models_come_first_and_the_rest_is_counted(serve):
    quiet = [dataclasses.replace(MODEL, model=f"quiet-{number}", series=()) for number in range(ROWS_MAX + 20)]
    text = Page(serve(View((*quiet, MODEL))).get("/").text).text
    assert text.index("churn") < text.index("quiet-0")
    assert "And 21 more" in text


def test_a_page_of_an_unready_daemon_says_so(serve):
    text = serve(runtime=dataclasses.replace(RUNTIME, unready=("not <assigned>",))).get("/").text
    assert "not &lt;assigned&gt;" in text
    assert "<title>driftd · not ready</title>" in text


def test_a_shadow_says_that_it_is_one(serve):
    edge = serve(runtime=dataclasses.replace(RUNTIME, shadow=True))
    assert "shadow: delivers nothing" in Page(edge.get("/").text).text
    assert edge.get("/readyz").json() == {"ready": True, "shadow": True}
    edge = serve()
    assert "shadow: delivers nothing" not in Page(edge.get("/").text).text
    assert edge.get("/readyz").json() == {"ready": True}


@pytest.mark.parametrize(
    ("fault", "status"), [(None, 200), (UserError("a: wrong", "mend it"), 400), (UserError("no", exit_code=1), 503)]
)
def test_the_settings_are_read_anew_when_asked(fault: UserError | None, status: int):
    asked: list[None] = []

    def reload() -> None:
        asked.append(None)
        if fault is not None:
            raise fault

    server = HttpServer("127.0.0.1:0", Published(), reload=reload)
    server.start()
    try:
        answer = httpx.post(f"http://127.0.0.1:{server.port}/-/reload")
        assert answer.status_code == status
        assert answer.json() == ({"reloaded": True} if fault is None else {"error": str(fault)})
        assert len(asked) == 1
        for site in ("cross-site", "same-site"):
            page = httpx.post(f"http://127.0.0.1:{server.port}/-/reload", headers={"Sec-Fetch-Site": site})
            assert page.status_code == 403
        assert len(asked) == 1
    finally:
        server.stop()


def test_settings_that_are_fixed_cannot_be_read_anew(edge):
    assert edge.client.post("/-/reload").status_code == 501
    assert edge.get("/-/reload").status_code == 405
