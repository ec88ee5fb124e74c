"""The rows of a split in batches, as NumPy arrays or Arrow tables; no framework.

A batch is a run of `batch_size` rows of the split's order, over the borders of files. So batch `n`
is the same whoever asks for it, and one can begin anywhere. In memory are the chosen columns of the
shard in use and of the next one, which a thread reads meanwhile.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa

from recsys_pipeline.errors import ReleaseError
from recsys_pipeline.transforms.stable_hash import fold, start

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    import numpy.typing as npt

    from recsys_pipeline.export.open import OpenRelease
    from recsys_pipeline.transforms.arrays import Ints

_NOT_A_TIME = -(2**63)  # NumPy's NaT
_SHARDS = -1

Format = Literal["numpy", "arrow"]
Arrays: TypeAlias = "dict[str, npt.NDArray[Any]]"
Batch: TypeAlias = "Arrays | pa.Table"


@dataclass(frozen=True)
class Reading:
    """How a split is gone through; `iter_batches` says what each means."""

    batch_size: int
    columns: Sequence[str] | None
    format: Format
    shuffle_seed: int | None
    epoch: int
    shard: tuple[int, int]
    start: int

    def check(self) -> None:
        """Look at the numbers.

        Raises:
            ReleaseError: One makes no sense.
        """
        index, count = self.shard
        for name, is_right, value, fix in (
            ("batch_size", self.batch_size >= 1, self.batch_size, "Give at least 1"),
            ("shard", 0 <= index < count, self.shard, "Give (worker from 0, workers)"),
            ("start", self.start >= 0, self.start, "Give the position of an earlier iteration"),
        ):
            if not is_right:
                raise ReleaseError(name, f"{value} makes no sense", fix)

    def order(self, shard: int, count: int) -> Ints | None:
        """Return an epoch's order of a shard's rows, or of the shards (`_SHARDS`); None keeps it."""
        if self.shuffle_seed is None:
            return None
        state = fold(start(self.shuffle_seed), np.array([self.epoch]))
        state = fold(state, np.array([shard]))
        return np.argsort(fold(state, np.arange(count)), kind="stable")


@dataclass(frozen=True)
class _Slice:
    """Rows of a shard that belong to a batch: `begin` up to, not including, `end`."""

    shard: int
    begin: int
    end: int


class _Shards:
    """The shards of a split in the order of reading, each read whole.

    Attributes:
        ends: Rows before each shard, and after the last one.
    """

    def __init__(self, release: OpenRelease, split: str, reading: Reading) -> None:
        self._release = release
        self._reading = reading
        self._columns = _columns(release, reading.columns)
        self._length = release.manifest.content.sequence_length
        self._nullable = {c.name for c in release.manifest.content.columns if c.nullable}
        files = list(enumerate(release.shards(split)))
        order = reading.order(_SHARDS, len(files))
        self._files = files if order is None else [files[number] for number in order]
        self.ends: Ints = np.cumsum([0, *(file.rows for _, file in self._files)], dtype=np.int64)

    def load(self, place: int) -> Batch:
        """Read a shard in the order of its rows, or of the epoch."""
        number, file = self._files[place]
        frame = self._release.read(file.path, self._columns)
        order = self._reading.order(number, file.rows)
        if order is not None:
            frame = frame[order]
        if self._reading.format == "arrow":
            return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        # a column goes when its array is made
        return {
            name: _padded(column, self._length)
            if isinstance((column := frame.drop_in_place(name)).dtype, pl.List)
            else _array(column, nullable=name in self._nullable)
            for name in self._columns
        }

    def slices(self, begin: int, end: int) -> Iterator[_Slice]:
        """Yield what some rows of the split, at least one, are in its shards."""
        place = self.place(begin)
        while begin < end:
            until = min(end, int(self.ends[place + 1]))
            if until > begin:
                yield _Slice(place, begin - int(self.ends[place]), until - int(self.ends[place]))
            begin = until
            place += 1

    def place(self, row: int) -> int:
        """Return the place of the shard that holds a row of the split."""
        return int(np.searchsorted(self.ends, row, side="right")) - 1


class _Ahead:
    """Holds the shard in use and reads the next one meanwhile, up to the last one needed."""

    def __init__(self, shards: _Shards, last: int, pool: ThreadPoolExecutor) -> None:
        self._shards = shards
        self._last = last
        self._pool = pool
        self._place: int | None = None
        self._held: Batch = {}
        self._next: Future[Batch] | None = None

    def rows(self, piece: _Slice) -> Batch:
        """Return rows of a shard: the same as before, or the one after it."""
        if piece.shard != self._place:
            self._held = {}  # gone before another is there
            load = self._shards.load
            self._held = self._next.result() if self._next else load(piece.shard)
            self._place = piece.shard
            after = piece.shard + 1
            self._next = self._pool.submit(load, after) if after <= self._last else None
        if isinstance(self._held, pa.Table):
            return self._held.slice(piece.begin, piece.end - piece.begin)
        return {name: array[piece.begin : piece.end] for name, array in self._held.items()}


class Batches:
    """Batches of a split, in order. Iterate once; `position` tells where to go on.

    Attributes:
        position: Batches of this part that have been yielded; give it as `start` to go on.
    """

    def __init__(self, release: OpenRelease, split: str, reading: Reading) -> None:
        reading.check()
        self._shards = _Shards(release, split, reading)
        self._size = reading.batch_size
        self._rows = int(self._shards.ends[-1])
        batches = -(-self._rows // self._size)
        part, parts = reading.shard
        self._first, self._last = batches * part // parts, batches * (part + 1) // parts
        self.position = reading.start

    def __len__(self) -> int:
        """Return the number of batches of this part, from its beginning."""
        return self._last - self._first

    def __iter__(self) -> Iterator[Batch]:
        end = min(self._last * self._size, self._rows)
        with ThreadPoolExecutor(1, thread_name_prefix="shards") as pool:
            ahead = _Ahead(self._shards, self._shards.place(end - 1), pool)
            for number in range(self._first + self.position, self._last):
                begin = number * self._size
                pieces = self._shards.slices(begin, min(begin + self._size, self._rows))
                batch = _joined([ahead.rows(piece) for piece in pieces])
                self.position += 1
                yield batch


def iter_batches(  # noqa: PLR0913  # what else there is has names
    release: OpenRelease,
    split: str,
    batch_size: int,
    columns: Sequence[str] | None = None,
    *,
    format: Format = "numpy",  # noqa: A002  # the name that readers know
    shuffle_seed: int | None = None,
    epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
    start: int = 0,
) -> Batches:
    """Go through a split's rows in batches; the same arguments give the same batches.

    Rows of a release are shuffled already. With `shuffle_seed` each epoch has another order: of the
    shards, and of the rows inside each.

    Args:
        release: What `open_release` returns.
        split: One of its splits.
        batch_size: Rows of a batch; the last one may have fewer.
        columns: Names of the columns wanted; None means all. Ids are slow to make into arrays:
            a model needs `user_index`, `item_index` and `label`.
        format: `numpy` yields a dict of arrays, `arrow` a table. Arrays are read-only views where they
            can be. Their dtype depends on the column alone: integers that may be null, and floats,
            are float64 with NaN; other integers int64; times datetime64[us] (UTC) with NaT; text is
            object with None; sequences are rows of int64 of the release's length, zeros first.
        shuffle_seed: Seed of the order of an epoch; None keeps the order of the release.
        epoch: Number of the epoch.
        shard: Which part of the batches, of how many: (worker, workers). Parts are runs of batches that
            differ by one at most, and together are all of them.
        start: Batches of this part to pass over: the `position` of an earlier iteration.

    Raises:
        ReleaseError: There is no such split or column, or a number makes no sense.
    """
    reading = Reading(batch_size, columns, format, shuffle_seed, epoch, shard, start)
    return Batches(release, split, reading)


def _columns(release: OpenRelease, columns: Sequence[str] | None) -> list[str]:
    known = [column.name for column in release.manifest.content.columns]
    if columns is None:
        return known
    if unknown := [name for name in columns if name not in known]:
        raise ReleaseError(
            f"release {release.manifest.release}",
            f"has no column {unknown[0]!r}",
            f"Use some of {', '.join(known)}",
        )
    return list(columns)


def _padded(lists: pl.Series, length: int) -> Ints:
    """Return lists as rows of the same length, with zeros before them."""
    rows = np.zeros((len(lists), length), np.int64)
    array = lists.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets = array.offsets.to_numpy()
    sizes = np.diff(offsets)
    ends = np.arange(1, len(lists) + 1) * length
    places = np.repeat(ends - offsets[1:], sizes) + np.arange(offsets[0], offsets[-1])
    rows.reshape(-1)[places] = array.values.to_numpy()[offsets[0] : offsets[-1]]
    return rows


def _array(column: pl.Series, *, nullable: bool) -> npt.NDArray[Any]:
    """Return a column as one array whose dtype does not depend on its values."""
    if column.dtype.is_temporal():
        whole = column.dt.cast_time_unit("us").to_physical().fill_null(_NOT_A_TIME)
        return whole.to_numpy().view("datetime64[us]")
    if nullable and column.dtype.is_integer():
        column = column.cast(pl.Float64)
    if column.dtype.is_float():
        column = column.fill_null(float("nan"))
    return column.to_numpy()


def _joined(parts: list[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], pa.Table):
        return pa.concat_tables(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
