from __future__ import annotations

import gzip
import logging
import threading
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import WebhookVerificationError

from driftd.core.action import Delivery
from driftd.deliver.answer import LONGEST_WAIT_S, SHOWN, outcome, shown, wait_s
from driftd.deliver.exchange import BODY_CAP
from driftd.deliver.receiver import Dead, Refused, Retry, Sent
from driftd.deliver.webhook import Webhook
from tests.deliver import endpoint as answers
from tests.deliver.endpoint import SECRET, free_port
from tests.store.examples import action

ACTION = action(1)
DELIVERY = Delivery(1, "ops", ACTION.id, ACTION.type, ACTION.body(), ACTION.timestamp)


@pytest.fixture
def hook(endpoint):
    made = Webhook("ops", endpoint.url, secret=SECRET, timeout_s=1.0)
    yield made
    made.close()


def test_a_signed_delivery_verifies_with_the_library(endpoint, hook):
    assert hook.send(DELIVERY) == Sent("HTTP 204")
    (request,) = endpoint.requests
    document = request.verify()
    assert request.body == DELIVERY.body
    assert document["id"] == request.id == DELIVERY.id
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("driftd/")
    assert request.path == "/hook"
    with pytest.raises(WebhookVerificationError):
        request.verify("whsec_" + "A" * 32)


def test_a_secret_works_with_and_without_its_prefix_and_padding(endpoint):
    for secret in (SECRET, SECRET.removeprefix("whsec_"), f"  {SECRET}\n"):
        made = Webhook("ops", endpoint.url, secret=secret)
        assert isinstance(made.send(DELIVERY), Sent)
        made.close()
    assert all(request.verify() for request in endpoint.requests)


def test_without_a_secret_it_is_not_signed(endpoint):
    made = Webhook("ops", endpoint.url)
    made.send(DELIVERY)
    made.close()
    (request,) = endpoint.requests
    assert "webhook-signature" not in request.headers
    assert request.id == DELIVERY.id
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 5


def test_each_attempt_has_its_own_time_and_the_same_body(endpoint):
    now = [1_795_430_000.9]
    made = Webhook("ops", endpoint.url, secret=SECRET, clock=lambda: now[0])
    endpoint.script = [answers.status(500)]
    assert isinstance(made.send(DELIVERY), Retry)
    now[0] += 600
    assert isinstance(made.send(DELIVERY), Sent)
    made.close()
    first, second = endpoint.requests
    assert (first.id, first.body) == (second.id, second.body)
    assert [r.headers["webhook-timestamp"] for r in (first, second)] == ["1795430000", "1795430600"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64!", "pass-word", "whsec_ä", "A"])
def test_a_bad_secret_is_refused_and_not_repeated(secret):
    with pytest.raises(ValueError, match="must be base64") as refused:
        Webhook("ops", "http://localhost", secret=secret)
    assert secret in ("", "A", "whsec_") or secret not in str(refused.value)


@pytest.mark.parametrize("url", ["ftp://x/", "example.com/hook", "http://", "", "http://[::1"])
def test_a_bad_url_is_refused(url):
    with pytest.raises(ValueError, match="URL of a webhook"):
        Webhook("ops", url)


def test_a_redirect_is_not_followed(endpoint, other, hook):
    endpoint.answer = answers.status(307, location=other.url)
    refused = hook.send(DELIVERY)
    assert isinstance(refused, Refused)
    assert "redirects are not followed" in refused.error
    assert other.requests == []


def test_a_proxy_of_the_environment_is_not_used(endpoint, other, hook, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, other.url)
    assert isinstance(hook.send(DELIVERY), Sent)
    assert other.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        answers.hang,
        answers.drip(b"HTTP/1.1 200 OK\r\nx: "),
        answers.drip(b"HTTP/1.1 ", b"2"),
    ],
    ids=["silence", "a header for ever", "a status for ever"],
)
def test_an_attempt_ends_at_its_deadline(endpoint, hook, answer):
    endpoint.answer = answer
    began = time.monotonic()
    assert hook.send(DELIVERY) == Retry("no answer within 1 s")
    assert 0.9 < time.monotonic() - began < 3.0
    endpoint.answer = answers.status(204)
    assert isinstance(hook.send(DELIVERY), Sent)  # and the next one is not harmed


@pytest.mark.parametrize(("code", "kind"), [(200, Sent), (500, Retry), (404, Refused)])
def test_a_body_that_never_ends_does_not_change_the_answer(endpoint, hook, code, kind):
    endpoint.answer = answers.drip(f"HTTP/1.1 {code} X\r\nconnection: close\r\n\r\n".encode())
    began = time.monotonic()
    result = hook.send(DELIVERY)
    assert isinstance(result, kind)
    assert time.monotonic() - began < 3.0


def test_of_a_gigabyte_little_is_read(endpoint, hook):
    endpoint.answer = answers.endless(200, 2**30)
    result = hook.send(DELIVERY)
    assert result == Sent("HTTP 200", "y" * SHOWN)
    answers.wait_until(lambda: endpoint.written > 0)
    assert endpoint.written < 16 * 2**20  # what the sockets' buffers hold; 64 KiB were taken out of them
    endpoint.answer = answers.status(204)
    assert isinstance(hook.send(DELIVERY), Sent)


def test_a_packed_answer_is_not_unpacked(endpoint, hook):
    packed = gzip.compress(b"z" * 50_000_000)
    assert len(packed) < BODY_CAP
    endpoint.answer = answers.status(200, packed, content_encoding="gzip")
    result = hook.send(DELIVERY)
    assert isinstance(result, Sent)
    assert "zzz" not in result.answer


def test_a_reset_or_a_closed_port_is_tried_again_later(endpoint, hook):
    endpoint.answer = answers.reset
    result = hook.send(DELIVERY)
    assert isinstance(result, Retry)
    assert result.after_s is None
    closed = Webhook("ops", f"http://127.0.0.1:{free_port()}/hook/T0/secret")
    result = closed.send(DELIVERY)
    closed.close()
    assert isinstance(result, Retry)
    assert "ConnectError" in result.error
    assert "secret" not in result.error


def test_what_is_not_http_is_tried_again_later(endpoint, hook):
    endpoint.answer = lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    assert isinstance(hook.send(DELIVERY), Retry)


def test_a_connection_is_used_again_and_its_loss_between_two_deliveries_is_not_seen(endpoint, hook):
    for _ in range(3):
        assert isinstance(hook.send(DELIVERY), Sent)
    assert endpoint.connections == 1

    def closing(handler: answers.Handler) -> None:
        answers.status(204, connection="close")(handler)

    endpoint.script = [closing]
    assert isinstance(hook.send(DELIVERY), Sent)
    assert isinstance(hook.send(DELIVERY), Sent)
    assert endpoint.connections == 2


def test_the_url_is_not_logged(endpoint, hook, caplog):
    with caplog.at_level(logging.INFO):
        hook.send(DELIVERY)
    assert endpoint.url not in caplog.text


def test_it_works_in_any_one_thread(endpoint, hook):
    results: list[object] = []

    def use() -> None:
        results.append(hook.send(DELIVERY))
        hook.close()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(10)
    assert results == [Sent("HTTP 204")]


# What an answer means

MEANING = {
    Sent: (200, 201, 202, 204, 226),
    Retry: (408, 425, 429, 500, 502, 503, 504, 599),
    Refused: (301, 302, 304, 307, 400, 401, 403, 404, 409, 413, 422, 451),
    Dead: (410,),
}


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in MEANING.items() for code in codes])
def test_what_a_status_means(kind, code):
    assert isinstance(outcome(code, None, "", 0.0), kind)


@given(st.integers(100, 999), st.none() | st.text(max_size=40), st.text(), st.floats(0, 4e9))
def test_any_answer_has_a_meaning(code, retry_after, text, now):
    result = outcome(code, retry_after, text, now)
    assert result.answer.isprintable()
    assert len(result.answer) <= SHOWN
    if isinstance(result, Retry) and result.after_s is not None:
        assert 0.0 <= result.after_s <= LONGEST_WAIT_S


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("7200", LONGEST_WAIT_S),
        ("9" * 5_000, LONGEST_WAIT_S),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (formatdate(1_000_090, usegmt=True), 90.0),
        (formatdate(1_000_000 - 90, usegmt=True), 0.0),
        (formatdate(9_000_000, usegmt=True), LONGEST_WAIT_S),
        ("Mon, 12 Jan 1970 13:48:10 -0000", 90.0),
        ("Mon, 99 Jan 1970 13:48:10 GMT", None),
    ],
)
def test_retry_after(header, wait):
    assert wait_s(header, 1_000_000.0) == wait


def test_an_answer_cannot_steer_a_terminal():
    assert shown("bad\x1b[2J\r\nsig\u202enature\x00 \t here") == "bad [2J sig nature here"
