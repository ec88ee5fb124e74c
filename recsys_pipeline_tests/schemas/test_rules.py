"""The split's expressions and the Pandera contract judge every row alike."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandera.errors
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.config import ValidationDepth, config_context

from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.rules import empty_frame, frame_schema, rules
from recsys_pipeline.schemas.tables import CONTRACTS

TEXT = st.one_of(
    st.none(),
    st.sampled_from(["", "a", "acme", "Acme", "view", "wink", "nul\x00", "line\nbreak", "é" * 255]),
    st.text(max_size=6),
    st.integers(250, 260).map("x".__mul__),
    st.sampled_from(["y" * 501, "z" * 10_001]),
)
NUMBER = st.one_of(
    st.none(),
    st.floats(-1, 6, allow_nan=False),
    st.sampled_from([float("nan"), float("inf"), -0.0, 5.0, 0.0, 1e13]),
)
TIME = st.one_of(
    st.none(),
    st.integers(-300_000_000, 11_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC)),
    st.sampled_from(
        [
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(2262, 1, 1, tzinfo=UTC),
            datetime(2261, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ]
    ),
)
VALUES = {
    pl.String: TEXT,
    pl.Float64: NUMBER,
    pl.Datetime: TIME,
    pl.Date: st.one_of(st.none(), st.just(date(2025, 1, 1))),
    pl.Boolean: st.one_of(st.none(), st.booleans()),
}


def _rows(model):
    schema = frame_schema(model)
    row = st.fixed_dictionaries({n: VALUES[d.base_type()] for n, d in schema.items()})
    return st.lists(row, min_size=1, max_size=6).map(
        lambda rows: pl.DataFrame(rows, schema=dict(schema))
    )


def _rejected_by_pandera(model, frame) -> set[tuple[str, int]]:
    try:
        with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            model.to_schema().validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases.select("column", "index").drop_nulls()
        return set(cases.iter_rows())
    return set()


@pytest.mark.parametrize("model", [Interaction, Item])
def test_expressions_equal_pandera_row_by_row(model):
    @settings(max_examples=60, deadline=None)
    @given(_rows(model))
    def check(frame):
        ours = {
            (rule.column, index)
            for rule in rules(model)
            for index, obeyed in enumerate(frame.select(rule.obeyed).to_series())
            if not obeyed
        }
        assert ours == _rejected_by_pandera(model, frame)

    check()


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_contract_has_rules_descriptions_and_an_empty_frame(name):
    model = CONTRACTS[name]
    schema = model.to_schema()
    assert rules(model)
    assert [c for c, column in schema.columns.items() if not column.description] == []
    schema.validate(empty_frame(model))


def test_codes_name_column_and_check():
    codes = {rule.code for rule in rules(Interaction)}
    assert {"user_id.required", "interaction_type.allowed", "rating.range"} <= codes
    assert all(rule.code.startswith(rule.column + ".") for rule in rules(Interaction))
