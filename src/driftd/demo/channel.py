"""`driftd demo receiver`: a channel to look at, where there is none yet.

It takes what `slack: {url_file: ...}` posts to an incoming webhook and answers as Slack does, and it takes the JSON of
`webhook`. What it prints is one line of printable characters a line, as in every receiver.
"""

from __future__ import annotations

import html
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any, Final

from driftd.core.fault import UserError, printable

MOST_BYTES: Final = 1024 * 1024
IDLE_S: Final = 30.0


def main(listen: str) -> int:
    """Until SIGINT or SIGTERM. Raises UserError where it cannot listen."""
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    server = channel(listen, lambda text: print(text, flush=True))
    threading.Thread(target=server.serve_forever, name="channel", daemon=True).start()
    print(f"a channel listens on http://{listen}/", file=sys.stderr, flush=True)
    stop.wait()
    server.shutdown()
    server.server_close()
    return 0


def channel(listen: str, tell: Callable[[str], None]) -> ThreadingHTTPServer:
    """Not yet serving. Each message that is posted is told once, with the time at which it came before it."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UserError(f"{listen!r} is not an address to listen on", "write host:port, such as 127.0.0.1:8800")
    try:
        return ThreadingHTTPServer((host.strip("[]"), int(port)), _handler(tell))
    except OSError as error:
        raise UserError(f"cannot listen on {listen}: {error}", "name another with --listen", exit_code=1) from error


def words(body: bytes) -> str:
    """What a person reads of a posted body. Raises ValueError for what is no JSON object."""
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one error for a bad body
    lines = list(_texts(document))
    if not lines:  # a webhook's: for programs
        lines = json.dumps(document, indent=1, ensure_ascii=False).splitlines()
    return "\n".join(printable(line) for line in lines)


def _texts(document: dict[str, Any]) -> Iterator[str]:
    """The texts of Slack's blocks, line by line, as Slack shows them."""
    inner = [block for one in document.get("attachments") or () for block in one.get("blocks") or ()]
    for block in [*(document.get("blocks") or ()), *inner]:
        for text in (block.get("text"), *(block.get("elements") or ())):
            if isinstance(text, dict) and isinstance(text.get("text"), str):
                yield from html.unescape(text["text"]).splitlines()


def _handler(tell: Callable[[str], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE_S

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length") or ""
            if not length.isdecimal() or int(length) > MOST_BYTES:
                self._answer(413, b"a body of at most 1 MiB, with its length")
                return
            try:
                said = words(self.rfile.read(int(length)))
            except (ValueError, AttributeError, TypeError, RecursionError):
                self._answer(400, b"invalid_payload")
                return
            tell(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} a message\n{said}\n")
            self._answer(200, b"ok")

        def _answer(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Silent: what it has to say are the messages."""

    return Handler
