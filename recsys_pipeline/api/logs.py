"""The service's own log, always one JSON object a line."""

from __future__ import annotations

import logging

from recsys_pipeline.logs import JsonLines, StandardError


def log_json() -> None:
    """Let the service's loggers write JSON lines to standard error."""
    logger = logging.getLogger("recsys.api")
    if not logger.handlers:
        logger.addHandler(StandardError(JsonLines()))
        logger.setLevel(logging.INFO)
        logger.propagate = False
