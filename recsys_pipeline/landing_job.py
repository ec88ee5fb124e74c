"""The job that lands ranges of a Kafka topic: exact offsets in, landed days out."""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from recsys_pipeline.ingestion.kafka_landing import RangeLanded, kind_of, land_ranges
from recsys_pipeline.kafka.group import mirror_offsets
from recsys_pipeline.kafka.ranges import OffsetRange
from recsys_pipeline.logs import log_context
from recsys_pipeline.partitions import daily
from recsys_pipeline.settings import get_settings
from recsys_pipeline.storage.landing import TABLES, Kind, Landing


class RangeConfig(dg.Config):
    """One range of a partition; see `OffsetRange`."""

    partition: int
    start: int
    end: int
    after: int | None = None


class LandingConfig(dg.Config):
    """What to land, as the sensor has planned it."""

    topic: str
    topic_id: str
    ranges: list[RangeConfig]


@dg.op
def land_offsets(context: dg.OpExecutionContext, config: LandingConfig) -> None:
    """Land exact offset ranges, and materialise the days that they touch.

    A range that does not begin at the landed offset is refused, whoever launched the run.
    """
    settings = get_settings()
    ranges = [OffsetRange(r.partition, r.start, r.end, r.after) for r in config.ranges]
    kind = kind_of(settings, config.topic)
    landed: dict[int, RangeLanded] = {}
    try:
        with log_context(run_id=context.run.run_id, job=context.run.job_name, topic=config.topic):
            land_ranges(
                settings,
                config.topic,
                config.topic_id,
                ranges,
                progress=lambda one: landed.update({one.partition: one}),
            )
    finally:
        # what is committed has landed, whatever came after it
        for one in landed.values():
            context.log.info(
                "%s/%d: offsets %d to %d, %d rows",
                config.topic, one.partition, one.start, one.end - 1, one.rows,
            )  # fmt: skip
        _materialise(context, kind, config.topic, list(landed.values()))
    offsets = {number: one.end for number, one in landed.items()}
    if problem := mirror_offsets(settings, config.topic, offsets):
        context.log.warning("offsets not copied to %s: %s", settings.kafka_consumer_group, problem)


def _materialise(
    context: dg.OpExecutionContext, kind: Kind, topic: str, landed: Sequence[RangeLanded]
) -> None:
    days: dict[date, dict[str, int]] = {}
    for one in landed:
        for (day, tenant), rows in one.days.items():
            of_day = days.setdefault(day, {})
            of_day[tenant] = of_day.get(tenant, 0) + rows
    if not days:
        return
    version = Landing(get_settings().storage_root, kind).snapshot().version
    offsets = ", ".join(f"{one.partition}: {one.start}-{one.end}" for one in landed)
    for day, tenants in sorted(days.items()):
        if not daily.has_partition_key(day.isoformat()):
            continue  # before the start date: landed, and seen once that is lowered
        lines = "\n".join(f"| {tenant} | {count:,} |" for tenant, count in sorted(tenants.items()))
        context.log_event(
            dg.AssetMaterialization(
                asset_key=TABLES[kind],
                partition=day.isoformat(),
                description=f"Landed from {topic}",
                metadata={
                    "rows_landed": sum(tenants.values()),
                    "rows_by_tenant": dg.MetadataValue.md(
                        f"| tenant | rows |\n|---|---:|\n{lines}"
                    ),
                    "topic": topic,
                    "offsets": offsets,
                    "landing_version": version,
                },
            )
        )


@dg.job(
    executor_def=dg.in_process_executor,
    description="Messages of a Kafka topic into the landing zone; requested by kafka_sensor.",
)
def kafka_landing() -> None:
    """Land what the run's configuration names."""
    land_offsets()
