"""Logs as one JSON object a line: no secrets, no rows."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

_FIELDS = (
    *("request_id", "client", "method", "path", "status", "bytes", "seconds"),
    *("action", "target"),
)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0] is not None:
            # the type and the place; a message may quote a row
            line["error"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            places = []
            while trace is not None:
                code = trace.tb_frame.f_code
                places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
                trace = trace.tb_next
            line["trace"] = places[-20:]
        return json.dumps(line, default=str)


def log_json() -> None:
    """Let the service's loggers write JSON lines to standard error."""
    logger = logging.getLogger("recsys.api")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
