"""An upload into the landing zone, by the code of every other path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.api.accounts import account, count
from recsys_pipeline.api.answers import UploadAnswer, judge_for, judged, whole
from recsys_pipeline.api.problems import ApiError
from recsys_pipeline.api.produce import produce
from recsys_pipeline.engines.batch_notices import BatchOutbox
from recsys_pipeline.errors import (
    KeyReusedError,
    MappingError,
    SettingsError,
    SourceError,
    TenantError,
)
from recsys_pipeline.ingestion.batches import implicit_key
from recsys_pipeline.ingestion.ingest import Options, ingest_each
from recsys_pipeline.metadata.uploads import UploadKey, claim, release, save_answer

if TYPE_CHECKING:
    from recsys_pipeline.api.answers import Upload
    from recsys_pipeline.api.callers import Caller
    from recsys_pipeline.api.context import Context
    from recsys_pipeline.storage.landing import Kind

MAX_KEY = 200


def land(
    context: Context, caller: Caller, request_id: str, upload: Upload
) -> tuple[UploadAnswer, bool]:
    """Land an upload; return what became of it, and whether that had been answered before.

    Raises:
        ApiError: The key was used for other content.
        RowsRefusedError: A row breaks a rule, with `on_error=reject`.
        RecsysError: It can't be read or can't land.
    """
    goes_to_topic = context.settings.api_uploads_to == "kafka"
    act = produce if goes_to_topic else _land
    name = _name(caller, upload, goes_to_topic=goes_to_topic)
    if name is None:
        return act(context, caller, request_id, upload), False
    content = upload.content
    taken = claim(context.database, name, content, context.settings.idempotency_days)
    if taken.content != content:
        raise _reused(name.key)
    if taken.answer is not None and not _is_withdrawn(context, upload.kind, taken.answer):
        return UploadAnswer(**taken.answer), True
    try:
        answer = act(context, caller, request_id, upload)
    except KeyReusedError:
        raise _reused(name.key) from None
    except (ApiError, SourceError, MappingError, TenantError, SettingsError):
        key = implicit_key(caller.tenant, upload.kind, f"key:{upload.key}", None)
        if taken.mine and context.landing(upload.kind).sequence(caller.tenant, key) is None:
            release(context.database, name)  # it may come again, corrected
        raise
    own = answer.model_dump(mode="json")
    standing = save_answer(context.database, name, own, instead_of=taken.answer)
    return UploadAnswer(**standing), standing != own


def _name(caller: Caller, upload: Upload, *, goes_to_topic: bool) -> UploadKey | None:
    """Return the key under which the database remembers an upload, None where it need not.

    Without one of the sender's the landing zone finds content that it has; a topic can't. The same
    item versions sent again may be an update, and are sent.
    """
    if upload.key is None:
        if goes_to_topic and upload.kind == "interactions":
            return UploadKey(caller.tenant, f"{upload.kind}/content", upload.content)
        return None
    if not upload.key or not upload.key.isprintable() or len(upload.key) > MAX_KEY:
        raise ApiError(
            422, "bad_key", f"Idempotency-Key is not 1 to {MAX_KEY} printable characters"
        )
    return UploadKey(caller.tenant, upload.kind, upload.key)


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
    with account(context, caller, request_id, upload) as own:
        if upload.on_error == "reject":
            whole(context, tenant, upload)
        judge = judge_for(context, upload.kind, tenant)
        # with a key it tells a repeat from other content
        source = "upload" if upload.key is None else f"upload:{upload.content[:16]}"
        landing = context.landing(upload.kind)
        outbox = BatchOutbox(context.settings, landing.store)
        path = str(upload.body.path)
        (summary,) = ingest_each(
            context.settings,
            upload.kind,
            [path],
            tenant,
            options=Options(mode=upload.mode, key=upload.key, source=source, outbox=outbox),
            watch=judge.see,
            landing=landing,
        )
        report = judge.report()
        if summary.already_landed:  # its rows were not read again
            report = judged(context, upload.kind, tenant, upload.body)
        own.close("landed", summary.batch_id or "none")
        if not summary.already_landed:
            count(tenant, upload, report)
            context.notices.wake()
    return UploadAnswer(
        **report.model_dump(),
        batch_id=summary.batch_id,
        topic=None,
        already_landed=summary.already_landed,
        notices=[notice.replace(path, "the upload") for notice in summary.notices],
    )
