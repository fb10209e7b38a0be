"""`driftd demo receiver`: what Slack's receiver and a webhook post is printed as text, and nothing else is."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from driftd import cli
from driftd.deliver.memory import Volatile
from driftd.deliver.message import Renderer
from driftd.deliver.receiver import Sent
from driftd.deliver.slack import Slack, payload
from driftd.demo.channel import MOST_BYTES, channel, words
from tests.broker import free_port
from tests.deliver.bodies import delivery
from tests.deliver.test_contract import HOSTILE, hostile
from tests.e2e.daemon import PROGRAM, driftd, wait_for


@pytest.fixture
def posted() -> Iterator[tuple[str, list[str]]]:
    told: list[str] = []
    server = channel("127.0.0.1:0", told.append)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", told
    server.shutdown()
    server.server_close()


def test_slacks_receiver_is_answered_and_its_message_printed_as_written(posted: tuple[str, list[str]]):
    url, told = posted
    one = delivery()
    slack = Slack("chat", Renderer(), Volatile(), url=url)
    assert isinstance(slack.send(one), Sent)
    slack.close()
    message = Renderer().message(one)
    (said,) = told
    links = [f"<{message.runbook}|Runbook>"]
    assert said.partition("\n")[2].splitlines() == [message.title, *message.lines, *links, message.id]


def test_a_webhooks_body_is_printed_as_json(posted: tuple[str, list[str]]):
    url, told = posted
    assert httpx.post(url, content=delivery().body).text == "ok"
    assert json.loads(told[0].partition("\n")[2]) == json.loads(delivery().body)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"blocks": 7}', b'{"attachments": ["x"]}', b"\xff"])
def test_what_is_no_message_is_refused_and_not_printed(posted: tuple[str, list[str]], body: bytes):
    url, told = posted
    assert httpx.post(url, content=body).status_code == 400
    assert told == []


def test_what_is_too_large_is_not_read(posted: tuple[str, list[str]]):
    url, told = posted
    assert httpx.post(url, content=b" " * MOST_BYTES + b"{}").status_code == 413
    assert told == []


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_inert(name: str):
    message = Renderer().message(hostile(name))
    lines = words(json.dumps(payload(message)).encode()).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(message.lines) + (3 if message.runbook else 2)


def test_it_prints_what_driftd_sends_until_it_is_told_to_stop(tmp_path: Path):
    address = f"127.0.0.1:{free_port()}"
    (tmp_path / "url").write_text(f"http://{address}/")
    config = tmp_path / "driftd.yaml"
    config.write_text(f"state: {{directory: {tmp_path}}}\nreceivers: {{chat: {{slack: {{url_file: url}}}}}}\n")
    log = tmp_path / "log"
    command = [str(PROGRAM), "demo", "receiver", "--listen", address]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as it:
        try:
            wait_for("the channel", lambda: "a channel listens" in log.read_text())
            done = driftd("receivers", "test", "chat", "--config", config)
            assert done.returncode == 0, done.stderr
            assert "[test] This is a test of driftd. Nothing has drifted.\n" in log.read_text()
            it.send_signal(signal.SIGTERM)
            assert it.wait(30) == 0
        finally:
            it.kill()


def test_an_address_that_is_taken_or_none_is_said(posted: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]):
    taken = posted[0].removeprefix("http://").rstrip("/")
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert cli.main(["demo", "receiver", "--listen", taken]) == 1
        assert f"cannot listen on {taken}: " in capsys.readouterr().err
        assert cli.main(["demo", "receiver", "--listen", "here"]) == 2
        assert "write host:port, such as 127.0.0.1:8800" in capsys.readouterr().err
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
