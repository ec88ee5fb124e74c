"""Uploads: CSV files, and JSON arrays or lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from recsys_pipeline.api.answers import OnError, Refusal, Upload, UploadAnswer
from recsys_pipeline.api.callers import Caller, Uploader
from recsys_pipeline.api.landing import land
from recsys_pipeline.api.problems import RESPONSES, ApiError, Problem
from recsys_pipeline.api.spool import spooled
from recsys_pipeline.ingestion.ingest import Mode
from recsys_pipeline.storage.landing import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from recsys_pipeline.api.context import Context
    from recsys_pipeline.api.spool import Form as BodyForm

router = APIRouter(
    prefix="/internal/data",
    tags=["uploads"],
    responses=RESPONSES
    | {
        202: {"model": UploadAnswer, "description": "The rows are in a topic and land from there."},
        422: {"model": Refusal | Problem, "description": "Refused: nothing has landed."},
    },
)

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key and content again gets the first answer. Without it the content is the key.",
    ),
]
OnErrorChoice = Annotated[
    OnError,
    Query(description="Bad rows are quarantined, or refuse the whole upload."),
]


def json_body(example: dict[str, Any]) -> dict[str, Any]:
    """Return how OpenAPI describes a body of rows, with a row to begin with."""
    rows = {"type": "array", "items": {"type": "object"}}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": rows, "example": [example]},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        }
    }


AN_EVENT = {
    "user_id": "u1",
    "item_id": "i1",
    "interaction_type": "view",
    "timestamp": "2025-01-31T10:00:00Z",
    "rating": 4.5,
}
AN_ITEM = {"item_id": "i1", "title": "Kettle", "category": "Kitchen", "price": 19.9}


class CsvFields(BaseModel):
    """The form's fields beside the file."""

    data_type: Kind = Field(description="What the rows are.")
    on_error: OnError = Field(
        "quarantine", description="Bad rows are quarantined, or refuse the whole upload."
    )


_CSV_SCHEMA = CsvFields.model_json_schema()
_CSV_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        **_CSV_SCHEMA["properties"],
                    },
                    "required": ["file", "data_type"],
                }
            }
        },
    }
}


@router.post("/upload-csv", openapi_extra=_CSV_BODY)
async def upload_csv(
    request: Request,
    response: Response,
    caller: Uploader,
    key: Key = None,
) -> UploadAnswer:
    """Land a CSV file (plain or gzip); its first line names the columns."""
    context: Context = request.app.state.context
    with context.upload_of(caller.tenant):
        # read here, and not by the framework, which would take it all in before it asks who calls
        async with request.form(max_files=1, max_fields=8, max_part_size=4096) as form:
            fields, file = _csv_fields(form)

            async def pieces() -> AsyncIterator[bytes]:
                while piece := await file.read(1 << 20):
                    yield piece

            kind, on_error = fields.data_type, fields.on_error
            return await _upload(request, response, caller, pieces(), "csv", kind, on_error, key)


def _csv_fields(form: FormData) -> tuple[CsvFields, UploadFile]:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise ApiError(422, "no_file", "the form has no file named `file`", "See /docs")
    texts = {name: text for name, text in form.items() if isinstance(text, str)}
    try:
        return CsvFields(**texts), file
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ApiError(422, "invalid_request", f"{where}: {first['msg']}", "See /docs") from None


@router.post("/interactions", openapi_extra=json_body(AN_EVENT))
async def upload_interactions(
    request: Request,
    response: Response,
    caller: Uploader,
    on_error: OnErrorChoice = "quarantine",
    key: Key = None,
) -> UploadAnswer:
    """Land events: a JSON array of objects, or one object a line; plain or gzip."""
    return await _upload_json(request, response, caller, "interactions", on_error, key)


@router.post("/items", openapi_extra=json_body(AN_ITEM))
async def upload_items(
    request: Request,
    response: Response,
    caller: Uploader,
    on_error: OnErrorChoice = "quarantine",
    mode: Annotated[
        Mode, Query(description="`snapshot`: the whole catalogue; withdraw what it lacks.")
    ] = "upsert",
    key: Key = None,
) -> UploadAnswer:
    """Land catalogue items: a JSON array of objects, or one object a line; plain or gzip."""
    return await _upload_json(request, response, caller, "items", on_error, key, mode)


async def _upload_json(
    request: Request,
    response: Response,
    caller: Caller,
    kind: Kind,
    on_error: OnError,
    key: str | None,
    mode: Mode = "upsert",
) -> UploadAnswer:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given and "json" not in given:
        raise ApiError(
            415, "not_json", f"the content type is {given}", "Send application/json or x-ndjson"
        )
    context: Context = request.app.state.context
    body = request.stream()
    with context.upload_of(caller.tenant):
        return await _upload(request, response, caller, body, "json", kind, on_error, key, mode)


async def _upload(  # noqa: PLR0913, PLR0917  # what the three endpoints have in common
    request: Request,
    response: Response,
    caller: Caller,
    pieces: AsyncIterator[bytes],
    form: BodyForm,
    kind: Kind,
    on_error: OnError,
    key: str | None,
    mode: Mode = "upsert",
) -> UploadAnswer:
    context: Context = request.app.state.context
    limit = context.settings.api_max_mib * 2**20
    async with spooled(pieces, form, limit) as body:
        upload = Upload(kind, body, on_error, key, mode)
        request_id = request.state.request_id
        answer, repeated = await context.work(land, context, caller, request_id, upload)
    if answer.topic is not None:
        response.status_code = 202
    if repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return answer
