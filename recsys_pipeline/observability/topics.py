"""Measures of what Kafka's topics hold and has not landed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.ingestion.kafka_landing import topics
from recsys_pipeline.ingestion.kafka_offsets import topic_lag
from recsys_pipeline.observability.families import KAFKA_LAG, KAFKA_LAST_LANDED, Measures, add

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

ANSWER_SECONDS = 10.0


def topic_measures(settings: Settings) -> Measures:
    """Return the lag of each partition of the topics that land.

    Raises:
        KafkaError: No broker answers, or there is no such topic.
    """
    found: Measures = {}
    for topic in topics(settings):
        for one in topic_lag(settings, topic, ANSWER_SECONDS):
            add(found, KAFKA_LAG, one.lag, topic, str(one.partition))
            if one.landed_at is not None:
                at = one.landed_at.timestamp()
                add(found, KAFKA_LAST_LANDED, at, topic, str(one.partition))
    return found
