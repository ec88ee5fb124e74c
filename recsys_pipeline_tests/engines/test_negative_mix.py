"""The settings of mixed negatives: what they are refused for, and what they make stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.errors import SettingsError, TenantError
from recsys_pipeline.maintenance.tenants_file import write_overrides
from recsys_pipeline.settings import get_settings
from recsys_pipeline.tenants import TenantOverrides, overrides, tenant_config
from recsys_pipeline.transforms.sampling_config import SamplingConfig
from recsys_pipeline_tests.landed import (
    all_days,
    event,
    file_hashes,
    item_version,
    land,
    run_days,
    settings_for,
    view_of,
)

MIX = {"uniform": 0.5, "category": 0.5}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '{"viewd": 1}',
            "'viewd': Input should be 'uniform', 'popularity', 'category' or 'viewed'",
        ),
        ('{"uniform": 0}', "0: Input should be greater than 0"),
        ('{"uniform": 1, "category": -0.5}', "-0.5: Input should be greater than 0"),
        ("{}", "at least 1"),
    ],
)
def test_a_wrong_mix_is_refused_by_name(monkeypatch, tmp_path, text, problem):
    monkeypatch.setenv("RECSYS_NEGATIVE_MIX", text)
    get_settings.cache_clear()
    try:
        with pytest.raises(SettingsError, match="RECSYS_NEGATIVE_MIX") as caught:
            get_settings()
    finally:
        get_settings.cache_clear()
    monkeypatch.delenv("RECSYS_NEGATIVE_MIX")
    assert problem in str(caught.value)
    table = text.replace("{", "{ ").replace(":", " =")
    file = tmp_path / "tenants.toml"
    file.write_text(f"[tenants.acme]\nnegative_mix = {table}\n")
    with pytest.raises(TenantError, match=r"\[tenants.acme\] negative_mix") as refused:
        overrides(settings_for(tmp_path))
    assert problem in str(refused.value)


def test_mixed_without_a_mix_is_refused_and_either_place_gives_it(tmp_path):
    bare = settings_for(tmp_path, negative_strategy="mixed")
    with pytest.raises(
        TenantError, match="'acme': has the negative_strategy 'mixed' and no negative_mix"
    ):
        tenant_config(bare, "acme")
    assert tenant_config(bare.model_copy(update={"negative_mix": MIX}), "acme").negative_mix == MIX
    write_overrides(bare, "acme", TenantOverrides(negative_mix=MIX))
    assert tenant_config(bare, "acme").negative_mix == MIX
    with pytest.raises(TenantError, match="'beta'"):
        tenant_config(bare, "beta")


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"negative_strategy": "viewed"}, True),
        ({"negative_strategy": "mixed", "negative_mix": MIX | {"viewed": 1.0}}, True),
        ({"negative_strategy": "mixed", "negative_mix": MIX}, False),
        ({"negative_strategy": "uniform", "negative_mix": {"viewed": 1.0}}, False),
    ],
)
def test_viewed_negatives_are_refused_where_views_are_positives(tmp_path, values, refused):
    write_overrides(
        settings_for(tmp_path), "acme", TenantOverrides(positive_types=("click", "view"))
    )
    config = settings_for(tmp_path, **values)
    assert tenant_config(config, "beta").positive_types == config.positive_types
    if not refused:
        assert "view" in tenant_config(config, "acme").positive_types
        return
    with pytest.raises(TenantError, match="'acme': draws negatives from 'viewed' and has 'view'"):
        tenant_config(config, "acme")


def _world(root):
    rows = [event(t, 0, n, f"u{n % 3}", f"i{n % 7}", "click") for n in range(9) for t in TENANTS]
    land(root, rows, "first")
    versions = [item_version(item=f"i{n}", tenant=t) for n in range(9) for t in TENANTS]
    land(root, versions, "items", "items")


TENANTS = ("acme", "beta")


def test_a_mix_makes_stale_only_what_is_drawn_by_it(tmp_path):
    _world(tmp_path)
    run_days(settings_for(tmp_path), all_days(1))
    assert pending_days(view_of(settings_for(tmp_path, negative_mix=MIX))) == []

    table = TenantOverrides(negative_strategy="mixed", negative_mix=MIX)
    write_overrides(settings_for(tmp_path), "acme", table)
    assert pending_days(view_of(settings_for(tmp_path))) != []
    before = file_hashes(tmp_path)
    run_days(settings_for(tmp_path), all_days(1))
    assert pending_days(view_of(settings_for(tmp_path))) == []
    changed = {path for path, value in file_hashes(tmp_path).items() if before.get(path) != value}
    assert {Path(path).parts[0] for path in changed} == {"training_samples"}
    assert all("tenant=acme" in path for path in changed)

    other = TenantOverrides(negative_strategy="mixed", negative_mix={"uniform": 1.0})
    write_overrides(settings_for(tmp_path), "acme", other)
    assert pending_days(view_of(settings_for(tmp_path))) != []


def test_other_strategies_are_hashed_as_before_there_was_a_mix():
    config = SamplingConfig(1, 4, "uniform", 0.75, ("click",), "event")
    assert str(config) == (
        "SamplingConfig(seed=1, ratio=4, strategy='uniform', alpha=0.75, "
        "positive_types=('click',), level='event')"
    )
