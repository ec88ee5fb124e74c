"""What later steps see of each validated (day, tenant), and the running hash of it."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from recsys_pipeline.storage.horizons import Seal
    from recsys_pipeline.storage.records import Partition, Record

# raise one of these when the rows that a step makes from the same inputs change
CODE_VERSIONS = {
    "raw_interactions": "1",
    "raw_items": "1",
    "validated_interactions": "1",
    "quarantined_interactions": "2",
    "validated_items": "1",
    "quarantined_items": "2",
    "user_features": "1",
    "item_features": "1",
    "training_samples": "2",
    "training_dataset": "1",
}


def digest(*parts: object) -> str:
    """Hash the text of some values; stable between processes and versions."""
    joined = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Effective:
    """What later steps see of one validated (day, tenant).

    Attributes:
        inputs: Identity of the rows seen; None when nothing is (held, never published).
        published: The rows are read from the published file, else split from the landing.
        held: The day is over its tenant's quarantine limit.
        has_rows: False when there is nothing to read.
    """

    inputs: str | None
    published: bool
    held: bool
    has_rows: bool = True


# landed, and not yet split: what it holds is not known
UNKNOWN = Effective("unknown", published=False, held=False)


def of_record(record: Record, *, held: bool) -> Effective:
    """Return what is seen where a published file is used, the earlier one when held."""
    return Effective(
        record.published_inputs, published=True, held=held, has_rows=record.file is not None
    )


@dataclass(frozen=True)
class Chains:
    """Running hashes by tenant: days in order, and the hash of all content up to each."""

    by_tenant: dict[str, tuple[list[date], list[str]]]

    @classmethod
    def over(
        cls, effective: Mapping[Partition, Effective], sealed: Mapping[str, Seal] | None = None
    ) -> Chains:
        """Chain what each tenant's days hold, in the order of days.

        Args:
            effective: What they hold.
            sealed: What the days before them held, of tenants that have such.
        """
        chains = cls({t: ([seal.day], [seal.chain]) for t, seal in (sealed or {}).items()})
        for (day, tenant), seen in sorted(effective.items(), key=lambda entry: entry[0]):
            if seen.inputs is not None:
                days, hashes = chains.by_tenant.setdefault(tenant, ([], []))
                days.append(day)
                hashes.append(digest(hashes[-1] if hashes else "", day, seen.inputs))
        return chains

    def until(self, tenant: str, day: date) -> str:
        """Return the hash of a tenant's content up to a day (inclusive)."""
        days, hashes = self.by_tenant.get(tenant, ([], []))
        index = bisect_right(days, day)
        return hashes[index - 1] if index else ""
