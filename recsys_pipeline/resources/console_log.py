"""The console log of runs as JSON lines; Dagster's own, coloured one stays where text is set."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import dagster as dg

from recsys_pipeline.logs import JsonLines, StandardError, configure_logs, log_level

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings


class RunLines(JsonLines):
    """Formats what Dagster logs of a run."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        meta: dict[str, Any] = getattr(record, "dagster_meta", None) or {}
        event: dg.DagsterEvent | None = meta.get("dagster_event")
        fields = {
            "run_id": meta.get("run_id"),
            "job": meta.get("job_name"),
            "step": meta.get("step_key"),
            "tenant": (meta.get("job_tags") or {}).get("recsys/tenants"),
            "event": event.event_type_value if event else None,
            "asset": event.asset_key.to_user_string() if event and event.asset_key else None,
            "partition": event.partition if event else None,
        }
        told = logging.LogRecord(
            record.name,
            record.levelno,
            record.pathname,
            record.lineno,
            # Dagster's own message repeats job, run and step
            meta.get("orig_message", record.getMessage()),
            None,
            record.exc_info,
        )
        told.created = record.created
        told.__dict__.update({k: v for k, v in fields.items() if v is not None})
        return super().format(told)


def console_loggers(settings: Settings) -> dict[str, dg.LoggerDefinition] | None:
    """Return the console logger of jobs where JSON is set, and let this process log so; else None."""
    if settings.log_format != "json":
        return None
    configure_logs(settings)

    def make(context: dg.InitLoggerContext) -> logging.Logger:
        # one for this run: handlers of a shared one would add up
        logger = logging.Logger(  # noqa: LOG001
            "dagster", str(context.logger_config["log_level"]).upper()
        )
        logger.addHandler(StandardError(RunLines()))
        return logger

    schema = {"log_level": dg.Field(str, is_required=False, default_value=log_level(settings))}
    return {"console": dg.LoggerDefinition(make, schema, "One JSON object a line.")}
