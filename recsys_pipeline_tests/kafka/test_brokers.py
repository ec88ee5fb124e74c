"""The brokers do what tests take them for; where the mock differs from Kafka, that is pinned too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from recsys_pipeline_tests.kafka.conftest import REAL, give_up
from recsys_pipeline_tests.kafka.jars import UnavailableError, class_path, java
from recsys_pipeline_tests.kafka.mock_broker import MockBroker

LIST_OFFSETS = 2  # the protocol's number of this request
JAN_2025 = 1_735_689_600_000


def reader(broker, **more):
    return Consumer(
        broker.config(
            group_id="unused",
            auto_offset_reset="error",
            enable_auto_commit=False,
            enable_partition_eof=True,
            fetch_wait_max_ms=50,  # an end of partition is told no sooner
            **more,
        )
    )


def watermarks(broker, topic, partition=0, timeout=10):
    consumer = reader(broker)
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout)
    finally:
        consumer.close()


def read(consumer):
    """Messages up to the end of the partition, or the error that is met before."""
    found = []
    while (message := consumer.poll(10)) is not None:
        if message.error() is None:
            found.append(message)
        elif message.error().code() == KafkaError._PARTITION_EOF:
            return found
        else:
            raise KafkaException(message.error())
    raise TimeoutError(f"no end of the partition after {len(found)} messages")


def read_from(broker, topic, partition, offset, **more):
    consumer = reader(broker, **more)
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        return read(consumer)
    finally:
        consumer.close()


def wait_until(condition, seconds=20):
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


# --- both


def test_a_partition_is_read_from_an_exact_offset(broker, topic):
    name = topic()
    broker.create_topic(name, 3)
    assert broker.produce(name, [b"%d" % n for n in range(10)], partition=1) == [
        (1, n) for n in range(10)
    ]
    assert [(m.offset(), m.value()) for m in read_from(broker, name, 1, 4)] == [
        (n, b"%d" % n) for n in range(4, 10)
    ]
    assert read_from(broker, name, 1, 10) == []
    assert [watermarks(broker, name, p) for p in range(3)] == [(0, 0), (0, 10), (0, 0)]


def test_a_record_keeps_its_parts(broker, topic):
    name = topic()
    broker.create_topic(name)
    broker.produce(
        name,
        [b"v", None],
        keys=[b"k", None],
        headers=[("h", b"1"), ("h", b"2")],
        timestamps=[JAN_2025, JAN_2025 + 1],
    )
    first, second = read_from(broker, name, 0, 0)
    assert (first.key(), first.value(), second.key(), second.value()) == (b"k", b"v", None, None)
    assert first.headers() == [("h", b"1"), ("h", b"2")]
    assert [m.timestamp()[1] for m in (first, second)] == [JAN_2025, JAN_2025 + 1]


def test_a_key_decides_the_partition(broker, topic):
    name = topic()
    broker.create_topic(name, 4)
    keys = [b"%d" % (n % 8) for n in range(64)]
    stored = broker.produce(name, keys, keys=keys)
    by_key = dict(zip(keys, [partition for partition, _ in stored], strict=True))
    assert [by_key[key] for key in keys] == [partition for partition, _ in stored]
    assert len(set(by_key.values())) > 1


def test_a_topic_is_created_once(broker, topic):
    name = topic()
    broker.create_topic(name, 2)
    with pytest.raises(KafkaException) as raised:
        broker.create_topic(name, 2)
    assert raised.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS


def test_a_broker_that_is_down_refuses_and_keeps_its_records(broker, topic):
    name = topic()
    broker.create_topic(name)
    broker.produce(name, [b"before"])
    consumer = reader(broker)
    consumer.assign([TopicPartition(name, 0, 0)])
    assert [m.value() for m in read(consumer)] == [b"before"]
    broker.down()
    with pytest.raises(KafkaException):
        watermarks(broker, name, timeout=1)
    broker.up()
    assert watermarks(broker, name) == (0, 1)
    broker.produce(name, [b"after"])
    # a consumer outlives it
    seen = []
    wait_until(lambda: (m := consumer.poll(1)) and not m.error() and not seen.append(m.value()))
    assert seen == [b"after"]
    consumer.close()


def test_a_paused_broker_answers_nothing_until_it_is_up(broker, topic):
    name = topic()
    broker.create_topic(name)
    broker.pause()
    with pytest.raises(KafkaException):
        watermarks(broker, name, timeout=1)
    broker.up()
    assert watermarks(broker, name) == (0, 0)


def test_dropped_records_move_the_low_watermark(broker, topic):
    name = topic()
    broker.create_topic(name)
    broker.produce(name, [b"%d" % n for n in range(10)])
    broker.drop_before(name, 0, 4)
    assert watermarks(broker, name) == (4, 10)
    assert [m.offset() for m in read_from(broker, name, 0, 4)] == list(range(4, 10))
    with pytest.raises(KafkaException) as raised:
        read_from(broker, name, 0, 3)
    assert raised.value.args[0].code() == KafkaError._AUTO_OFFSET_RESET


def test_a_recreated_topic_begins_at_offset_0(broker, topic):
    name = topic()
    broker.create_topic(name, 2)
    broker.produce(name, [b"1", b"2"], partition=0)
    broker.delete_topic(name)
    assert name not in AdminClient(broker.config()).list_topics(timeout=10).topics
    broker.create_topic(name, 3)
    assert [watermarks(broker, name, p) for p in range(3)] == [(0, 0)] * 3
    assert broker.produce(name, [b"3"], partition=0) == [(0, 0)]


def test_an_unknown_topic_is_known_by_its_error(broker, topic):
    """A consumer's look creates none, on a broker that would let a producer do so."""
    name = topic()
    consumer = reader(broker)
    for _ in range(2):
        error = consumer.list_topics(name, timeout=10).topics[name].error
        assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    consumer.close()


# --- the mock alone


def test_the_mock_keeps_the_newest_5_mib_of_a_partition(mock_broker, topic):
    name = topic()
    mock_broker.create_topic(name)
    mock_broker.produce(name, [bytes(500_000)] * 14)
    low, high = watermarks(mock_broker, name)
    assert 0 < low < high == 14
    assert high - low <= 11


def test_the_mock_finds_nothing_by_time(mock_broker, topic):
    name = topic()
    mock_broker.create_topic(name)
    mock_broker.produce(name, [b"1"], timestamps=[JAN_2025])
    assert by_time(mock_broker, name, JAN_2025) == -1


def test_the_mock_adds_no_partitions(mock_broker, topic):
    with pytest.raises(NotImplementedError):
        mock_broker.add_partitions(topic(), 2)


def test_the_mock_creates_a_topic_for_a_producer(mock_broker, topic):
    name = topic()
    mock_broker.produce(name, [b"1"])
    topics = AdminClient(mock_broker.config()).list_topics(timeout=10).topics
    assert len(topics[name].partitions) == 4


def test_the_mock_answers_with_the_errors_it_is_given(mock_broker, topic):
    name = topic()
    mock_broker.create_topic(name)
    mock_broker.fail(LIST_OFFSETS, *[KafkaError.TOPIC_AUTHORIZATION_FAILED] * 4)
    with pytest.raises(KafkaException) as raised:
        watermarks(mock_broker, name)
    assert raised.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    mock_broker.up()
    assert watermarks(mock_broker, name) == (0, 0)


# --- the real one alone


def topic_id(broker, name):
    admin = AdminClient(broker.config())  # one that is collected breaks its futures
    described = admin.describe_topics(TopicCollection([name]))
    return str(described[name].result(10).topic_id)


def by_time(broker, name, milliseconds):
    consumer = reader(broker)
    try:
        (found,) = consumer.offsets_for_times([TopicPartition(name, 0, milliseconds)], timeout=10)
    finally:
        consumer.close()
    assert found.error is None
    return found.offset


def test_a_recreated_topic_has_another_id(real_broker, topic):
    name = topic()
    real_broker.create_topic(name)
    first = topic_id(real_broker, name)
    real_broker.down()
    real_broker.up()
    assert topic_id(real_broker, name) == first
    real_broker.delete_topic(name)
    real_broker.create_topic(name)
    assert topic_id(real_broker, name) != first


def test_partitions_are_added(real_broker, topic):
    name = topic()
    real_broker.create_topic(name, 1)
    first = topic_id(real_broker, name)
    real_broker.produce(name, [b"1"])
    real_broker.add_partitions(name, 3)
    assert real_broker.produce(name, [b"2"], partition=2) == [(2, 0)]
    assert watermarks(real_broker, name, 0) == (0, 1)
    assert topic_id(real_broker, name) == first


def test_an_offset_is_found_by_time(real_broker, topic):
    """The first record that is not older; -1, the end, if there is none."""
    name = topic()
    real_broker.create_topic(name)
    real_broker.produce(name, [b"0", b"1", b"2"], timestamps=[JAN_2025 + n * 10 for n in range(3)])
    assert [by_time(real_broker, name, JAN_2025 + n) for n in (0, 1, 10, 20, 21)] == [
        *(0, 1, 1, 2),
        -1,
    ]


def test_records_are_dropped_by_age_where_a_topic_says_so(real_broker, topic):
    old, kept = topic("old"), topic("kept")
    real_broker.create_topic(old, config={"retention.ms": "1000"})
    real_broker.create_topic(kept)
    for name in (old, kept):
        real_broker.produce(name, [b"1", b"2"], timestamps=[JAN_2025, JAN_2025])
    wait_until(lambda: watermarks(real_broker, old) == (2, 2))
    assert watermarks(real_broker, kept) == (0, 2)


def test_a_transaction_leaves_gaps_in_the_offsets(real_broker, topic):
    """Its end is a record of its own, which no consumer sees; an aborted one's records hide too."""
    name = topic()
    real_broker.create_topic(name)
    producer = Producer(real_broker.config(transactional_id=name))
    producer.init_transactions(20)
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        producer.produce(name, end.__name__)
        producer.flush(20)
        end(20)
    real_broker.produce(name, [b"plain"])
    assert watermarks(real_broker, name) == (0, 5)
    # read_committed is a consumer's default
    assert [m.offset() for m in read_from(real_broker, name, 0, 0)] == [0, 4]
    everything = read_from(real_broker, name, 0, 0, isolation_level="read_uncommitted")
    assert [m.offset() for m in everything] == [0, 2, 4]


def test_an_unknown_topic_fails_a_producer(real_broker, topic):
    with pytest.raises(KafkaException) as raised:
        real_broker.produce(topic(), [b"1"])
    assert raised.value.args[0].code() in {
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }


# --- their processes


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
@pytest.mark.parametrize(
    ("module", "kind"),
    [("mock_broker", "MockBroker"), pytest.param("real_broker", "RealBroker", marks=REAL)],
)
def test_a_broker_ends_with_a_process_that_is_killed(module, kind, paused, tmp_path):
    if kind == "RealBroker":
        try:
            java(), class_path()
        except UnavailableError as error:
            give_up(error)
    script = (
        f"import time; from recsys_pipeline_tests.kafka.{module} import {kind}; broker = {kind}()\n"
        f"{'broker.pause()' if paused else ''}\n"
        "print(*broker.pids, flush=True); time.sleep(100)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},  # what it leaves is the test's to remove
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert pids
        assert all(map(psutil.pid_exists, pids))
        os.kill(starter.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))


def test_a_closed_mock_has_ended():
    with MockBroker() as broker:
        (pid,) = broker.pids
        broker.pause()
    assert not psutil.pid_exists(pid)


def test_what_a_real_broker_lacks_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UnavailableError, match="no `java`"):
        java()
    with pytest.raises(UnavailableError, match="no `mvn`"):
        class_path()
    (tmp_path / "java").write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    (tmp_path / "java").chmod(0o755)
    with pytest.raises(UnavailableError, match="needs Java 17"):
        java()


def test_a_real_broker_is_skipped_for_want_of_it_but_not_in_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no real Kafka here: none"):
        give_up(UnavailableError("none"))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(UnavailableError):
        give_up(UnavailableError("none"))
