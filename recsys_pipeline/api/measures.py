"""What is measured: how much arrives, what becomes of it, how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from recsys_pipeline.api.reports import Report

REQUESTS = Counter("recsys_api_requests", "Requests by the status of their answer.", ["status"])
UPLOADS = Counter("recsys_uploads", "Uploads by how they ended.", ["tenant", "kind", "outcome"])
ROWS = Counter(
    "recsys_upload_rows", "Rows by outcome and first reason.", ["tenant", "kind", "outcome", "reason"]
)  # fmt: skip
BYTES = Counter("recsys_upload_bytes", "Bytes after decompression.", ["tenant", "kind"])
SECONDS = Histogram(
    "recsys_upload_seconds",
    "From the last byte of an upload to its answer.",
    ["kind"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
)
STORAGE_ERRORS = Counter("recsys_storage_errors", "Requests that storage failed.", ["error"])


def count_rows(tenant: str, kind: str, report: Report) -> None:
    """Count the rows of an upload that landed."""
    ROWS.labels(tenant, kind, "landed", "").inc(report.rows_landed)
    for reason, rows in report.rejected_by_rule.items():
        ROWS.labels(tenant, kind, "rejected", reason).inc(rows)
