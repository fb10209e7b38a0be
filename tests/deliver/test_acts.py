"""The lines of a message that say how to mute it and how to mark it as false."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from driftd.core import link
from driftd.core.action import Delivery
from driftd.deliver.message import MOST_ACTS, MOST_LINES, Renderer
from driftd.outlet import acts_of
from driftd.settings.schema import Http, Settings
from tests.store.examples import action

NOW, KEY = 1_795_430_000.0, bytes(32)
FIRES = action(1, alerts=tuple("abcdefgh"))
DELIVERY = Delivery(1, "ops", FIRES.id, FIRES.type, FIRES.body(), FIRES.timestamp)


def test_links_where_people_reach_the_pages():
    settings = Settings(http=Http(external_url="https://driftd.example/at/"))
    acts = acts_of(settings, KEY, lambda: NOW)
    message = Renderer("https://driftd.example/at/", acts).message(DELIVERY)
    assert message.text.count("\n") < MOST_LINES
    for line, (words, verb) in zip(
        message.lines[-MOST_ACTS:], (("To mute it", "mute"), ("If it is false", "false")), strict=True
    ):
        url = urlsplit(line.removeprefix(f"{words}: "))
        assert f"{url.scheme}://{url.netloc}{url.path}" == f"https://driftd.example/at/act/{verb}/{FIRES.id}"
        until, _, signed = parse_qs(url.query)["signed"][0].partition(".")
        assert link.holds(KEY, verb, FIRES.id, until, signed, round(NOW * 1000) + 7 * 86_400_000)
    assert acts_of(settings, KEY, lambda: NOW + 60)(DELIVERY) == acts(DELIVERY)


def test_commands_where_they_do_not():
    lines = Renderer(None, acts_of(Settings(), None)).message(DELIVERY).lines[-MOST_ACTS:]
    assert lines == (
        f"To mute it: driftd mute {FIRES.id} --for 4h --reason WHY",
        f"If it is false: driftd false {FIRES.id} --reason WHY",
    )


def test_nothing_of_what_has_ended():
    end = action(2, "driftd.alert.resolved")
    assert acts_of(Settings(), None)(Delivery(1, "ops", end.id, end.type, end.body(), 0)) == ()
