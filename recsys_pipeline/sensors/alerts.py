"""Failed runs as troubles, which end with a later success over the same days."""

import dagster as dg

from recsys_pipeline.errors import RecsysError
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.observability.alerts import channels, send_alerts
from recsys_pipeline.observability.troubles import Trouble, end, note, open_troubles
from recsys_pipeline.partitions import RANGE_END, RANGE_START
from recsys_pipeline.resources.pipeline import open_store_of_settings
from recsys_pipeline.sensors.kafka import TOPIC_TAG
from recsys_pipeline.settings import Settings, get_settings

PARTITION = "dagster/partition"
TENANTS_TAG = "recsys/tenants"
# jobs that Dagster makes of a selection of assets
ASSET_JOB = "__ASSET_JOB"
DAILY = "daily_pipeline"
JOBS = frozenset({DAILY, "release_job", "kafka_landing", "upkeep_job", ASSET_JOB})


def _default(settings: Settings) -> dg.DefaultSensorStatus:
    # the exporter counts failed runs where sensors run anyway
    runs = channels(settings) or settings.schedules_running or is_configured(settings)
    return dg.DefaultSensorStatus.RUNNING if runs else dg.DefaultSensorStatus.STOPPED


@dg.run_failure_sensor(
    name="failed_runs_sensor",
    # runs of the command line belong to no code location
    monitor_all_code_locations=True,
    minimum_interval_seconds=30,
    default_status=_default(get_settings()),
    description="Notes each failed run, and tells the operator where RECSYS_ALERT… says how.",
)
def failed_runs_sensor(context: dg.RunFailureSensorContext) -> dg.SkipReason:
    """Note a failed run."""
    run = context.dagster_run
    if run.job_name not in JOBS:
        return dg.SkipReason(f"{run.job_name} is no job of this pipeline")
    return _sent(note(get_settings(), open_store_of_settings(), trouble_of(context)))


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="recovered_runs_sensor",
    monitor_all_code_locations=True,
    minimum_interval_seconds=30,
    default_status=_default(get_settings()),
    description="Notes that a failed run was made up for by a later one over the same days.",
)
def recovered_runs_sensor(context: dg.RunStatusSensorContext) -> dg.SkipReason:
    """Note the end of what a run has made up for."""
    objects = open_store_of_settings()
    over = [t for t in open_troubles(objects, "run_failed") if makes_up(context.dagster_run, t)]
    owed = [end(get_settings(), objects, trouble) for trouble in over]
    return _sent(any(owed))


def _sent(is_owed: bool) -> dg.SkipReason:  # noqa: FBT001  # the only thing to say
    if not is_owed:
        return dg.SkipReason("Nothing is to be told")
    try:
        send_alerts(get_settings(), open_store_of_settings())
    except RecsysError as error:
        return dg.SkipReason(f"Told later, by notices_sensor: {error}")
    return dg.SkipReason("The operator was told")


def trouble_of(context: dg.RunFailureSensorContext) -> Trouble:
    """Return what is to be told of a failed run: no more of its error than its type, unless it is ours."""
    run = context.dagster_run
    tenants = _tenants(run)
    steps = context.get_step_failure_events()
    step = steps[0].step_key if steps else None
    words = f"Run {run.run_id[:8]} of {run.job_name} failed"
    if steps and (error := steps[0].step_failure_data.error):
        cause = error.cause or error
        # only the upkeep raises Dagster's own, and names layers and tenants
        ours = ["Failure", *(kind.__name__ for kind in _subclasses(RecsysError))]
        said = cause.message.strip().rstrip(".") if cause.cls_name in ours else cause.cls_name
        words += f" in {step}: {said}"
    days, topic = _days(run), run.tags.get(TOPIC_TAG)
    return Trouble(
        "run_failed",
        topic or step or run.job_name,
        tenants[0] if len(tenants) == 1 else "",
        words,
        _command(run, days, tenants),
        days,
        run.run_id,
        run.job_name,
        topic,
    )


def makes_up(run: dg.DagsterRun, trouble: Trouble) -> bool:
    """Return whether a successful run has done what a failed one had not."""
    days = _days(run)
    tenants = _tenants(run)
    return (
        run.job_name in ({trouble.job} | ({DAILY} if trouble.job == ASSET_JOB else set()))
        and run.tags.get(TOPIC_TAG) == trouble.topic
        and (not tenants or tenants == [trouble.tenant])
        and (not trouble.days or (bool(days) and days[0] <= trouble.days[0]))
        and (not trouble.days or (bool(days) and days[-1] >= trouble.days[-1]))
    )


def _days(run: dg.DagsterRun) -> tuple[str, ...]:
    """Return the first and last day of a run."""
    one = run.tags.get(PARTITION)
    ends = (run.tags.get(RANGE_START, one), run.tags.get(RANGE_END, one))
    return tuple(sorted({day for day in ends if day}))


def _tenants(run: dg.DagsterRun) -> list[str]:
    named = run.tags.get(TENANTS_TAG) or run.tags.get("tenant") or ""
    return sorted(name for name in named.split(",") if name)


def _command(run: dg.DagsterRun, days: tuple[str, ...], tenants: list[str]) -> str:
    of = "".join(f" --tenant {name}" for name in tenants)
    if run.job_name == "kafka_landing":
        topic = run.tags.get(TOPIC_TAG)
        return "recsys kafka land" + (f" --topic {topic}" if topic else "")
    if run.job_name == "upkeep_job":
        return "recsys retention"
    if run.job_name == "release_job":
        return f"recsys status{of}"
    return "recsys run" + (f" --from {days[0]} --to {days[-1]}" if days else "") + of


def _subclasses(kind: type[RecsysError]) -> set[type[RecsysError]]:
    return {kind}.union(*(_subclasses(one) for one in kind.__subclasses__()))
