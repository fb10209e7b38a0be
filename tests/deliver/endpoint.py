"""A real HTTP server on loopback that answers as a test tells it to, and keeps what it was sent."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook as Verifier

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the one of the standard's examples


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """Monotonic, seconds."""

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str = SECRET) -> Any:
        """Raises what the library raises for a wrong signature."""
        return Verifier(secret).verify(self.body, self.headers)


Answer = Callable[["Handler"], None]


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang(handler: Handler) -> None:
    """Says nothing until the test ends or the client goes."""
    handler.close_connection = True
    while not handler.endpoint.ended.is_set():
        try:
            if handler.connection.recv(1, socket.MSG_DONTWAIT) == b"":
                return
        except BlockingIOError:
            handler.endpoint.ended.wait(0.02)
        except OSError:
            return


def reset(handler: Handler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def drip(start: bytes, piece: bytes = b"x") -> Answer:
    """`start`, then a byte now and then for ever: no single read ever waits long."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(start)
        while not handler.endpoint.ended.wait(0.05):
            handler.wfile.write(piece)

    return answer


def endless(code: int, size: int) -> Answer:
    """So many bytes of body, as fast as they are taken; how many were is kept in `endpoint.written`."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("content-length", str(size))
        handler.end_headers()
        chunk = b"y" * 65_536
        for _ in range(size // len(chunk)):
            handler.wfile.write(chunk)
            handler.endpoint.written += len(chunk)

    return answer


@dataclass
class Endpoint:
    """`answer` is what each request gets; tests set it, or `script` for the first ones."""

    port: int = 0
    answer: Answer = field(default_factory=lambda: status(204))
    script: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    written: int = 0
    connections: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def take(self, request: Request) -> Answer:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
            return self.script.pop(0) if self.script else self.answer

    def wait_for(self, count: int, timeout: float = 20.0) -> list[Request]:
        """Until so many requests have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count, timeout), self.told()
            return list(self.requests)

    def told(self) -> list[tuple[str, object]]:
        return [(it.id, json.loads(it.body)["type"]) for it in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    endpoint: Endpoint

    def setup(self) -> None:
        super().setup()
        self.endpoint.connections += 1

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the client was killed between its header and its body
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.endpoint.take(Request(self.path, headers, body, time.monotonic()))
        try:
            answer(self)
        except OSError:
            self.close_connection = True  # the client has gone

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature is http.server's
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A reset connection is no news here."""


@contextmanager
def serve() -> Iterator[Endpoint]:
    with serving(Endpoint()) as endpoint:
        yield endpoint


@contextmanager
def serving(endpoint: Endpoint) -> Iterator[Endpoint]:
    """A server for this endpoint on a port of its own."""
    server = _Server(("127.0.0.1", 0), type("Bound", (Handler,), {"endpoint": endpoint}))
    endpoint.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """For conditions that nobody announces; those are looked at often."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "the condition was never met"
        time.sleep(0.005)
