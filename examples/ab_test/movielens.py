"""Make both arms' releases of MovieLens: `python -m examples.ab_test.movielens FOLDER ROOT`.

FOLDER holds movies.csv and ratings.csv of MovieLens latest-small; ROOT is a storage root of its own, made
if need be. Prints the words that `python -m examples.ab_test` takes. It runs the steps without Dagster,
which has a cost of its own for each of 20 years of days.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_pipeline.engines.publication import publish
from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline.engines.steps import SAMPLES, features, samples, validated_days
from recsys_pipeline.engines.view import VALIDATED, View
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline.settings import Settings
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore

if TYPE_CHECKING:
    from recsys_pipeline.engines.release import Released
    from recsys_pipeline.settings import SamplingStrategy

TENANT = "movielens"
EXPERIMENT = "negatives"
# by variant of the users: what its model's negatives are drawn by
ARMS: dict[str, SamplingStrategy] = {"control": "uniform", "new": "popularity"}


def main(words: list[str] | None = None) -> None:
    """Land, make the days once, then samples and a release for each arm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--since", type=date.fromisoformat, default=date(1996, 1, 1))
    asked = parser.parse_args(words)
    made = make_arms(asked.folder, asked.root, asked.since)
    sys.stdout.write(" ".join(f"{name}={release.uri}" for name, release in made.items()) + "\n")


def make_arms(folder: Path, root: Path, since: date) -> dict[str, Released]:
    """Return a release for each arm, of the same days, split, seed and experiment.

    Samples are made anew for each arm and replace the arm's before; its release stays as it is.

    Args:
        folder: Holds movies.csv and ratings.csv.
        root: Storage root.
        since: First day (UTC); what was rated before is left out.
    """
    settings = Settings(
        storage_root=str(root), start_date=since, tenants_file=str(root / "tenants.toml")
    )
    ingest_files(settings, "items", [str(folder / "movies.csv")], TENANT, "movielens")
    ingest_files(settings, "interactions", [str(folder / "ratings.csv")], TENANT, "movielens")
    return {name: _arm(settings, strategy) for name, strategy in ARMS.items()}


def _arm(settings: Settings, strategy: SamplingStrategy) -> Released:
    arm = settings.model_copy(update={"negative_strategy": strategy})
    view = View(arm, ParquetStore(open_store(arm.storage_root)), None, [TENANT])
    rated = view.landed_days("interactions")
    days = sorted({*rated, *view.landed_days("items")})
    # what is current is passed over: the second arm makes nothing but samples
    for kind in ("items", "interactions"):
        publish(view, VALIDATED[kind], validated_days(view, kind, days))
    for entity in ("user", "item"):
        publish(view, f"{entity}_features", features(view, entity, days))
    publish(view, SAMPLES, samples(view, days))
    spec = ReleaseSpec(
        TENANT,
        min(rated),
        max(rated),
        split="leave-last-out",
        experiment=EXPERIMENT,
        variants=tuple((name, 1 / len(ARMS)) for name in ARMS),
    )
    return make_release(View(arm, view.store, None, [TENANT]), spec)


if __name__ == "__main__":
    main()
