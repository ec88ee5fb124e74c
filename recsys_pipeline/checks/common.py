"""What the checks share: the days of a run, and a factory for checks that judge them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any, TypeVar

import dagster as dg
import polars as pl

from recsys_pipeline.engines.view import View
from recsys_pipeline.partitions import RANGE_END, RANGE_START, daily, days_of
from recsys_pipeline.resources.pipeline import Pipeline
from recsys_pipeline.storage.layout import data_file
from recsys_pipeline.storage.records import Partition

PARTITION = "dagster/partition"
MAX_TABLE_ROWS = 50
READERS = 8  # footers read at once: a GET from S3 is mostly waiting
Fact = TypeVar("Fact")

Judge = Callable[[View, Sequence[date]], dg.AssetCheckResult]
Tell = Callable[[View, str], None]


def daily_check(
    asset: str,
    name: str,
    description: str,
    judge: Judge,
    *,
    blocking: bool = False,
    tell: Tell | None = None,
) -> dg.AssetChecksDefinition:
    """Make an asset check that judges the days of its run, and tells others with the run's id.

    The check itself has no partitions and takes the days from the run's tags. A range run plans
    an evaluation for each partition of a partitioned check and gets a single one for all of them:
    the UI then calls every check "Skipped".
    """

    @dg.asset_check(
        asset=asset,
        name=name,
        description=description,
        blocking=blocking,
    )
    def check(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
        view = pipeline.view(context.instance, context.run.run_id)
        days = _days(context.run.tags)
        result = judge(view, days)
        if tell is not None:
            tell(view, context.run.run_id)
        span = {"first_day": days[0].isoformat(), "last_day": days[-1].isoformat()}
        return result.with_metadata({**result.metadata, **span})

    return check


def _days(tags: Mapping[str, str]) -> list[date]:
    """Return the days of the run's partitions; all days when it names none."""
    one = tags.get(PARTITION)
    first, last = tags.get(RANGE_START, one), tags.get(RANGE_END, one)
    if first is None or last is None:
        return days_of(list(daily.get_partition_keys()))
    return days_of(list(daily.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dg.TableMetadataValue:
    """Return rows as a metadata table, cut to a readable length."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({c: _cell(v) for c, v in zip(columns, row, strict=True)})
            for row in rows[:MAX_TABLE_ROWS]
        ],
        schema=dg.TableSchema([dg.TableColumn(c) for c in columns]),
    )


def _cell(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def partitions(view: View, asset: str, days: Sequence[date]) -> list[Partition]:
    """Return the (day, tenant) pairs of some days that have something published."""
    recorded = {day: sorted(view.records(asset, day)) for day in days}
    served = {t for t in set().union(*recorded.values()) if view.serves(t)}
    return [
        (day, tenant)
        for day in days
        for tenant in recorded[day]
        if tenant in served and view.keeps(asset, (day, tenant))
    ]


def footers(
    view: View, asset: str, wanted: Iterable[Partition], read: Callable[[pl.LazyFrame], Fact]
) -> dict[Partition, Fact | None]:
    """Ask the published files themselves for something that their footers tell.

    Args:
        view: The tables.
        asset: The table.
        wanted: Partitions whose records name a file.
        read: Takes one file, without hive levels, to what is asked.

    Returns:
        The answer by partition; None where the file is gone or is no Parquet file.
    """

    def one(partition: Partition) -> Fact | None:
        uri = view.store.objects.uri(data_file(asset, *partition))
        try:
            return read(pl.scan_parquet(uri, glob=False, hive_partitioning=False))
        except (FileNotFoundError, pl.exceptions.ComputeError):
            return None

    listed = list(wanted)
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(listed, pool.map(one, listed), strict=True))


def file_rows(view: View, asset: str, wanted: Iterable[Partition]) -> dict[Partition, int | None]:
    """Return the rows that each published file has; None where it can't be read."""
    return footers(view, asset, wanted, lambda file: int(file.select(pl.len()).collect().item()))
