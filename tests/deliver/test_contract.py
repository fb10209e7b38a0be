"""What every receiver keeps, each tried on a service that checks the real one's rules."""

from __future__ import annotations

import json
import re
import time

import pytest
import structlog

from driftd.core.action import Delivery
from driftd.deliver.message import MOST_LINES, Renderer
from driftd.deliver.receiver import Receiver, Refused, Retry, Sent
from driftd.store.memory import Memories
from driftd.store.store import Store
from tests.deliver.bodies import PAGES, RENDERER, delivery, requested, signal, summary
from tests.deliver.cases import KINDS, SECRETS, Case, OfAlertmanager, OfEmail, OfPagerDuty, OfSlack, case
from tests.deliver.endpoint import wait_until
from tests.deliver.test_sender import QUICK, sending, settled

FIRING, RESOLVED = delivery(), delivery("resolved", number=2)
HOSTILE = (
    "<!channel> <@U123> @here",
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[2J\x07",
    "one\r\ntwo\nBcc: x@example.com\n.\nQUIT",
    "{{DATE(2026-01-01T00:00:00Z,SHORT)}} {{.Labels}} {% x %} ${y} @{z}",
    "[red]a[/red] [link=http://evil.example.com]b[/link] [/]",
    "*bold* _it_ ~s~ `code` [a](http://evil.example.com) &amp; &lt;",
    "\u202eevil\u200b \u2028 \x00",
    "\ud800 lone",
)


@pytest.fixture(params=KINDS)
def each(request, tmp_path):
    with case(request.param, tmp_path) as one:
        yield one


@pytest.fixture
def receiver(each):
    made = each.receiver()
    yield made
    made.close()


def test_an_alert_and_its_end_are_taken(each: Case, receiver: Receiver):
    for one in (FIRING, RESOLVED):
        assert isinstance(receiver.send(one), Sent), each.faults()
    assert each.faults() == []
    shown = each.shown()
    assert FIRING.id in shown[0]
    if each.name != "webhook":
        for words in ("churn 7: drift in age", "mean 41.06 → 46.48", "Since 2026-11-24 11:40 UTC", "version 8"):
            assert words in shown[0], words


@pytest.mark.parametrize("what", [requested(), summary(), summary(["alt_1"])], ids=["request", "summary", "end"])
def test_what_is_no_alert_is_taken_too(each: Case, receiver: Receiver, what: Delivery):
    assert isinstance(receiver.send(what), Sent), each.faults()
    assert each.faults() == []
    assert what.id in each.shown()[-1]


def test_put_off_is_tried_again_later_with_the_same_words(each: Case, receiver: Receiver):
    each.later()
    put_off = receiver.send(FIRING)
    assert isinstance(put_off, Retry)
    assert isinstance(receiver.send(FIRING), Sent)
    if each.name not in ("email", "alertmanager"):
        assert len({request.body for request in each.service.requests}) == 1
    assert isinstance(receiver.send(FIRING), Sent)  # after a crash before it was known
    if isinstance(each, OfEmail):
        first, second = each.box.mails
        assert first == second
    elif isinstance(each, OfAlertmanager):
        (alert,) = each.alerts()
        assert alert["annotations"]["id"] == FIRING.id
    elif each.name == "slack":
        assert len(each.shown()) == 1, "its memory says that it was posted"
    else:
        assert len({request.body for request in each.service.requests[-2:]}) == 1


def test_how_long_to_wait_is_asked_of_the_service(each: Case, receiver: Receiver):
    each.later(after_s=7)
    put_off = receiver.send(FIRING)
    assert isinstance(put_off, Retry)
    assert put_off.after_s == (None if isinstance(each, OfEmail) else 7.0)


def test_what_is_refused_is_refused(each: Case, receiver: Receiver):
    each.refuse()
    assert isinstance(receiver.send(FIRING), Refused)
    assert isinstance(receiver.send(FIRING), Sent)


def test_silence_ends_at_the_deadline(each: Case):
    each.hang()
    receiver = each.receiver()
    began = time.monotonic()
    assert receiver.send(FIRING) == Retry("no answer within 1 s")
    assert time.monotonic() - began < 5.0
    receiver.close()


def test_a_lost_connection_is_tried_again(each: Case):
    each.reset()
    receiver = each.receiver()
    assert isinstance(receiver.send(FIRING), Retry)
    receiver.close()


def hostile(name: str) -> Delivery:
    named = signal(name, moved={"what": "share", "category": name, "from": 0.1, "to": 0.5})
    labels = {"team": name, "runbook": f"https://wiki.example.com/{name}"}
    return delivery(
        signals=[named],
        model=name,
        version=name,
        labels=labels,
        versions=[{"version": name, "since": "2026-11-24T11:30:00Z"}],
    )


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_are_inert(each: Case, receiver: Receiver, name: str):
    one = hostile(name)
    with structlog.testing.capture_logs() as logs:
        assert isinstance(receiver.send(one), Sent), each.faults()
    assert each.faults() == []
    assert not re.search(r"[\x00-\x1f\x7f]", repr(logs))
    if each.name == "webhook":  # a program's: the body as it is, JSON
        assert each.service.requests[0].body == one.body
        return
    (shown,) = each.shown()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\u2028]", shown.replace("\r\n", "\n"))
    assert len(shown.splitlines()) <= MOST_LINES + 4  # an id of its own, and paragraphs
    if isinstance(each, OfEmail):
        (envelope,) = each.box.envelopes
        assert envelope.rcpt_tos == list(each.to)
        head = each.box.mails[0].partition(b"\r\n\r\n")[0]
        assert b"\r\nBcc:" not in head
    if isinstance(each, OfAlertmanager):
        (alert,) = each.alerts()
        assert alert["labels"]["severity"] == "warning"


def test_nothing_of_an_event_is_an_address(each: Case, receiver: Receiver):
    """A label is the settings'. What no URL may hold is written as a URL writes it, and other schemes are no address."""
    for number, runbook in enumerate(
        ("javascript:alert(1)", "https://wiki.example.com/a|b> <c\"d'", "file:///etc/passwd")
    ):
        one = delivery(number=10 + number, signals=[signal(alert=f"alt_{number}")], labels={"runbook": runbook})
        assert isinstance(receiver.send(one), Sent), each.faults()
    assert each.faults() == []
    if each.name != "webhook":
        text = " ".join(request.body.decode() for request in each.service.requests)
        for outside in ("javascript:", "file:///"):
            assert not re.search(rf"\"(href|url|runbook_url)\": *\"{outside}", text)
            assert f"<{outside}" not in text


def test_two_thousand_signals_of_long_names_are_taken(each: Case, receiver: Receiver):
    signals = [signal(f"{'ä' * 250}{i}", f"alt_{i}") for i in range(2_000)]
    assert isinstance(receiver.send(delivery(signals=signals)), Sent), each.faults()
    assert each.faults() == []


def test_secrets_are_in_no_word_that_is_logged_or_kept(each: Case, receiver: Receiver):
    each.later()
    each.refuse()
    said = [receiver.send(FIRING) for _ in range(3)]
    each.reset()
    said.append(each.receiver().send(FIRING))
    for secret in SECRETS:
        assert secret not in repr(said)


@pytest.mark.parametrize("kind", ["slack", "pagerduty", "alertmanager"])
def test_what_it_told_is_known_after_a_crash(kind, tmp_path):
    """Another process with the same state directory ends what this one told."""
    state = tmp_path / "state"
    Store.open(state, group="driftd").close()
    two = delivery(signals=[signal("age", "alt_1"), signal("plan", "alt_2")])
    end = delivery("resolved", [signal("age", "alt_1"), signal("plan", "alt_2")], number=2)
    with case(kind, tmp_path) as one:
        for what in (two, end):
            memories = Memories(state)
            receiver = one.receiver(memories.of(f"{kind} ops"))
            assert isinstance(receiver.send(what), Sent), one.faults()
            receiver.close()
            memories.close()
        assert one.faults() == []
        assert ended(one)
        memories = Memories(state)
        assert memories.of(f"{kind} ops").all("alert ") == {}
        assert memories.of(f"{kind} ops").all("message ") == {}
        memories.close()


def ended(one: Case) -> bool:
    if isinstance(one, OfAlertmanager):
        return one.alerts() == []
    if isinstance(one, OfPagerDuty):
        return [row["open"] for row in one.service.incidents.values()] == [False]  # type: ignore[attr-defined]
    assert isinstance(one, OfSlack)
    return [row["edit"] for row in one.service.shown] == [False, True]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["slack", "pagerduty", "alertmanager"])
def test_a_summary_ends_what_was_told_before_it(kind, tmp_path):
    with case(kind, tmp_path) as one:
        receiver = one.receiver()
        for what in (FIRING, summary(["alt_1", "alt_of_nobody"])):
            assert isinstance(receiver.send(what), Sent), one.faults()
        if isinstance(one, OfAlertmanager):
            assert [alert["labels"]["alertname"] for alert in one.alerts()] == ["DriftdSummary"]
        elif isinstance(one, OfPagerDuty):
            assert ended(one)
        else:
            assert [row["edit"] for row in one.service.shown] == [False, True, False]  # type: ignore[attr-defined]
        receiver.close()
        assert one.faults() == []


def test_through_the_outbox_each_hears_in_order_whatever_fails(each: Case, tmp_path):
    """By the sender, with a failure before each: firing before its end, and at the end nothing waits."""
    from driftd.store.outbox import Outbox
    from tests.store.examples import action, owed

    state = tmp_path / "state"
    with Store.open(state, group="driftd") as store, Outbox(state) as outbox:
        memories = Memories(state)
        for number in range(3):
            store.commit(owed(action(2 * number, alerts=(f"a{number}",))))
            store.commit(owed(action(2 * number + 1, "driftd.alert.resolved", alerts=(f"a{number}",))))
            each.later(after_s=0)
        with sending(outbox, each.receiver(memories.of("x ops")), patience=QUICK):
            wait_until(lambda: settled(outbox))
        memories.close()
        assert len(outbox.entries("sent")) == 6
        assert outbox.entries("dead") == []
    assert each.faults() == []


def test_the_text_is_a_function_of_the_body_and_has_at_most_twelve_lines():
    many = delivery(signals=[signal(f"feature {i}", f"alt_{i}") for i in range(80)], severity="critical")
    first, again = (
        Renderer(PAGES, lambda _: ("Mute it: a", "Mark it as false: b", "no more")).message(many) for _ in range(2)
    )
    assert first == again
    lines = first.text.splitlines()
    assert len(lines) == MOST_LINES
    assert lines[-3:-1] == ["Mute it: a", "Mark it as false: b"]
    assert "Also feature 3, feature 4, feature 5, feature 6, feature 7 and 72 more." in first.text
    assert "All 80 signals moved together, since 2026-11-24 11:40 UTC: look for one cause." in first.text


def test_a_body_of_the_first_release_is_still_told():
    """What waits in an outbox over an upgrade has none of the newer fields."""
    old = json.loads(FIRING.body)
    for name in ("onset", "budget", "prediction", "versions"):
        del old["data"][name]
    for name in ("moved", "onset"):
        del old["data"]["signals"][0][name]
    bare = Delivery(1, "ops", FIRING.id, FIRING.type, json.dumps(old).encode(), FIRING.timestamp)
    assert RENDERER.message(bare).text.splitlines()[:2] == [
        "[warning] churn 7: drift in age",
        "age: psi effect 0.278, threshold 0.25",
    ]
