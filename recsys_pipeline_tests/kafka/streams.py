"""Topics full of events for tests, and what must have landed of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from recsys_pipeline.ingestion.kafka_landing import land_ranges, plan
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.landed import START, settings_for

MIDNIGHT = datetime.combine(START, datetime.min.time(), UTC)


def stream_settings(root, broker, topic, items="items-catalog", **values):
    return settings_for(
        root,
        kafka_bootstrap_servers=broker.bootstrap,
        kafka_interactions_topic=topic,
        kafka_items_topic=items,
        kafka_topic_ids=broker.is_real,
        **{"kafka_timeout_seconds": 60.0, **values},
    )


def message(number, tenant="acme", day=0, **more) -> bytes:
    at = MIDNIGHT + timedelta(days=day, seconds=number)
    fields = {
        "tenant": tenant,
        "user_id": f"u{number % 5}",
        "item_id": f"i{number}",
        "interaction_type": "click",
        "timestamp": at.isoformat(),
        "event_id": f"e{number}",
    }
    return json.dumps(fields | more).encode()


def land_all(settings, topic=None):
    """Land until nothing is left; return what each range became."""
    topic = topic or settings.kafka_interactions_topic
    done = []
    while True:
        state, planned = plan(settings, topic)
        if not planned.ranges:
            return done
        done += land_ranges(settings, topic, state.topic_id, planned.ranges)


def landed(settings, kind="interactions"):
    return Landing(settings.storage_root, kind).snapshot().scan().collect()


def landed_offsets(settings, kind="interactions"):
    """Return (source, position) of every landed row, sorted: repeats would show."""
    frame = landed(settings, kind)
    return sorted(zip(frame["source"], frame["position"], strict=True))
