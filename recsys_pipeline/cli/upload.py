"""Files to an upload service, as a backend would send them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx2

from recsys_pipeline.cli.console import out
from recsys_pipeline.errors import ServiceError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from recsys_pipeline.generator.config import FileFormat
    from recsys_pipeline.settings import Settings

TRIES = 5
_BUSY = (429, 503)
_TIMEOUT = httpx2.Timeout(30.0, read=600.0, write=60.0)


def check_upload(url: str, file_format: FileFormat, compression: str | None) -> None:
    """Refuse what a service does not take, before anything is written.

    Raises:
        SettingsError: The address is none, or the format is not one of the service's.
    """
    if not url.startswith(("http://", "https://")):
        raise SettingsError("--upload", f"{url!r} is no address", "Give http://HOST:PORT")
    if file_format == "parquet" or compression not in {None, "none", "gzip"}:
        raise SettingsError(
            "--upload", "goes with CSV and JSON lines, plain or gzip", "Leave --format out"
        )


def upload_file(settings: Settings, url: str, tenant: str, kind: str, path: Path) -> dict[str, Any]:
    """Send a file; return the service's answer.

    The credential is `RECSYS_UPLOAD_KEY`; a service that asks for none is told the tenant. Where it is
    busy, the file is sent again when it says, a few times.

    Raises:
        ServiceError: It does not answer, or refuses.
    """
    headers = {"X-Tenant": tenant}
    if settings.upload_key is not None:
        headers["Authorization"] = f"Bearer {settings.upload_key.get_secret_value()}"
    with httpx2.Client(base_url=url, headers=headers, timeout=_TIMEOUT) as client:
        for left in range(TRIES - 1, -1, -1):
            try:
                answer = _post(client, kind, path)
            except httpx2.HTTPError as error:
                words = str(error) or type(error).__name__
                raise ServiceError(url, f"does not answer ({words})", "Is it running?") from None
            if answer.status_code not in _BUSY or not left:
                break
            time.sleep(float(answer.headers.get("Retry-After", 1)))
    if answer.is_success:
        found: dict[str, Any] = answer.json()
        return found
    raise _refusal(url, answer)


def _post(client: httpx2.Client, kind: str, path: Path) -> httpx2.Response:
    with ExitStack() as held:
        file = held.enter_context(path.open("rb"))
        if ".csv" in path.suffixes:
            form = {"data_type": kind}
            return client.post("/internal/data/upload-csv", data=form, files={"file": file})
        headers = {"Content-Type": "application/x-ndjson"}
        return client.post(f"/internal/data/{kind}", content=file, headers=headers)


def _refusal(url: str, answer: httpx2.Response) -> ServiceError:
    try:
        told = answer.json()
        words, fix = str(told["message"]), str(told.get("fix", ""))
    except (ValueError, KeyError, TypeError):
        words, fix = answer.text[:200], "Is it an upload service?"
    if answer.status_code == 401:
        fix = "Set RECSYS_UPLOAD_KEY to a key of: recsys keys create --tenant TENANT"
    return ServiceError(url, f"answers {answer.status_code}: {words}", fix)


def say(kind: str, answer: dict[str, Any]) -> None:
    """Print what became of a file."""
    where = f"batch {answer['batch_id']}" if answer["batch_id"] else f"topic {answer['topic']}"
    again = ", had landed before" if answer["already_landed"] else ""
    out.print(
        f"{kind}: {answer['rows_received']:,} rows, {answer['rows_rejected']:,} of them bad; "
        f"{where}{again}",
        soft_wrap=True,
    )
