"""Releases made outside a run, told to the Dagster instance, so that the UI shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from recsys_pipeline.assets.dataset import release_metadata
from recsys_pipeline.engines.effective import CODE_VERSIONS
from recsys_pipeline.engines.release import RELEASE
from recsys_pipeline.errors import RecsysError

if TYPE_CHECKING:
    from recsys_pipeline.engines.release import Released

DATA_VERSION = "dagster/data_version"
CODE_VERSION = "dagster/code_version"


class RecordError(RecsysError):
    """What was made could not be told to the Dagster instance."""


def record_release(made: Released) -> None:
    """Record a materialisation of `training_dataset`, without a run, in the instance of `DAGSTER_HOME`.

    Its metadata and data version are those that the asset gives.

    Raises:
        RecordError: The instance can't be opened or written to, whatever the reason.
    """
    event = dg.AssetMaterialization(
        asset_key=RELEASE,
        description="Made by `recsys release`",
        metadata=release_metadata(made),
        tags={DATA_VERSION: made.manifest.release, CODE_VERSION: CODE_VERSIONS[RELEASE]},
    )
    try:
        with dg.DagsterInstance.get() as instance:
            instance.report_runless_asset_event(event)
    except Exception as error:  # the storage is of any kind: its errors have no common base
        raise RecordError(
            f"release {made.manifest.release}",
            f"is made, but not recorded in Dagster ({' '.join(str(error).split())[:200]})",
            "See `recsys doctor`; the same command again records it",
        ) from error
