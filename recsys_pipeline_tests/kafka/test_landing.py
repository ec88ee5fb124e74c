"""Each message lands exactly once, whatever the topic goes through."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recsys_pipeline.errors import (
    KafkaError,
    MappingError,
    OffsetError,
    SettingsError,
    TenantError,
)
from recsys_pipeline.ingestion import kafka_landing
from recsys_pipeline.ingestion.kafka_landing import kind_of, land_ranges, plan
from recsys_pipeline.ingestion.kafka_offsets import reset_offsets, topic_lag
from recsys_pipeline.kafka.ranges import OffsetRange
from recsys_pipeline.kafka.reader import RangeReader
from recsys_pipeline.settings import Settings
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.kafka.streams import (
    land_all,
    landed,
    landed_offsets,
    message,
    stream_settings,
)


@pytest.fixture
def stream(broker, topic, tmp_path):
    """A topic of two partitions, and settings that land it."""
    name = topic("events")
    broker.create_topic(name, 2)
    return stream_settings(tmp_path, broker, name, kafka_commit_messages=4)


def test_every_message_lands_once_in_bounded_transactions(broker, stream):
    name = stream.kafka_interactions_topic
    broker.produce(name, [message(n) for n in range(11)], partition=0)
    broker.produce(name, [message(n, "beta", day=3) for n in range(3)], partition=1)
    done = land_all(stream)
    assert [(one.partition, one.start, one.end, one.rows) for one in done] == [
        (0, 0, 11, 11),
        (1, 0, 3, 3),
    ]
    assert Landing(stream.storage_root, "interactions").snapshot().version == 4  # 3 + 1, from 1
    expected = [(f"kafka:{name}/0", n) for n in range(11)]
    assert landed_offsets(stream) == expected + [(f"kafka:{name}/1", n) for n in range(3)]
    broker.produce(name, [message(20)], partition=1)
    (more,) = land_all(stream)
    assert (more.start, more.end) == (3, 4)
    assert land_all(stream) == []
    assert [one.lag for one in topic_lag(stream, name)] == [0, 0]


def test_bytes_bound_a_transaction_too(broker, stream):
    name = stream.kafka_interactions_topic
    broker.produce(name, [message(n, pad="x" * 1000) for n in range(3)], partition=0)
    small = stream.model_copy(update={"kafka_commit_bytes": 1500})
    land_all(small)
    assert Landing(stream.storage_root, "interactions").snapshot().version == 3


@pytest.mark.parametrize("after", [None, 0, 2, 4])
def test_a_range_that_does_not_begin_at_the_landed_offset_is_refused(broker, stream, after):
    name = stream.kafka_interactions_topic
    broker.produce(name, [message(n) for n in range(6)], partition=0)
    state, _ = plan(stream, name)
    land_ranges(stream, name, state.topic_id, [OffsetRange(0, 0, 3, None)])
    before = landed_offsets(stream)
    start = after or 0
    with pytest.raises(OffsetError, match="has landed up to offset 3"):
        land_ranges(stream, name, state.topic_id, [OffsetRange(0, start, 6, after)])
    assert landed_offsets(stream) == before


def test_a_range_may_not_pass_over_what_the_broker_still_holds(broker, stream):
    name = stream.kafka_interactions_topic
    broker.produce(name, [message(n) for n in range(6)], partition=0)
    state, _ = plan(stream, name)
    land_ranges(stream, name, state.topic_id, [OffsetRange(0, 0, 2, None)])
    with pytest.raises(OffsetError, match="passes over"):
        land_ranges(stream, name, state.topic_id, [OffsetRange(0, 4, 6, 2)])
    with pytest.raises(OffsetError, match="ends at 6, before 9"):
        land_ranges(stream, name, state.topic_id, [OffsetRange(0, 2, 9, 2)])
    assert len(landed_offsets(stream)) == 2


def test_of_two_runs_on_the_same_offsets_one_lands(broker, stream):
    name = stream.kafka_interactions_topic
    broker.produce(name, [message(n) for n in range(30)], partition=0)
    state, planned = plan(stream, name)
    refused = []

    def land():
        try:
            land_ranges(stream, name, state.topic_id, planned.ranges)
        except OffsetError as error:
            refused.append(error)

    racers = [threading.Thread(target=land) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    land_all(stream)
    assert landed_offsets(stream) == [(f"kafka:{name}/0", n) for n in range(30)]
    assert len(refused) >= 2  # a racer that lost goes no further


def test_messages_without_an_acceptable_tenant_are_kept_apart(broker, topic, tmp_path):
    name = topic("events")
    broker.create_topic(name, 1)
    settings = stream_settings(tmp_path, broker, name, kafka_topic_tenants={name: ("acme", "beta")})
    values = [
        b"not json",
        b"[1]",
        None,
        message(3, None),
        message(4, ""),
        message(5, "Bad Name"),
        message(6, "unassigned"),
        message(7, "gamma"),
        message(8, 7),
        message(9),
        message(10, timestamp="soon"),
    ]
    broker.produce(name, values)
    broker.produce(name, [message(11, "beta"), message(12, None)], headers=[("tenant", b"acme")])
    land_all(settings)
    rows = {row["position"]: row for row in landed(settings).iter_rows(named=True)}
    assert {n: (row["tenant"], row["problem"]) for n, row in rows.items()} == {
        0: ("unassigned", "line.readable"),
        1: ("unassigned", "line.readable"),
        2: ("unassigned", "line.readable"),
        3: ("unassigned", "tenant.present"),
        4: ("unassigned", "tenant.present"),
        5: ("unassigned", "tenant.form"),
        6: ("unassigned", "tenant.form"),
        7: ("unassigned", "tenant.allowed"),
        8: ("unassigned", "tenant.form"),
        9: ("acme", None),
        10: ("acme", "timestamp.readable"),
        11: ("unassigned", "tenant.agrees"),
        12: ("acme", None),
    }
    assert rows[0]["raw"] == "not json"
    assert json.loads(rows[7]["raw"])["tenant"] == "gamma"
    assert all(rows[n]["parked"] for n in rows if rows[n]["tenant"] == "unassigned")
    assert rows[9]["context"] is None  # the tenant is no further column


def test_an_unknown_tenant_is_kept_apart_when_tenants_are_listed(broker, stream, tmp_path):
    (tmp_path / "tenants.toml").write_text("[tenants.acme]\n")
    name = stream.kafka_interactions_topic
    settings = stream.model_copy(
        update={"auto_tenants": False, "tenants_file": tmp_path / "tenants.toml"}
    )
    broker.produce(name, [message(0), message(1, "beta")], partition=0)
    land_all(settings)
    found = dict(landed(settings).select("tenant", "problem").iter_rows())
    assert found == {"acme": None, "unassigned": "tenant.known"}


def test_a_tenants_mapping_is_applied(broker, stream, tmp_path):
    mapping = tmp_path / "ours.toml"
    mapping.write_text('[interactions.columns]\nuser_id = "uid"\n')
    (tmp_path / "tenants.toml").write_text(f'[tenants.acme]\nmapping = "{mapping}"\n')
    settings = stream.model_copy(update={"tenants_file": tmp_path / "tenants.toml"})
    fields = json.loads(message(1))
    fields["uid"] = fields.pop("user_id")
    broker.produce(stream.kafka_interactions_topic, [json.dumps(fields).encode()], partition=0)
    land_all(settings)
    assert landed(settings)["user_id"].to_list() == ["u1"]


def test_a_partition_that_fails_holds_no_other_back(broker, stream):
    name = stream.kafka_interactions_topic
    for partition in (0, 1):
        broker.produce(name, [message(n) for n in range(5)], partition=partition)
    state, planned = plan(stream, name)
    first, second = planned.ranges
    with pytest.raises(OffsetError, match="ends at 5, before 9"):
        land_ranges(stream, name, state.topic_id, [replace(first, end=9), second])
    assert landed_offsets(stream) == [(f"kafka:{name}/1", n) for n in range(5)]


@pytest.mark.parametrize("text", ["[tenants.acme", '[tenants.acme]\nmapping = "nowhere.toml"'])
def test_a_configuration_that_can_not_be_read_stops_the_landing(broker, stream, tmp_path, text):
    (tmp_path / "tenants.toml").write_text(text)
    settings = stream.model_copy(update={"tenants_file": tmp_path / "tenants.toml"})
    broker.produce(stream.kafka_interactions_topic, [message(1)], partition=0)
    with pytest.raises((TenantError, MappingError)):
        land_all(settings)
    assert landed(settings).is_empty()
    (tmp_path / "tenants.toml").write_text("[tenants.acme]\n")
    land_all(settings)
    assert landed(settings)["tenant"].to_list() == ["acme"]


def test_items_land_from_their_topic(broker, topic, tmp_path):
    events, items = topic("events"), topic("items")
    broker.create_topic(events, 1)
    broker.create_topic(items, 1)
    settings = stream_settings(tmp_path, broker, events, items)
    value = {"tenant": "acme", "item_id": "i1", "title": "One", "category": "Audio"}
    broker.produce(items, [json.dumps(value).encode()])
    land_all(settings, items)
    broker.produce(items, [json.dumps(value | {"price": 2}).encode()])
    land_all(settings, items)
    rows = landed(settings, "items").sort("position")
    # the first version of an item is of the start date, a later one of the day received
    today = datetime.now(UTC).date()
    assert rows["date"].to_list() == [settings.start_date, today]
    with pytest.raises(SettingsError, match="none of"):
        kind_of(settings, "other")


def test_a_broker_that_is_down_says_so_and_loses_nothing(broker, stream):
    name = stream.kafka_interactions_topic
    broker.produce(name, [message(n) for n in range(5)], partition=0)
    quick = stream.model_copy(update={"kafka_timeout_seconds": 2.0})
    broker.down()
    with pytest.raises(KafkaError, match="does not answer"):
        plan(quick, name)
    broker.up()
    land_all(stream)
    assert len(landed_offsets(stream)) == 5


def test_a_broker_that_goes_down_in_the_middle_of_a_range(broker, stream, monkeypatch):
    name = stream.kafka_interactions_topic
    broker.produce(name, [message(n) for n in range(12)], partition=0)
    quick = stream.model_copy(update={"kafka_timeout_seconds": 2.0})
    state, planned = plan(quick, name)
    real = RangeReader.read

    def read(self, *args, **kwargs):
        for number, chunk in enumerate(real(self, *args, **kwargs)):
            yield chunk
            if number == 0:
                broker.down()
                raise kafka_landing.KafkaError("broker", "went down", "")

    monkeypatch.setattr(RangeReader, "read", read)
    with pytest.raises(KafkaError):
        land_ranges(quick, name, state.topic_id, planned.ranges)
    monkeypatch.undo()
    broker.up()
    land_all(stream)
    assert landed_offsets(stream) == [(f"kafka:{name}/0", n) for n in range(12)]


def test_an_unknown_topic_is_named(broker, topic, tmp_path):
    settings = stream_settings(tmp_path, broker, topic("nowhere"))
    with pytest.raises(KafkaError, match="is not there"):
        plan(settings, settings.kafka_interactions_topic)


def test_a_reset_lands_again_and_repeats_are_duplicates(broker, stream):
    name = stream.kafka_interactions_topic
    broker.produce(name, [message(n) for n in range(3)], partition=0)
    land_all(stream)
    assert reset_offsets(stream, name, 1, 0) == {0: (3, 1)}
    land_all(stream)
    assert [n for _, n in landed_offsets(stream)] == [0, 1, 1, 2, 2]
    assert reset_offsets(stream, name, "latest")[0] == (3, 3)
    with pytest.raises(OffsetError, match="Choose from 0 to 3"):
        reset_offsets(stream, name, 4, 0)
    with pytest.raises(KafkaError, match="no partition 9"):
        reset_offsets(stream, name, "latest", 9)


def test_latest_passes_over_what_was_there_and_nothing_else(broker, stream):
    name = stream.kafka_interactions_topic
    settings = stream.model_copy(update={"kafka_start": "latest"})
    broker.produce(name, [message(n) for n in range(4)], partition=0)
    land_all(settings)
    assert landed(settings).is_empty()
    broker.produce(name, [message(n) for n in range(4, 6)], partition=0)
    broker.produce(name, [message(6)], partition=1)
    land_all(settings)
    assert [n for _, n in landed_offsets(settings)] == [4, 5, 0]


def test_a_topic_made_anew_lands_from_its_beginning(real_broker, topic, tmp_path):
    name = topic("events")
    real_broker.create_topic(name, 1)
    settings = stream_settings(tmp_path, real_broker, name)
    real_broker.produce(name, [message(n) for n in range(5)])
    land_all(settings)
    state, _ = plan(settings, name)
    real_broker.delete_topic(name)
    real_broker.create_topic(name, 1)
    real_broker.produce(name, [message(n) for n in range(100, 103)])
    with pytest.raises(KafkaError, match="was made anew"):
        land_ranges(settings, name, state.topic_id, [OffsetRange(0, 0, 3, None)])
    land_all(settings)
    items = sorted(landed(settings)["item_id"])
    assert items == sorted([f"i{n}" for n in (*range(5), *range(100, 103))])


def test_offsets_that_retention_removed_are_told(real_broker, topic, tmp_path):
    name = topic("events")
    real_broker.create_topic(name, 1)
    settings = stream_settings(tmp_path, real_broker, name)
    real_broker.produce(name, [message(n) for n in range(10)])
    state, _ = plan(settings, name)
    land_ranges(settings, name, state.topic_id, [OffsetRange(0, 0, 2, None)])
    real_broker.drop_before(name, 0, 6)
    state, planned = plan(settings, name)
    assert planned.ranges == (OffsetRange(0, 6, 10, 2),)
    assert "lost the offsets 2 to 5" in planned.notices[0]
    land_all(settings)
    assert [n for _, n in landed_offsets(settings)] == [0, 1, 6, 7, 8, 9]


def test_a_range_whose_start_has_gone_meanwhile_lands_nothing(real_broker, topic, tmp_path):
    name = topic("events")
    real_broker.create_topic(name, 1)
    settings = stream_settings(tmp_path, real_broker, name)
    real_broker.produce(name, [message(n) for n in range(10)])
    state, planned = plan(settings, name)
    real_broker.drop_before(name, 0, 4)
    with pytest.raises(KafkaError, match="no longer holds offset 0"):
        land_ranges(settings, name, state.topic_id, planned.ranges)
    land_all(settings)
    assert [n for _, n in landed_offsets(settings)] == [4, 5, 6, 7, 8, 9]


def test_partitions_that_are_added_land_from_their_first_offset(real_broker, topic, tmp_path):
    name = topic("events")
    real_broker.create_topic(name, 1)
    settings = stream_settings(tmp_path, real_broker, name, kafka_start="latest")
    real_broker.produce(name, [message(0)], partition=0)
    land_all(settings)
    real_broker.add_partitions(name, 3)
    real_broker.produce(name, [message(1)], partition=2)
    land_all(settings)
    assert landed_offsets(settings) == [(f"kafka:{name}/2", 0)]


def test_markers_of_transactions_are_passed_over(real_broker, topic, tmp_path):
    from confluent_kafka import Producer

    name = topic("events")
    real_broker.create_topic(name, 1)
    settings = stream_settings(tmp_path, real_broker, name, kafka_commit_messages=2)
    producer = Producer(real_broker.config(transactional_id="test"))
    producer.init_transactions(20)
    for number, commit in enumerate([True, False, True]):
        producer.begin_transaction()
        for n in range(3):
            producer.produce(name, message(number * 10 + n))
        producer.flush(20)
        if commit:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
    land_all(settings)
    assert sorted(landed(settings)["item_id"]) == sorted(f"i{n}" for n in (0, 1, 2, 20, 21, 22))
    state, planned = plan(settings, name)
    assert planned.ranges == ()
    assert topic_lag(settings, name)[0].landed == state.watermarks[0][1]


def test_landed_offsets_are_copied_to_a_group(real_broker, topic, tmp_path):
    from confluent_kafka import Consumer, TopicPartition

    from recsys_pipeline.kafka.group import mirror_offsets

    name = topic("events")
    real_broker.create_topic(name, 1)
    settings = stream_settings(tmp_path, real_broker, name, kafka_consumer_group="recsys")
    assert mirror_offsets(settings, name, {0: 7}) is None
    consumer = Consumer({"bootstrap.servers": real_broker.bootstrap, "group.id": "recsys"})
    assert consumer.committed([TopicPartition(name, 0)], 20)[0].offset == 7
    consumer.close()


def test_a_broker_that_is_down_holds_the_copy_up_for_a_bounded_time(tmp_path):
    from recsys_pipeline.kafka.group import mirror_offsets

    settings = Settings(
        storage_root=str(tmp_path),
        kafka_bootstrap_servers="127.0.0.1:1",
        kafka_consumer_group="recsys",
        kafka_timeout_seconds=1,
        kafka_options={"reconnect.backoff.max.ms": "50"},
    )
    began = time.monotonic()
    assert "coordinator" in (mirror_offsets(settings, "events", {0: 7}) or "")
    assert time.monotonic() - began < 10
