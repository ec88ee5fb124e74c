from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_pipeline.settings import INTERACTION_TYPES
from recsys_pipeline.transforms.positives import STRENGTH, positives
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
    shuffled = random.sample(events, len(events))
    frame = world.interaction_frame(shuffled)
    for tenant, chosen in config.items():
        own = frame.filter(pl.col("tenant") == tenant)
        computed = positives(own, chosen, days).collect()
        rows = [row for row in oracles.positives(events, config, days) if row["tenant"] == tenant]
        assert_frame_equal(computed, pl.DataFrame(rows, schema=computed.schema))


def test_every_interaction_type_has_a_strength():
    assert set(STRENGTH) == set(INTERACTION_TYPES)
