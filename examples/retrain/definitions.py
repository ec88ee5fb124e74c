"""A model that is trained anew whenever a release is published.

Run: dagster dev -m examples.retrain.definitions

`training_dataset` is materialised by `release_schedule` or by hand; `retrain_sensor` sees it and requests
`example_model`, which trains on exactly that release.
"""

import dagster as dg
import numpy as np

from examples.matrix_factorisation.evaluate import Popularity, hits, recall
from examples.matrix_factorisation.model import Training, train
from recsys_pipeline.definitions import defs as pipeline
from recsys_pipeline.export import open_release
from recsys_pipeline.settings import get_settings
from recsys_pipeline.storage.objects import open_store

MODELS = "example_models"


class ModelConfig(dg.Config):
    """What to train on."""

    release: str
    epochs: int = Training.epochs


@dg.asset(deps=["training_dataset"], group_name="example", kinds={"numpy"})
def example_model(config: ModelConfig) -> dg.MaterializeResult[None]:
    """Matrix factorisation, trained on one release and kept under its id."""
    release = open_release(config.release)
    how = Training(epochs=config.epochs)
    model = train(release, how)
    store = open_store(get_settings().storage_root)
    local = store.temporary()
    with local.open("wb") as file:
        np.savez(file, users=model.users, items=model.items)
    path = f"{MODELS}/release={release.manifest.release}/model.npz"
    store.put_file(local, path)
    recalls = [recall(hits(release, scorer))[0] for scorer in (model, Popularity(release))]
    return dg.MaterializeResult(
        metadata={
            "release": release.manifest.release,
            "path": dg.MetadataValue.path(store.uri(path)),
            "recall_at_20": recalls[0],
            "recall_at_20_of_popularity": recalls[1],
            "loss": model.losses[-1],
        }
    )


retrain_job = dg.define_asset_job("retrain_job", selection=dg.AssetSelection.assets(example_model))


@dg.asset_sensor(
    asset_key=dg.AssetKey("training_dataset"),
    job=retrain_job,
    description="Requests the model of each release that is published.",
)
def retrain_sensor(
    context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry
) -> dg.RunRequest | dg.SkipReason:
    """Request a run for the release of an event."""
    made = asset_event.asset_materialization
    if made is None or "release" not in made.metadata:
        return dg.SkipReason("The event names no release")
    if not made.metadata["new"].value:
        return dg.SkipReason("That release was there before")
    release = str(made.metadata["release"].value)
    config = {"ops": {"example_model": {"config": {"release": release}}}}
    context.log.info("release %s is to be trained on", release)
    return dg.RunRequest(run_key=release, run_config=config, tags={"release": release})


defs = dg.Definitions.merge(
    pipeline,
    dg.Definitions(assets=[example_model], jobs=[retrain_job], sensors=[retrain_sensor]),
)
