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
    computed = positives(world.interaction_frame(shuffled), config, days).collect()
    expected = pl.DataFrame(oracles.positives(events, config, days), schema=computed.schema)
    assert_frame_equal(computed, expected)


def test_every_interaction_type_has_a_strength():
    assert set(STRENGTH) == set(INTERACTION_TYPES)
