from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.transforms.stable_hash import fold, hash_strings, start
from recsys_pipeline.transforms.variants import check_shares, variants

USERS = pl.Series([f"u{n}" for n in range(20_000)])


def oracle(user, experiment, shares):
    """Walk along the shares until the user's place in [0, 1) is passed."""
    state = fold(start(0), hash_strings(pl.Series([experiment])))
    place = int(fold(state, hash_strings(pl.Series([user])))[0]) >> 32
    end = 0.0
    for name, share in shares.items():
        end += share
        if place < round(end * 2**32):
            return name
    return name


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=5), min_size=1, max_size=20), st.text(max_size=5))
def test_each_user_is_where_the_oracle_puts_it(users, experiment):
    shares = {"a": 0.2, "b": 0.5, "c": 0.3}
    found = variants(pl.Series(users), experiment, shares).to_list()
    assert found == [oracle(user, experiment, shares) for user in users]


def test_shares_are_kept_and_experiments_are_independent():
    shares = {"control": 0.7, "new": 0.3}
    first, second = (variants(USERS, name, shares) for name in ("one", "two"))
    for found in (first, second):
        assert abs((found == "new").mean() - 0.3) < 0.015  # over 4 standard deviations
    both = ((first == "new") & (second == "new")).mean()
    assert abs(both - 0.09) < 0.009


def test_a_user_stays_while_the_shares_before_it_stay():
    before = variants(USERS, "x", {"a": 0.5, "b": 0.5})
    after = variants(USERS, "x", {"a": 0.5, "b": 0.25, "c": 0.25})
    assert (after.filter(before == "a") == "a").all()


@pytest.mark.parametrize(
    "shares", [{"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 0.0, "b": 1.0}, {"": 1.0}]
)
def test_wrong_shares(shares):
    with pytest.raises(SettingsError, match="--variants"):
        check_shares(shares)
