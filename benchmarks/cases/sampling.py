"""Four negatives for each of a million events, written as Parquet: user, item, label."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.cases.features import COLUMNS, _out, _write, warm
from benchmarks.data import events_file
from recsys_pipeline.transforms.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from collections.abc import Callable

RATIO = 4
ONE_DAY = date(2025, 3, 31)


def ours(millions: int) -> Callable[[], object]:
    """Ids as strings, exact exclusion, no item twice for a user, both probabilities computed."""
    from recsys_pipeline.transforms.candidates import KnownItems
    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.negatives import negatives
    from recsys_pipeline.transforms.positives import positives
    from recsys_pipeline.transforms.state import State
    from recsys_pipeline_tests.transforms.strategies import item_frame

    path, out = events_file(millions), _out()
    kinds = ("view", "click", "like", "add_to_cart", "purchase")
    config = SamplingConfig(1, RATIO, "uniform", 1.0, kinds, "user_item_day")

    def sample(events: pl.DataFrame) -> pl.DataFrame:
        # one day, as the peers know none: every event is excluded for its user
        one = EventPass(State.empty(), events.with_columns(pl.lit(ONE_DAY).alias("date")))
        items = KnownItems.of(one, item_frame([]).collect())
        chosen = positives(one, config)
        drawn = negatives(chosen, one, items, "acme", config)
        users = np.concatenate([chosen["user_id"], chosen["user_id"].to_numpy()[drawn.positive]])
        of_items = np.concatenate([items.of_pass[chosen["item_id"].to_numpy()], drawn.item])
        label = np.concatenate([np.ones(chosen.height), np.zeros(len(drawn.item))])
        return pl.DataFrame(
            {
                "user_id": one.users.ids.gather(users),
                "item_id": items.ids.gather(of_items),
                "label": label,
            }
        )

    warm(EventPass, State)
    sample(pl.read_parquet(path, columns=COLUMNS, n_rows=1000))
    return lambda: _write(sample(pl.read_parquet(path, columns=COLUMNS)), out / "samples.parquet")
