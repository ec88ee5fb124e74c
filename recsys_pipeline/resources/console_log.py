"""The console log of runs as JSON lines, in place of Dagster's coloured ones."""

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


def log_runs(settings: Settings) -> None:
    """Let runs of this process log as the settings say; as text, Dagster's own lines stay.

    A logger of `Definitions` is used only by runs whose configuration names it. So it is Dagster's default
    one that is given another way to make loggers: whoever asks for it, for whatever job.
    """
    if settings.log_format != "json":
        return
    configure_logs(settings)

    def make(context: dg.InitLoggerContext) -> logging.Logger:
        asked = logging.getLevelName(str(context.logger_config["log_level"]).upper())
        least = logging.getLevelName(log_level(settings))
        # one for this run: handlers of a shared one would add up
        logger = logging.Logger("dagster", max(asked, least))  # noqa: LOG001
        logger.addHandler(StandardError(RunLines()))
        return logger

    dg.colored_console_logger._logger_fn = make  # noqa: SLF001  # there is no other way to all runs
