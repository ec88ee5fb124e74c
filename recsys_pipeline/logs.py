"""Logs of every process: lines of text, or one JSON object a line; no secrets, no rows, no users.

What a line is about (run, asset, partition, tenant) comes from `log_context`, so that code far below a
run need not know of it.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recsys_pipeline.settings import Settings

OURS = "recsys_pipeline"

# what a line may say beside its message; anything else that a record carries is left out
FIELDS = (
    *("run_id", "job", "step", "event", "asset", "partition", "partitions", "tenant", "topic"),
    *("request_id", "client", "method", "path", "status", "action", "target"),
    *("rows", "bytes", "held", "seconds", "source"),
)
_PLACES = 20

_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=MappingProxyType({}))


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add fields to every line that this thread logs meanwhile; None is left out.

    Args:
        fields: Names of `FIELDS` and their values.
    """
    token = _context.set({**_context.get(), **{k: v for k, v in fields.items() if v is not None}})
    try:
        yield
    finally:
        _context.reset(token)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what a record says beside its message; its own fields win over the context's."""
    own = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
    return {**_context.get(), **own}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= fields_of(record)
        if record.exc_info and record.exc_info[0] is not None:
            # the type and the place; a message may quote a row
            line["error"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            places = []
            while trace is not None:
                code = trace.tb_frame.f_code
                places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
                trace = trace.tb_next
            line["trace"] = places[-_PLACES:]
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """Formats a record as a line for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # its base's name
        """Return the line without a traceback."""
        told = "".join(f" {name}={value}" for name, value in fields_of(record).items())
        return super().formatMessage(record) + told


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error at the time, as tests and progress bars replace it."""

    def __init__(self, formatter: logging.Formatter) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(formatter)

    @property
    def stream(self) -> TextIO:
        """Return standard error."""
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        raise AttributeError("standard error is looked up at each line")


def log_level(settings: Settings) -> str:
    """Return the level that the settings say or imply, as `logging` names it."""
    return (settings.log_level or ("info" if settings.log_format == "json" else "warning")).upper()


def logs_json() -> bool:
    """Return whether this process was told to log as JSON."""
    return any(isinstance(handler, StandardError) for handler in logging.getLogger().handlers)


def configure_logs(settings: Settings) -> None:
    """Let this process log as the settings say; a second call replaces the first.

    As JSON, whatever libraries log from `warning` on is one object a line too. As text, theirs is left
    as they have it.
    """
    is_json = settings.log_format == "json"
    ours, root = logging.getLogger(OURS), logging.getLogger()
    for logger in (ours, root):
        for handler in [h for h in logger.handlers if isinstance(h, StandardError)]:
            logger.removeHandler(handler)
    ours.setLevel(log_level(settings))
    handler = StandardError(JsonLines() if is_json else TextLines())
    (root if is_json else ours).addHandler(handler)
    logging.captureWarnings(is_json)
