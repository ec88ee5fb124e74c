"""Feast's point-in-time join, run by Feast's own environment: `python -m examples.feast.retrieve`.

Nothing of the pipeline is imported: it gets a storage root, and entities as Parquet (`tenant`, `user_id`,
`item_id`, `event_timestamp`), and writes them with the features as `user_features__num_views`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import pandas as pd
from feast import FeatureStore

from examples.feast.definitions import FEATURES, definitions


def main() -> None:
    """Apply the definitions to a registry of its own, and ask for all features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("entities", type=Path)
    parser.add_argument("to", type=Path)
    asked = parser.parse_args()
    wanted = [f"{side}_features:{name}" for side, names in FEATURES.items() for name in names]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(__file__).with_name("feature_store.yaml"), folder)
        store = FeatureStore(repo_path=folder)
        store.apply(definitions(Path(asked.root).absolute()))
        job = store.get_historical_features(
            entity_df=pd.read_parquet(asked.entities), features=wanted, full_feature_names=True
        )
        job.to_df().to_parquet(asked.to, index=False)


if __name__ == "__main__":
    main()
