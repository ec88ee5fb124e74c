from __future__ import annotations

import numpy as np
import pytest

from recsys_pipeline.transforms.popularity import popularity_weights


def test_weights_are_the_rounded_scaled_powers():
    counts = np.array([0, 3, 3, 99])
    assert popularity_weights(counts, 0.5).tolist() == [2**20, 2**21, 2**21, 10 * 2**20]
    assert popularity_weights(counts, 0.0).tolist() == [2**20] * 4
    expected = [round((c + 1) ** 0.75 * 2**20) for c in counts.tolist()]
    assert popularity_weights(counts, 0.75).tolist() == expected


@pytest.mark.parametrize("count", [10**9, 3 * 10**9])
def test_a_sum_that_would_overflow_lowers_the_scale(count):
    weights = popularity_weights(np.array([0, count, count]), 2.0)
    assert weights.min() >= 1
    assert 2**58 < sum(weights.tolist()) < 2**62
    assert weights[1] == weights[2]


def test_no_counts_give_no_weights():
    assert popularity_weights(np.empty(0, dtype=np.int64), 0.75).tolist() == []
