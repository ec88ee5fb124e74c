from __future__ import annotations

from recsys_pipeline.maintenance.doctor.contracts import check_contracts
from recsys_pipeline.schemas import docs


def test_the_page_is_compared_where_it_is(tmp_path, monkeypatch):
    page = tmp_path / "contracts.md"
    assert check_contracts(page).status == "ok"
    page.write_text(docs.contracts_page())
    assert check_contracts(page).status == "ok"
    page.write_text(docs.contracts_page() + " ")
    assert check_contracts(page).status == "warning"

    def broken():
        raise KeyError("no such check")

    monkeypatch.setattr(docs, "contracts_page", broken)
    assert check_contracts(page).status == "wrong"
