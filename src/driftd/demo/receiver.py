"""A receiver as a user would write one: it takes webhooks and believes those whose signature holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True, slots=True)
class Arrival:
    """One notification. `end`: the end of its window, ms. `signals`: (name, effect, threshold), worst first."""

    id: str
    type: str
    model: str
    rule: str
    severity: str
    end: int
    signals: tuple[tuple[str, float, float], ...]

    @property
    def firing(self) -> bool:
        return self.type == "driftd.alert.firing"

    @property
    def retrain(self) -> bool:
        return self.type == "driftd.retrain.requested"

    def line(self) -> str:
        """What a person reads."""
        what = "RETRAIN" if self.retrain else self.type.rpartition(".")[2].upper()
        clock = datetime.fromtimestamp(self.end / 1000).astimezone().strftime("%H:%M:%S")
        found = ", ".join(f"{name} {effect:.2f}" for name, effect, _ in self.signals)
        return f"{clock} {what:8} {self.model} {self.rule} {self.severity}: {found}"


def arrival(body: dict[str, Any]) -> Arrival:
    """From the body of a webhook."""
    data = body["data"]
    signals = tuple((s["signal"], float(s.get("effect") or 0), float(s.get("threshold") or 0)) for s in data["signals"])
    end = int(datetime.fromisoformat(body["timestamp"]).timestamp() * 1000)
    return Arrival(body["id"], body["type"], data["model"], data["rule"], data["severity"], end, signals)


class Receiver:
    """`arrivals` in the order in which they came, each once. `forged`: deliveries whose signature does not hold."""

    def __init__(self, secret: str, tell: Callable[[Arrival], None]) -> None:
        self.arrivals: list[Arrival] = []
        self.forged = 0
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._signer = Webhook(secret)
        self._tell = tell
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        """Whether it is driftd that speaks."""
        try:
            document = self._signer.verify(body, headers)
        except WebhookVerificationError:
            self.forged += 1
            return False
        with self._lock:
            if document["id"] not in self._seen:  # a delivery may come twice, with the same id
                self._seen.add(document["id"])
                one = arrival(document)
                self.arrivals.append(one)
                self._tell(one)
        return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self.take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(204 if take(body, dict(self.headers.items())) else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Silent: stderr is the demo's."""

        return Handler
