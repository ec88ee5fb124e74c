"""Writes a synthetic shop: its catalogue and its events, and the key of what is wrong in them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import polars as pl

from recsys_pipeline.errors import SourceError
from recsys_pipeline.generator.dirty import Injector
from recsys_pipeline.generator.events import event_blocks, event_frame, event_id_width
from recsys_pipeline.generator.faults import ITEM_EXTRAS
from recsys_pipeline.generator.items import Catalogue, item_frames, item_id_width
from recsys_pipeline.generator.writers import TableWriter, open_writer
from recsys_pipeline.schemas.keys import UTC_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date
    from pathlib import Path

    from recsys_pipeline.generator.config import GeneratorConfig

INJECTED = "injected.jsonl"


@dataclass(frozen=True)
class GeneratedFiles:
    """What was written.

    Attributes:
        interactions: File of events.
        items: File of the catalogue.
        injected: Key of the injected rows; None without `dirty`.
        interaction_rows: Rows of the events file, injected ones included.
        item_rows: Rows of the catalogue file, injected ones included.
        injected_interactions: Injected rows of the events file.
        injected_items: Injected rows of the catalogue file.
        start: First day with events (UTC).
        end: Last day with events (UTC).
    """

    interactions: Path
    items: Path
    injected: Path | None
    interaction_rows: int
    item_rows: int
    injected_interactions: int
    injected_items: int
    start: date
    end: date

    @property
    def days(self) -> int:
        """Days of the window."""
        return (self.end - self.start).days + 1


def generate(
    config: GeneratorConfig, out: Path, progress: Callable[[int], None] | None = None
) -> GeneratedFiles:
    """Write `interactions` and `items` (and `injected.jsonl`) into a folder.

    The same configuration gives the same bytes. Files appear under their names when all are
    whole. Memory depends neither on the number of events nor on that of users.

    Args:
        config: What to generate.
        out: Folder, made if it is not there.
        progress: Called after each block with the good events written so far.

    Raises:
        SourceError: The folder can't be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            files = _write(config, out, progress, stack)
    except OSError as error:
        raise SourceError(
            str(out), f"can't be written ({error.strerror or error})", "Give another --out"
        ) from None
    if files.injected is None:
        # the key of an earlier run would be wrong about these files
        (out / INJECTED).unlink(missing_ok=True)
    return files


def _write(
    config: GeneratorConfig,
    out: Path,
    progress: Callable[[int], None] | None,
    stack: ExitStack,
) -> GeneratedFiles:
    key: IO[str] | None = None
    if config.dirty:
        partial = stack.enter_context(_appears_whole(out / INJECTED))
        key = stack.enter_context(partial.open("w", encoding="utf-8"))
    catalogue = Catalogue.of(config)
    items = out / config.file_name("items")
    interactions = out / config.file_name("interactions")
    with _table(items, config, stack) as writer:
        bad_items = _write_items(config, catalogue, writer, key)
    with _table(interactions, config, stack) as writer:
        bad_events = _write_events(config, catalogue, writer, key, progress)
    return GeneratedFiles(
        interactions=interactions,
        items=items,
        injected=out / INJECTED if key else None,
        interaction_rows=config.events + bad_events,
        item_rows=config.items + bad_items,
        injected_interactions=bad_events,
        injected_items=bad_items,
        start=config.start,
        end=config.end,
    )


@contextmanager
def _appears_whole(path: Path) -> Iterator[Path]:
    """Yield a name to write under; the file gets its own name only when nothing failed."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


@contextmanager
def _table(path: Path, config: GeneratorConfig, stack: ExitStack) -> Iterator[TableWriter]:
    partial = stack.enter_context(_appears_whole(path))
    writer = open_writer(partial, config.file_format, config.codec)
    try:
        yield writer
    finally:
        writer.close()


def _write_items(
    config: GeneratorConfig, catalogue: Catalogue, writer: TableWriter, key: IO[str] | None
) -> int:
    injector = None
    if key is not None:
        width = item_id_width(config)
        injector = Injector(config, "items", key, ("item_id", lambda n: f"x{n:0{width}d}"))
    binary = config.file_format == "parquet"
    extras: tuple[pl.DataType | type[pl.DataType], ...] = (
        (UTC_TIME, pl.Boolean) if binary else (pl.String, pl.String)
    )
    written = 0
    for frame in item_frames(config, catalogue):
        written += frame.height
        if injector is None:
            writer.write(frame)
            continue
        widened = frame.with_columns(
            pl.lit(None, dtype).alias(name) for name, dtype in zip(ITEM_EXTRAS, extras, strict=True)
        )
        writer.write(widened, injector.plan(widened, None, last=written == config.items))
    return injector.injected if injector else 0


def _write_events(
    config: GeneratorConfig,
    catalogue: Catalogue,
    writer: TableWriter,
    key: IO[str] | None,
    progress: Callable[[int], None] | None,
) -> int:
    injector = None
    if key is not None:
        width = event_id_width(config)
        fresh = ("event_id", lambda n: f"x{n:0{width}d}")
        injector = Injector(config, "interactions", key, fresh if config.event_ids else None)
    events = sessions = 0
    for block in event_blocks(config, catalogue):
        frame = event_frame(block, config, first_event=events, first_session=sessions)
        events += frame.height
        sessions += block.sessions
        if injector is None:
            writer.write(frame)
        else:
            writer.write(frame, injector.plan(frame, block.day, last=events == config.events))
        if progress is not None:
            progress(events)
    return injector.injected if injector else 0
