"""Publication of what a step makes: rows are judged by their contract, then switched by day."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys_pipeline.engines.publication_notices import owe_notice
from recsys_pipeline.errors import ContractError
from recsys_pipeline.schemas.rules import rules
from recsys_pipeline.schemas.tables import CONTRACTS
from recsys_pipeline.storage.parquet_store import Spooled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    import polars as pl

    from recsys_pipeline.engines.view import View
    from recsys_pipeline.storage.parquet_store import Content
    from recsys_pipeline.storage.records import Partition, Record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DayContent:
    """What a step makes of a day: new content of those tenants that were not current."""

    day: date
    contents: Mapping[str, Content]


def publish(view: View, asset: str, days: Iterable[DayContent]) -> dict[Partition, Record]:
    """Publish a step's days one by one.

    Returns:
        The records of every partition of those days, the ones left as they were included.

    Raises:
        ContractError: Rows break the asset's contract; nothing of that day was replaced.
        StaleInputError: A newer publication is in place; nothing of that day was replaced.
    """
    found: dict[Partition, Record] = {}
    began = time.perf_counter()
    for item in days:
        if item.contents or not view.is_published(asset, item.day):
            for tenant, content in item.contents.items():
                if content.frame is not None:
                    if not isinstance(content.frame, Spooled):  # `spool` has judged those
                        _judge(asset, item.day, tenant, content.frame)
                    owe_notice(view, asset, item.day, tenant, content.inputs)
            made = view.store.publish(asset, item.day, item.contents, view.pin, began)
            view.note(asset, item.day, made)
            _log(asset, item.day, made, time.perf_counter() - began)
            began = time.perf_counter()
        for tenant, record in view.records(asset, item.day).items():
            if view.serves(tenant):
                found[item.day, tenant] = record
    return found


def _log(asset: str, day: date, made: Mapping[str, Record], seconds: float) -> None:
    log.info(
        "published",
        extra={
            "asset": asset,
            "partition": day.isoformat(),
            "tenant": sorted(made),
            "rows": sum(record.rows for record in made.values()),
            "bytes": sum(record.bytes for record in made.values()),
            "held": sorted(tenant for tenant, record in made.items() if record.held),
            "seconds": round(seconds, 3),
        },
    )


def spool(
    view: View,
    asset: str,
    partition: Partition,
    parts: Iterable[pl.DataFrame],
    schema: Mapping[str, pl.DataType],
) -> Spooled:
    """Write a partition's rows to a local file, part by part, to be published later.

    Raises:
        ContractError: Rows break the asset's contract; the file is gone.
    """

    def judged() -> Iterator[pl.DataFrame]:
        for part in parts:
            _judge(asset, *partition, part)
            yield part

    return view.store.spool(judged(), schema)


def _judge(asset: str, day: date, tenant: str, frame: pl.DataFrame) -> None:
    """Refuse rows that break their contract: the asset check would see them too late."""
    if asset not in CONTRACTS:
        return  # an asset of the user's own
    broken = [rule for rule in rules(CONTRACTS[asset]) if rule.column in frame.columns]
    obeyed = frame.select(r.obeyed.all().alias(r.code) for r in broken).row(0, named=True)
    codes = [code for code, is_obeyed in obeyed.items() if not is_obeyed]
    if codes:
        raise ContractError(
            f"{asset} {day} {tenant}",
            f"has rows that break {', '.join(codes)}",
            "This is a bug of ours; nothing was published",
        )
