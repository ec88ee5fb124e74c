"""Step 5: releases, immutable training datasets of a tenant's days."""

from datetime import date

import dagster as dg
from pydantic import Field

from recsys_pipeline.assets.common import OWNERS, PARQUET, run_view
from recsys_pipeline.engines.effective import CODE_VERSIONS
from recsys_pipeline.engines.release import RELEASE, Released, make_release
from recsys_pipeline.engines.release_spec import SHARD_ROWS, ReleaseSpec
from recsys_pipeline.engines.view import View
from recsys_pipeline.errors import SettingsError, StaleInputError
from recsys_pipeline.io_manager import MAX_STALE_RETRIES
from recsys_pipeline.logs import log_context
from recsys_pipeline.partitions import RANGE_START
from recsys_pipeline.resources.pipeline import Pipeline
from recsys_pipeline.tenants import tenant_config
from recsys_pipeline.transforms.splits import SplitKind

PARTITION = "dagster/partition"


class ReleaseConfig(dg.Config):
    """What the release is to be; `recsys release --help` says more of each."""

    tenant: str = Field(default="", description="Tenant of the release.")
    first: str = Field(default="", alias="from", description="First day (UTC), as 2025-01-31.")
    last: str = Field(default="", alias="to", description="Last day, inclusive.")
    split: str = Field(default="time", description="`time`, `leave-last-out` or `rolling`.")
    validation_days: int = Field(default=7, description="Days of validation.")
    test_days: int = Field(default=7, description="Days of test, of `time` alone.")
    folds: int = Field(default=3, description="Pairs of `rolling`.")
    train_days: int | None = Field(default=None, description="Days a pair of `rolling` trains on.")
    seed: int | None = Field(default=None, description="Seed of the shuffle; else the setting's.")
    extend: str | None = Field(default=None, description="Release whose vocabularies to extend.")
    evaluation_negatives: bool = Field(default=False, description="Keep held-out negatives.")
    allow_missing: bool = Field(default=False, description="Leave out missing and held days.")
    shard_rows: int = Field(default=SHARD_ROWS, description="Rows of a file, about.")

    sequence_length: int = Field(default=0, description="Events before each row that it gets.")
    experiment: str | None = Field(
        default=None, description="Experiment with a column of variants."
    )
    variants: dict[str, float] = Field(default={}, description="Its variants and their shares.")

    def spec(self, view: View) -> ReleaseSpec:
        """Return the same as a specification.

        Raises:
            SettingsError: A key is missing, or a day is none.
        """
        if not self.tenant:
            raise SettingsError(
                "run config ops.training_dataset.config.tenant",
                "is not given",
                "A release is of one tenant: name it, and its days as `from` and `to`",
            )
        split: SplitKind = self.split  # type: ignore[assignment]  # `check` looks at it
        return ReleaseSpec(
            tenant=tenant_config(view.settings, self.tenant).name,
            first=_day(self.first, "from"),
            last=_day(self.last, "to"),
            split=split,
            validation_days=self.validation_days,
            test_days=self.test_days,
            folds=self.folds,
            train_days=self.train_days,
            seed=self.seed,
            extend=self.extend,
            evaluation_negatives=self.evaluation_negatives,
            allow_missing=self.allow_missing,
            shard_rows=self.shard_rows,
            sequence_length=self.sequence_length,
            experiment=self.experiment,
            variants=tuple(self.variants.items()),
        )


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"run config ops.training_dataset.config.{name}",
            f"{text!r} is not a date",
            "Write it as 2025-01-31",
        ) from None


@dg.asset(
    name=RELEASE,
    group_name="training",
    deps=["training_samples", "validated_items"],
    kinds=PARQUET,
    owners=OWNERS,
    code_version=CODE_VERSIONS[RELEASE],
    output_required=False,
)
def training_dataset(
    context: dg.AssetExecutionContext, config: ReleaseConfig, pipeline: Pipeline
) -> object:
    """A release: train, validation and test files of a tenant's days, vocabularies and a manifest.

    It is immutable and named by the hash of its content: the same inputs, settings and seed give the
    same release. A run over days that names no tenant makes none.
    """
    tags = context.run.tags
    if not config.tenant and (PARTITION in tags or RANGE_START in tags):
        context.log.info("No release: the run is one of days, and its config names no tenant")
        return
    seen = run_view(context, pipeline)
    spec = config.spec(seen)
    view = View(seen.settings, seen.store, seen.pin, [spec.tenant])
    try:
        with log_context(run_id=context.run.run_id, asset=RELEASE, tenant=spec.tenant):
            made = make_release(view, spec)
    except StaleInputError as error:
        raise dg.RetryRequested(max_retries=MAX_STALE_RETRIES) from error
    for words in made.untold:
        context.log.warning("not everybody was told: %s", words)
    yield dg.MaterializeResult(
        metadata=release_metadata(made), data_version=dg.DataVersion(made.manifest.release)
    )


def release_metadata(made: Released) -> dict[str, dg.MetadataValue | str | int | bool]:
    """Return what the UI shows of a release."""
    content = made.manifest.content
    rows = made.manifest.rows()
    return {
        "release": made.manifest.release,
        "tenant": content.tenant,
        "new": made.is_new,
        "path": dg.MetadataValue.path(made.uri),
        "dagster/row_count": sum(rows.values()),
        "bytes": sum(file.bytes for file in content.files),
        "rows": dg.MetadataValue.json(rows),
        "checks": dg.MetadataValue.json({c.name: c.words for c in content.checks}),
        "warnings": dg.MetadataValue.json(list(content.warnings)),
        "parent": content.parent or "none",
    }


DATASET_ASSETS = [training_dataset]
