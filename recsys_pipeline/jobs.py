"""The jobs: everything for some days, from landing to training samples; and a release."""

from __future__ import annotations

import dagster as dg

daily_pipeline = dg.define_asset_job(
    "daily_pipeline",
    # a release is asked for, not due every day
    selection=dg.AssetSelection.groups("raw", "validated", "features", "training")
    - dg.AssetSelection.assets("training_dataset"),
    description="Landed events to training samples, for the days of the run and all tenants.",
)

release_job = dg.define_asset_job(
    "release_job",
    selection=dg.AssetSelection.assets("training_dataset"),
    description="A release of the tenant and days that the run's config names.",
    # by which an instance can limit how many are made at a time
    tags={"recsys/release": "true"},
)
