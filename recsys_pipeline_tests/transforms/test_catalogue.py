from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.catalogue import catalogue_as_of
from recsys_pipeline_tests import oracles
from recsys_pipeline_tests.transforms import strategies as world


@settings(max_examples=60, deadline=None)
@given(world.versions(), st.sampled_from(world.DAYS), st.randoms(use_true_random=False))
def test_catalogue_as_of_equals_the_oracle(versions, day, random):
    expected = pl.DataFrame(oracles.catalogue_as_of(versions, day), schema=frame_schema(Item))
    shuffled = random.sample(versions, len(versions))
    for rows in (versions, shuffled):
        computed = catalogue_as_of(world.item_frame(rows), day).collect()
        assert_frame_equal(computed, expected, check_exact=True)
