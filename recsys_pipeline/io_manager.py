"""Dagster's face of the Parquet store.

Writes what a step yields day by day, or any frame with `date` and `tenant` columns, as one file
per (day, tenant). Reads one or many partitions as one lazy frame.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from recsys_pipeline.contract_metadata import column_lineage
from recsys_pipeline.engines.effective import digest
from recsys_pipeline.engines.notices import send_notices
from recsys_pipeline.engines.publication import DayContent, publish
from recsys_pipeline.engines.view import View
from recsys_pipeline.errors import KafkaError, StaleInputError, StorageError
from recsys_pipeline.logs import log_context
from recsys_pipeline.partitions import days_of
from recsys_pipeline.resources.pipeline import Pipeline
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.tables import CONTRACTS
from recsys_pipeline.storage.layout import data_file
from recsys_pipeline.storage.parquet_store import Content
from recsys_pipeline.storage.records import Record

MAX_STALE_RETRIES = 3


class ParquetIOManager(dg.ConfigurableIOManager):
    """Stores each (day, tenant) of an asset as one Parquet file below the storage root."""

    pipeline: dg.ResourceDependency[Pipeline]

    def handle_output(
        self, context: dg.OutputContext, obj: pl.DataFrame | pl.LazyFrame | Iterable[DayContent]
    ) -> None:
        """Publish the output's partitions and attach their counts to the materialisations.

        Raises:
            StorageError: The asset has no daily partitions, or a frame has rows of other days
                or tenants than the run's.
        """
        asset = context.asset_key.to_user_string()
        if not context.has_asset_partitions:
            raise StorageError(asset, "has no daily partitions", "Give it partitions_def=daily")
        days = days_of(list(context.asset_partition_keys))
        step = context.step_context
        view = self.pipeline.view(step.instance, context.run_id)
        contents = (
            _by_day(view, asset, days, obj) if isinstance(obj, pl.DataFrame | pl.LazyFrame) else obj
        )
        try:
            # what a step yields is computed here
            with log_context(
                run_id=context.run_id, job=context.job_name, step=step.step.key, asset=asset
            ):
                records = publish(view, asset, contents)
        except StaleInputError as error:
            # the landing moved on under this run: pin it anew and start over
            raise dg.RetryRequested(max_retries=MAX_STALE_RETRIES) from error
        try:
            send_notices(view.settings, view.store.objects)
        except KafkaError as error:
            context.log.warning("notices are sent later: %s", error)
        by_day: dict[date, dict[str, Record]] = {}
        for (day, tenant), record in records.items():
            by_day.setdefault(day, {})[tenant] = record
        for day in days:
            metadata = partition_metadata(view, asset, day, by_day.get(day, {}))
            if day == days[-1] and (lineage := column_lineage(asset)) is not None:
                metadata["dagster/column_lineage"] = lineage
            step.add_asset_metadata(
                metadata, asset_key=context.asset_key, partition_key=day.isoformat()
            )
        versions = digest(*(f"{p}{r.content}" for p, r in sorted(records.items())))
        if not step.has_data_version(context.asset_key):
            step.set_data_version(context.asset_key, dg.DataVersion(versions))

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        """Return the input's partitions as one lazy frame with `date` and `tenant` columns.

        Raises:
            StorageError: A day was never materialised.
        """
        asset = context.asset_key.to_user_string()
        view = self.pipeline.view(context.instance, _run_id(context))
        partitions = []
        for day in days_of(list(context.asset_partition_keys)):
            if not view.is_published(asset, day):
                raise StorageError(f"{asset} {day}", "was never materialised", "Materialise it")
            records = view.records(asset, day)
            partitions += [
                (day, tenant)
                for tenant, record in records.items()
                if record.file and view.serves(tenant)
            ]
        schema = frame_schema(CONTRACTS[asset]) if asset in CONTRACTS else None
        return view.store.scan(asset, partitions, schema)


def _run_id(context: dg.InputContext) -> str:
    return context.step_context.run_id


def _by_day(
    view: View, asset: str, days: list[date], frame: pl.DataFrame | pl.LazyFrame
) -> Iterator[DayContent]:
    """Split a plain frame into the run's days; a tenant that has lost its rows loses its file."""
    lazy = frame.lazy()
    foreign = pl.col("date").is_null() | ~pl.col("date").is_in(days)
    others = lazy.filter(foreign).select("date").head(1).collect()
    if others.height:
        raise StorageError(
            asset, f"has rows of {others.item()}, which this run does not make", "Filter by date"
        )
    for day in days:
        rows = lazy.filter(pl.col("date") == day).collect(engine="streaming")
        parts = rows.partition_by("tenant", as_dict=True, maintain_order=True)
        tenants = {str(key[0]): part for key, part in parts.items()}
        if view.tenants is not None and (extra := set(tenants) - view.tenants):
            raise StorageError(
                asset, f"has rows of tenant {min(extra)!r}, outside this run", "Filter by tenant"
            )
        gone = set(view.records(asset, day)) - set(tenants)
        tenants |= {t: rows.clear() for t in gone if view.serves(t)}
        contents = {
            tenant: Content(part, digest(part.hash_rows().sum(), part.height))
            for tenant, part in tenants.items()
        }
        yield DayContent(day, contents)


def partition_metadata(
    view: View, asset: str, day: date, records: dict[str, Record]
) -> dict[str, Any]:
    """Return what the UI shows of one partition of a stored asset."""
    rows = sum(record.rows for record in records.values())
    held = sorted(t for t, r in records.items() if r.held)
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": rows,
        "bytes": sum(record.bytes for record in records.values()),
        "tenants": len(records),
        "seconds": round(sum(record.seconds for record in records.values()), 3),
        "landing_versions": f"interactions {view.pin.interactions}, items {view.pin.items}",
    }
    if records:
        metadata["published_at"] = max(r.published_at for r in records.values())
        metadata["data_version"] = digest(*(r.content for _, r in sorted(records.items())))
    if any(record.file for record in records.values()):
        metadata["files"] = dg.MetadataValue.md(_files(view, asset, day, records))
    if held:
        metadata["held_tenants"] = ", ".join(held)
    counts = _sum_counts(records)
    reasons = counts.pop("reasons", {})
    metadata |= counts
    if reasons:
        metadata["reasons"] = dg.MetadataValue.md(_reasons(reasons))
    if view.tenants is not None:
        metadata["restricted_to"] = ", ".join(sorted(view.tenants))
    return metadata


def _sum_counts(records: dict[str, Record]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for record in records.values():
        for name, value in record.counts.items():
            if isinstance(value, dict):
                inner = total.setdefault(name, {})
                for key, count in value.items():
                    inner[key] = inner.get(key, 0) + count
            else:
                total[name] = total.get(name, 0) + value
    return total


def _files(view: View, asset: str, day: date, records: dict[str, Record]) -> str:
    lines = ["| tenant | rows | file |", "|---|---:|---|"]
    lines += [
        f"| {t} | {r.rows:,} | `{view.store.objects.uri(data_file(asset, day, t))}` |"
        for t, r in sorted(records.items())
        if r.file
    ]
    return "\n".join(lines)


def _reasons(reasons: dict[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return "\n".join(
        ["| reason | rows |", "|---|---:|"] + [f"| `{r}` | {n:,} |" for r, n in ordered]
    )
