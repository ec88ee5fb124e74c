"""Four negatives for each of a million events, written as Parquet: user, item, label."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.cases.features import COLUMNS, _out, warm
from benchmarks.data import events_file
from recsys_pipeline.transforms.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATIO = 4
ONE_DAY = date(2025, 3, 31)


def ours(millions: int) -> Callable[[], object]:
    """Ids as strings, exact exclusion, no item twice for a user, both probabilities computed."""
    from recsys_pipeline.engines.view import PART_ROWS
    from recsys_pipeline.storage.objects import open_store
    from recsys_pipeline.storage.parquet_store import ParquetStore
    from recsys_pipeline.transforms.candidates import KnownItems
    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.negatives import negatives
    from recsys_pipeline.transforms.positives import positives
    from recsys_pipeline.transforms.state import State
    from recsys_pipeline_tests.transforms.strategies import item_frame

    path, store = events_file(millions), ParquetStore(open_store(str(_out())))
    kinds = ("view", "click", "like", "add_to_cart", "purchase")
    config = SamplingConfig(1, RATIO, "uniform", 1.0, kinds, "user_item_day")

    def sample(rows: int) -> Iterator[pl.DataFrame]:
        # one day, as the peers know none: every event is excluded for its user
        day = pl.lit(ONE_DAY).alias("date")
        events = pl.scan_parquet(path).select(COLUMNS).head(rows).with_columns(day)
        one = EventPass(State.empty(), events.collect_batches(chunk_size=PART_ROWS))
        items = KnownItems.of(one, item_frame([]).collect())
        for drawn in negatives(positives(one, config), one, items, "acme", config):
            source = np.concatenate([drawn.events, drawn.events[drawn.positive]])
            of_positives = items.of_pass[one.items.codes[drawn.events]]
            label = np.zeros(len(source))
            label[: len(drawn.events)] = 1
            yield pl.DataFrame(
                {
                    "user_id": one.users.ids.gather(one.users.codes[source]),
                    "item_id": items.ids.gather(np.concatenate([of_positives, drawn.item])),
                    "label": label,
                }
            )

    schema = {"user_id": pl.String(), "item_id": pl.String(), "label": pl.Float64()}
    warm(EventPass, State)
    store.spool(sample(1000), schema)
    return lambda: store.spool(sample(1_000_000 * millions), schema)
