"""Publications of features and samples are announced once, whatever crashes."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import Consumer, TopicPartition

from recsys_pipeline.engines import notices
from recsys_pipeline.engines.notices import send_notices
from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline.errors import KafkaError
from recsys_pipeline.storage.layout import NOTICES, data_file
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.kafka.conftest import _up_again, mock_broker, topic  # noqa: F401
from recsys_pipeline_tests.landed import START, event, land, run_days, settings_for, view_of


@pytest.fixture
def settings(mock_broker, topic, tmp_path):  # noqa: F811
    made = settings_for(
        tmp_path,
        kafka_bootstrap_servers=mock_broker.bootstrap,
        kafka_topic_ids=False,
        kafka_features_topic=topic("features"),
        kafka_training_topic=topic("training"),
    )
    mock_broker.create_topic(made.kafka_features_topic, 2)
    mock_broker.create_topic(made.kafka_training_topic, 1)
    return made


def publish(settings, batch="a", day=0, tenant="acme"):
    land(
        settings.storage_root,
        [event(tenant, day, n, item=f"i{n}", kind="click") for n in range(3)],
        batch,
    )
    run_days(settings, [START.replace(day=1 + day)])


def announced(settings, name=None, *order):
    """Return every notice of a topic."""
    topics = [name] if name else [settings.kafka_features_topic, settings.kafka_training_topic]
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": "reader",
            "fetch.wait.max.ms": 20,
        }
    )
    found = []
    for each in topics:
        for partition in consumer.list_topics(each, timeout=10).topics[each].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(each, partition), 10)
            consumer.assign([TopicPartition(each, partition, low)])
            values = []
            while len(values) < high - low:
                values += [
                    m.value() for m in consumer.consume(high - low, 0.2) if m.error() is None
                ]
            found += map(json.loads, values)
    consumer.close()
    order = order or ("asset", "partition", "tenant")
    return sorted(found, key=lambda one: tuple(one[name] for name in order))


def owed(settings):
    return list(open_store(settings.storage_root).list(NOTICES))


def send(settings):
    return send_notices(settings, open_store(settings.storage_root))


def test_each_publication_is_announced_once(settings):
    publish(settings)
    assert send(settings) == 3
    assert send(settings) == 0
    found = announced(settings)
    assert [one["asset"] for one in found] == ["item_features", "training_samples", "user_features"]
    assert owed(settings) == []
    (training,) = announced(settings, settings.kafka_training_topic)
    path = open_store(settings.storage_root).uri(data_file("training_samples", START, "acme"))
    assert training["path"] == path
    assert training["partition"] == "2025-01-01"
    assert training["tenant"] == "acme"
    assert training["rows"] > 0
    assert training["data_version"]
    publish(settings, "b", day=1)
    assert send(settings) == 3
    assert len(announced(settings)) == 6


def test_a_release_is_announced_once_beside_the_samples(settings, tmp_path):
    days = range(4)
    for day in days:
        publish(settings, f"b{day}", day=day)
    send(settings)
    spec = ReleaseSpec("acme", START, START.replace(day=4), validation_days=1, test_days=1)
    made = make_release(view_of(settings, ["acme"]), spec)
    assert made.untold == ()
    assert not make_release(view_of(settings, ["acme"]), spec).is_new
    assert send(settings) == 0
    training = announced(settings, settings.kafka_training_topic, "asset")
    (told,) = [one for one in training if one["asset"] == "training_dataset"]
    assert told["release"] == made.manifest.release
    assert told["path"] == made.uri
    assert told["rows"] == made.manifest.rows()


def test_nothing_is_owed_without_kafka(tmp_path):
    settings = settings_for(tmp_path)
    publish(settings)
    assert owed(settings) == []
    assert send(settings) == 0


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_sender_that_crashes_sends_nothing_twice(settings, monkeypatch, after):
    """It dies after so many deletions of what it has sent."""
    publish(settings)
    from recsys_pipeline.storage.local_store import LocalStore

    real, calls = LocalStore.delete, []

    def delete(self, path):
        if len(calls) == after:
            raise SystemExit("killed")
        calls.append(path)
        real(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "delete", delete)
        with pytest.raises(SystemExit):
            send(settings)
    # a topic after the other: what goes to the second was not begun with
    assert send(settings) == (1 if after < 3 else 0)
    assert send(settings) == 0
    assert len({one["id"] for one in announced(settings)}) == len(announced(settings)) == 3


def test_a_sender_that_crashes_in_the_middle_sends_the_rest(settings, monkeypatch):
    publish(settings)
    real = notices._send

    def part(settings, left):
        real(settings, left[:1])
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(notices, "_send", part)
        with pytest.raises(SystemExit):
            send(settings)
    assert send(settings) == 2
    assert len({one["id"] for one in announced(settings)}) == len(announced(settings)) == 3


def test_a_publisher_that_crashes_before_the_switch_owes_until_it_is_made(settings, monkeypatch):
    from recsys_pipeline.storage.parquet_store import ParquetStore

    real = ParquetStore.publish

    def fail(self, asset, *rest):
        if asset == "training_samples":
            raise SystemExit("killed")
        return real(self, asset, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(ParquetStore, "publish", fail)
        with pytest.raises(SystemExit):
            publish(settings)
    assert send(settings) == 2
    assert len(owed(settings)) == 1
    run_days(settings, [START])
    assert send(settings) == 1
    assert len(announced(settings)) == 3


def test_what_was_never_published_is_forgotten(settings, monkeypatch):
    publish(settings)
    send(settings)
    store = open_store(settings.storage_root)
    store.write(f"{NOTICES}user_features/2025-01-01/acme/other.json", b'{"id": "x", "at": 0}')
    assert send(settings) == 0
    assert owed(settings) == []


def test_a_topic_that_is_not_there_holds_no_other_up(settings, monkeypatch):
    monkeypatch.setattr(notices, "ANSWER_SECONDS", 1.0)
    publish(settings)
    lost = settings.model_copy(update={"kafka_features_topic": "nowhere"})
    with pytest.raises(KafkaError, match="nowhere"):
        send(lost)
    assert len(announced(settings, settings.kafka_training_topic)) == 1
    assert send(settings) == 2


@pytest.mark.slow
def test_a_broker_that_is_down_leaves_them_owed(settings, mock_broker, monkeypatch):  # noqa: F811
    monkeypatch.setattr(notices, "ANSWER_SECONDS", 1.0)
    publish(settings)
    mock_broker.down()
    with pytest.raises(KafkaError):
        send(settings)
    mock_broker.up()
    assert len(owed(settings)) == 3
    assert send(settings) == 3
    assert len(announced(settings)) == 3
