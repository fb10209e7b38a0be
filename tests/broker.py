"""A real Kafka broker (KRaft, one node) on loopback, for tests and for hands: `python -m tests.broker`."""

import argparse
import fcntl
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

ROOT = Path(__file__).parents[1]
POM = Path(__file__).parent / "kafka" / "pom.xml"
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

JAVA = (
    "java",
    "-XX:+UseSerialGC",  # with the next: a broker's life is short here, and the simplest start first
    "-XX:TieredStopAtLevel=1",
    "-Xms64m",
    "-Xmx384m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",  # so that a log ends with why, not with how it shut down
    "-cp",
    "jars/*",
)

FOREVER_MS = 2**63 - 1
# Event time is used as the Kafka timestamp, so a record may be of any year, and none is ever too old to keep.
ANY_TIME = {
    "retention.ms": "-1",
    "message.timestamp.after.max.ms": str(FOREVER_MS),
    "message.timestamp.before.max.ms": str(FOREVER_MS),
}
SETTINGS = {f"log.{key}": value for key, value in ANY_TIME.items()} | {
    "auto.create.topics.enable": "false",
    # A killed broker is let in again when its old session has ended: 9 s by default.
    "broker.heartbeat.interval.ms": "250",
    "broker.session.timeout.ms": "2000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
}


class BrokerError(Exception):
    """The broker cannot be had; the message ends with what its program last said."""


def tail(log: str) -> str:
    """The last lines of a log, less its stack frames."""
    said = (line for line in log.splitlines() if not re.match(r"\s+(at |\.\.\. )", line))
    return "\n".join(list(said)[-25:])


def why_not_local() -> str:
    """What keeps a local broker from running here; empty where nothing does."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


def jars() -> Path:
    """The folder of Kafka's jars; fetched by Maven once in a checkout, whoever asks first."""
    version = re.search(r"<artifactId>kafka_2.13</artifactId>\s*<version>(.+?)</version>", POM.read_text())
    if version is None:
        raise BrokerError(f"{POM} names no version of kafka_2.13")
    folder = ROOT / ".cache" / "kafka" / version[1]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        print(f"fetching Kafka {version[1]} with Maven, once", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
            fetched = Path(unfinished) / "jars"
            goal = (COPY_JARS, "-DincludeScope=runtime", f"-DoutputDirectory={fetched}")
            maven = ("mvn", "-B", "-q", "-ntp", "-f", str(POM), *goal)
            done = subprocess.run(maven, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BrokerError(f"Maven could not fetch Kafka:\n{tail(done.stdout + done.stderr)}")
            fetched.rename(folder)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class LocalKafka:
    """One broker with its data in a temporary folder, which goes with `close`.

    Its address stays the same over `stop`, `kill`, `start` and `restart`, and so does what is in it.
    `port`: where it listens; without one a free port is taken. `settings`: further broker properties.
    """

    def __init__(self, port: int | None = None, settings: dict[str, str] | None = None) -> None:
        self._fixed_port = port
        self._settings = SETTINGS | (settings or {})
        self._cluster_id = "D" + secrets.token_urlsafe(16)[1:]  # one that begins with - is refused
        self._home: Path | None = None
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BrokerError("the broker is not running")
        return self._process

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, timeout_s: float = 60) -> None:
        """Start and return once the broker answers; raises BrokerError with the end of its log."""
        deadline = time.monotonic() + timeout_s
        if self._home is not None:
            self._launch(self._home)
            self._wait_until_ready(deadline)
            return
        classpath = jars()
        home = Path(tempfile.mkdtemp(prefix="driftd-kafka-"))
        (home / "jars").symlink_to(classpath)
        self._home = home
        try:
            self._first_start(home, deadline)
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """End the broker in good order."""
        process = self.process
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired as late:
            self.kill()
            raise BrokerError(f"the broker did not stop:\n{self._log_tail()}") from late
        self._process = None

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()
        self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """End the broker, if it runs, and remove its data."""
        if self._process is not None:
            self.kill()
        if self._home is not None:
            shutil.rmtree(self._home)
            self._home = None

    def _first_start(self, home: Path, deadline: float) -> None:
        self._configure(home)
        tool = ("kafka.tools.StorageTool", "format", "-t", self._cluster_id, "-c", "server.properties")
        done = subprocess.run((*JAVA, *tool), cwd=home, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BrokerError(f"Kafka's storage could not be formatted:\n{tail(done.stdout + done.stderr)}")
        while True:
            self._launch(home)
            try:
                self._wait_until_ready(deadline)
            except BrokerError as failed:
                # Between the choice of a free port and its use another may have taken it.
                if self._fixed_port is not None or "Address already in use" not in str(failed):
                    raise
                self._configure(home)
            else:
                return

    def _configure(self, home: Path) -> None:
        self._port = self._fixed_port or free_port()
        controller = f"127.0.0.1:{free_port()}"
        settings = self._settings | {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "log.dirs": "data",
        }
        lines = (f"{key}={value}\n" for key, value in settings.items())
        (home / "server.properties").write_text("".join(lines))

    def _launch(self, home: Path) -> None:
        if self._process is not None:
            raise BrokerError("the broker runs already")
        command = (*JAVA, "kafka.Kafka", "server.properties")
        with (home / "log").open("wb") as log:
            # In a session of its own a Ctrl-C at the terminal reaches whoever started it, not the broker.
            self._process = subprocess.Popen(
                command, cwd=home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _wait_until_ready(self, deadline: float) -> None:
        admin = AdminClient(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "log_level": 0,  # refused connections are expected here
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 50,
            }
        )
        while True:
            if self.process.poll() is not None:
                self._process = None
                raise BrokerError(f"the broker ended:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise BrokerError(f"the broker does not answer:\n{self._log_tail()}")
            try:
                found = admin.list_topics(timeout=0.2)
            except KafkaException:
                continue
            # By its id: another broker may listen where ours could not.
            if found.brokers and found.cluster_id == self._cluster_id:
                return

    def _log_tail(self) -> str:
        log = self._home / "log" if self._home else None
        return tail(log.read_text(errors="replace")) if log else ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a real Kafka broker on loopback until Ctrl-C.")
    parser.add_argument("--port", type=int, default=9092, help="where it listens (default: 9092)")
    port: int = parser.parse_args().port
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if reason := why_not_local():
        print(f"no broker: {reason}; it needs Java 17 or newer, and Maven", file=sys.stderr)
        return 1
    try:
        with LocalKafka(port) as broker:
            print(f"bootstrap servers: {broker.bootstrap_servers}", flush=True)
            broker.process.wait()
            print("the broker ended by itself", file=sys.stderr)
    except BrokerError as failed:
        print(failed, file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
