"""The contracts of the stored tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.maintenance.doctor.finding import Finding

if TYPE_CHECKING:
    from pathlib import Path


def check_contracts(page: Path | None = None) -> Finding:
    """Build every contract, and compare their page, where it is, with what they say."""
    from recsys_pipeline.schemas.docs import PAGE, contracts_page
    from recsys_pipeline.schemas.tables import CONTRACTS

    try:
        expected = contracts_page()
    except Exception as error:  # noqa: BLE001  # whatever breaks a contract is the finding
        return Finding("contracts", "wrong", f"can't be built ({error})", "Run `make setup`")
    page = page or PAGE
    if page.is_file() and page.read_text(encoding="utf-8") != expected:
        return Finding(
            "contracts", "warning", f"{page.name} is not what they say", "Run `make docs`"
        )
    return Finding("contracts", "ok", f"{len(CONTRACTS)} tables")
