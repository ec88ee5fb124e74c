"""What is said of the difference between two releases."""

from __future__ import annotations

import pytest

from recsys_pipeline.engines.release_diff import release_diff
from recsys_pipeline_tests.landed import all_days, event, land, run_days, settings_for, view_of
from recsys_pipeline_tests.releases import DAYS, SPEC, day, release, small_root


@pytest.fixture
def root(tmp_path):
    return small_root(tmp_path / "root")


def test_a_diff_says_what_changed_and_nothing_else(root):
    old = release(root).manifest
    assert release_diff(old, old) == {}
    seeded = release_diff(old, release(root, seed=7).manifest)
    assert seeded == {"settings": {"shuffle_seed": (old.content.seed, 7)}}
    land(root, [event("acme", 7, 80_000, "late", "i1", "click")], "late")
    run_days(settings_for(root), all_days(DAYS))
    changed = release_diff(old, release(root).manifest)
    assert set(changed) == {"rows", "inputs"}
    assert set(changed["inputs"]) == {str(day(7))}
    before, after = changed["rows"]["test positives"]
    assert after == before + 1
    config = settings_for(root, negative_ratio=1, sample_features=("user_num_views",))
    run_days(config, all_days(DAYS))
    from recsys_pipeline.engines.release import make_release

    other = release_diff(old, make_release(view_of(config, ["acme"]), SPEC).manifest)
    assert other["settings"]["sampling_ratio"] == (old.content.settings["sampling_ratio"], 1)
    assert other["columns"]["category_index"] == ("Int64", None)
    assert other["vocabularies"]["categories"][1] == 0
