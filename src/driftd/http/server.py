"""The HTTP server: a daemon thread of its own that reads what is published.

It listens on loopback unless told otherwise. No cookies, no CORS; nothing can be changed but that the settings are read
anew, and that a person acts on alerts; its pages may load nothing from anywhere.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from driftd.http.act_pages import ActPages
from driftd.http.acts import ActApi, Acting
from driftd.http.answers import error_response
from driftd.http.api import Api, Opener
from driftd.http.pages import Pages, policy
from driftd.http.published import Published

DEFAULT_LISTEN: Final = "127.0.0.1:9464"
CONNECTIONS_MAX: Final = 128
START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 3

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": policy(),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _Headers:
    """Sets HEADERS on every answer, the errors included; what an answer has of them is its own (a form's policy)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({name: value for name, value in HEADERS.items() if name not in headers})
            await send(message)

        await self._app(scope, receive, with_headers)


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = error.detail
    if error.status_code == 404 and message == "Not Found":
        message = "no such path; /api/v1/docs lists what there is"
    return error_response(error.status_code, message, error.headers)


async def _failed(_: Request, __: Exception) -> Response:
    # The server writes the exception to the log and closes the connection, so a client must not use it again.
    return error_response(500, "this answer failed inside driftd; its log says why", {"Connection": "close"})


def application(
    published: Published,
    transitions: Opener | None = None,
    clock: Callable[[], float] = time.time,
    reload: Callable[[], None] | None = None,
    acting: Acting | None = None,
) -> ASGIApp:
    """The whole HTTP edge as an ASGI application."""
    pages, api = Pages(published, clock), Api(published, transitions, clock, reload)
    app = Starlette(
        routes=[
            *pages.routes(),
            *ActPages(None if acting is None else acting.links, clock).routes(),
            *ActApi(acting).routes(),
            *api.routes(),
        ],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )
    app.router.redirect_slashes = False  # a redirect would repeat the Host header of the request
    return _Headers(app)


def parse_listen(listen: str) -> tuple[str, int]:
    """`host:port`, `[::1]:port` or `:port` (every address). Raises ValueError."""
    host, colon, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{listen!r}: write an IPv6 address in brackets, as [::1]:9464")
    if not colon or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65_535:
        raise ValueError(f"{listen!r} is not host:port, as {DEFAULT_LISTEN}")
    return host, int(port)


def _bind(listen: str) -> socket.socket:
    host, port = parse_listen(listen)
    everywhere = host in ("", "::")
    if everywhere and socket.has_dualstack_ipv6():
        return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


class HttpServer:
    """`start` returns once the port is open; `stop` once it is closed. Both may be called from any thread.

    `listen`: see `parse_listen`; port 0 takes a free one, which `port` then names. `transitions` opens the store
    for one request (`lambda: Reader.open_read_only(directory)`); None where nothing is stored. `reload`: see `Api`.
    """

    def __init__(
        self,
        listen: str,
        published: Published,
        transitions: Opener | None = None,
        clock: Callable[[], float] = time.time,
        reload: Callable[[], None] | None = None,
        acting: Acting | None = None,
    ) -> None:
        self.listen = listen
        self.port = parse_listen(listen)[1]
        self._application = application(published, transitions, clock, reload, acting)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises OSError where the address cannot be had."""
        if self._thread is not None:
            raise RuntimeError("the server has been started before")
        bound = _bind(self.listen)
        self.port = bound.getsockname()[1]
        config = uvicorn.Config(
            self._application,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        self._server = server = uvicorn.Server(config)
        # Outside the main thread uvicorn leaves the signals alone.
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="driftd-http", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                bound.close()
                raise OSError(f"the HTTP server on {self.listen} did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Ends answers under way after STOP_TIMEOUT_S. Does nothing if the server does not run."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(STOP_TIMEOUT_S + 2)
        self._server = None
