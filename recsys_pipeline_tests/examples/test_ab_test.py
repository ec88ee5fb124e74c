from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from examples.ab_test import compare
from examples.ab_test.__main__ import main
from examples.ab_test.arms import Arm, OfPositives, check_comparable, held_out
from examples.ab_test.compare import by_user, paired_difference, recall, unpaired_difference
from examples.ab_test.movielens import ARMS, make_arms
from examples.matrix_factorisation import model as module
from examples.matrix_factorisation.evaluate import Popularity
from examples.matrix_factorisation.model import Training, train
from recsys_pipeline.errors import ReleaseError, SettingsError
from recsys_pipeline.export import open_release
from recsys_pipeline_tests.releases import release, small_root

EXPERIMENT = {"experiment": "negatives", "variants": (("control", 0.5), ("new", 0.5))}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_root(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def opened(root):
    return open_release(release(root, **EXPERIMENT).uri)


def counts(seed, users=60, recall=0.3):
    random = np.random.default_rng(seed)
    positives = random.integers(1, 6, users)
    return random.binomial(positives, recall), positives


def test_positives_are_summed_by_user():
    users = np.array(["b", "a", "b", "c"])
    distinct, hits, positives = by_user(users, np.array([True, False, False, True]))
    assert distinct.tolist() == ["a", "b", "c"]
    assert hits.tolist() == [0, 1, 1]
    assert positives.tolist() == [1, 2, 1]


def test_intervals_are_those_of_users_drawn_one_by_one():
    new, positives = counts(1)
    control, _ = counts(2)
    control = np.minimum(control, positives)
    random = np.random.default_rng(3)
    drawn = []
    for _ in range(4000):
        users = [random.integers(len(positives)) for _ in positives]
        total = sum(positives[user] for user in users)
        drawn.append(
            (sum(new[u] for u in users) / total, sum(new[u] - control[u] for u in users) / total)
        )
    shares, differences = np.array(drawn).T
    found = recall(new, positives)
    paired = paired_difference(control, new, positives)
    for estimate, expected in ((found, shares), (paired, differences)):
        bounds = np.quantile(expected, [0.025, 0.975])
        assert [estimate.low, estimate.high] == pytest.approx(bounds, abs=0.012)
    assert found.value == new.sum() / positives.sum()


def test_users_that_are_easy_in_both_arms_cancel_out():
    hits, positives = counts(4, users=400)
    same = paired_difference(hits, hits, positives)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    better = np.minimum(hits + (np.arange(400) % 20 == 0), positives)
    paired = paired_difference(hits, better, positives)
    apart = unpaired_difference((hits, positives), (better, positives))
    assert paired.value == pytest.approx(apart.value)
    assert not paired.includes_zero
    assert apart.includes_zero
    back = paired_difference(better, hits, positives)
    expected = (-paired.value, -paired.high, -paired.low)
    assert (back.value, back.low, back.high) == pytest.approx(expected)


def test_a_95_percent_interval_holds_the_truth_that_often(monkeypatch):
    monkeypatch.setattr(compare, "ROUNDS", 400)
    held = 0
    for seed in range(200):
        estimate = recall(*counts(seed, users=80), seed=seed)
        held += estimate.low <= 0.3 <= estimate.high
    assert 176 <= held <= 198  # 0.95 of 200, and three standard deviations


def test_nobody_to_compare_is_no_difference():
    none = np.zeros(0, int)
    assert recall(none, none).value == paired_difference(none, none, none).value == 0
    assert unpaired_difference((none, none), counts(1)).includes_zero


def test_arms_that_can_not_be_compared_are_named(root, opened):
    control = Arm("control", opened)
    held = check_comparable([control, Arm("new", opened)], "test")
    assert held.equals(held_out(opened, "test"))
    assert set(held["variant"]) <= {"control", "new"}
    for made, variant, words in (
        (release(root), "new", "has no variant 'new', but none"),
        (release(root, **{**EXPERIMENT, "experiment": "other"}), "new", "divides users by 'other'"),
        (release(root, **EXPERIMENT, seed=9), "new", "other positives in test"),
        (release(root, **EXPERIMENT), "newer", "has no variant 'newer', but control, new"),
    ):
        with pytest.raises(ReleaseError, match=words):
            check_comparable([control, Arm(variant, open_release(made.uri))], "test")


def test_items_without_a_positive_in_train_are_not_ranked(opened):
    scores = OfPositives(opened, Popularity(opened)).scores(np.array([2]))[0]
    frequencies = opened.item_frequencies()
    for index, positives in frequencies.select("index", "positives").iter_rows():
        assert scores[index] == (positives or -np.inf)


def test_sampled_negatives_push_what_is_drawn_away():
    random = np.random.default_rng(1)
    tables = [random.normal(0, 0.1, (size, 8)).astype(np.float32) for size in (6, 8)]
    made = module.Model(*tables)
    squares = [np.full(len(table), 1e-6, np.float32) for table in tables]
    how = Training(dimensions=8, negatives="sampled", logq=False)
    users, items, drawn = np.array([2, 3]), np.array([2, 3]), np.array([3, 4, 5])
    losses = [module._sampled_step(made, squares, (users, items), drawn, how) for _ in range(200)]
    assert losses[-1] < losses[0] / 10
    scores = made.scores(users)
    assert scores[0, 2] > scores[0, 3:6].max()
    # item 3 is drawn too, and is no negative of the one whose positive it is
    assert scores[1, 3] > scores[1, 4:6].max()


def test_the_gradient_of_sampled_negatives_is_that_of_the_loss():
    """Against differences of the loss, in double precision."""
    random = np.random.default_rng(2)
    tables = [random.normal(0, 1, (size, 3)) for size in (4, 6)]
    users, items, drawn = np.array([2, 3, 2]), np.array([2, 3, 3]), np.array([4, 5, 3, 4])
    how = Training(negatives="sampled", logq=False, decay=0, temperature=0.7)

    def loss(changed, row, column, by):
        copies = [table.copy() for table in tables]
        copies[changed][row, column] += by
        squares = [np.full(len(table), 1e-6) for table in copies]
        return module._sampled_step(module.Model(*copies), squares, (users, items), drawn, how)

    taken: list = []

    def keep(table, squares, rows, towards, how):
        gradient, unit, norms = towards
        across = (gradient - unit * (gradient * unit).sum(axis=1, keepdims=True)) / norms
        whole = np.zeros_like(table)
        np.add.at(whole, rows, across)
        taken.append(whole / len(users))  # the loss is a mean, a step goes by the sum

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_descend", keep)
        loss(0, 0, 0, 0.0)
    gradients = taken
    for changed in (0, 1):
        for row in range(2, len(tables[changed])):
            for column in range(3):
                slope = (
                    loss(changed, row, column, 1e-5) - loss(changed, row, column, -1e-5)
                ) / 2e-5
                assert gradients[changed][row, column] == pytest.approx(slope, abs=1e-5)


def test_a_correction_for_other_negatives_is_refused(opened):
    with pytest.raises(SettingsError, match="logq"):
        train(opened, Training(negatives="sampled"))


@pytest.mark.slow
def test_two_arms_of_movielens(real_data, tmp_path, capsys):
    since = date(2018, 8, 15)
    made = make_arms(real_data / "movielens-latest-small", tmp_path, since)
    control, new = (one.manifest.content for one in made.values())
    assert control.files != new.files
    assert control.inputs.keys() == new.inputs.keys()
    strategies = [one.settings["sampling_strategy"] for one in (control, new)]
    assert strategies == list(ARMS.values())
    main([*(f"{name}={one.uri}" for name, one in made.items()), "--epochs", "2"])
    said = capsys.readouterr().out
    for words in ("uniform, 4 a positive", "popularity, 4 a positive", "new less control"):
        assert words in said
