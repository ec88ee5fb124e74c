"""The lag that is told is what `recsys kafka lag` counts; a broker that is down is a source that is."""

from __future__ import annotations

import pytest

from recsys_pipeline.ingestion.kafka_landing import land_ranges, plan
from recsys_pipeline.observability import families as f
from recsys_pipeline.observability import topics as module
from recsys_pipeline.observability.exporter import sources
from recsys_pipeline_tests.kafka.conftest import _up_again, mock_broker, topic  # noqa: F401
from recsys_pipeline_tests.kafka.streams import message
from recsys_pipeline_tests.landed import settings_for


@pytest.fixture
def settings(mock_broker, topic, tmp_path):  # noqa: F811
    made = settings_for(
        tmp_path,
        kafka_bootstrap_servers=mock_broker.bootstrap,
        kafka_interactions_topic=topic("events"),
        kafka_items_topic=topic("items"),
        kafka_topic_ids=False,
        kafka_timeout_seconds=3.0,
    )
    mock_broker.create_topic(made.kafka_interactions_topic, 2)
    mock_broker.create_topic(made.kafka_items_topic, 1)
    return made


def test_lag_falls_as_messages_land(mock_broker, settings, monkeypatch):  # noqa: F811
    name = settings.kafka_interactions_topic
    (source,) = [source for source in sources(settings) if source.name == "topics"]
    mock_broker.produce(name, [message(n) for n in range(5)], partition=1)
    source.look()
    lag = source.measures[f.KAFKA_LAG]
    assert lag == {(name, "0"): 0, (name, "1"): 5, (settings.kafka_items_topic, "0"): 0}
    assert f.KAFKA_LAST_LANDED not in source.measures
    state, planned = plan(settings, name)
    land_ranges(settings, name, state.topic_id, planned.ranges)
    source.look()
    assert source.measures[f.KAFKA_LAG][name, "1"] == 0
    assert source.measures[f.KAFKA_LAST_LANDED][name, "1"] > 1_700_000_000
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.5)
    mock_broker.down()
    source.look()
    assert source.is_up is False
    assert source.measures[f.KAFKA_LAG][name, "1"] == 0, "as it was last seen"
