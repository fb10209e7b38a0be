from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.action import stable_id
from driftd.core.event import PartitionId
from driftd.store import schema
from driftd.store.commit import Commit, PaneRow
from driftd.store.database import FILE, LOCK_FILE, StoreError
from driftd.store.outbox import Outbox
from driftd.store.reader import Reader
from driftd.store.store import HOLD_S, KEEP_INPUTS, Store
from tests.store.examples import FIRST, action, nth_commit, owed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state", group="driftd") as opened:
        yield opened


def rows_of(directory: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(directory / FILE)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


# What is written is read


def test_everything_committed_is_there_after_reopening(tmp_path):
    with Store.open(tmp_path, group="driftd") as store:
        store.commit(nth_commit(1))
        store.commit(nth_commit(2))
    with Store.open(tmp_path, group="driftd", create=False) as store:
        assert store.load_rows() == {"n": 2, "big": {"n": 2, "fill": b"\x02" * 60_000}, "gone": 2}
        assert store.positions() == {FIRST: 2, PartitionId("predictions", 1): 2}
        assert [pane.start for pane in store.panes("churn", "7", "prediction", 1_000, 2_001)] == [1_000, 2_000]
        assert [pane.start for pane in store.panes("churn", "7", "prediction", 1_000, 2_000)] == [1_000]
        assert list(store.panes("churn", "8", "prediction", 0, 9_000)) == []
        assert list(store.inputs()) == [("tick", 1), ("tick", 2)]


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.dictionaries(keys, plain, max_size=5), min_size=1, max_size=4), keys)
@settings(max_examples=60, deadline=None)
def test_rows_are_what_a_dictionary_would_hold(tmp_path_factory, commits, prefix):
    expected: dict[str, object] = {}
    with Store.open(tmp_path_factory.mktemp("rows"), group="driftd") as store:
        for rows in commits:
            store.commit(Commit(rows=rows))
            expected.update(rows)
            expected = {key: value for key, value in expected.items() if value is not None}
        assert store.load_rows() == expected
        wanted = {key: value for key, value in expected.items() if key.startswith(prefix)}
        assert store.load_rows(prefix) == wanted
        assert list(store.load_rows()) == sorted(expected)


def test_numbers_keep_their_kind_and_every_bit(store):
    value = {"float": 0.1 + 0.2, "whole": 1.0, "int": 2**63, "infinite": float("inf"), 7: "int keys"}
    store.commit(Commit(rows={"x": value}))
    (got,) = store.load_rows().values()
    assert got == value
    assert isinstance(got["whole"], float)


def test_what_did_not_change_is_not_written(store):
    rows: dict[str, object | None] = {f"m{i}": bytes(100_000) for i in range(20)}
    store.commit(Commit(rows=rows))
    log = store._place.with_name(FILE + "-wal")
    before = log.stat().st_size
    store.commit(Commit(rows=rows | {"m3": b"other"}))
    assert 0 < log.stat().st_size - before < 50_000


def test_a_failed_commit_leaves_nothing(store):
    store.commit(nth_commit(1))
    again = PaneRow("churn", "7", "prediction", 1_000, 2_000, b"other")
    with pytest.raises(StoreError, match="churn 7 prediction 1000 was closed before"):
        store.commit(Commit(rows={"n": 5}, positions={FIRST: 5}, actions=[(action(5), ("ops",), False)], panes=[again]))
    assert store.load_rows()["n"] == 1
    assert store.positions()[FIRST] == 1
    assert store.transition(action(5).id) is None
    store.commit(nth_commit(2))
    assert store.load_rows()["n"] == 2


def test_what_cannot_be_encoded_leaves_nothing(store):
    with pytest.raises(TypeError):
        store.commit(Commit(rows={"a": 1, "b": object()}))
    assert store.load_rows() == {}


def test_a_full_disk_is_a_clear_error_and_the_store_goes_on(store):
    store.commit(Commit(rows={"a": 1}))
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 10}")
    with pytest.raises(StoreError, match=r"cannot be written \(database or disk is full\)"):
        store.commit(Commit(rows={"a": 2, "big": bytes(1_000_000)}))
    store._connection.execute("PRAGMA max_page_count = 1000000")
    assert store.load_rows() == {"a": 1}
    store.commit(Commit(rows={"a": 2}))
    assert store.load_rows() == {"a": 2}


def test_old_panes_are_pruned_over_some_commits_and_by_their_end(store):
    panes = [PaneRow("m", "1", "prediction", i * 10, i * 10 + 10, b"x") for i in range(3_000)]
    store.commit(Commit(panes=panes))
    store.commit(Commit(prune_panes_before=25_000))
    kept = [pane.start for pane in store.panes("m", "1", "prediction", 0, 10**9)]
    assert kept[0] == 10_000  # the oldest thousand
    for _ in range(5):
        store.commit(Commit(prune_panes_before=25_000))
    kept = [pane.start for pane in store.panes("m", "1", "prediction", 0, 10**9)]
    assert kept == list(range(25_000, 30_000, 10))


def test_inputs_are_kept_to_a_bound(store):
    store.commit(Commit(inputs=[("tick", i) for i in range(KEEP_INPUTS + 5)]))
    store.commit(Commit(inputs=[("tick", "last")]))
    inputs = list(store.inputs())
    assert len(inputs) == KEEP_INPUTS
    assert inputs[0] == ("tick", 6)
    assert inputs[-1] == ("tick", "last")


def test_a_commit_is_durable_when_it_returns(store):
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# Transitions


def test_a_transition_is_found_with_all_that_stands_behind_it(store):
    store.commit(owed(action(1)))
    found = store.transition(action(1).id)
    assert found is not None
    assert found["body"] == action(1).body()
    assert found["explain"] == {"offsets": [[0, 1]], "law": {"K": 20, "M": 1.5}}
    assert (found["model"], found["rule"], found["timestamp"]) == ("churn", "drift", action(1).timestamp)
    assert store.transition("tr_unknown") is None


def test_transitions_come_newest_first_and_by_model(store):
    store.commit(owed(action(1), action(2, model="fraud"), action(3)))
    assert [it["id"] for it in store.transitions()] == [action(3).id, action(2, model="fraud").id, action(1).id]
    assert [it["id"] for it in store.transitions("churn", limit=1)] == [action(3).id]


def test_the_same_action_again_is_ignored_not_doubled(store, tmp_path):
    for _ in range(2):
        store.commit(owed(action(1), action(1)))
        store.commit(owed(action(1), action(2), old=True))
    assert len(store.transitions()) == 2
    with Outbox(tmp_path / "state") as outbox:
        types = [entry.delivery.type for entry in outbox.entries("waiting")]
    assert types == ["driftd.alert.firing", "driftd.transitions.summary"]


def test_old_transitions_are_recorded_and_told_in_one_summary_a_receiver(store, tmp_path):
    old = [action(i, alerts=(f"alert {i % 7}",)) for i in range(150)]
    others = [action(i, "driftd.alert.resolved", model="fraud") for i in range(3)]
    actions = [(each, ("ops", "chat"), True) for each in old] + [(each, ("ops",), True) for each in others]
    store.commit(Commit(actions=[*actions, (action(200), ("ops",), False)]))
    assert len(store.transitions(limit=1_000)) == 154
    with Outbox(tmp_path / "state") as outbox:
        owed_now = {(e.delivery.receiver, e.delivery.type): e.delivery for e in outbox.entries("waiting")}
    assert len(owed_now) == 3
    ops = owed_now["ops", "driftd.transitions.summary"]
    document = json.loads(ops.body)
    ids = [each.id for each in old + others]
    assert document["id"] == ops.id == stable_id("summary", *ids)
    assert document["type"] == "driftd.transitions.summary"
    assert document["data"]["transitions"] == 153
    assert document["data"]["ids"] == ids[:100]
    assert document["data"]["ids_omitted"] == 53
    assert document["data"]["counts"] == [
        {"model": "churn", "rule": "drift", "type": "driftd.alert.firing", "count": 150},
        {"model": "fraud", "rule": "drift", "type": "driftd.alert.resolved", "count": 3},
    ]
    assert set(ops.subjects) == {f"alert {i}" for i in range(7)} | {"a"}
    assert ops.number < owed_now["ops", "driftd.alert.firing"].number
    assert owed_now["chat", "driftd.transitions.summary"].id != ops.id


def summaries(directory: Path) -> dict[str, list[list[str]]]:
    """The ids that each summary tells of, by receiver."""
    told: dict[str, list[list[str]]] = {}
    with Outbox(directory) as outbox:
        for entry in outbox.entries("waiting"):
            if entry.delivery.type == "driftd.transitions.summary":
                told.setdefault(entry.delivery.receiver, []).append(json.loads(entry.delivery.body)["data"]["ids"])
    return told


def catching_up(*numbers: int, receivers: tuple[str, ...] = ("ops",), old: bool = True) -> Commit:
    return Commit(actions=[(action(i), receivers, old) for i in numbers], caught_up=False)


def test_a_long_catch_up_is_one_summary_and_no_crash_forgets_it(tmp_path):
    with Store.open(tmp_path, group="driftd") as store:
        store.commit(catching_up(1, 2, receivers=("ops", "chat")))
        store.commit(catching_up(2, 3))
        assert summaries(tmp_path) == {}
    with Store.open(tmp_path, group="driftd") as store:
        store.commit(catching_up(4, receivers=("chat",)))
        assert summaries(tmp_path) == {}
        for _ in range(2):
            store.commit(Commit(caught_up=True))
    ids = [action(i).id for i in range(5)]
    assert summaries(tmp_path) == {"ops": [[ids[1], ids[2], ids[3]]], "chat": [[ids[1], ids[2], ids[4]]]}


def test_who_hears_of_a_new_transition_hears_of_the_old_ones_first(store, tmp_path):
    store.commit(catching_up(1, receivers=("ops", "chat")))
    store.commit(catching_up(2, old=False))
    assert summaries(tmp_path / "state") == {"ops": [[action(1).id]]}
    with Outbox(tmp_path / "state") as outbox:
        types = [entry.delivery.type for entry in outbox.entries("waiting")]
    assert types == ["driftd.transitions.summary", "driftd.alert.firing"]


def test_who_never_catches_up_hears_of_it_all_the_same(tmp_path):
    now = 1_000_000.0
    with Store.open(tmp_path, group="driftd", clock=lambda: now) as store:
        store.commit(catching_up(1))
        now += HOLD_S - 1
        store.commit(catching_up(2))
        assert summaries(tmp_path) == {}
        now += 1
        store.commit(catching_up())
        assert summaries(tmp_path) == {"ops": [[action(1).id, action(2).id]]}
        store.commit(catching_up(3))
        now -= 3_600  # a clock that is set back holds nothing for ever
        store.commit(catching_up())
        assert summaries(tmp_path)["ops"][1:] == [[action(3).id]]


# Who may open it


def test_a_second_process_is_refused_and_told_which_one_holds_it(store, tmp_path):
    script = (
        "import sys, pathlib\n"
        "from driftd.store.store import Store\n"
        "Store.open(pathlib.Path(sys.argv[1]), group='driftd')"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "state")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    pid = (tmp_path / "state" / LOCK_FILE).read_text().strip()
    assert f"StoreError: {tmp_path / 'state'} is in use by another driftd (process {pid})" in result.stderr


def test_a_second_store_in_this_process_is_refused_and_frees_nothing(store, tmp_path):
    for _ in range(2):
        with pytest.raises(StoreError, match="in use by another driftd"):
            Store.open(tmp_path / "state", group="driftd")
    store.close()
    Store.open(tmp_path / "state", group="driftd").close()


def test_the_state_of_another_group_is_refused(tmp_path):
    Store.open(tmp_path, group="blue").close()
    with pytest.raises(StoreError, match="state of group 'blue', and the settings say 'green'"):
        Store.open(tmp_path, group="green")
    with Store.open(tmp_path, group="blue") as store:
        assert store.group == "blue"


@pytest.mark.parametrize(
    ("version", "words"),
    [(schema.VERSION + 1, "written by a newer driftd"), (0, "unknown schema 0"), (-3, "unknown schema -3")],
)
def test_an_unknown_schema_is_refused_and_left_alone(tmp_path, version, words):
    Store.open(tmp_path, group="driftd").close()
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    for opening in (lambda: Store.open(tmp_path, group="driftd"), lambda: Outbox(tmp_path)):
        with pytest.raises(StoreError, match=words):
            opening()
    with pytest.raises(StoreError, match=words):
        Reader.open_read_only(tmp_path)
    assert rows_of(tmp_path, "PRAGMA user_version") == [(version,)]


def test_an_older_schema_is_migrated_by_the_owner_only(tmp_path, monkeypatch):
    with Store.open(tmp_path, group="driftd") as store:
        store.commit(nth_commit(1))
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE pane ADD COLUMN note TEXT",)))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with pytest.raises(StoreError, match="start `driftd run` once"):
        Reader.open_read_only(tmp_path)
    with Store.open(tmp_path, group="driftd") as store:
        assert store.load_rows()["n"] == 1
    assert rows_of(tmp_path, "SELECT version FROM migration") == [(n,) for n in range(1, schema.VERSION + 1)]
    Reader.open_read_only(tmp_path).close()


def test_a_failed_migration_changes_nothing(tmp_path, monkeypatch):
    Store.open(tmp_path, group="driftd").close()
    broken = ("CREATE TABLE fresh (x)", "CREATE TABLE pane (x)")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with pytest.raises(StoreError, match="pane already exists"):
        Store.open(tmp_path, group="driftd")
    assert rows_of(tmp_path, "PRAGMA user_version") == [(schema.VERSION - 1,)]
    assert rows_of(tmp_path, "SELECT * FROM sqlite_master WHERE name = 'fresh'") == []


def test_what_is_not_ours_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreError, match="database of another program"):
        Store.open(tmp_path, group="driftd")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / FILE).write_bytes(b"no database at all" * 1_000)
    with pytest.raises(StoreError, match="file is not a database"):
        Store.open(tmp_path / "b", group="driftd")


def test_where_there_is_nothing(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        Store.open(tmp_path, group="driftd", create=False)
    with pytest.raises(StoreError, match="does not exist"):
        Reader.open_read_only(tmp_path)
    with pytest.raises(StoreError, match="does not exist"):
        Outbox(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        Store.open(tmp_path / "file" / "state", group="driftd")


# Reading beside the writer


def test_a_reader_sees_whole_commits_while_the_writer_goes_on(store, tmp_path):
    store.commit(nth_commit(1))
    with Reader.open_read_only(tmp_path / "state") as reader:
        half_read = reader.panes("churn", "7", "prediction", 0, 10**9)
        assert next(half_read).start == 1_000
        store.commit(nth_commit(2))  # not held up by the open reading
        assert list(half_read) == []
        assert reader.load_rows()["n"] == 2
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM state")


def test_a_reader_opens_also_when_no_daemon_runs(tmp_path):
    with Store.open(tmp_path, group="driftd") as store:
        store.commit(nth_commit(1))
    assert not (tmp_path / (FILE + "-wal")).exists()
    with Reader.open_read_only(tmp_path) as reader:
        assert reader.load_rows()["n"] == 1
    with Outbox(tmp_path, read_only=True) as outbox:
        assert outbox.depth() == {"ops": (1, 0), "chat": (1, 0)}
