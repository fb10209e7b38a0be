"""What tests of every kind may ask for."""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from xdist.workermanage import WorkerController

from tests.broker import ROOT, LocalKafka, why_not_local
from tests.kafka_fixture import Kafka, Topics, open_kafka
from tests.registry import LocalRegistry, RegistryError

KAFKA = pytest.StashKey[set[str]]()
"""What Kafka was used. Of a worker of several, its end tells."""


def lacks(what: str) -> NoReturn:
    """A machine may lack it and the test is skipped; CI may not."""
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[Kafka]:
    """A Kafka, real if one can be had; which one is printed at the end of the run."""
    with open_kafka() as kafka:
        request.config.stash[KAFKA].add(kafka.describe)
        if os.environ.get("CI") == "true" and not kafka.real:
            lacks(f"CI needs a real Kafka, but this is {kafka.describe}")
        yield kafka


@pytest.fixture
def real_kafka(kafka: Kafka) -> Kafka:
    """The same, for what the mock cluster does not do truthfully."""
    if not kafka.real:
        lacks(f"needs a real Kafka, but this is {kafka.describe}")
    return kafka


@pytest.fixture(scope="session")
def java() -> None:
    """What a local broker runs on."""
    if reason := why_not_local():
        lacks(f"needs a broker of its own, but {reason}")


@pytest.fixture
def local_kafka(java: None) -> Iterator[LocalKafka]:
    """A real broker of the test's own, which it may stop, kill and restart."""
    with LocalKafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def registry() -> Iterator[LocalRegistry]:
    """A real schema registry; a test that stops it starts it again."""
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(LocalRegistry())
        except (RegistryError, OSError, subprocess.SubprocessError) as failed:
            lacks(f"needs a real schema registry: {failed}")
        yield found


@pytest.fixture
def topic(kafka: Kafka, request: pytest.FixtureRequest) -> Iterator[Topics]:
    """Called, it makes a topic and gives its name: `topic(partitions=7)`. They go with the test."""
    topics = Topics(kafka, prefix=re.sub(r"[^a-zA-Z0-9_-]", "-", request.node.name)[:100])
    yield topics
    topics.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the public data sets: beside the checkout, or where DRIFTD_SHARED_DATA says."""
    folder = Path(os.environ.get("DRIFTD_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"there are no data sets at {folder}; DRIFTD_SHARED_DATA names their folder")
    return folder


def pytest_configure(config: pytest.Config) -> None:
    used: set[str] = set()
    config.stash[KAFKA] = used


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        used: set[str] = session.config.stash[KAFKA]
        session.config.workeroutput["kafka"] = sorted(used)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    node.config.stash[KAFKA].update(getattr(node, "workeroutput", {}).get("kafka", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    used: set[str] = config.stash[KAFKA]
    for one in sorted(used):
        terminalreporter.write_line(f"Kafka: {one}")
