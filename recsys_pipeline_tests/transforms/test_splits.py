from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.transforms.splits import rolling_folds, time_fold, whole_window

FIRST = date(2025, 1, 30)


def days(count):
    return [FIRST + timedelta(days=n) for n in range(count)]


def held(fold, count) -> list[str | None]:
    return [fold.split_of(day) for day in days(count)]


@given(st.integers(1, 40), st.integers(0, 12), st.integers(0, 12))
def test_by_time_the_last_days_test_those_before_validate_the_rest_train(count, validation, test):
    window = (days(count)[0], days(count)[-1])
    train = count - validation - test
    if train < 1:
        with pytest.raises(SettingsError, match=str(validation + test)):
            time_fold(window, validation, test)
        return
    fold = time_fold(window, validation, test)
    expected = ["train"] * train + ["validation"] * validation + ["test"] * test
    assert held(fold, count) == expected
    assert (fold.first, fold.last) == window
    assert list(fold.days) == [s for s in ("train", "validation", "test") if s in expected]
    assert fold.split_of(FIRST - timedelta(days=1)) is None


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 8), st.none() | st.integers(1, 10))
def test_rolling_pairs_move_forward_and_end_with_the_window(count, folds, validation, train):
    window = (days(count)[0], days(count)[-1])
    if count - folds * validation < 1:
        with pytest.raises(SettingsError):
            rolling_folds(window, folds, validation, train)
        return
    found = rolling_folds(window, folds, validation, train)
    assert [fold.name for fold in found] == [f"fold-{n + 1}" for n in range(folds)]
    for number, fold in enumerate(found):
        before = count - (folds - number) * validation
        kept = before if train is None else min(train, before)
        left = count - before - validation
        expected = [None] * (before - kept) + ["train"] * kept + ["validation"] * validation
        assert held(fold, count) == expected + [None] * left


def test_numbers_that_make_no_sense_are_named():
    window = (FIRST, FIRST + timedelta(days=9))
    for arguments, culprit in (
        ((0, 1, None), "--folds"),
        ((1, 0, None), "--validation-days"),
        ((1, 1, 0), "--train-days"),
        ((5, 2, None), "hold out 10 of the 10 days"),
    ):
        with pytest.raises(SettingsError, match=culprit):
            rolling_folds(window, *arguments)


def test_a_split_by_users_has_the_whole_window_in_each():
    fold = whole_window((FIRST, FIRST))
    assert set(fold.days.values()) == {(FIRST, FIRST)}
    assert list(fold.days) == ["train", "validation", "test"]
