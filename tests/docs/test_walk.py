"""That `make walk` walks the whole page, and says so where it cannot. .ci/run does the walk itself."""

from pathlib import Path

import pytest

from tests.broker import ROOT
from tests.docs import pages, walk
from tests.docs.walk import Step, Walk, WalkError, steps


def walked() -> list[Step]:
    return list(steps(pages.text(walk.PAGE)))


def test_every_command_of_the_page_is_walked_and_ci_walks_it():
    assert [one.body for one in walked() if one.does in ("command", "stays", "shows")] == pages.commands(walk.PAGE)
    assert "\nmake walk\n" in (ROOT / ".ci" / "run").read_text()


def test_what_the_page_shows_of_the_message_is_what_is_waited_for():
    (awaited,) = [one.what for one in walked() if one.does == "arrives"]
    assert pages.block(walk.PAGE, "text").startswith(awaited)


def test_a_directive_that_nobody_knows_is_refused():
    with pytest.raises(WalkError, match="`hop` is none of stays, append"):
        list(steps("<!-- walk: hop: high -->\n"))


def test_a_command_that_fails_ends_the_walk_with_what_it_said(tmp_path: Path):
    one = Walk(tmp_path, {}, {"PATH": "/usr/bin:/bin"})
    one.does(Step("", "append", "greeting", "hello\n"))
    one.does(Step("", "shows", "hel+o", "cat greeting"))
    with pytest.raises(WalkError, match="exit code 3\nhello"):
        one.does(Step("", "command", "", "cat greeting && exit 3"))


def test_what_stays_is_waited_for_and_ended(tmp_path: Path):
    one = Walk(tmp_path, {"page": "ours"}, {"PATH": "/usr/bin:/bin"})
    one.does(Step("", "stays", "ours", "sh -c 'echo page; exec cat /dev/zero > /dev/null'"))
    (staying,) = one.staying
    one.does(Step("", "stop", "sh -c 'echo ours", ""))
    assert staying.process.poll() is not None
    with pytest.raises(WalkError, match="no command that stays begins with driftd"):
        one.does(Step("", "stop", "driftd", ""))
    one.does(Step("", "stays", "gone", "sh -c 'echo gone; exit 4'"))
    staying.process.wait(10)
    one.staying[-1].process.wait(10)
    with pytest.raises(WalkError, match="exit code 4\ngone"):
        one.does(Step("", "shows", "never", "true"))
