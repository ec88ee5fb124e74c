"""The steps of the pipeline: which (day, tenant) partitions to make anew, and their rows.

Each step yields one `DayContent` a day, in order, working on bounded chunks of days: memory does
not grow with the range, and a killed range goes on where it was. A partition whose record shows
the inputs that it would be made from is left as it is, unless forced.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from recsys_pipeline.engines.effective import CODE_VERSIONS, Chains, digest
from recsys_pipeline.engines.publication import DayContent, publish, spool
from recsys_pipeline.engines.states import States
from recsys_pipeline.engines.view import QUARANTINED, VALIDATED, View
from recsys_pipeline.errors import ContractError, SettingsError
from recsys_pipeline.schemas.features import ItemFeatures, UserFeatures
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import SAMPLE_FEATURES, SAMPLE_KEYS, TrainingSample
from recsys_pipeline.storage.parquet_store import Content
from recsys_pipeline.transforms.item_features import item_features
from recsys_pipeline.transforms.samples import training_samples
from recsys_pipeline.transforms.sampling_config import SamplingConfig
from recsys_pipeline.transforms.user_features import user_features
from recsys_pipeline.transforms.validation import Split, reason_counts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    import pandera.polars as pa

    from recsys_pipeline.storage.landing import Kind
    from recsys_pipeline.storage.records import Partition
    from recsys_pipeline.transforms.samples import Samples

Side = Literal["user", "item"]
FEATURES: dict[str, str] = {"user": "user_features", "item": "item_features"}
FEATURE_CONTRACTS: dict[str, type[pa.DataFrameModel]] = {
    "user": UserFeatures,
    "item": ItemFeatures,
}
SAMPLES = "training_samples"


def validated_days(
    view: View, kind: Kind, days: Sequence[date], *, force: bool = False
) -> Iterator[DayContent]:
    """Split landed days, publish each day's quarantine, and yield its valid rows.

    The quarantine goes first: a day whose valid rows are there is a day that is done.
    """
    for good, bad in validate(view, kind, days, force=force):
        publish(view, QUARANTINED[kind], [bad])
        yield good


def _chunks(view: View, kind: Kind, days: Sequence[date]) -> Iterator[list[date]]:
    """Group days, in order, so that a group's landed rows stay within `chunk_rows`."""
    rows: dict[date, int] = {}
    for (day, _), landed in view.landed(kind).items():
        rows[day] = rows.get(day, 0) + landed.rows
    chunk: list[date] = []
    total = 0
    for day in sorted(days):
        if chunk and total + rows.get(day, 0) > view.settings.chunk_rows:
            yield chunk
            chunk, total = [], 0
        chunk.append(day)
        total += rows.get(day, 0)
    if chunk:
        yield chunk


def _partitions(view: View, kind: Kind, asset: str, days: Collection[date]) -> list[Partition]:
    """Return every (day, tenant) of some days that has landed rows or something published."""
    wanted = set(days)
    landed = {p for p in view.landed(kind) if p[0] in wanted and view.keeps(asset, p)}
    return sorted(landed | view.partitions(asset, wanted))


def _tenants_by_day(partitions: Iterable[Partition]) -> dict[date, list[str]]:
    found: dict[date, list[str]] = {}
    for day, tenant in partitions:
        found.setdefault(day, []).append(tenant)
    return found


def validate(
    view: View, kind: Kind, days: Sequence[date], *, force: bool = False
) -> Iterator[tuple[DayContent, DayContent]]:
    """Split landed days into valid rows and quarantine.

    Yields:
        A day's content for `validated_*` and for `quarantined_*`.
    """
    for chunk in _chunks(view, kind, days):
        todo = [
            p
            for p in _partitions(view, kind, VALIDATED[kind], chunk)
            if force or not view.is_split(kind, p)
        ]
        made = view.split(kind, todo) if todo else None
        rows = _by_partition(made.valid) if made else {}
        bad = _by_partition(made.quarantined) if made else {}
        counts = _split_counts(made) if made else {}
        tenants = _tenants_by_day(todo)
        for day in chunk:
            good_day: dict[str, Content] = {}
            bad_day: dict[str, Content] = {}
            for tenant in tenants.get(day, ()):
                partition = (day, tenant)
                count = counts.get(partition, _NOTHING)
                held = view.is_held(kind, partition, count)
                count = count | {"held": count["valid"] if held else 0}
                good = rows.get(partition, _empty(made, "valid"))
                good_day[tenant] = Content(
                    None if held else good, view.rows_inputs(kind, partition), count
                )
                bad_day[tenant] = Content(
                    bad.get(partition, _empty(made, "quarantined")),
                    view.quarantined_inputs(kind, partition),
                    count,
                )
            yield DayContent(day, good_day), DayContent(day, bad_day)


_NOTHING: dict[str, Any] = {
    "landed": 0, "valid": 0, "duplicate": 0, "rejected": 0, "parked": 0, "erased": 0,
    "ratings_quantised": 0, "reasons": {},
}  # fmt: skip


def _empty(made: Split | None, name: str) -> pl.DataFrame:
    frame: pl.DataFrame = getattr(made, name)
    return frame.clear()


def _split_counts(made: Split) -> dict[Partition, dict[str, Any]]:
    reasons = reason_counts(made.quarantined)
    found: dict[Partition, dict[str, Any]] = {}
    for row in made.counts.iter_rows(named=True):
        partition = (row.pop("date"), row.pop("tenant"))
        if row["landed"] != row["valid"] + row["duplicate"] + row["rejected"]:
            raise ContractError(f"split of {partition}", f"does not conserve rows: {row}")
        found[partition] = {**row, "reasons": reasons.get(partition, {})}
    return found


def _by_partition(frame: pl.DataFrame) -> dict[Partition, pl.DataFrame]:
    parts = frame.partition_by("date", "tenant", as_dict=True, maintain_order=True)
    return {(key[0], key[1]): part for key, part in parts.items()}


def _by_day(frame: pl.DataFrame) -> dict[date, pl.DataFrame]:
    """Cut rows that are sorted by date; nothing is copied."""
    runs = frame.select(pl.col("date").rle()).unnest("date")
    lengths = runs["len"].to_list()
    starts = accumulate(lengths, initial=0)
    return {
        day: frame.slice(start, length)
        for day, start, length in zip(runs["value"], starts, lengths, strict=False)
    }


def feature_inputs(view: View, side: Side, partition: Partition, chains: Chains) -> str:
    """Return the hash of all that a feature partition depends on."""
    weights = sorted(view.settings.event_weights.items()) if side == "item" else None
    return digest(
        CODE_VERSIONS[FEATURES[side]],
        weights,
        chains.until(partition[1], partition[0]),
    )


def features(
    view: View, side: Side, days: Sequence[date], *, force: bool = False
) -> Iterator[DayContent]:
    """Compute the features of the entities active on each day, as of its end."""
    asset = FEATURES[side]
    if not days:
        return
    seen = view.effective("interactions", max(days))
    chains = view.chains("interactions", max(days))
    states = States(view, max(days))
    for chunk in _chunks(view, "interactions", days):
        todo: dict[Partition, str] = {}
        for partition in _partitions(view, "interactions", asset, chunk):
            if partition in seen and seen[partition].held:
                continue
            inputs = feature_inputs(view, side, partition, chains)
            if force or not _is_current(view, asset, partition, inputs):
                todo[partition] = inputs
        rows = _features(view, states, side, list(todo))
        nothing = pl.DataFrame(schema=frame_schema(FEATURE_CONTRACTS[side]))
        tenants = _tenants_by_day(todo)
        for day in chunk:
            yield DayContent(
                day,
                {
                    tenant: Content(rows.get((day, tenant), nothing), todo[day, tenant])
                    for tenant in tenants.get(day, ())
                },
            )


def _is_current(view: View, asset: str, partition: Partition, inputs: str) -> bool:
    record = view.intact(asset, partition)
    return record is not None and record.inputs == inputs


def _features(
    view: View, states: States, side: Side, partitions: Collection[Partition]
) -> dict[Partition, pl.DataFrame]:
    """Compute feature partitions; those without rows are left out."""
    days: dict[str, list[date]] = {}
    for day, tenant in partitions:
        days.setdefault(tenant, []).append(day)
    found: dict[Partition, pl.DataFrame] = {}
    for tenant, wanted in days.items():
        for events, held in states.passes(tenant, wanted):
            if not held:  # days on the way from a state to those wanted
                continue
            frame = (
                user_features(events, tenant, held)
                if side == "user"
                else item_features(events, tenant, held, view.settings.event_weights)
            )
            found |= {(day, tenant): part for day, part in _by_day(frame).items()}
            del events  # a pass is large, and the next one is made before the name is taken
    return found


def sample_columns(view: View) -> tuple[str, ...]:
    """Return the feature columns of training samples, in the contract's order.

    Raises:
        SettingsError: `sample_features` names a column that there is not.
    """
    chosen = view.settings.sample_features
    if unknown := set(chosen or ()) - set(SAMPLE_FEATURES):
        raise SettingsError(
            "RECSYS_SAMPLE_FEATURES",
            f"{min(unknown)!r} is no feature of training samples",
            "See training_samples in docs/contracts.md",
        )
    return SAMPLE_FEATURES if chosen is None else tuple(c for c in SAMPLE_FEATURES if c in chosen)


def sampling_config(view: View, tenant: str) -> SamplingConfig:
    """Return how a tenant's samples are drawn."""
    config = view.config(tenant)
    mixed = config.negative_strategy == "mixed"
    return SamplingConfig(
        seed=view.settings.seed,
        ratio=config.negative_ratio,
        strategy=config.negative_strategy,
        alpha=config.popularity_alpha,
        positive_types=config.positive_types,
        level=view.settings.positive_level,
        mix=tuple(sorted((config.negative_mix or {}).items())) if mixed else (),
    )


def sample_inputs(view: View, partition: Partition, events: Chains, items: Chains) -> str:
    """Return the hash of all that a partition of training samples depends on."""
    day, tenant = partition
    config = sampling_config(view, tenant)
    return digest(
        CODE_VERSIONS[SAMPLES],
        *(CODE_VERSIONS[name] for name in FEATURES.values()),
        sorted(view.settings.event_weights.items()),
        config,
        *((config.mix,) if config.mix else ()),
        sample_columns(view),
        events.until(tenant, day),
        items.until(tenant, day),
    )


def samples(view: View, days: Sequence[date], *, force: bool = False) -> Iterator[DayContent]:
    """Draw the training samples of each day, with features as of before it."""
    if not days:
        return
    seen = view.effective("interactions", max(days))
    events = view.chains("interactions", max(days))
    items = view.chains("items", max(days))
    states = States(view, max(days))
    for chunk in _chunks(view, "interactions", days):
        todo: dict[Partition, str] = {}
        for partition in _partitions(view, "interactions", SAMPLES, chunk):
            if partition in seen and seen[partition].held:
                continue
            inputs = sample_inputs(view, partition, events, items)
            if force or not _is_current(view, SAMPLES, partition, inputs):
                todo[partition] = inputs
        with ExitStack() as files:
            contents = _draw(view, states, todo, files)
            tenants = _tenants_by_day(todo)
            for day in chunk:
                yield DayContent(day, {t: contents[day, t] for t in tenants.get(day, ())})


def _draw(
    view: View, states: States, todo: Mapping[Partition, str], files: ExitStack
) -> dict[Partition, Content]:
    """Draw partitions into local files, which go with `files` where they are not published.

    A day's rows are never all in memory: parts of its users are drawn, written and forgotten.
    """
    columns = sample_columns(view)
    schema = sample_schema(columns)
    days: dict[str, list[date]] = {}
    for day, tenant in todo:
        days.setdefault(tenant, []).append(day)
    found: dict[Partition, Content] = {}
    for tenant, wanted in days.items():
        catalogue = [p for p in view.effective("items", max(wanted)) if p[1] == tenant]
        versions = view.valid("items", catalogue).collect()
        view.confirm(VALIDATED["items"], view.published("items", catalogue))
        config = sampling_config(view, tenant)
        for events, held in states.passes(tenant, wanted):
            if not held:
                continue
            drawn = training_samples(
                events, tenant, versions, held, config, columns, view.settings.event_weights
            )
            for day, parts in groupby(drawn, lambda part: part.day):
                counts = Counter(_NO_SAMPLES)
                rows = spool(view, SAMPLES, (day, tenant), _counted(parts, counts), schema)
                files.callback(rows.path.unlink, missing_ok=True)
                found[day, tenant] = Content(rows, todo[day, tenant], dict(counts))
            del events, drawn  # as above
    nothing = pl.DataFrame(schema=schema)
    return {
        p: found.get(p) or Content(nothing, inputs, dict(_NO_SAMPLES)) for p, inputs in todo.items()
    }


_NO_SAMPLES = {"positives": 0, "negatives": 0, "shortfall": 0}


def _counted(parts: Iterable[Samples], counts: Counter[str]) -> Iterator[pl.DataFrame]:
    """Yield the rows of a day's parts, and add up what they are."""
    for part in parts:
        positives = int(part.rows.get_column("label").sum())
        counts["positives"] += positives
        counts["negatives"] += part.rows.height - positives
        counts["shortfall"] += part.shortfall
        yield part.rows


def sample_schema(columns: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the columns of training samples with some feature columns, and their dtypes."""
    schema = frame_schema(TrainingSample)
    return {name: schema[name] for name in (*SAMPLE_KEYS, *columns)}
