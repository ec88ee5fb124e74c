"""Topics to landing runs. The sensor reads offsets, never messages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from recsys_pipeline.engines.effective import digest
from recsys_pipeline.errors import RecsysError
from recsys_pipeline.ingestion.kafka_landing import plan, topics
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.landing_job import kafka_landing
from recsys_pipeline.sensors.attempts import ATTEMPT_TAG, failures, run_under_way
from recsys_pipeline.sensors.default_status import DEFAULT_STATUS
from recsys_pipeline.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys_pipeline.kafka.ranges import OffsetRange
    from recsys_pipeline.settings import Settings

TOPIC_TAG = "recsys/kafka_topic"
OFFSETS_TAG = "recsys/kafka_offsets"
INTERVAL_SECONDS = 10
# an evaluation has a minute for both topics
ANSWER_SECONDS = 8.0


@dg.sensor(
    job=kafka_landing,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DEFAULT_STATUS,
    description=(
        "Requests a landing run for the messages of each topic that have not landed: the exact "
        "offsets from the landed one up to the topic's end. Needs RECSYS_KAFKA_BOOTSTRAP_SERVERS."
    ),
)
def kafka_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request one run a topic, unless one is under way or there is nothing to land."""
    settings = get_settings()
    if not is_configured(settings):
        return dg.SkipReason(
            "RECSYS_KAFKA_BOOTSTRAP_SERVERS is not set: set it to host:port of a broker and "
            "restart the code location"
        )
    requests: list[dg.RunRequest] = []
    said: list[str] = []
    for topic in topics(settings):
        try:
            request, words = _request(context, settings, topic)
        except RecsysError as error:
            request, words = None, [str(error)]
            context.log.error(str(error))  # noqa: TRY400  # its one line is all there is to say
        if request is not None:
            requests.append(request)
        said += words
    if requests:
        return dg.SensorResult(run_requests=requests)
    return dg.SkipReason("; ".join(said))


def _request(
    context: dg.SensorEvaluationContext, settings: Settings, topic: str
) -> tuple[dg.RunRequest | None, list[str]]:
    """Return the request for a topic, and what its tick has to say."""
    if running := run_under_way(context.instance, kafka_landing.name, {TOPIC_TAG: topic}):
        return None, [f"{topic}: run {running} is landing"]
    state, planned = plan(settings, topic, ANSWER_SECONDS)
    for notice in planned.notices:
        context.log.error(notice)
    if not planned.ranges:
        return None, [*planned.notices, f"{topic}: nothing new"]
    begin = digest(topic, state.topic_id, *((r.partition, r.after) for r in planned.ranges))
    failed = failures(context.instance, f"{topic}: landing", {TOPIC_TAG: topic})
    failed.log(context)
    if failed.wait > timedelta():
        return None, [failed.words]
    attempt = failed.count + 1
    request = dg.RunRequest(
        # Dagster skips a key that it has seen, that of a failed run too
        run_key=f"{topic}:{begin}:{attempt}",
        run_config={
            "ops": {"land_offsets": {"config": _config(topic, state.topic_id, planned.ranges)}}
        },
        tags={
            TOPIC_TAG: topic,
            OFFSETS_TAG: ", ".join(
                f"{r.partition}: {r.start}-{r.end}" for r in planned.ranges[:20]
            ),
            ATTEMPT_TAG: str(attempt),
        },
    )
    return request, list(planned.notices)


def _config(topic: str, topic_id: str, ranges: Sequence[OffsetRange]) -> dict[str, object]:
    return {
        "topic": topic,
        "topic_id": topic_id,
        "ranges": [
            {"partition": r.partition, "start": r.start, "end": r.end}
            | ({} if r.after is None else {"after": r.after})
            for r in ranges
        ],
    }
