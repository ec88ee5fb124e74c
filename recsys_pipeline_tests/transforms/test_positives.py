from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.event_pass import EventPass
from recsys_pipeline.transforms.positives import positives
from recsys_pipeline.transforms.state import State
from recsys_pipeline_tests import oracles
from recsys_pipeline_tests.transforms import strategies as world


@settings(max_examples=60, deadline=None)
@given(
    world.events(),
    world.configs(),
    st.none() | st.lists(st.sampled_from(world.DAYS)),
    st.randoms(use_true_random=False),
)
def test_positives_equal_the_oracle(events, config, days, random):
    frame = world.interaction_frame(random.sample(events, len(events))).collect()
    columns = ["date", "user_id", "item_id", "timestamp"]
    for tenant, chosen in config.items():
        one = EventPass(State.empty(), frame.filter(pl.col("tenant") == tenant))
        computed = positives(one, chosen, days)
        days_of = np.repeat(
            computed.day + np.arange(len(computed.offsets) - 1), np.diff(computed.offsets)
        )
        named = pl.DataFrame(
            {
                "date": pl.Series(days_of.astype(np.int32)).cast(pl.Date),
                "user_id": one.users.ids.gather(one.users.codes[computed.events]),
                "item_id": one.items.ids.gather(one.items.codes[computed.events]),
                "timestamp": pl.Series(one.times[computed.events], dtype=pl.Int64),
            }
        )
        rows = [row for row in oracles.positives(events, config, days) if row["tenant"] == tenant]
        expected = pl.DataFrame(rows, schema=frame_schema(Interaction)).select(columns)
        assert_frame_equal(named.cast(expected.schema), expected)
