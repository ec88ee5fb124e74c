from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.generator.zipf import TOP, Zipf, zipf_with_top_share


@pytest.mark.parametrize("share", [0.21, 0.5, 0.8, 0.95, 0.99])
def test_the_top_fifth_has_the_share_asked_for(share):
    zipf = zipf_with_top_share(share)
    assert zipf.cdf(TOP) == pytest.approx(share, abs=1e-6)
    ranks = zipf.ranks((np.arange(200_000) + 0.5) / 200_000, 1_000)
    assert np.mean(ranks < 200) == pytest.approx(share, abs=1e-3)


@settings(deadline=None, max_examples=100)
@given(
    s=st.sampled_from([0.0, 0.5, 1.0, 1.0 + 1e-10, 1.3, 4.0]),
    count=st.integers(1, 300),
    u=st.floats(0, 1, exclude_max=True),
)
def test_a_rank_is_the_slot_of_the_cdf_that_holds_the_draw(s, count, u):
    zipf = Zipf(s)
    rank = int(zipf.ranks(np.array([u]), count)[0])
    assert 0 <= rank < count
    assert zipf.cdf(rank / count) <= u + 1e-9
    assert zipf.cdf((rank + 1) / count) >= u - 1e-9


def test_ranks_take_one_count_per_draw():
    zipf = zipf_with_top_share(0.8)
    counts = np.array([1, 5, 1_000])
    ranks = zipf.ranks(np.full(3, 0.999999), counts)
    assert ranks.tolist() == [0, 4, 999]
