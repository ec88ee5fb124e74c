from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from examples.matrix_factorisation.__main__ import main
from examples.matrix_factorisation.evaluate import Popularity, hits, recall
from examples.matrix_factorisation.model import Training, train
from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline.export import open_release
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline_tests.landed import run_days, settings_for, view_of
from recsys_pipeline_tests.releases import release, small_root

QUICK = Training(dimensions=8, epochs=3, batch=64)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return open_release(release(small_root(tmp_path_factory.mktemp("root"))).uri)


def test_the_same_release_gives_the_same_model(opened):
    first, second = train(opened, QUICK), train(opened, QUICK)
    assert np.array_equal(first.items, second.items)
    assert first.losses[-1] < first.losses[0]


def test_it_learns_what_is_there_to_learn():
    """Two groups of users, each with items of its own; the test item is of the user's group."""
    users = np.repeat(np.arange(40), 6)
    items = (users % 2) * 10 + np.tile(np.arange(6), 40)
    model = _trained(users + 2, items + 2)
    scores = model.scores(np.array([2, 3]))
    assert scores[0, 2:8].min() > scores[0, 12:18].max()
    assert scores[1, 12:18].min() > scores[1, 2:8].max()


def _trained(users, items):
    from examples.matrix_factorisation import model as module

    random = np.random.default_rng(1)
    tables = [random.normal(0, 0.1, (size, 8)).astype(np.float32) for size in (42, 22)]
    made = module.Model(*tables)
    squares = [np.full(len(table), 1e-6, np.float32) for table in tables]
    how = Training(dimensions=8)
    for _ in range(100):
        module._step(made, squares, (users, items), np.zeros(22, np.float32), how)
    return made


def test_popularity_ranks_by_positives_but_what_is_known(opened):
    found = hits(opened, Popularity(opened), k=1)
    everything = hits(opened, Popularity(opened), k=10_000)
    assert found.sum() < everything.sum() <= len(everything)


def test_intervals_hold_the_share():
    share, low, high = recall(np.arange(1000) % 4 == 0)
    assert low < share == 0.25 < high
    assert recall(np.zeros(0, bool)) == (0.0, 0.0, 0.0)


def test_the_command(opened, capsys):
    folder = opened.objects.uri(f"training_dataset/tenant=acme/release={opened.manifest.release}")
    main([folder, "--epochs", "1"])
    assert capsys.readouterr().out.count("\n") == 4


@pytest.mark.slow
def test_on_movielens_it_beats_popularity(real_data, tmp_path):
    settings = settings_for(tmp_path, start_date=date(2006, 1, 1), negative_ratio=1)
    folder = real_data / "movielens-latest-small"
    ingest_files(settings, "items", [str(folder / "movies.csv")], "ml", "movielens")
    ingest_files(settings, "interactions", [str(folder / "ratings.csv")], "ml", "movielens")
    days = view_of(settings).landed_days("interactions")
    run_days(settings, days)
    spec = ReleaseSpec("ml", days[0], days[-1], split="leave-last-out")
    opened = open_release(make_release(view_of(settings, ["ml"]), spec).uri)
    popular = hits(opened, Popularity(opened)).mean()
    corrected = hits(opened, train(opened, Training())).mean()
    plain = hits(opened, train(opened, Training(logq=False))).mean()
    assert corrected > popular
    assert corrected > plain
