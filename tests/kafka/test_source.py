"""The consumer on a Kafka: where it starts, what it hands out, when it waits, and how it comes back."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from driftd.core.event import Discovered, PartitionId, Tick
from driftd.core.fault import UserError
from driftd.kafka.block import RecordRun
from driftd.kafka.source import Source, SourceConfig, load_or_create_instance_id

FULL = 8_192


def all_of(topic: str, n: int) -> list[PartitionId]:
    return [PartitionId(topic, i) for i in range(n)]


# -- where it starts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "begin"), [("latest", 7), ("earliest", 0)])
def test_the_first_start_is_pinned_to_concrete_offsets(members, topic, start, begin):
    name = topic()
    members.send(name, 7)
    config = members.config([name], "one", start, {})
    source = Source(config, {})
    try:
        discovered, positions = source.resolve_start()
    finally:
        source.close()
    assert discovered == Discovered(dict.fromkeys(all_of(name, 4), ("prediction",)))
    assert positions == {PartitionId(name, 0): begin, **dict.fromkeys(all_of(name, 4)[1:], 0)}


def test_what_comes_between_the_first_start_and_a_kill_is_not_lost(members, topic):
    name = topic()
    members.send(name, 7)
    source = Source(members.config([name], "one", "latest", {}), {})
    _, positions = source.resolve_start()
    source.close()  # killed before it read anything
    members.send(name, FULL, first=7)
    again = members.new([name], positions, start="latest")
    again.until(lambda: bool(again.runs))
    assert (again.runs[0].first, again.runs[0].next) == (7, 7 + FULL)
    assert again.values()[0] == b"7"


def test_it_reads_on_from_the_stores_positions_and_not_from_kafkas(members, topic, real_kafka):
    name = topic()
    members.send(name, 2 * FULL)
    first = members.new([name])
    first.until(lambda: len(first.runs) == 2)
    first.source.commit({PartitionId(name, 0): 2 * FULL})
    first.for_s(0.3)
    first.source.close()
    members.made.clear()
    again = members.new([name], {PartitionId(name, 0): 100, **dict.fromkeys(all_of(name, 4)[1:], 0)})
    again.until(lambda: bool(again.runs))
    assert again.runs[0].first == 100


def test_committed_offsets_are_seen_by_lag_tools(members, topic, kafka):
    name = topic()
    members.send(name, 10)
    member = members.new([name])
    member.until_ready()
    member.source.commit({PartitionId(name, 0): 6, PartitionId("not-mine", 0): 1})
    member.for_s(0.3)
    tool = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": members.group})
    try:
        deadline = time.monotonic() + 10
        while (seen := tool.committed([TopicPartition(name, 0)], timeout=10)[0].offset) != 6:
            assert time.monotonic() < deadline, seen
    finally:
        tool.close()


def test_partitions_that_appear_later_are_announced_first_and_read_from_their_beginning(members, topic, real_kafka):
    name = topic(partitions=1)
    members.send(name, 5)
    often = {"topic.metadata.refresh.interval.ms": "300"}
    member = members.new([name], start="latest", client=often)
    member.until_ready()
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap_servers})
    admin.create_partitions([NewPartitions(name, 2)])[name].result(timeout=10)
    members.producer.list_topics(name, timeout=10)
    members.send(name, FULL, partition=1)
    for _ in range(600):
        members.clock.now += 0.1
        if member.poll() and member.runs:
            break
    late = PartitionId(name, 1)
    assert member.discovered == {late: ("prediction",)}
    assert isinstance(member.reads[0], Discovered)
    assert member.runs[0].partition == late
    assert (member.runs[0].first, member.runs[0].next) == (0, FULL)


def test_topics_by_expression_are_found_also_when_they_come_later(members, topic, real_kafka):
    first = topic(partitions=1)
    stem = first.rsplit("-", 1)[0]
    member = members.new({"prediction": ["^" + re.escape(stem) + "-"], "label": [first]})
    member.until_ready()
    assert member.discovered == {}
    second = topic(partitions=2)
    members.send(second, FULL)
    for _ in range(600):
        members.clock.now += 1
        if member.poll() and member.runs:
            break
    assert member.discovered == dict.fromkeys(all_of(second, 2), ("prediction",))
    assert member.runs[0].partition == PartitionId(second, 0)


# -- what it hands out -------------------------------------------------------------------------------------------------


def test_blocks_have_all_of_a_record(members, topic):
    name = topic()
    members.producer.produce(
        name, b"value", b"key", 0, timestamp=5_000, headers=[("driftd.backfill", b"true"), ("a", None)]
    )
    members.send(name, FULL - 1, at=5_000, step=0)
    member = members.new([name])
    member.until(lambda: bool(member.runs))
    (run,) = member.runs
    assert (len(run), run.values[0], run.keys[0], run.timestamps[0]) == (FULL, b"value", b"key", 5_000)
    assert run.headers[:2] == [[("driftd.backfill", b"true"), ("a", None)], None]


def test_a_tick_follows_the_rest_of_the_partition_once_it_is_quiet(members, topic):
    name = topic()
    members.send(name, 10, at=1_000_000, step=1)
    member = members.new([name])
    member.until_read(10)
    member.for_s(0.3)
    assert member.reads == []  # not quiet yet
    members.clock.now += 4.9
    member.for_s(0.3)
    assert member.reads == []
    members.clock.now += 0.2
    member.until(lambda: bool(member.ticks), "a tick")
    run, tick = member.reads
    assert isinstance(run, RecordRun)
    assert (run.first, run.next) == (0, 10)
    assert isinstance(tick, Tick)
    # The greatest timestamp read, and 5.1 s waited since: nothing is read anywhere.
    assert tick.arrivals == dict.fromkeys(all_of(name, 4), 1_000_009 + 5_100)


def test_ticks_repeat_and_follow_the_time_waited(members, topic):
    name = topic()
    members.send(name, 10, at=1_000_000, step=1)
    member = members.new([name])
    member.until_read(10)
    member.for_s(0.2)
    arrivals = []
    for _ in range(3):
        members.clock.now += 5
        n = len(member.ticks)
        member.until(lambda n=n: len(member.ticks) > n, "a tick")
        arrivals.append(member.ticks[-1].arrivals[PartitionId(name, 3)])
    assert arrivals == [1_000_009 + 5_000, 1_000_009 + 10_000, 1_000_009 + 15_000]
    assert len(member.ticks) == 3


def test_while_one_partition_is_read_the_quiet_ones_follow_its_timestamps(members, topic):
    name = topic()
    members.send(name, 10, at=1_000_000, step=1)
    member = members.new([name])
    member.until_read(10)
    for second in range(1, 12):
        members.clock.now += 1
        members.send(name, 1, at=1_000_000 + 60_000 * second)
        member.until_read(10 + second)
        member.for_s(0.1)
    quiet = PartitionId(name, 1)
    # Read a second apart, timestamps a minute apart: a tick at second 5 knows what was read up to second 0.
    assert [tick.arrivals[quiet] for tick in member.ticks] == [1_000_009, 1_000_000 + 60_000 * 5]
    assert all(PartitionId(name, 0) not in tick.arrivals for tick in member.ticks)


def test_nothing_ever_read_gives_no_tick(members, topic):
    member = members.new([topic()])
    member.until_ready()
    for _ in range(5):
        members.clock.now += 5
        member.for_s(0.1)
    assert member.reads == []


def test_after_a_restart_ticks_go_on_from_the_greatest_timestamp_given(members, topic):
    name = topic()
    member = members.new([name], dict.fromkeys(all_of(name, 4), 0), greatest=7_000_000)
    member.until_ready()
    member.for_s(0.3)
    members.clock.now += 6
    member.until(lambda: bool(member.ticks))
    assert member.ticks[0].arrivals[PartitionId(name, 0)] == 7_000_000 + 6_000
    assert member.source.greatest == 7_000_000


def test_a_broker_that_does_not_answer_is_no_quiet_partition(members, local_kafka):
    members.kafka = type(members.kafka)(local_kafka.bootstrap_servers, real=True, describe="")
    members.producer = Producer({"bootstrap.servers": local_kafka.bootstrap_servers})
    admin = AdminClient({"bootstrap.servers": local_kafka.bootstrap_servers})
    admin.create_topics([NewTopic("events", 1, 1)])["events"].result(timeout=10)
    members.send("events", 10)
    member = members.new(["events"])
    member.until_read(10)
    local_kafka.kill()
    for _ in range(4):
        members.clock.now += 5
        member.for_s(0.1)
    assert member.reads == []
    assert "do not answer" in member.source.unready()[0]
    assert member.source.lag() == {PartitionId("events", 0): None}
    local_kafka.start()
    members.send("events", 1, first=10)
    member.until_read(11)
    members.clock.now += 6
    member.until(lambda: bool(member.ticks), "a tick")
    assert member.values() == [str(i).encode() for i in range(11)]
    assert member.source.unready() == ()


# -- when it waits -----------------------------------------------------------------------------------------------------


def test_paused_partitions_are_not_read_and_not_ticked_while_polling_goes_on(members, topic):
    name = topic()
    members.send(name, FULL)
    paused, other = PartitionId(name, 0), PartitionId(name, 1)
    member = members.new([name])
    member.source.pause([paused])
    member.until_ready()
    members.send(name, FULL, partition=1)
    member.until(lambda: bool(member.runs))
    member.for_s(0.3)
    members.clock.now += 6
    member.until(lambda: bool(member.ticks))
    assert {run.partition for run in member.runs} == {other}
    assert paused not in member.ticks[0].arrivals
    assert member.source.lag()[paused] == FULL
    member.source.resume([paused])
    member.until(lambda: len(member.runs) == 2)
    assert (member.runs[1].partition, member.runs[1].first) == (paused, 0)
    assert member.source.lag()[paused] == 0


def test_a_process_that_is_not_assigned_every_partition_hands_out_nothing_and_says_why(members, topic, real_kafka):
    name = topic()
    one = members.new([name], name="one")
    one.until_ready()
    two = members.new([name], name="two")

    def shared() -> bool:
        one.poll()
        return all(len(m.source._ours.cutters) == 2 for m in (one, two))

    two.until(shared, "two partitions each")
    for partition in range(4):
        members.send(name, FULL, partition=partition)
    for _ in range(10):
        one.poll()
        two.poll()
        members.clock.now += 2
    assert one.reads == two.reads == []
    for member in (one, two):
        (why,) = member.source.unready()
        assert why.startswith(f"assigned 2 of 4 partitions of {name}")
    two.source.close()
    # A static member keeps its place until its session ends; removed by hand, the other has all again.
    members.made.remove(two)


def test_after_a_rebalance_it_reads_on_from_what_it_handed_out(members, topic, real_kafka):
    name = topic()
    for number in range(4):
        members.send(name, FULL + 10, partition=number)
    brief = {"session.timeout.ms": "1000", "heartbeat.interval.ms": "200"}
    one = members.new([name], name="one", client=brief)
    one.until(lambda: len(one.runs) == 4)
    two = members.new([name], dict.fromkeys(all_of(name, 4), 0), name="two", client=brief)

    def shared() -> bool:
        one.poll()
        return all(len(m.source._ours.cutters) == 2 for m in (one, two))

    two.until(shared, "two partitions each")
    two.source.close()
    members.made.remove(two)
    one.until_ready()
    for number in range(4):
        members.send(name, FULL - 10, partition=number, first=FULL + 10)
    one.until(lambda: len(one.runs) == 8)
    for partition in all_of(name, 4):
        assert [o for p, o in one.offsets() if p == partition] == list(range(2 * FULL))
    assert two.reads == []


def test_a_missing_topic_is_named_and_found_when_it_comes(members, topic, real_kafka):
    name = topic(partitions=1)
    member = members.new([name, "no-such-topic"])
    member.until(lambda: len(member.source._ours.cutters) == 1)
    assert "topic no-such-topic does not exist" in member.source.unready()


def test_no_broker_at_the_first_start_is_an_error_and_later_a_reason(members, monkeypatch):
    monkeypatch.setattr("driftd.kafka.source.START_TIMEOUT_S", 0.5)
    config = SourceConfig("g", "one", "latest", {"prediction": ["a"]}, {"bootstrap.servers": "127.0.0.1:1"})
    first = Source(config, {})
    with pytest.raises(UserError, match=r"the brokers at 127\.0\.0\.1:1 do not answer"):
        first.resolve_start()
    first.close()
    later = Source(config, {PartitionId("a", 0): 5})
    later.subscribe([PartitionId("a", 0)])
    assert later.poll(0.01) == []
    assert "do not answer" in later.unready()[0]
    later.close()


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_offsets_lost_to_retention_are_counted_and_reading_goes_on(members, topic, real_kafka):
    name = topic(partitions=1)
    partition = PartitionId(name, 0)
    members.send(name, 100)
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap_servers})
    admin.delete_records([TopicPartition(name, 0, 60)])[TopicPartition(name, 0, 60)].result(timeout=10)
    member = members.new([name], {partition: 20})
    member.until_read(40)
    members.clock.now += 6
    member.until(lambda: bool(member.runs))
    assert member.source.lost == 40
    assert member.offsets() == [(partition, offset) for offset in range(60, 100)]


def test_a_topic_made_anew_is_read_from_its_beginning(members, topic, real_kafka):
    name = topic(partitions=1)
    members.send(name, 10)
    member = members.new([name], {PartitionId(name, 0): 500})
    member.until_read(10)
    members.clock.now += 6
    member.until(lambda: bool(member.runs))
    assert (member.runs[0].first, member.source.lost) == (0, 0)


def test_two_processes_under_one_instance_id_end_loudly(members, topic, real_kafka):
    name = topic(partitions=1)
    one = members.new([name], name="same")
    one.until_ready()
    two = members.new([name], name="same")
    with pytest.raises(UserError, match="another process has joined"):
        two.until(lambda: bool(one.poll()))


MEMBER = """
import sys, time
from driftd.core.event import PartitionId
from driftd.kafka.source import Source, SourceConfig
servers, group, topic = sys.argv[1:]
source = Source(SourceConfig(group, "static", "earliest", {"prediction": [topic]}, {"bootstrap.servers": servers}), {})
source.resolve_start()
source.subscribe(())
while True:
    source.poll(0.05)
    if not source.unready():
        print("ready", flush=True)
"""


def test_a_killed_static_member_is_back_at_once(members, topic, real_kafka):
    name = topic()
    command = [sys.executable, "-c", MEMBER, real_kafka.bootstrap_servers, members.group, name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    began = time.monotonic()
    again = members.new([name], dict.fromkeys(all_of(name, 4), 0), name="static")
    again.until_ready()
    assert time.monotonic() - began < 5  # the session would end after 45 s


def test_a_group_of_the_consumer_protocol(members, topic, real_kafka):
    name = topic()
    members.send(name, FULL)
    member = members.new([name], client={"group.protocol": "consumer"})
    member.until(lambda: bool(member.runs))
    assert member.source.unready() == ()


def test_an_aborted_transaction_is_not_read_and_lag_returns_to_nothing(members, topic, real_kafka):
    name = topic(partitions=1)
    writer = Producer({"bootstrap.servers": real_kafka.bootstrap_servers, "transactional.id": members.group})
    writer.init_transactions()
    for end in (writer.commit_transaction, writer.abort_transaction):
        writer.begin_transaction()
        for i in range(10):
            writer.produce(name, f"{end.__name__} {i}".encode(), partition=0, timestamp=1_000)
        end()
    member = members.new([name])
    member.until_read(10)
    member.for_s(0.3)
    members.clock.now += 6
    member.until(lambda: bool(member.ticks))
    assert member.values() == [f"commit_transaction {i}".encode() for i in range(10)]
    members.clock.now += 6
    member.for_s(0.2)
    assert member.source.lag() == {PartitionId(name, 0): 0}
    assert PartitionId(name, 0) in member.ticks[-1].arrivals


# -- settings and the instance id --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "word"),
    [
        ({"enable.auto.commit": "true"}, "enable.auto.commit"),
        ({"enable.auto.offset.store": "true"}, "enable.auto.offset.store"),
        ({"group.id": "x"}, "kafka.group_id"),
        ({"auto.offset.reset": "latest"}, "kafka.start"),
        ({"partition.assignment.strategy": "range"}, "cooperative-sticky"),
        ({"group.protocol": "consumer", "session.timeout.ms": "6000"}, "session.timeout.ms"),
    ],
)
def test_settings_that_driftd_must_own_are_refused(client, word):
    with pytest.raises(ValueError, match=word):
        SourceConfig("g", "i", "latest", {"prediction": ["a"]}, client).consumer()


def test_any_other_setting_is_passed_through():
    found = SourceConfig("g", "i", "latest", {"prediction": ["a"]}, {"fetch.wait.max.ms": "50", "isolation.level": "x"})
    assert {"fetch.wait.max.ms": "50", "isolation.level": "x"}.items() <= found.consumer().items()


def test_the_instance_id_is_made_once(tmp_path):
    first = load_or_create_instance_id(tmp_path)
    assert re.fullmatch(r"driftd-[0-9a-f]{12}", first)
    assert load_or_create_instance_id(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["instance-id"]
    (tmp_path / "instance-id").write_text("")
    with pytest.raises(UserError, match="remove it"):
        load_or_create_instance_id(tmp_path)
