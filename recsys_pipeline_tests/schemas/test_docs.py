"""`docs/contracts.md` says what the schemas say."""

from __future__ import annotations

from recsys_pipeline.schemas.docs import PAGE, contracts_page


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == contracts_page(), (
        "run python -m recsys_pipeline.schemas.docs"
    )
