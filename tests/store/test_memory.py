"""What receivers remember: by receiver, all or nothing, over a restart, and gone when its receiver is."""

from __future__ import annotations

import threading

import pytest

from driftd.store.database import StoreError
from driftd.store.memory import Memories
from driftd.store.store import Store


@pytest.fixture
def state(tmp_path):
    Store.open(tmp_path, group="driftd").close()
    return tmp_path


def test_it_is_there_after_a_restart_and_each_has_its_own(state):
    memories = Memories(state)
    memories.of("slack ops").remember({"alert a": ["m1"], "message m1": {"ts": "1.0", "open": ["a"]}})
    memories.of("slack chat").remember({"alert a": ["m2"]})
    memories.close()
    memories = Memories(state)
    ops = memories.of("slack ops")
    assert ops.recall("alert a") == ["m1"]
    assert ops.recall("alert b") is None
    assert ops.all("message ") == {"message m1": {"ts": "1.0", "open": ["a"]}}
    ops.remember({"alert a": None, "message m1": {"ts": "2.0"}})
    assert ops.all("") == {"message m1": {"ts": "2.0"}}
    assert memories.of("slack chat").all("") == {"alert a": ["m2"]}
    memories.close()


def test_a_prefix_is_taken_as_it_stands(state):
    memories = Memories(state)
    one = memories.of("x")
    one.remember({"alert %": 1, "alert_": 2, "alert 1": 3, "ALERT 2": 4})
    assert one.all("alert ") == {"alert %": 1, "alert 1": 3}
    memories.close()


def test_what_cannot_be_stored_changes_nothing(state):
    memories = Memories(state)
    one = memories.of("x")
    one.remember({"a": 1})
    with pytest.raises(TypeError):
        one.remember({"a": 2, "b": object()})
    assert one.all("") == {"a": 1}
    memories.close()


def test_what_a_receiver_that_left_remembers_goes(state):
    memories = Memories(state)
    for owner in ("slack ops", "teams ops", "slack former"):
        memories.of(owner).remember({"alert a": 1, "alert b": 2})
    assert memories.keep(["slack ops"]) == 4
    assert memories.of("slack ops").all("") == {"alert a": 1, "alert b": 2}
    assert memories.of("teams ops").all("") == {}
    memories.close()


def test_it_is_written_beside_the_loops_commits_by_many_threads(state):
    with Store.open(state, group="driftd"):
        memories = Memories(state)

        def work(name: str) -> None:
            for number in range(50):
                memories.of(name).remember({f"alert {number}": number})

        threads = [threading.Thread(target=work, args=(f"r{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert all(len(memories.of(f"r{i}").all("alert ")) == 50 for i in range(4))
        memories.close()


def test_without_a_state_it_says_so(tmp_path):
    with pytest.raises(StoreError, match="nothing has been stored there yet"):
        Memories(tmp_path)


def test_a_broken_disk_is_an_error_in_words(state):
    memories = Memories(state)
    memories.close()
    with pytest.raises(StoreError, match="cannot be used"):
        memories.of("x").recall("a")
