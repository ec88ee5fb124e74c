"""An upload, what is answered to it, and how its rows are judged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recsys_pipeline.api.problems import ApiError, Problem
from recsys_pipeline.api.reports import Judge, Report
from recsys_pipeline.ingestion.ingest import Mode, read_rows
from recsys_pipeline.schemas.landing import USER_ERASED
from recsys_pipeline.tenants import free_name, tenant_config

if TYPE_CHECKING:
    from recsys_pipeline.api.context import Context
    from recsys_pipeline.api.spool import Spooled
    from recsys_pipeline.storage.landing import Kind

OnError = Literal["quarantine", "reject"]


class UploadAnswer(Report):
    """What became of an upload. Its rows are durable."""

    batch_id: str | None = Field(
        description="Its batch: `GET /api/batches/{id}`; none where the rows went to a topic."
    )
    topic: str | None = Field(None, description="Topic that has the rows and from which they land.")
    already_landed: bool = Field(description="True when the same content had landed before.")
    notices: list[str] = Field(description="What the sender should know.")


class Refusal(Problem, Report):
    """Why an upload with `on_error=reject` was refused: nothing has landed."""


class RowsRefusedError(ApiError):
    """Rows of an upload break rules, and it was to land as a whole or not at all."""

    def __init__(self, report: Report) -> None:
        self._report = report
        words = f"{report.rows_rejected} of {report.rows_received} rows break rules"
        super().__init__(422, "rows_rejected", words, "Correct them; nothing has landed")

    def content(self) -> dict[str, object]:
        """Return the refusal with what is wrong by row."""
        return Refusal(**vars(self.problem), **self._report.model_dump()).model_dump(mode="json")


@dataclass(frozen=True)
class Upload:
    """What is to land.

    Attributes:
        kind: What the rows are.
        body: The content, on disk.
        on_error: Whether bad rows are quarantined, or refuse the whole.
        key: The sender's idempotency key.
        mode: For items: `snapshot` withdraws those that the content doesn't have.
    """

    kind: Kind
    body: Spooled
    on_error: OnError
    key: str | None
    mode: Mode = "upsert"

    @property
    def content(self) -> str:
        """Hash of all that decides what it does."""
        how = f"{self.body.content}|{self.on_error}|{self.mode}"
        return hashlib.blake2b(how.encode(), digest_size=32).hexdigest()


def judge_for(context: Context, kind: Kind, tenant: str) -> Judge:
    """Return a judge of a tenant's rows."""
    categories = tenant_config(context.settings, free_name(tenant)).categories
    listed = {tenant: categories} if kind == "items" and categories is not None else None
    return Judge(kind, context.settings.api_max_days, listed)


def judged(context: Context, kind: Kind, tenant: str, body: Spooled) -> Report:
    """Judge rows; nothing lands."""
    judge = judge_for(context, kind, tenant)
    for rows in read_rows(context.settings, kind, str(body.path), tenant):
        judge.see(rows)
    return judge.report()


def whole(context: Context, tenant: str, upload: Upload) -> Report:
    """Judge an upload whose rows are to land all or none.

    Raises:
        RowsRefusedError: One breaks a rule.
    """
    report = judged(context, upload.kind, tenant, upload.body)
    # the sender can't mend rows of users who were erased, and they land empty
    if report.rows_rejected > report.rejected_by_rule.get(USER_ERASED, 0):
        raise RowsRefusedError(report)
    return report
