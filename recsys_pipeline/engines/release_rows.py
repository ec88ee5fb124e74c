"""The published samples of a day, in pieces of bounded size that hold all rows of their users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.engines.steps import SAMPLES
from recsys_pipeline.errors import ContractError
from recsys_pipeline.transforms.shuffle import occurrences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recsys_pipeline.engines.view import View
    from recsys_pipeline.storage.records import Partition

PIECE_ROWS = 500_000


def sample_pieces(
    view: View, partition: Partition, rows: int, schema: Mapping[str, pl.DataType]
) -> Iterator[pl.DataFrame]:
    """Yield the samples of a (day, tenant) with their `occurrence`, without hive levels.

    Args:
        view: The published tables.
        partition: The day and tenant.
        rows: Rows of its file.
        schema: Columns of training samples and their dtypes.

    Raises:
        ContractError: Users are not in order, so that one's rows could be in several pieces.
    """
    file = view.store.scan(SAMPLES, [partition], schema).drop("date", "tenant")
    left: pl.DataFrame | None = None
    for begin in range(0, rows, PIECE_ROWS):
        piece = file.slice(begin, PIECE_ROWS).collect()
        if left is not None:
            piece = pl.concat([left, piece])
        users = piece["user_id"]
        if not users.is_sorted():
            raise ContractError(
                f"{SAMPLES} {partition[0]} {partition[1]}",
                "is not sorted by user_id",
                f"Make it anew: recsys run --from {partition[0]} --to {partition[0]} "
                f"--tenant {partition[1]} --force",
            )
        if begin + PIECE_ROWS < rows:
            # the last user may go on in the next piece
            whole = int(users.search_sorted(users[-1], side="left"))
            piece, left = piece.head(whole), piece.slice(whole)
        if piece.height:
            yield piece.with_columns(occurrences(piece))
