"""Names that mean something to a terminal, a browser or a chat, through the whole program: nowhere more than text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np

from tests.deliver.endpoint import serving
from tests.deliver.services import CHANNEL, TOKEN, Slack
from tests.deliver.test_contract import HOSTILE
from tests.e2e.daemon import Daemon, driftd, event, produce, running, settings, wait_for
from tests.kafka_fixture import Kafka

MODEL = "<!channel> [red]<script>alert(1)</script>{{.Labels}} \u202e"
NAMES = [name for name in HOSTILE if name.isascii()]
"""Of features: what JSON can hold."""
START, SECOND, TRAINING, LIVE = 1_795_428_000_000, 1_000, 3_000, 2_400
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")
"""What a terminal or a page could obey; a line feed ends lines."""


def traffic(start: int, count: int, shift: float) -> Iterator[tuple[int, bytes]]:
    random = np.random.default_rng(5)
    for i in range(count):
        features: dict[str, object] = {name: float(random.normal(shift)) for name in NAMES}
        features["plan"] = NAMES[i % 3] if not shift else NAMES[-1]
        at = start + i * SECOND
        yield at, event(MODEL, NAMES[0], at, features, float(random.random()))


def test_they_are_text_in_logs_pages_commands_and_messages(
    real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path
) -> None:
    name, broker = topic(partitions=1), real_kafka.bootstrap_servers
    lines = tmp_path / "training.jsonl"
    lines.write_bytes(b"\n".join(value for _, value in traffic(0, TRAINING, 0.0)))
    built = driftd("reference", "build", "--model", MODEL, "--output", tmp_path / "r.json", lines)
    assert built.returncode == 0, built.stderr
    (tmp_path / "token").write_text(TOKEN)
    chat = Slack()
    with serving(chat):
        made = settings(broker, tmp_path / "d", name)
        made["monitoring"] = {"window": {"length": "10m", "every": "5m", "max_wait": "1m"}, "rules": {"jump": None}}
        made["models"] = {MODEL: {"reference": {"file": str(tmp_path / "r.json")}, "labels": {"team": NAMES[1]}}}
        way = {
            "token_file": str(tmp_path / "token"),
            "channel": CHANNEL,
            "api_url": f"http://127.0.0.1:{chat.port}/api",
        }
        made["receivers"] = {"chat": {"slack": way}}
        daemon = Daemon(tmp_path / "d", made)
        with running(daemon):
            values = [*traffic(START, LIVE, 0.0), *traffic(START + LIVE * SECOND, LIVE, 2.0)]
            refused = event("a\x1b[31m\nb", "1", START, {"x": 1}, 1)
            produce(broker, name, ((0, at, value) for at, value in [(START, refused), *values]))
            wait_for("a message", lambda: chat.shown)
            assert chat.faults == [], "what the service itself finds"
            said = [("the message", chat.shown[0]["text"])]
            id_ = json.loads(daemon.transitions(MODEL)[0])["id"]
            for words in (
                ("models",), ("models", "--output", "json"), ("explain", id_), ("explain", "--output", "json", id_),
                ("outbox", "list"), ("mute", id_, "--reason", NAMES[2], "--author", MODEL), ("mutes",),
                ("mutes", "--output", "json"), ("ack", id_, "--reason", MODEL), ("routes", "test", "--model", MODEL),
                ("replay", f"kafka:{name}"), ("check",), ("review", "--since", "3650d"),
            ):  # fmt: skip
                done = driftd(*words, "--config", daemon.config)
                assert done.returncode == 0, (words, done.stderr)
                said += [(" ".join(words), done.stdout), (" ".join(words), done.stderr)]
            for path in ("/", "/metrics", "/api/v1/models", f"/api/v1/models/{quote(MODEL, safe='')}", "/api/v1/mutes"):
                answer = httpx.get(f"{daemon.url()}{path}", timeout=10)
                assert answer.status_code == 200, path
                said.append((path, answer.text))
                if "html" in answer.headers["content-type"]:
                    assert "<script" not in answer.text
                    assert "&lt;script&gt;alert(1)" in answer.text
        said.append(("the log", daemon.log.read_text()))
        said.append(("reference show", driftd("reference", "show", tmp_path / "r.json").stdout))
    obeyed = {where: found[0] for where, text in said if (found := RAW.search(text))}
    assert obeyed == {}
    every = "\n".join(text for _, text in said)
    assert MODEL.replace("\u202e", "\\u202e") in every, "it was said at all"
