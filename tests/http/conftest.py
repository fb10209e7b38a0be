from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from driftd.core.view import Runtime, View
from driftd.http.acts import Acting
from driftd.http.api import Opener
from driftd.http.published import Published
from driftd.http.server import HttpServer
from tests.http.example import NOW, PUSHES, RUNTIME, VIEW


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Edge:
    """A started server, what it shows, its clock, and a client for it."""

    def __init__(self, view: View, runtime: Runtime, transitions: Opener | None, acting: Acting | None = None) -> None:
        self.published = Published(view, runtime)
        self.published.pushes = PUSHES
        self.clock = Clock()
        self.server = HttpServer("127.0.0.1:0", self.published, transitions, self.clock, acting=acting)
        self.server.start()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.server.port}", trust_env=False)

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.client.get(path, **arguments)

    def close(self) -> None:
        self.client.close()
        self.server.stop()


@pytest.fixture(scope="session")
def shared() -> Iterator[Edge]:
    edge = Edge(VIEW, RUNTIME, None)
    yield edge
    edge.close()


@pytest.fixture
def serve(shared: Edge) -> Iterator[Callable[..., Edge]]:
    """Called, it gives a server that shows what it is given: the shared one, or with a store one of its own."""
    started: list[Edge] = []

    def start(
        view: View = VIEW,
        runtime: Runtime = RUNTIME,
        transitions: Opener | None = None,
        acting: Acting | None = None,
    ) -> Edge:
        if transitions is not None or acting is not None:
            started.append(Edge(view, runtime, transitions, acting))
            return started[-1]
        shared.published.view, shared.published.runtime, shared.clock.now = view, runtime, NOW
        return shared

    yield start
    for edge in started:
        edge.close()


@pytest.fixture
def edge(serve: Callable[..., Edge]) -> Edge:
    """A server that shows the rich example."""
    return serve()
