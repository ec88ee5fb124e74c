"""Samples as Feast's entities, and their features against Feast's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ["tenant", "user_id", "item_id", "timestamp"]
# of the item's newest version, not of its events: no feature table has them
CATALOGUE = {"item_category", "item_brand", "item_price"}


def read_samples(root: Path, rows: int) -> pl.DataFrame:
    """Read samples, evenly over all that there are: `KEYS`, and the features that they hold.

    Args:
        root: Storage root, a folder.
        rows: How many at most.
    """
    files = pl.scan_parquet(
        root / "training_samples" / "date=*" / "tenant=*" / "part-0.parquet", hive_partitioning=True
    )
    columns = [
        name
        for name in files.collect_schema().names()
        if name.startswith(("user_", "item_")) and name not in {*KEYS, *CATALOGUE}
    ]
    whole = files.select(*KEYS, *columns).unique(KEYS).sort(KEYS).collect()
    return whole.gather_every(max(1, -(-len(whole) // rows)))


def entities_of(samples: pl.DataFrame) -> pl.DataFrame:
    """Return what Feast asks for: the keys, and the time at which features are to be known."""
    return samples.select(*KEYS[:3], event_timestamp="timestamp")


def differences(samples: pl.DataFrame, found: pl.DataFrame) -> dict[str, int]:
    """Count by feature the samples whose value is not Feast's; a null equals a null.

    Args:
        samples: `KEYS`, and features named `user_num_views`.
        found: Feast's answer for each of them: `KEYS`, and features named `user_features__num_views`.
    """
    joined = samples.join(found, on=KEYS, how="left", maintain_order="left")
    counts = {}
    for name in samples.columns:
        if name in KEYS:
            continue
        side, _, feature = name.partition("_")
        theirs = joined[f"{side}_features__{feature}"].cast(samples.schema[name])
        # to the last bit: Feast reads the very files, and computes nothing
        counts[name] = int((~samples[name].eq_missing(theirs)).sum())
    return counts
