"""The job of the night: erasures are settled, what is old goes, tables are compacted and vacuumed."""

from datetime import UTC, datetime

import dagster as dg

from recsys_pipeline.settings import get_settings


@dg.op
def settle_erasures(context: dg.OpExecutionContext) -> None:
    """Look again for those erased, until nothing of theirs can come any more."""
    from recsys_pipeline.maintenance.erasure.erase import finish

    for receipt in finish(get_settings()):
        found = receipt.passes[-1].found
        context.log.info("erasure %s: %s, %d found", receipt.receipt, receipt.state, found)


@dg.op
def delete_old_data(context: dg.OpExecutionContext) -> None:
    """Delete what RECSYS_RETENTION and the tenants say; compact and vacuum the landing tables."""
    from recsys_pipeline.maintenance.retention import Retention
    from recsys_pipeline.resources.pipeline import open_store_of_settings
    from recsys_pipeline.storage.parquet_store import ParquetStore

    store = ParquetStore(open_store_of_settings())
    refused = []
    for step in Retention(get_settings(), store, datetime.now(UTC).date()).apply():
        if step.state == "refused":
            refused.append(f"{step.layer} of {step.tenant}: {step.reason}")
        elif step.state == "done":
            context.log.info(
                "%s of %s before %s: %d days or releases, %d rows deleted",
                step.layer, step.tenant, step.kept_from, step.count, step.rows,
            )  # fmt: skip
    if refused:
        raise dg.Failure("Some data stays although it is old: " + "; ".join(refused))


@dg.op
def delete_old_runs(context: dg.OpExecutionContext) -> None:
    """Delete records of runs that others have superseded."""
    from recsys_pipeline.resources.pruned_runs import prune_runs

    days = get_settings().retention_run_days
    if days is not None:
        context.log.info("%d runs deleted", prune_runs(context.instance, days))


@dg.job(
    executor_def=dg.in_process_executor,
    description="Settles erasures, deletes what is old, compacts and vacuums; requested nightly.",
)
def upkeep_job() -> None:
    """Do the upkeep."""
    settle_erasures()
    delete_old_data()
    delete_old_runs()
