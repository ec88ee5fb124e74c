"""A release's files are what its manifest says, and its splits are in the order of time."""

import dagster as dg

from recsys_pipeline.checks.common import table
from recsys_pipeline.engines.release import RELEASE
from recsys_pipeline.engines.release_order import late_rows
from recsys_pipeline.errors import ReleaseError
from recsys_pipeline.resources.pipeline import open_store_of_settings
from recsys_pipeline.storage.manifest import Manifest
from recsys_pipeline.storage.releases import Releases

KEY = dg.AssetKey(RELEASE)


def _latest(context: dg.AssetCheckExecutionContext, releases: Releases) -> Manifest:
    """Return the release that this run has made, or else the one that was made last.

    Raises:
        ReleaseError: None was ever made.
    """
    made = dg.DagsterEventType.ASSET_MATERIALIZATION
    of_run = [
        entry.asset_materialization
        for entry in context.instance.all_logs(context.run.run_id, of_type=made)
        if entry.asset_materialization and entry.asset_materialization.asset_key == KEY
    ]
    latest = context.instance.get_latest_materialization_event(KEY)
    found = of_run[-1] if of_run else latest.asset_materialization if latest else None
    if found is None:
        raise ReleaseError(RELEASE, "has no release yet", "Materialise it first")
    return releases.get(str(found.metadata["release"].value), str(found.metadata["tenant"].value))


@dg.asset_check(
    asset=RELEASE,
    name="files",
    description="Hashes every file of the latest release again and compares it with the manifest.",
)
def _files(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    releases = Releases(open_store_of_settings())
    manifest = _latest(context, releases)
    found = releases.verify(manifest)
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(manifest.content.files)} files hashed, {len(found)} at fault",
        metadata={
            "release": manifest.release,
            "at_fault": table(("path", "fault", "what"), found),
        },
    )


@dg.asset_check(
    asset=RELEASE,
    name="split_order",
    description="Reads the files of the latest release for a train row that is later than a "
    "validation row, and so on; of the same user where each user's last rows are held out.",
    blocking=True,
)
def _split_order(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    objects = open_store_of_settings()
    manifest = _latest(context, Releases(objects))
    found = late_rows(objects, manifest)
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(found)} pairs of splits out of order",
        metadata={
            "release": manifest.release,
            "out_of_order": table(("fold", "earlier", "later", "users"), found),
        },
    )


RELEASE_CHECKS = [_files, _split_order]
