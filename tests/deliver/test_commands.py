from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from driftd.commands import outbox as outbox_command
from driftd.commands import receivers as receivers_command
from driftd.core.fault import UserError
from driftd.deliver.webhook import Webhook
from driftd.store.outbox import Outbox
from driftd.store.store import Store
from tests.deliver import endpoint as answers
from tests.deliver.endpoint import SECRET, wait_until
from tests.deliver.test_sender import sending
from tests.store.examples import action, owed


@pytest.fixture
def config(tmp_path: Path, endpoint: answers.Endpoint):
    (tmp_path / "secret").write_text(SECRET + "\n")
    path = tmp_path / "driftd.yaml"
    path.write_text(
        f"state: {{directory: {tmp_path / 'state'}}}\n"
        "receivers:\n"
        f"  ops: {{webhook: {{url: '{endpoint.url}', secret_file: {tmp_path / 'secret'}, timeout: 1s}}}}\n"
        f"  plain: {{webhook: {{url: '{endpoint.url}'}}}}\n"
    )
    return path


@pytest.fixture
def store(tmp_path, config):
    """The daemon's: open, its directory locked, while the commands run."""
    with Store.open(tmp_path / "state", group="driftd") as opened:
        opened.commit(owed(action(1), action(2, alerts=("b\x1b[2J",)), action(3, alerts=("c",))))
        with Outbox(tmp_path / "state") as outbox:
            outbox.failed(1, time.time() + 100, "HTTP 503: \x1b[31mlater")
            outbox.dead(2, "HTTP 404")
        yield opened


def test_list_shows_what_waits_and_what_died(store, config, capsys):
    assert outbox_command.list_(config, dead=False) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["1", "waiting", "ops"],
        ["3", "waiting", "ops"],
        ["2", "dead", "ops"],
    ]
    assert "1 failed  next try in" in lines[0]
    assert "\x1b" not in out
    assert err.startswith("2 waiting, 1 dead; `driftd outbox replay")
    assert outbox_command.list_(config, dead=True) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["2"]


def test_show_gives_all_of_one(store, config, capsys):
    assert outbox_command.show(config, 2) == 0
    out = capsys.readouterr().out
    assert "state:           dead" in out
    assert "last error:      HTTP 404" in out
    assert "\x1b" not in out
    assert json.loads(out[out.index("{") :]) == json.loads(action(2, alerts=("b\x1b[2J",)).body())
    with pytest.raises(UserError, match="no delivery has the number 99"):
        outbox_command.show(config, 99)


def test_replay_beside_a_running_daemon_is_noticed_soon(store, config, tmp_path, endpoint, capsys):
    with (
        Outbox(tmp_path / "state") as outbox,
        sending(outbox, Webhook("ops", endpoint.url, secret=SECRET)),
    ):
        endpoint.wait_for(1)
        assert outbox_command.replay(config, 2, all_=False) == 0
        wait_until(lambda: action(2, alerts=("b\x1b[2J",)).id in [request.id for request in endpoint.requests])
    assert "1 delivery waits again\n" in capsys.readouterr().out


def test_replay_of_what_is_not_dead_is_refused(store, config, capsys):
    with pytest.raises(UserError, match="delivery 1 is waiting, not dead"):
        outbox_command.replay(config, 1, all_=False)
    with pytest.raises(UserError, match="no delivery has the number 99"):
        outbox_command.replay(config, 99, all_=False)
    for number, all_ in ((None, False), (1, True)):
        with pytest.raises(UserError, match="say what to replay"):
            outbox_command.replay(config, number, all_=all_)
    assert outbox_command.replay(config, None, all_=True) == 0
    assert outbox_command.replay(config, None, all_=True) == 0
    assert capsys.readouterr().out == "1 delivery waits again\n0 deliveries wait again\n"


def test_without_a_state_they_say_so(config):
    nothing = r"does not exist: nothing has been stored there yet; check that state.directory"
    with pytest.raises(UserError, match=nothing):
        outbox_command.list_(config, dead=False)
    with pytest.raises(UserError, match=nothing):
        outbox_command.show(config, 1)
    with pytest.raises(UserError, match=nothing):
        outbox_command.replay(config, None, all_=True)


def test_a_test_notification_is_marked_signed_and_its_answer_printed(config, endpoint, capsys):
    endpoint.answer = answers.status(200, b"thank you\x1b[2J")
    assert receivers_command.test(config, "ops") == 0
    (request,) = endpoint.requests
    document = request.verify()
    assert document["type"] == "driftd.test"
    assert document["data"]["receiver"] == "ops"
    assert capsys.readouterr().out == "ops: accepted: HTTP 200: thank you [2J\n"
    assert receivers_command.test(config, "plain") == 0
    assert "webhook-signature" not in endpoint.requests[1].headers


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answers.status(401, b"who are you"), "ops: not accepted: HTTP 401: who are you\n"),
        (answers.status(503), "ops: not accepted: HTTP 503\n"),
        (answers.hang, "ops: not accepted: no answer within 1 s\n"),
    ],
)
def test_a_test_notification_that_is_refused_fails(config, endpoint, capsys, answer, words):
    endpoint.answer = answer
    assert receivers_command.test(config, "ops") == 1
    assert capsys.readouterr().err == words


def test_an_unknown_receiver_is_refused_with_those_that_are_known(config):
    with pytest.raises(UserError, match="no receiver has the name 'opps'; the settings name: ops, plain"):
        receivers_command.test(config, "opps")
