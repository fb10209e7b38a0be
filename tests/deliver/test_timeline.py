"""The whole life of an alert, heard by each receiver."""

from __future__ import annotations

import pytest

from tests.deliver.cases import KINDS, case
from tests.deliver.timeline import Timeline, between, broken, drifted, firing, resolved, steady


@pytest.mark.parametrize("kind", KINDS)
def test_a_life_is_heard_as_it_happens(kind, tmp_path):
    """Firing, raised to critical, muted, resolved, fired again; each put off once, and nothing beside it or after it."""
    with case(kind, tmp_path) as one:
        life = Timeline(one, tmp_path)
        life.at(0).send(steady)
        life.at(300).send(drifted)
        life.want(between(400, 500), firing("drift"))
        life.at(600).send(broken)
        life.want(between(620, 680), firing("drift", "critical"))
        life.at(700).mute()  # who was told that it fires hears of its end all the same
        life.at(900).send(steady)
        life.want(between(1_000, 1_120), resolved("drift"))
        if kind == "slack":  # both of its messages are edited
            life.want(between(1_000, 1_120), resolved("drift"))
        life.at(1_300).send(broken)  # nobody hears of this, until the mute is lifted
        life.at(1_500).unmute()
        life.want(between(1_500, 1_520), firing("drift", "critical"))
        life.at(1_700).send(steady)
        life.want(between(1_800, 1_920), resolved("drift"))
        life.at(2_200).send(broken)
        life.want(between(2_220, 2_300), firing("drift", "critical"))
        life.at(2_400).send(steady)
        life.want(between(2_500, 2_620), resolved("drift"))
        life.run(until=3_000)


def test_a_slack_bot_has_edited_what_is_over(tmp_path):
    with case("slack", tmp_path) as one:
        life = Timeline(one, tmp_path, failing=False)
        life.at(0).send(steady)
        life.at(300).send(broken)
        life.want(between(300, 400), firing("drift", "critical"))
        life.at(500).send(steady)
        life.want(between(600, 720), resolved("drift"))
        life.run(until=900)
        (message,) = one.service.messages.values()  # type: ignore[attr-defined]
        assert message["text"].startswith("[resolved] churn 7")
