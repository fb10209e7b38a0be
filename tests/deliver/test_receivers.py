"""What is one receiver's own: edits, incidents, sending again, TLS, and how each is set up and tried."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.cli import main
from driftd.deliver.alertmanager import ROUNDS, Alertmanager
from driftd.deliver.backoff import Backoff
from driftd.deliver.email import Email
from driftd.deliver.memory import Volatile
from driftd.deliver.receiver import Refused, Retry, Sent
from driftd.deliver.sender import Patience
from driftd.deliver.slack import Slack
from driftd.outlet import receiver_for
from driftd.settings.load import load
from driftd.store.memory import Memories
from driftd.store.outbox import Outbox
from driftd.store.store import Store
from tests.deliver import endpoint as answers
from tests.deliver import services
from tests.deliver.bodies import RENDERER, delivery, signal, summary
from tests.deliver.cases import Mailbox, OfAlertmanager, OfEmail, case, real_alertmanager, smtp
from tests.deliver.endpoint import SECRET, free_port, wait_until
from tests.deliver.test_sender import ROOT, sending, settled
from tests.docs import pages
from tests.store.examples import action, owed

AGE, PLAN = signal("age", "alt_1"), signal("plan", "alt_2")

# -- Slack ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def slack():
    with services.serve(services.Slack()) as service:
        yield service


def bot(service: services.Slack, **more: object) -> Slack:
    api = f"http://127.0.0.1:{service.port}/api"
    how = {"token": services.TOKEN, "channel": services.CHANNEL, "api_url": api, "every_s": 0.0, **more}
    return Slack("chat", RENDERER, Volatile(), **how)  # type: ignore[arg-type]


def test_a_message_is_edited_when_each_of_its_signals_is_over(slack):
    chat = bot(slack)
    for one in (
        delivery(signals=[AGE, PLAN]),
        delivery("resolved", [AGE], number=2),
        delivery("resolved", [PLAN], number=3),
    ):
        assert isinstance(chat.send(one), Sent)
    chat.close()
    first, partly, whole = slack.shown
    assert [one["edit"] for one in slack.shown] == [False, True, True]
    assert [one["colour"] for one in slack.shown] == ["#f9a825", "#f9a825", "#2e7d32"]
    assert "1 of 2 signals are resolved." in partly["text"]
    assert partly["text"].splitlines()[0] == first["text"].splitlines()[0]
    assert whole["text"].startswith("[resolved] churn 7")
    assert "Began 2026-11-24 11:40 UTC, over 2026-11-24 12:00 UTC" in whole["text"]
    assert len(slack.messages) == 1
    assert slack.faults == []


def test_what_cannot_be_edited_any_more_is_told_anew(slack):
    chat = bot(slack)
    chat.send(delivery())
    slack.messages.clear()
    assert isinstance(chat.send(delivery("resolved", number=2)), Sent)
    chat.close()
    assert [one["edit"] for one in slack.shown] == [False, False]
    assert slack.shown[1]["text"].startswith("[resolved]")


def test_a_bot_sends_at_most_one_message_a_second(slack):
    slack.gap_s = 0.9  # the way there takes its time
    chat = bot(slack, every_s=1.0)
    for number in range(3):
        assert isinstance(chat.send(delivery(number=number, signals=[signal(alert=f"alt_{number}")])), Sent)
    chat.close()
    assert slack.faults == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [("internal_error", Retry), ("ratelimited", Retry), ("invalid_auth", Refused), ("is_archived", Refused)],
)
def test_what_slacks_errors_mean(slack, error, kind):
    slack.script.append(services.ok(200, {"ok": False, "error": error}))
    chat = bot(slack)
    outcome = chat.send(delivery())
    chat.close()
    assert isinstance(outcome, kind)
    assert outcome.answer == error


def test_an_answer_that_is_no_json_is_tried_again(slack):
    slack.script.append(answers.status(200, b"<html>maintenance</html>"))
    chat = bot(slack)
    assert isinstance(chat.send(delivery()), Retry)
    chat.close()


@pytest.mark.chaos
def test_after_kills_every_message_is_edited_but_what_a_kill_doubled(slack, tmp_path):
    """What was posted is known again after kill -9, and edited when it resolves. Only a message whose answer the killed
    process had not stored is posted twice.
    """
    count, chance, kills = 24, random.Random(20261124), 0
    fired = [action(2 * i, alerts=(str(i),)) for i in range(count)]
    over = [action(2 * i + 1, "driftd.alert.resolved", alerts=(str(i),)) for i in range(count)]
    with Store.open(tmp_path, group="driftd") as store:
        store.commit(owed(*fired, *over))
    api = f"http://127.0.0.1:{slack.port}/api"
    command = [sys.executable, "-m", "tests.deliver.sender_process", str(tmp_path), api, "slack"]
    with Outbox(tmp_path) as outbox:
        while not settled(outbox):
            wanted = len(slack.requests) + 1 + chance.randrange(12)
            with subprocess.Popen(command, cwd=ROOT) as running:
                try:
                    wait_until(lambda: len(slack.requests) >= wanted or settled(outbox))  # noqa: B023 - called here
                    time.sleep(chance.random() * 0.01)  # the random instant itself
                finally:
                    running.kill()
                    kills += 1
        assert outbox.entries("dead") == []
    assert kills >= 3
    titles = [message["text"] for message in slack.messages.values()]
    left = [title for title in titles if not title.startswith("[resolved]")]
    assert len(titles) - len(left) == count
    assert len(left) <= kills
    assert slack.faults == []


# -- PagerDuty --------------------------------------------------------------------------------------------------------


def test_an_incident_is_resolved_with_the_last_of_its_alerts(tmp_path):
    with case("pagerduty", tmp_path) as one:
        pager = one.receiver()
        service = one.service
        assert isinstance(service, services.PagerDuty)
        pager.send(delivery(signals=[AGE]))
        pager.send(delivery(signals=[PLAN], number=2))
        other = delivery(signals=[signal("age", "alt_3")], number=3, version="8")
        pager.send(other)
        assert len(service.incidents) == 2
        assert isinstance(pager.send(delivery("resolved", [AGE], number=4)), Sent)
        assert [row["open"] for row in service.incidents.values()] == [True, True]
        assert isinstance(pager.send(delivery("resolved", [PLAN], number=5)), Sent)
        assert [row["open"] for row in service.incidents.values()] == [False, True]
        pager.close()
        assert one.faults() == []


def test_a_severity_that_rises_is_the_same_incident(tmp_path):
    with case("pagerduty", tmp_path) as one:
        pager = one.receiver()
        pager.send(delivery())
        pager.send(delivery(severity="critical", number=2))
        assert [row["severity"] for row in one.service.incidents.values()] == ["critical"]  # type: ignore[attr-defined]
        pager.close()


def test_what_pages_nobody_is_a_change_event(tmp_path):
    with case("pagerduty", tmp_path) as one:
        pager = one.receiver()
        assert isinstance(pager.send(summary()), Sent)
        assert one.service.incidents == {}  # type: ignore[attr-defined]
        assert len(one.service.changes) == 1  # type: ignore[attr-defined]
        pager.close()


# -- Alertmanager -----------------------------------------------------------------------------------------------------


class Clocks:
    """A receiver's clock and its rounds, moved by hand; it begins at the real time, which Alertmanager goes by."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def wall(self) -> float:
        return time.time() + self.ahead

    def steady(self) -> float:
        return time.monotonic() + self.ahead


def test_what_fires_is_sent_again_until_it_is_over_and_ends_by_itself_without(tmp_path):
    with case("alertmanager", tmp_path) as one:
        assert isinstance(one, OfAlertmanager)
        clocks = Clocks()
        url = f"http://127.0.0.1:{one.service.port}"
        manager = Alertmanager(
            "m", RENDERER, Volatile(), urls=[url], resend_every_s=60, clock=clocks.wall, monotonic=clocks.steady
        )
        manager.send(delivery(signals=[AGE, PLAN]))
        ends = [datetime.fromisoformat(alert["endsAt"]) for alert in one.alerts()]
        ahead = (ends[0] - datetime.now(UTC)).total_seconds()
        assert len(ends) == 2
        assert ROUNDS * 60 - 10 < ahead <= ROUNDS * 60
        assert isinstance(manager.tend(), Sent)
        assert manager.tend() is None, "not yet"
        clocks.ahead = 61
        assert isinstance(manager.tend(), Sent)
        later = [datetime.fromisoformat(alert["endsAt"]) for alert in one.alerts()]
        assert all(after - before > timedelta(seconds=55) for before, after in zip(ends, later, strict=True))
        manager.send(delivery("resolved", [AGE], number=2))
        clocks.ahead = 122
        manager.tend()
        last = json.loads(one.service.requests[-1].body)
        assert [alert["labels"]["signal"] for alert in last] == ["plan"]
        manager.close()
        assert one.faults() == []


def test_an_alert_has_the_labels_that_routes_and_silences_go_by(tmp_path):
    with case("alertmanager", tmp_path) as one:
        assert isinstance(one, OfAlertmanager)
        manager = one.receiver()
        manager.send(delivery(rule="version-skew"))
        (alert,) = one.alerts()
        assert alert["labels"] == {
            "alertname": "DriftdVersionSkew", "model": "churn", "version": "7", "kind": "prediction",
            "rule": "version-skew", "signal": "age", "severity": "warning", "team": "risk",
        }  # fmt: skip
        assert alert["annotations"]["runbook_url"] == "https://wiki.example.com/churn"
        assert datetime.fromisoformat(alert["startsAt"]) <= datetime.now(UTC)
        assert alert["generatorURL"].startswith("https://driftd.example.com/api/v1/transitions/ntf_")
        manager.close()


def test_a_severity_that_rises_ends_the_alert_of_the_lower_one(tmp_path):
    with case("alertmanager", tmp_path) as one:
        assert isinstance(one, OfAlertmanager)
        manager = one.receiver()
        manager.send(delivery())
        manager.send(delivery(severity="critical", number=2))
        assert [alert["labels"]["severity"] for alert in one.alerts()] == ["critical"]
        manager.send(delivery("resolved", severity="critical", number=3))
        assert one.alerts() == []
        manager.close()


def test_of_a_cluster_one_is_enough_and_all_are_told(tmp_path):
    with case("alertmanager", tmp_path) as one, answers.serve() as other:
        assert isinstance(one, OfAlertmanager)
        urls = [
            f"http://127.0.0.1:{free_port()}",
            f"http://127.0.0.1:{one.service.port}",
            other.url.removesuffix("/hook"),
        ]
        manager = Alertmanager("m", RENDERER, Volatile(), urls=urls, token="t0ken")  # noqa: S106
        assert isinstance(manager.send(delivery()), Sent)
        assert len(one.alerts()) == 1
        assert other.requests[0].headers["authorization"] == "Bearer t0ken"
        nobody = Alertmanager("m", RENDERER, Volatile(), urls=urls[:1])
        assert isinstance(nobody.send(delivery()), Retry)
        manager.close()
        nobody.close()


def test_the_sender_keeps_it_told_also_after_a_restart_of_either(tmp_path):
    """By the running sender: an Alertmanager that lost all it knew is told again, by a driftd that was restarted."""
    state = tmp_path / "state"
    Store.open(state, group="driftd").close()
    with answers.serve() as between, Outbox(state) as outbox:
        with real_alertmanager(tmp_path) as port:
            memories = Memories(state)
            first = Alertmanager("m", RENDERER, memories.of("m"), urls=[f"http://127.0.0.1:{port}"])
            assert isinstance(first.send(delivery()), Sent)
            first.close()
            memories.close()
        (tmp_path / "again").mkdir()
        with real_alertmanager(tmp_path / "again") as port:
            memories = Memories(state)
            url = f"http://127.0.0.1:{port}"
            second = Alertmanager("m", RENDERER, memories.of("m"), urls=[url], resend_every_s=0.05)
            holds = OfAlertmanager("alertmanager", between, port=port)
            with sending(outbox, second, patience=Patience(backoff=Backoff(0.01, 0.03), poll_s=0.02)):
                wait_until(lambda: len(holds.alerts()) == 1)
            memories.close()


# -- e-mail -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_mail_goes_by_tls_and_says_who_it_is_from(tls, tmp_path):
    box = Mailbox()
    with smtp(tmp_path, box, tls=tls) as (port, ca), answers.serve() as unused:
        mail = OfEmail("email", unused, box=box, port=port, ca=ca, tls=tls).receiver()
        assert mail.send(delivery()) == Sent("taken for 2 of 2")
        assert mail.send(delivery("resolved", number=2)) == Sent("taken for 2 of 2")
    if tls == "starttls":
        assert box.secure == [True, True]
    heads = [raw.partition(b"\r\n\r\n")[0].decode() for raw in box.mails]
    assert "Auto-Submitted: auto-generated" in heads[0]
    one, two = ([line for line in head.splitlines() if line.startswith("References: <inc_")] for head in heads)
    assert one == two != []
    ids = {line for head in heads for line in head.splitlines() if line.startswith("Message-ID:")}
    assert len(ids) == 2


def test_a_certificate_of_nobody_is_refused(tmp_path):
    box = Mailbox()
    with smtp(tmp_path, box) as (port, _):
        mail = Email(
            "mail", RENDERER, host="localhost", port=port, sender="a@example.com", to=["b@example.com"], group="g"
        )
        outcome = mail.send(delivery())
    assert isinstance(outcome, Refused)
    assert "certificate is not trusted" in outcome.error
    assert box.mails == []


def test_a_wrong_password_is_refused_and_not_repeated(tmp_path):
    box = Mailbox()
    with smtp(tmp_path, box) as (port, ca), answers.serve() as unused:
        wrong = ("driftd", "hunter3")
        mail = OfEmail("email", unused, box=box, port=port, ca=ca, login=wrong, timeout_s=20.0).receiver()
        outcome = mail.send(delivery())
    assert isinstance(outcome, Refused)
    assert outcome.error == "SMTP 535"
    assert "hunter3" not in repr(outcome)


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_a_server_without_tls_is_not_spoken_to(tmp_path):
    box = Mailbox()
    with smtp(tmp_path, box, tls="none") as (port, ca), answers.serve() as unused:
        outcome = OfEmail("email", unused, box=box, port=port, ca=ca).receiver().send(delivery())
    assert isinstance(outcome, Refused)
    assert outcome.error.startswith("the server does not offer what the settings ask for")
    assert box.mails == []


def test_a_recipient_that_is_refused_keeps_it_from_nobody_else(tmp_path):
    with case("email", tmp_path) as one:
        assert isinstance(one, OfEmail)
        one.box.refused["ml@example.com"] = "550 no such user"
        assert one.receiver().send(delivery()) == Sent("taken for 1 of 2", "550 no such user")
        one.box.refused["on-call@example.com"] = "451 mailbox busy"
        assert isinstance(one.receiver().send(delivery()), Retry)
        one.box.refused["on-call@example.com"] = "550 no such user"
        assert isinstance(one.receiver().send(delivery()), Refused)


# -- set up and tried -------------------------------------------------------------------------------------------------

SECRETS = {
    "slack-token": services.TOKEN,
    "slack-url": "https://hooks.example.com/services/T0/B0/secret",
    "pagerduty": services.KEY,
    "teams-url": "https://flows.example.com/1?sig=secret",
    "smtp": "hunter2",
    "hook": SECRET,
}


def lay_out(folder: Path, text: str) -> Path:
    for name, secret in SECRETS.items():
        (folder / name).write_text(secret)
    config = folder / "driftd.yaml"
    config.write_text(text.replace("/run/secrets/", f"{folder}/"))
    return config


EXAMPLES = [block.body for block in pages.blocks("docs/receivers.md", "yaml")]


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_of_the_docs_are_taken_and_make_a_receiver(text, tmp_path, capsys):
    config = lay_out(tmp_path, text)
    assert main(["check", "--config", str(config)]) == 0, capsys.readouterr().err
    settings = load(config, {})
    for name in settings.receivers:
        receiver_for(settings, name).close()
    assert settings.receivers


def test_the_docs_have_an_example_of_every_kind(tmp_path):
    kinds = {one.kind for text in EXAMPLES for one in load(lay_out(tmp_path, text), {}).receivers.values()}
    assert kinds == {"webhook", "slack", "pagerduty", "alertmanager", "teams", "email"}


def test_the_text_of_the_docs_is_what_is_told():
    shown = pages.block("docs/receivers.md", "text").splitlines()
    data = json.loads(pages.blocks("README.md", "json")[1].body.replace("…", "0" * 32))["data"]
    one = delivery(**{key: value for key, value in data.items() if key not in ("signals", "severity")},
                   signals=data["signals"], severity="critical")  # fmt: skip
    told = RENDERER.message(one).text.splitlines()
    assert told[0] == shown[0]
    assert [line.replace("0.278,", "0.2776,") for line in told[1:-1]] == shown[1:-1]


@pytest.mark.parametrize("kind", ["slack", "slack-hook", "pagerduty", "teams", "alertmanager", "email"])
def test_each_can_be_tried_by_command(kind, tmp_path, capsys):
    with case(kind, tmp_path) as one:
        base = f"http://127.0.0.1:{one.service.port}"
        (tmp_path / "url").write_text(f"{base}/services/T0/B0/secret")
        kinds = {
            "slack": f"slack: {{token_file: slack-token, channel: {services.CHANNEL}, api_url: '{base}/api'}}",
            "slack-hook": "slack: {url_file: url}",
            "pagerduty": f"pagerduty: {{routing_key_file: pagerduty, url: '{base}'}}",
            "teams": "teams: {url_file: url}",
            "alertmanager": f"alertmanager: {{urls: '{base}'}}",
            "email": f"email: {{host: localhost, port: {getattr(one, 'port', 0)}, ca_file: cert.pem, username: driftd,"
            " password_file: smtp, from: driftd@example.com, to: ml@example.com}",
        }
        config = lay_out(tmp_path, f"receivers:\n  it:\n    {kinds[kind]}\n")
        assert main(["receivers", "test", "it", "--config", str(config)]) == 0, capsys.readouterr().err
        assert capsys.readouterr().out.startswith("it: accepted: ")
        assert one.faults() == []
        assert "This is a test of driftd. Nothing has drifted." in one.shown()[0]
        if kind == "pagerduty":
            assert [row["open"] for row in one.service.incidents.values()] == [False]  # type: ignore[attr-defined]
        one.refuse()
        assert main(["receivers", "test", "it", "--config", str(config)]) == 1
        assert capsys.readouterr().err.startswith("it: not accepted: ")


def test_hosts_of_every_kind_are_asked_for(tmp_path, capsys, monkeypatch):
    import socket

    asked = []

    def nobody(host, *_args, **_more):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("driftd.commands.check.socket.getaddrinfo", nobody)
    monkeypatch.setattr("driftd.commands.check._broker_faults", lambda *_: iter(()))
    told = []
    for text in EXAMPLES:
        config = lay_out(tmp_path, f"state: {{directory: {tmp_path}}}\n" + text)
        assert main(["check", "--connect", "--config", str(config)]) == 1
        told += capsys.readouterr().err.splitlines()
    assert {"example.com", "slack.com", "hooks.example.com", "events.pagerduty.com", "alertmanager-0",
            "alertmanager-1", "flows.example.com", "smtp.example.com"} == set(asked)  # fmt: skip
    assert any(": receivers.cluster.alertmanager.urls" in line and "alertmanager-1" in line for line in told)
    assert "secret" not in "".join(line.partition(": ")[2] for line in told)
