"""One fold of a release: a pass over its days that scatters rows, then a shard at a time.

In memory are a piece of the samples of a day, the rows of a shard, and what grows with users and items: the
vocabularies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.engines.release_history import History
from recsys_pipeline.engines.release_rows import sample_pieces
from recsys_pipeline.engines.scatter import Scatter
from recsys_pipeline.engines.steps import sample_columns, sample_schema
from recsys_pipeline.errors import ContractError, ReleaseError
from recsys_pipeline.schemas.releases import (
    COLD_COLUMNS,
    INDEX_COLUMNS,
    VOCABULARIES,
    indexed,
    released_schema,
)
from recsys_pipeline.storage.file_hash import hash_file
from recsys_pipeline.storage.layout import shard_file
from recsys_pipeline.storage.manifest import CheckResult, FoldRows, ReleasedFile, split_folder
from recsys_pipeline.storage.parquet_store import PARQUET
from recsys_pipeline.transforms.item_frequencies import PositiveCounts, item_frequencies
from recsys_pipeline.transforms.leave_last_out import held_out, latest_positives, leave_last_out
from recsys_pipeline.transforms.sequences import with_values
from recsys_pipeline.transforms.shuffle import shard_of, shuffle_words, shuffled
from recsys_pipeline.transforms.split_order import RowTimes, out_of_order
from recsys_pipeline.transforms.variants import variants
from recsys_pipeline.transforms.vocabularies import (
    OUT_OF_VOCABULARY,
    VOCABULARY_SCHEMA,
    FirstSeen,
    extend,
    index_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from recsys_pipeline.engines.release_inputs import ReleaseInputs
    from recsys_pipeline.engines.release_spec import ReleaseSpec
    from recsys_pipeline.engines.view import View
    from recsys_pipeline.engines.workspace import Workspace
    from recsys_pipeline.transforms.splits import Fold

Vocabularies = dict[str, pl.DataFrame]


@dataclass
class Files:
    """The finished files of a release, still where they were made.

    Attributes:
        released: What the manifest says of each.
        local: Where each is, by path inside the release.
    """

    workspace: Workspace
    released: list[ReleasedFile] = field(default_factory=list)
    local: dict[str, Path] = field(default_factory=dict)

    def add(self, path: str, frame: pl.DataFrame) -> None:
        """Write a frame as a file of the release."""
        local = self.workspace.path()
        frame.rechunk().write_parquet(local, **PARQUET)
        with local.open("rb") as handle:
            hashed = hash_file(handle)
        self.local[path] = local
        self.released.append(
            ReleasedFile(path=path, blake2b=hashed, bytes=local.stat().st_size, rows=frame.height)
        )


class FoldMaker:
    """Makes the files of a fold.

    Args:
        view: The published tables.
        spec: What is asked for.
        fold: The fold.
        inputs: Its days, and others.
        parent: Vocabularies to extend; empty for new ones.
        files: Takes the files.
    """

    def __init__(
        self,
        view: View,
        spec: ReleaseSpec,
        fold: Fold,
        inputs: ReleaseInputs,
        parent: Mapping[str, pl.DataFrame],
        files: Files,
    ) -> None:
        self._view = view
        self._spec = spec
        self._fold = fold
        self._days = [day for day in inputs.records if fold.first <= day <= fold.last]
        self._inputs = inputs
        self._parent = parent
        self._files = files
        self._seed = view.settings.seed if spec.seed is None else spec.seed
        features = sample_columns(view)
        self._read_schema = sample_schema(features)
        self._schema = released_schema(
            features,
            has_variants=spec.experiment is not None,
            has_sequences=spec.sequence_length > 0,
        )
        self._history = (
            History(view, spec.tenant, fold.last, spec.sequence_length)
            if spec.sequence_length
            else None
        )
        self._indexed = indexed(self._read_schema)
        self._seen = {name: FirstSeen() for name in self._indexed}
        self._positives = PositiveCounts()
        self._by_user = spec.split == "leave-last-out"
        self._times: dict[str, RowTimes] = {
            split: RowTimes(by_user=self._by_user) for split in fold.days
        }
        self._rows: dict[str, dict[str, int]] = {}
        self._cold: dict[str, dict[str, int]] = {}
        self._unknown = 0
        self._read = 0
        self._left_out = 0

    def make(self, catalogue: pl.DataFrame) -> tuple[FoldRows, list[CheckResult]]:
        """Write shards, vocabularies, item frequencies and catalogue.

        Args:
            catalogue: The catalogue as of the fold's last day (columns of `Item`).

        Returns:
            What the manifest says of the fold, and the checks that its rows have passed.

        Raises:
            ReleaseError: There is no row to train on.
            ContractError: Rows of ours are not as they must be.
        """
        scattered = self._scatter()
        if not scattered["train"].rows.sum():
            raise ReleaseError(
                f"training_samples of {self._spec.tenant}",
                f"has no row to train on from {self._fold.first} to {self._fold.last}",
                "Choose a longer window, or fewer days of validation and test",
            )
        vocabularies = self._vocabularies()
        warm = {
            "users": self._seen["users"].seen().select("id"),
            "items": self._positives.counts().select(pl.col("item_id").alias("id")),
        }
        for split, scatter in scattered.items():
            self._rows[split] = {"positives": 0, "negatives": 0}
            self._cold[split] = dict.fromkeys(COLD_COLUMNS.values(), 0)
            for number in range(scatter.shards):
                self._write_shard(split, number, self._shard(scatter, number, vocabularies, warm))
            scatter.close()
        self._write_tables(vocabularies, catalogue)
        if self._history is not None:
            self._history.confirm()
        made = FoldRows(
            name=self._fold.name,
            days={str(split): days for split, days in self._fold.days.items()},
            rows=self._rows,
            left_out=self._left_out,
            vocabularies={name: frame.height for name, frame in vocabularies.items()},
            cold=self._cold,
        )
        return made, self._checks()

    def _path(self, name: str) -> str:
        return split_folder(self._fold.name, name)

    # reading

    def _pieces(self) -> Iterator[tuple[date, pl.DataFrame]]:
        """Yield the samples of each day, piece by piece."""
        for day in self._days:
            rows = self._inputs.records[day].rows
            partition = (day, self._spec.tenant)
            for piece in sample_pieces(self._view, partition, rows, self._read_schema):
                yield day, piece

    def _scatter(self) -> dict[str, Scatter]:
        """Go through the days, and leave their rows in temporary files."""
        held = self._held_out() if self._by_user else None
        scattered = {
            split: Scatter(self._files.workspace, shards)
            for split, shards in self._shard_counts(held).items()
        }
        for day, samples in self._pieces():
            piece = samples if self._history is None else self._history.add(day, samples)
            for split, rows in self._split(day, piece, held):
                if split == "train":
                    for name, column in self._indexed.items():
                        self._seen[name].add(rows[column], rows["timestamp"])
                    self._positives.add(rows)
                words = shuffle_words(rows, self._seed, self._path(split))
                scatter = scattered[split]
                scatter.add(
                    rows.with_columns(pl.Series("word", words)), shard_of(words, scatter.shards)
                )
        return scattered

    def _split(
        self, day: date, rows: pl.DataFrame, held: pl.DataFrame | None
    ) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield the rows of each split; all splits come, if without rows."""
        self._read += rows.height
        of_row = (
            pl.lit(self._fold.split_of(day), pl.String)
            if held is None
            else leave_last_out(rows, held)
        )
        rows = rows.with_columns(of_row.alias("split"))
        kept = 0
        for split in self._fold.days:
            part = rows.filter(pl.col("split") == split).drop("split")
            if split != "train" and not self._spec.evaluation_negatives:
                part = part.filter(pl.col("label") == 1)
            kept += part.height
            yield split, part
        self._left_out += rows.height - kept

    def _held_out(self) -> pl.DataFrame:
        """Go through the days for the latest positives of each user."""
        latest: list[pl.DataFrame] = []
        for _, piece in self._pieces():
            latest.append(latest_positives(piece))
            if len(latest) > 1 and latest[-1].height + latest[0].height > _MANY:
                latest = [latest_positives(pl.concat(latest))]
        return held_out(latest_positives(pl.concat(latest)))

    def _shard_counts(self, held: pl.DataFrame | None) -> dict[str, int]:
        """Return the number of shards by split: those that its rows fill, at least one."""
        rows = dict.fromkeys(self._fold.days, 0)
        for day in self._days:
            record = self._inputs.records[day]
            split = self._fold.split_of(day) if held is None else "train"
            if split is not None:
                whole = split == "train" or self._spec.evaluation_negatives
                rows[split] += record.rows if whole else record.counts["positives"]
        if held is not None:
            for split, count in held["split"].value_counts().iter_rows():
                rows[split] = count
        return {split: max(1, -(-count // self._spec.shard_rows)) for split, count in rows.items()}

    # writing

    def _vocabularies(self) -> Vocabularies:
        nothing = pl.DataFrame(schema=VOCABULARY_SCHEMA)
        return {
            name: extend(
                self._parent.get(name, nothing),
                self._seen[name].seen() if name in self._seen else nothing.drop("index"),
            )
            for name in VOCABULARIES
        }

    def _shard(
        self,
        scatter: Scatter,
        number: int,
        vocabularies: Vocabularies,
        warm: Mapping[str, pl.DataFrame],
    ) -> pl.DataFrame:
        """Return the rows of a shard in their order, with indices and what is cold."""
        rows = shuffled(scatter.take(number))
        made = {
            INDEX_COLUMNS[name]: index_of(rows[column], vocabularies[name])
            for name, column in self._indexed.items()
        }
        for name, column in COLD_COLUMNS.items():
            known = warm[name].with_columns(pl.lit(value=True).alias("known"))
            ids = rows.select(pl.col(VOCABULARIES[name]).alias("id"))
            found = ids.join(known, on="id", how="left", maintain_order="left")
            made[column] = found["known"].is_null()
        if self._spec.experiment is not None:
            shares = dict(self._spec.variants)
            made["variant"] = variants(rows["user_id"], self._spec.experiment, shares)
        if self._history is not None:
            every = self._history.sequences.items.ids
            indices = index_of(every, vocabularies["items"]).to_numpy()
            made["sequence_items"] = with_values(rows["sequence_items"], indices)
        return rows.with_columns(**made).select(list(self._schema))

    def _write_shard(self, split: str, number: int, shard: pl.DataFrame) -> None:
        """Write a shard, and take up what the checks and the manifest need of its rows."""
        self._files.add(shard_file(self._path(split), number), shard)
        self._times[split].add(shard)
        positives = int(shard["label"].sum())
        self._rows[split]["positives"] += positives
        self._rows[split]["negatives"] += shard.height - positives
        for column in self._cold[split]:
            self._cold[split][column] += int(shard[column].sum())
        if split == "train":
            columns = [INDEX_COLUMNS[name] for name in self._indexed]
            unknown = shard.select((pl.col(columns) == OUT_OF_VOCABULARY).sum())
            self._unknown += sum(unknown.row(0))

    def _write_tables(self, vocabularies: Vocabularies, catalogue: pl.DataFrame) -> None:
        for name, frame in vocabularies.items():
            self._files.add(self._path(f"vocabularies/{name}.parquet"), frame)
        frequencies = item_frequencies(self._positives.counts(), vocabularies["items"])
        self._files.add(self._path("item_frequencies.parquet"), frequencies)
        columns = {"items": "item_id", "categories": "category", "brands": "brand"}
        listed = catalogue.with_columns(
            index_of(catalogue[column], vocabularies[name]).alias(INDEX_COLUMNS[name])
            for name, column in columns.items()
            if name in self._indexed
        )
        self._files.add(self._path("catalogue.parquet"), listed.drop("tenant"))

    # checks

    def _checks(self) -> list[CheckResult]:
        where = f"{self._fold.name}: " if self._fold.name else ""
        times = {split: seen.times() for split, seen in self._times.items()}
        late = out_of_order(times, ties=self._by_user)
        if late:
            earlier, later, count = late[0]
            of = f" of {count:,} users" if self._by_user else ""
            raise ContractError(
                f"release of {self._spec.tenant}, {where}split {earlier}",
                f"has rows{of} that are later than rows of {later}",
                "Nothing was published; look at the timestamps of training_samples on the days of both",
            )
        written = sum(count for counts in self._rows.values() for count in counts.values())
        if written + self._left_out != self._read:
            raise ContractError(
                f"release of {self._spec.tenant}, {where}rows",
                f"are not conserved: {self._read:,} read, {written:,} written, {self._left_out:,} left out",
                "This is a bug of ours; nothing was published",
            )
        if self._unknown:
            raise ContractError(
                f"release of {self._spec.tenant}, {where}vocabularies",
                f"lack {self._unknown:,} values of train rows",
                "This is a bug of ours; nothing was published",
            )
        scope = "of the same user " if self._by_user else ""
        names = ", ".join(self._rows)
        return [
            CheckResult(
                name="split_order",
                words=f"{where}no row {scope}is later than one of a later split ({names})",
            ),
            CheckResult(
                name="conservation",
                words=f"{where}{self._read:,} rows read = {written:,} written + {self._left_out:,} left out",
            ),
            CheckResult(name="vocabularies", words=f"{where}every id of a train row has an index"),
        ]


_MANY = 1_000_000  # latest positives that wait to be merged
