"""Every measure of the exporter: name, unit, labels and meaning.

Names and units are Prometheus': base units, seconds since 1970 for moments. No label is a day, a user
or an item: the number of series goes with tenants, tables and topics alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Family:
    """A measure.

    Attributes:
        name: Its name; that of a counter ends with `_total`.
        help: What it means.
        labels: Names of its labels.
        kind: `gauge`, or `counter`: it only grows, from 0 at the start of the exporter.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    kind: Literal["gauge", "counter"] = "gauge"


STORED_ROWS = Family("recsys_stored_rows", "Rows in place, of all days.", ("layer", "tenant"))
STORED_BYTES = Family(
    "recsys_stored_bytes",
    "Bytes in place: of a table's files, of `training_dataset` (releases) and of `state`.",
    ("layer", "tenant"),
)
PARTITIONS = Family(
    "recsys_partitions",
    "(Day, tenant) partitions by how they stand: current, stale, missing, held.",
    ("layer", "tenant", "state"),
)
OLDEST_PENDING_DAY = Family(
    "recsys_oldest_pending_day_timestamp_seconds",
    "Start of the earliest day that is stale or missing; absent where there is none.",
    ("tenant",),
)
LAST_PUBLICATION = Family(
    "recsys_last_publication_timestamp_seconds", "When something was last published.",
    ("layer", "tenant"),
)  # fmt: skip
NEWEST_DAY = Family(
    "recsys_newest_day_timestamp_seconds", "Start of the latest day with rows.", ("layer", "tenant")
)
JUDGED_ROWS = Family(
    "recsys_judged_rows",
    "Landed rows of all days by what validation made of them: valid, duplicate, rejected. Those of "
    "held days are among the valid ones.",
    ("layer", "tenant", "outcome"),
)
QUARANTINE_RATIO = Family(
    "recsys_quarantine_ratio",
    "Rejected among landed rows of the tenant's last 7 validated days, parked rows left out.",
    ("layer", "tenant"),
)
PUBLICATIONS = Family(
    "recsys_publications_total", "Partitions published since the exporter began.", ("layer",),
    "counter",
)  # fmt: skip
PUBLISHED_ROWS = Family(
    "recsys_published_rows_total", "Rows published since the exporter began.", ("layer",), "counter"
)
STEP_SECONDS = Family(
    "recsys_step_seconds_total",
    "Seconds that steps took for what was published since the exporter began.",
    ("layer",),
    "counter",
)
RELEASES = Family("recsys_releases", "Releases in place.", ("tenant",))
LAST_RELEASE = Family(
    "recsys_last_release_timestamp_seconds", "When the latest release was made.", ("tenant",)
)
ERASURES = Family(
    "recsys_erasures", "Erasures by state: unfinished, erased, settled.", ("tenant", "state")
)
OLDEST_UNSETTLED_ERASURE = Family(
    "recsys_oldest_unsettled_erasure_timestamp_seconds",
    "When the earliest erasure that is not settled was asked for; absent where there is none.",
    ("tenant",),
)
OWED_MESSAGES = Family(
    "recsys_owed_messages",
    "Messages that are owed: to topics (`notices`), to the webhook of releases (`webhook`), to the "
    "operator (`alerts`).",
    ("channel",),
)
OLDEST_OWED_MESSAGE = Family(
    "recsys_oldest_owed_message_timestamp_seconds",
    "Since when the oldest of them is owed; absent where none is.",
    ("channel",),
)
OPEN_ALERTS = Family(
    "recsys_open_alerts",
    "Troubles that have not ended: run_failed (counted where sensors run), held.",
    ("kind", "tenant"),
)
KAFKA_LAG = Family(
    "recsys_kafka_lag_messages", "Messages that have not landed.", ("topic", "partition")
)
KAFKA_LAST_LANDED = Family(
    "recsys_kafka_last_landed_timestamp_seconds", "When a message last landed.",
    ("topic", "partition"),
)  # fmt: skip
DISK_FREE = Family(
    "recsys_disk_free_bytes",
    "Bytes free where the exporter runs: `storage` (a local root), `temporary` (with a root on S3).",
    ("volume",),
)
DISK_SIZE = Family("recsys_disk_size_bytes", "Bytes of the same disk in all.", ("volume",))
EXPORTER_UP = Family(
    "recsys_exporter_up", "1 where the last look at a source succeeded, 0 where not.", ("source",)
)
EXPORTER_LAST_SUCCESS = Family(
    "recsys_exporter_last_success_timestamp_seconds",
    "When a look at a source last succeeded; what is told of it is of then.",
    ("source",),
)
EXPORTER_PASS_SECONDS = Family(
    "recsys_exporter_pass_seconds", "Seconds that the last look at a source took.", ("source",)
)

FAMILIES = (
    *(STORED_ROWS, STORED_BYTES, PARTITIONS, OLDEST_PENDING_DAY, LAST_PUBLICATION, NEWEST_DAY),
    *(JUDGED_ROWS, QUARANTINE_RATIO, PUBLICATIONS, PUBLISHED_ROWS, STEP_SECONDS),
    *(RELEASES, LAST_RELEASE, ERASURES, OLDEST_UNSETTLED_ERASURE, OWED_MESSAGES),
    *(OLDEST_OWED_MESSAGE, OPEN_ALERTS, KAFKA_LAG, KAFKA_LAST_LANDED, DISK_FREE, DISK_SIZE),
    *(EXPORTER_UP, EXPORTER_LAST_SUCCESS, EXPORTER_PASS_SECONDS),
)

# values by family, then by the values of its labels
Measures = dict[Family, dict[tuple[str, ...], float]]


def add(measures: Measures, family: Family, value: float, *labels: str) -> None:
    """Add to a value, which is 0 before."""
    of = measures.setdefault(family, {})
    of[labels] = of.get(labels, 0.0) + value


def raise_to(measures: Measures, family: Family, value: float, *labels: str) -> None:
    """Keep the greater of a value and what is there."""
    of = measures.setdefault(family, {})
    of[labels] = max(of.get(labels, value), value)


def lower_to(measures: Measures, family: Family, value: float, *labels: str) -> None:
    """Keep the smaller of a value and what is there."""
    of = measures.setdefault(family, {})
    of[labels] = min(of.get(labels, value), value)
