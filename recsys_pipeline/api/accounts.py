"""What is measured and written down of each upload, however it ends."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from recsys_pipeline.api.answers import RowsRefusedError
from recsys_pipeline.api.measures import BYTES, SECONDS, UPLOADS, count_rows
from recsys_pipeline.metadata.audit import Entry, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.api.answers import Upload
    from recsys_pipeline.api.callers import Caller
    from recsys_pipeline.api.context import Context
    from recsys_pipeline.api.reports import Report

logger = logging.getLogger("recsys.api")


@dataclass
class Account:
    """How an upload ends.

    Attributes:
        outcome: In a word.
        target: The batch or topic that has its rows.
    """

    outcome: str = "failed"
    target: str = "none"

    def close(self, outcome: str, target: str) -> None:
        """Say that its rows are durable."""
        self.outcome, self.target = outcome, target


@contextmanager
def account(context: Context, caller: Caller, request_id: str, upload: Upload) -> Iterator[Account]:
    """Count an upload and enter it in the audit log when it ends."""
    own = Account()
    began = time.perf_counter()
    try:
        yield own
    except RowsRefusedError:
        own.outcome = "refused"
        raise
    finally:
        UPLOADS.labels(caller.tenant, upload.kind, own.outcome).inc()
        SECONDS.labels(upload.kind).observe(time.perf_counter() - began)
        action = f"upload {upload.kind}"
        entry = Entry(request_id, caller.actor, caller.tenant, action, own.target, own.outcome)
        try:
            record(context.database, entry)
        except SQLAlchemyError:  # what has landed has landed
            told = {"request_id": request_id, "action": action, "target": own.target}
            logger.exception("not in the audit log", extra=told)


def count(tenant: str, upload: Upload, report: Report) -> None:
    """Count the rows and bytes of an upload whose rows are new."""
    count_rows(tenant, upload.kind, report)
    BYTES.labels(tenant, upload.kind).inc(upload.body.size)
