"""An upload into the landing zone, by the code of every other path."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from recsys_pipeline.api.measures import BYTES, SECONDS, UPLOADS, count_rows
from recsys_pipeline.api.problems import ApiError, Problem
from recsys_pipeline.api.reports import Judge, Report
from recsys_pipeline.engines.batch_notices import BatchOutbox
from recsys_pipeline.errors import (
    KeyReusedError,
    MappingError,
    SettingsError,
    SourceError,
    TenantError,
)
from recsys_pipeline.ingestion.batches import implicit_key
from recsys_pipeline.ingestion.ingest import Mode, Options, ingest_each, read_rows
from recsys_pipeline.metadata.audit import Entry, record
from recsys_pipeline.metadata.uploads import UploadKey, claim, release, save_answer
from recsys_pipeline.tenants import free_name, tenant_config

if TYPE_CHECKING:
    from recsys_pipeline.api.callers import Caller
    from recsys_pipeline.api.context import Context
    from recsys_pipeline.api.spool import Spooled
    from recsys_pipeline.storage.landing import Kind

logger = logging.getLogger("recsys.api")

OnError = Literal["quarantine", "reject"]
MAX_KEY = 200


class UploadAnswer(Report):
    """What became of an upload. Its rows are durable."""

    batch_id: str | None = Field(description="Its batch: `GET /api/batches/{id}`.")
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


def land(
    context: Context, caller: Caller, request_id: str, upload: Upload
) -> tuple[UploadAnswer, bool]:
    """Land an upload; return what became of it, and whether that had been answered before.

    Raises:
        ApiError: The key was used for other content.
        RowsRefusedError: A row breaks a rule, with `on_error=reject`.
        RecsysError: It can't be read or can't land.
    """
    if upload.key is None:
        return _land(context, caller, request_id, upload), False
    if not upload.key or not upload.key.isprintable() or len(upload.key) > MAX_KEY:
        raise ApiError(
            422, "bad_key", f"Idempotency-Key is not 1 to {MAX_KEY} printable characters"
        )
    name = UploadKey(caller.tenant, upload.kind, upload.key)
    content = _content(upload)
    taken = claim(context.database, name, content, context.settings.idempotency_days)
    if taken.content != content:
        raise _reused(upload.key)
    if taken.answer is not None and not _is_withdrawn(context, upload.kind, taken.answer):
        return UploadAnswer(**taken.answer), True
    try:
        answer = _land(context, caller, request_id, upload)
    except KeyReusedError:
        raise _reused(upload.key) from None
    except (ApiError, SourceError, MappingError, TenantError, SettingsError):
        key = implicit_key(caller.tenant, upload.kind, f"key:{upload.key}", None)
        if taken.mine and context.landing(upload.kind).sequence(caller.tenant, key) is None:
            release(context.database, name)  # it may come again, corrected
        raise
    own = answer.model_dump(mode="json")
    standing = save_answer(context.database, name, own, instead_of=taken.answer)
    return UploadAnswer(**standing), standing != own


def _content(upload: Upload) -> str:
    """Return the hash of all that decides what an upload does."""
    how = f"{upload.body.content}|{upload.on_error}|{upload.mode}"
    return hashlib.blake2b(how.encode(), digest_size=32).hexdigest()


def _reused(key: str) -> ApiError:
    return ApiError(
        409,
        "key_reused",
        f"Idempotency-Key {key!r} was used for other content",
        "Send another key with other content",
    )


def _is_withdrawn(context: Context, kind: Kind, answer: dict[str, object]) -> bool:
    batch_id = answer.get("batch_id")
    return isinstance(batch_id, str) and context.landing(kind).is_retracted(batch_id)


def _land(context: Context, caller: Caller, request_id: str, upload: Upload) -> UploadAnswer:
    tenant = caller.tenant
    outcome, target = "failed", "none"
    began = time.perf_counter()
    try:
        if upload.on_error == "reject":
            report = judged(context, upload.kind, tenant, upload.body)
            if report.rows_rejected:
                outcome = "refused"
                raise RowsRefusedError(report)
        judge = judge_for(context, upload.kind, tenant)
        # with a key it tells a repeat from other content
        source = "upload" if upload.key is None else f"upload:{_content(upload)[:16]}"
        landing = context.landing(upload.kind)
        outbox = BatchOutbox(context.settings, landing.store)
        options = Options(mode=upload.mode, key=upload.key, source=source, outbox=outbox)
        path = str(upload.body.path)
        (summary,) = ingest_each(
            context.settings,
            upload.kind,
            [path],
            tenant,
            options=options,
            watch=judge.see,
            landing=landing,
        )
        report = judge.report()
        if summary.already_landed:  # its rows were not read again
            report = judged(context, upload.kind, tenant, upload.body)
        outcome, target = "landed", summary.batch_id or "none"
        if not summary.already_landed:
            count_rows(tenant, upload.kind, report)
            BYTES.labels(tenant, upload.kind).inc(upload.body.size)
            context.notices.wake()
        notices = [notice.replace(path, "the upload") for notice in summary.notices]
        return UploadAnswer(
            **report.model_dump(),
            batch_id=summary.batch_id,
            already_landed=summary.already_landed,
            notices=notices,
        )
    finally:
        UPLOADS.labels(tenant, upload.kind, outcome).inc()
        SECONDS.labels(upload.kind).observe(time.perf_counter() - began)
        action = f"upload {upload.kind}"
        entry = Entry(request_id, caller.actor, tenant, action, target, outcome)
        try:
            record(context.database, entry)
        except SQLAlchemyError:  # what has landed has landed
            told = {"request_id": request_id, "action": action, "target": target}
            logger.exception("not in the audit log", extra=told)
