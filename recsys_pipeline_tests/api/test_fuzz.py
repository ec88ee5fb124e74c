"""Bodies that nobody should send: a 4xx for each, and nothing left behind."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline.api.app import create_app
from recsys_pipeline.settings import Settings
from recsys_pipeline.storage.landing import TABLES, Landing
from recsys_pipeline_tests.api.conftest import client_of
from recsys_pipeline_tests.api.test_uploads import CSV, EVENTS

BOUNDARY = "b0und4ry"
PARTS = {
    "file": 'Content-Disposition: form-data; name="file"; filename="e.csv"\r\nContent-Type: text/csv',
    "data_type": 'Content-Disposition: form-data; name="data_type"',
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    spools = tmp_path_factory.mktemp("spools")  # others write to the usual place
    chosen = Settings(
        _env_file=None,
        storage_root=str(folder / "root"),
        metadata_url=f"sqlite:///{folder}/metadata.db",
        tenants_file=folder / "tenants.toml",
        api_max_mib=1,
        api_requests_per_minute=1_000_000,
    )
    app = create_app(chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(spools))
        yield client_of(app, app.state.context.database, "acme"), chosen


def multipart(file: bytes, data_type: bytes = b"interactions") -> bytes:
    found = b""
    for name, content in (("file", file), ("data_type", data_type)):
        found += f"--{BOUNDARY}\r\n{PARTS[name]}\r\n\r\n".encode() + content + b"\r\n"
    return found + f"--{BOUNDARY}--\r\n".encode()


@st.composite
def damaged(draw, text: bytes) -> bytes:
    """Cut, repeat, flip and mix bytes of a good body."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, len(text)))
        piece = draw(
            st.one_of(
                st.just(b""),
                st.just(text[at:end] * 2),
                st.binary(max_size=8),
                st.sampled_from(
                    [b"\0", b"\r\n", b"--", b"\xff\xfe", b'"', b"[", b"{", b"\x1f\x8b"]
                ),
            )
        )
        text = text[:at] + piece + text[end:]
    return text


def versions(chosen: Settings) -> list[int]:
    return [Landing(chosen.storage_root, kind).snapshot().version for kind in TABLES]


def check(service, path: str, content: bytes, content_type: str) -> None:
    client, chosen = service
    before = versions(chosen)
    answer = client.post(path, content=content, headers={"Content-Type": content_type})
    assert answer.status_code < 500, answer.text
    assert list(Path(tempfile.gettempdir()).iterdir()) == [], "a temporary file is left"
    if answer.status_code != 200:
        assert answer.status_code >= 400
        assert answer.json()["error"]
        assert versions(chosen) == before, "something has landed"


FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@FEW
@given(damaged(multipart(CSV.encode())))
def test_damaged_forms(service, body):
    check(service, "/internal/data/upload-csv", body, FORM)


@FEW
@given(damaged(multipart(gzip.compress(CSV.encode(), mtime=0))))
def test_damaged_forms_of_gzip(service, body):
    check(service, "/internal/data/upload-csv", body, FORM)


@FEW
@given(damaged(CSV.encode()).map(multipart))
def test_damaged_files(service, body):
    check(service, "/internal/data/upload-csv", body, FORM)


@FEW
@given(damaged(json.dumps(EVENTS).encode()))
def test_damaged_json(service, body):
    check(service, "/internal/data/interactions", body, "application/json")


@FEW
@given(damaged("\n".join(map(json.dumps, EVENTS)).encode()))
def test_damaged_lines(service, body):
    check(service, "/internal/data/items", body, "application/x-ndjson")


@pytest.mark.parametrize("open_", [b"[", b'{"a":', b'[{"a":'])
def test_deep_json(service, open_):
    check(service, "/internal/data/interactions", open_ * 100_000, "application/json")


def test_a_bomb_in_a_form(service):
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(bomb) < 2**20
    check(service, "/internal/data/upload-csv", multipart(bomb), FORM)


def test_a_million_columns(service):
    check(service, "/internal/data/upload-csv", multipart(b"," * 1_000_000 + b"\n1\n"), FORM)


def test_wrong_encodings(service):
    for encoding in ("utf-16", "utf-16-le", "utf-32", "cp037", "shift-jis"):
        body = multipart(CSV.replace("u1", "ü").encode(encoding, "replace"))
        check(service, "/internal/data/upload-csv", body, FORM)
