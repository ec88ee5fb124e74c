"""What is stored, beside what was produced: each message once, each file whole."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from recsys_pipeline.engines.pending import STORED, pending_days
from recsys_pipeline.engines.view import QUARANTINED, VALIDATED
from recsys_pipeline.storage.landing import TABLES, Landing
from recsys_pipeline.storage.layout import data_file
from recsys_pipeline_tests.landed import file_hashes, run_days, view_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from recsys_pipeline.engines.view import View
    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.landing import Kind
    from recsys_pipeline_tests.faults.messages import Message

Place = tuple[str, int]  # source and offset
FURTHER = {"interactions": "context", "items": "attributes"}


@dataclass(frozen=True)
class Fault:
    """Something that must not be.

    Attributes:
        kind: Rows that are missing, rows too many, or files that are not what they should be.
        count: How many.
        words: Which.
    """

    kind: Literal["lost", "doubled", "torn"]
    count: int
    words: str


def _fault(kind: Literal["lost", "doubled", "torn"], what: str, found: Iterable) -> list[Fault]:
    """Return a fault for what was found, none where nothing was."""
    listed = sorted(found, key=str)
    if not listed:
        return []
    shown = ", ".join(map(str, listed[:5])) + (", ..." if len(listed) > 5 else "")
    return [Fault(kind, len(listed), f"{what}: {shown}")]


def torn_files(root: Path, *, read: bool = True) -> list[Fault]:
    """Look at every Parquet file that can be seen, whether a commit or record names it or not.

    Args:
        root: The storage root.
        read: Read each one; else only see that it has its beginning and its end.
    """
    torn = []
    for folder in (*TABLES.values(), *STORED):
        for path in (root / folder).rglob("*.parquet"):
            try:
                if not _has_both_ends(path):
                    torn.append(f"{path.relative_to(root)} (ends in the middle)")
                elif read:
                    pl.read_parquet(path, glob=False, hive_partitioning=False)
            except Exception as error:  # noqa: BLE001  # whatever a torn file makes of its reader
                torn.append(f"{path.relative_to(root)} ({str(error).splitlines()[0][:80]})")
    return _fault("torn", "unreadable files", torn)


def _has_both_ends(path: Path) -> bool:
    data = path.read_bytes()
    return data[:4] == data[-4:] == b"PAR1" and int.from_bytes(data[-8:-4], "little") < len(data)


def landing_faults(
    settings: Settings, kind: Kind, produced: Mapping[Place, Message]
) -> list[Fault]:
    """Compare the landing with what was acknowledged."""
    rows = Landing(settings.storage_root, kind).snapshot().scan().collect()
    found = Counter(zip(rows["source"], rows["position"], strict=True))
    wrong = []
    for row in rows.iter_rows(named=True):
        message = produced.get((row["source"], row["position"]))
        if message and not _is_as_sent(row, kind, message):
            wrong.append((row["source"], row["position"]))
    return [
        *_fault("lost", f"{kind} not landed", produced.keys() - found.keys()),
        *_fault("lost", f"{kind} landed as something else", wrong),
        *_fault("doubled", f"{kind} landed twice", _twice(found)),
        *_fault("doubled", f"{kind} landed that nobody sent", found.keys() - produced.keys()),
    ]


def _is_as_sent(row: dict, kind: Kind, message: Message) -> bool:
    fate = message.fate
    return (
        row["tenant"] == fate.tenant
        and row["problem"] == fate.problem
        and row["parked"] == (fate.day is None)
        and row["date"] == (fate.day or row["received_at"].date())
        and (fate.number is None or _number(row[FURTHER[kind]]) == fate.number)
    )


def _number(further: str | None) -> int | None:
    found = json.loads(further).get("n") if further else None
    return None if found is None else int(found)  # further fields land as texts


def _twice(found: Counter) -> list:
    return list((found - Counter(found.keys())).elements())


def split_faults(view: View, kind: Kind, produced: Mapping[Place, Message]) -> list[Fault]:
    """Compare the validated rows and the quarantine with what was acknowledged.

    Args:
        view: A view made after the last run.
        kind: Events or items.
        produced: What was acknowledged.
    """
    valid = Counter(
        (row["tenant"], row["date"], _number(row[FURTHER[kind]]))
        for row in _published(view, VALIDATED[kind])
    )
    quarantined = {}
    places: Counter = Counter()
    for row in _published(view, QUARANTINED[kind]):
        places[row["source"], row["position"]] += 1
        quarantined[row["source"], row["position"]] = row["outcome"]
    best: dict[tuple, tuple] = {}
    copies: dict[tuple, list[Place]] = defaultdict(list)
    for place, message in produced.items():
        fate = message.fate
        if fate.key is not None:
            best[fate.key] = max(
                best.get(fate.key, (-1,)), (fate.rank, (fate.tenant, fate.day, fate.number))
            )
            copies[fate.key].append(place)
    expected = {row for _, row in best.values()}
    rejected = {place for place, message in produced.items() if message.fate.key is None}
    repeats = {place for of in copies.values() for place in of}
    of_key = {
        key: sum(place in quarantined for place in found) - len(found) + 1
        for key, found in copies.items()
    }
    outcomes = {
        place
        for place, outcome in quarantined.items()
        if outcome != ("duplicate" if place in repeats else "rejected")
    }
    return [
        *_fault("lost", f"{kind} not validated", expected - valid.keys()),
        *_fault("doubled", f"{kind} validated twice", _twice(valid)),
        *_fault("doubled", f"{kind} validated that are not valid", valid.keys() - expected),
        *_fault("lost", f"{kind} not quarantined", rejected - quarantined.keys()),
        *_fault("doubled", f"{kind} quarantined twice", _twice(places)),
        *_fault("doubled", f"{kind} quarantined that nobody sent", places.keys() - produced.keys()),
        *_fault("lost", f"{kind} repeats not quarantined", [k for k, n in of_key.items() if n < 0]),
        *_fault("doubled", f"{kind} quarantined and valid", [k for k, n in of_key.items() if n > 0]),
        *_fault("torn", f"{kind} quarantined with another outcome", outcomes),
    ]  # fmt: skip


def _published(view: View, asset: str) -> Iterable[dict]:
    partitions = [
        (day, tenant)
        for day in view.published_days(asset)
        for tenant, record in view.records(asset, day).items()
        if record.file is not None
    ]
    return view.store.scan(asset, partitions).collect().iter_rows(named=True)


def publication_faults(view: View) -> list[Fault]:
    """Compare records with files, and both with a run from scratch over the same landing."""
    settings, store = view.settings, view.store.objects
    recorded, unfit = set(), []
    for asset in STORED:
        for day in view.published_days(asset):
            for tenant, record in view.records(asset, day).items():
                path = data_file(asset, day, tenant)
                recorded |= {path} if record.file else set()
                if store.identity(path) != record.file:
                    unfit.append(path)
    files = file_hashes(settings.storage_root)
    return [
        *_fault("torn", "records that do not fit their file", unfit),
        *_fault("torn", "files without a record", files.keys() - recorded),
        *_fault("torn", "days still pending", pending_days(view)),
        *_fault("torn", "files that a fresh run makes differently", _unlike_fresh(settings, files)),
    ]


def _unlike_fresh(settings: Settings, files: dict[str, str]) -> set[str]:
    fresh = Path(settings.storage_root).parent / "fresh"
    for table in TABLES.values():
        if (Path(settings.storage_root) / table).exists():
            shutil.copytree(Path(settings.storage_root) / table, fresh / table)
    # all days at once, whatever the chunks were
    anew = settings.model_copy(update={"storage_root": str(fresh), "chunk_rows": 1_000_000})
    run_days(anew, landed_days(view_of(anew)))
    expected = file_hashes(fresh)
    shutil.rmtree(fresh)
    return {path for path, _ in files.items() ^ expected.items()}


def landed_days(view: View) -> list[date]:
    return sorted({*view.landed_days("interactions"), *view.landed_days("items")})
