"""The sensor asks for exact offsets, once, and says what is wrong where it can't."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from recsys_pipeline.landing_job import kafka_landing
from recsys_pipeline.sensors import attempts
from recsys_pipeline.sensors.kafka import kafka_sensor
from recsys_pipeline_tests.kafka.streams import landed_offsets, message


@pytest.fixture
def stream(mock_broker, topic, use):
    events, items = topic("events"), topic("items")
    mock_broker.create_topic(events, 2)
    mock_broker.create_topic(items, 1)
    return use(
        kafka_bootstrap_servers=mock_broker.bootstrap,
        kafka_interactions_topic=events,
        kafka_items_topic=items,
        kafka_topic_ids="false",
        start_date="2025-01-01",
    )


def test_without_kafka_it_names_the_setting(use, tick):
    use()
    assert "RECSYS_KAFKA_BOOTSTRAP_SERVERS is not set" in tick(kafka_sensor).skip_message


def test_it_is_stopped_without_kafka():
    assert kafka_sensor.default_status == dg.DefaultSensorStatus.STOPPED


def test_exact_ranges_land_and_the_days_are_materialised(
    mock_broker, stream, tick, launch, instance
):
    name = stream.kafka_interactions_topic
    assert "nothing new" in tick(kafka_sensor).skip_message
    mock_broker.produce(name, [message(n) for n in range(4)], partition=0)
    mock_broker.produce(name, [message(n, day=2) for n in range(2)], partition=1)
    data = tick(kafka_sensor)
    (request,) = data.run_requests
    assert request.run_config["ops"]["land_offsets"]["config"] == {
        "topic": name,
        "topic_id": "-",
        "ranges": [
            {"partition": 0, "start": 0, "end": 4},
            {"partition": 1, "start": 0, "end": 2},
        ],
    }
    # a repeated tick asks for the same run, which Dagster skips by its key
    assert tick(kafka_sensor).run_requests[0].run_key == request.run_key
    assert launch(data, kafka_landing) == [True]
    assert len(landed_offsets(stream)) == 6
    days = instance.get_materialized_partitions(dg.AssetKey("raw_interactions"))
    assert days == {"2025-01-01", "2025-01-03"}
    event = instance.get_latest_materialization_event(dg.AssetKey("raw_interactions"))
    assert event.asset_materialization.metadata["topic"].value == name
    assert "nothing new" in tick(kafka_sensor).skip_message


def test_a_run_that_has_landed_is_refused_when_launched_again(mock_broker, stream, tick, launch):
    mock_broker.produce(stream.kafka_interactions_topic, [message(0)], partition=0)
    data = tick(kafka_sensor)
    assert launch(data, kafka_landing) == [True]
    assert launch(data, kafka_landing) == [False]
    assert len(landed_offsets(stream)) == 1


def test_it_waits_for_a_run_under_way(mock_broker, stream, tick, record):
    mock_broker.produce(stream.kafka_interactions_topic, [message(0)], partition=0)
    request = tick(kafka_sensor).run_requests[0]
    record(request, kafka_landing, dg.DagsterRunStatus.STARTED)
    data = tick(kafka_sensor)
    assert not data.run_requests
    assert "is landing" in data.skip_message


def test_a_failed_run_is_asked_for_again_after_a_while(
    mock_broker, stream, tick, record, monkeypatch
):
    mock_broker.produce(stream.kafka_interactions_topic, [message(0)], partition=0)
    keys = set()
    for attempt in (1, 2, 3):
        monkeypatch.setattr(attempts, "FIRST_DELAY", timedelta(0))
        request = tick(kafka_sensor).run_requests[0]
        assert request.tags["recsys/attempt"] == str(attempt)
        keys.add(request.run_key)
        record(request, kafka_landing, dg.DagsterRunStatus.FAILURE)
        monkeypatch.setattr(attempts, "FIRST_DELAY", timedelta(seconds=15))
        data = tick(kafka_sensor)
        assert not data.run_requests
        assert f"has failed {attempt} times" in data.skip_message
        assert "tried again in" in data.skip_message
    assert len(keys) == 3


def test_what_landed_before_a_failure_stays(mock_broker, stream, tick, launch, use, monkeypatch):
    from recsys_pipeline.storage.landing import Landing

    name = stream.kafka_interactions_topic
    mock_broker.produce(name, [message(n) for n in range(10)], partition=0)
    settings = use(kafka_commit_messages=4)
    real = Landing.append_offsets
    calls = []

    def fail(self, rows, **more):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("disk full")
        return real(self, rows, **more)

    monkeypatch.setattr(Landing, "append_offsets", fail)
    first = tick(kafka_sensor)
    assert launch(first, kafka_landing) == [False]
    monkeypatch.setattr(attempts, "FIRST_DELAY", timedelta(0))
    again = tick(kafka_sensor)
    (request,) = again.run_requests
    (wanted,) = request.run_config["ops"]["land_offsets"]["config"]["ranges"]
    assert wanted == {"partition": 0, "start": 4, "end": 10, "after": 4}
    assert launch(again, kafka_landing) == [True]
    assert [n for _, n in landed_offsets(settings)] == list(range(10))


def test_a_broker_that_is_down_is_named_in_the_tick(mock_broker, stream, tick, monkeypatch):
    monkeypatch.setattr("recsys_pipeline.sensors.kafka.ANSWER_SECONDS", 1.0)
    mock_broker.down()
    data = tick(kafka_sensor)
    assert mock_broker.bootstrap in data.skip_message
    assert "nothing is lost meanwhile" in data.skip_message


def test_the_size_of_a_run_is_bounded(mock_broker, stream, tick, use):
    use(kafka_run_messages=5)
    name = stream.kafka_interactions_topic
    for partition in (0, 1):
        mock_broker.produce(name, [message(n) for n in range(9)], partition=partition)
    (request,) = tick(kafka_sensor).run_requests
    ranges = request.run_config["ops"]["land_offsets"]["config"]["ranges"]
    assert sum(one["end"] - one["start"] for one in ranges) == 5
