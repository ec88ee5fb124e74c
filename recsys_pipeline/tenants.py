"""Tenants: their names and what `tenants.toml` says of each.

A tenant's table overrides the settings of the same name. The file is read again whenever it
changes, so a running code location follows it without a restart.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsys_pipeline.errors import TenantError
from recsys_pipeline.settings import (
    INTERACTION_TYPES,
    NegativeMix,
    Retention,
    SamplingStrategy,
    Settings,
)

if TYPE_CHECKING:
    from pathlib import Path

TENANT_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"

# holds the messages of topics that name no acceptable tenant; nobody may take the name
UNASSIGNED = "unassigned"

_TENANT = re.compile(TENANT_PATTERN)
_cache: dict[Path, tuple[int, dict[str, TenantOverrides]]] = {}


class TenantOverrides(BaseModel):
    """What one `[tenants.NAME]` table may say; an absent key means the setting's value."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mapping: str | None = None
    categories: tuple[str, ...] | None = None
    quarantine_limit: float | None = Field(None, ge=0, le=1)
    unknown_item_limit: float | None = Field(None, ge=0, le=1)
    volume_change_limit: float | None = Field(None, gt=0)
    positive_types: (
        tuple[Literal["view", "click", "like", "add_to_cart", "purchase"], ...] | None
    ) = None
    negative_ratio: int | None = Field(None, ge=0, le=1000)
    negative_strategy: SamplingStrategy | None = None
    negative_mix: NegativeMix | None = None
    popularity_alpha: float | None = Field(None, ge=0, le=2)
    retention: Retention | None = None


class TenantConfig(BaseModel):
    """A tenant's configuration with every default filled in."""

    model_config = ConfigDict(frozen=True)

    name: str
    mapping: str | None
    categories: tuple[str, ...] | None
    quarantine_limit: float
    unknown_item_limit: float
    volume_change_limit: float
    positive_types: tuple[str, ...]
    negative_ratio: int
    negative_strategy: SamplingStrategy
    negative_mix: NegativeMix | None
    popularity_alpha: float
    retention: Retention


def check_name(name: str) -> str:
    """Return the name if it is a tenant's.

    Raises:
        TenantError: The name is not of the form `[a-z][a-z0-9_-]{0,62}`.
    """
    if not _TENANT.fullmatch(name):
        raise TenantError(
            f"tenant {name!r}",
            "is not a tenant name",
            "Use a lower-case letter, then up to 62 of a-z, 0-9, _ and -",
        )
    return name


def free_name(name: str) -> str:
    """Return the name if a tenant may have it.

    Raises:
        TenantError: The name is not a tenant's, or is kept for rows that belong to nobody.
    """
    if check_name(name) == UNASSIGNED:
        raise TenantError(
            f"tenant {name!r}", "is where messages of no acceptable tenant go", "Choose another"
        )
    return name


def overrides(settings: Settings) -> dict[str, TenantOverrides]:
    """Read `tenants.toml`; an absent file means no tenant is configured.

    Raises:
        TenantError: The file is not TOML, or a table has an unknown key or a wrong value.
    """
    path = settings.tenants_file
    try:
        stamp = path.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    if path in _cache and _cache[path][0] == stamp:
        return _cache[path][1]
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TenantError(str(path), f"is not TOML ({error})", "Mend that line") from None
    unknown = set(document) - {"tenants"}
    if unknown:
        raise TenantError(
            str(path), f"has an unknown table {min(unknown)!r}", "Use [tenants.NAME] tables"
        )
    tables: dict[str, TenantOverrides] = {}
    for name, table in document.get("tenants", {}).items():
        try:
            tables[free_name(name)] = TenantOverrides.model_validate(table)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise TenantError(
                f"{path} [tenants.{name}] {key}",
                f"{first.get('input')!r}: {first['msg']}",
                "See tenants.example.toml",
            ) from None
    _cache[path] = (stamp, tables)
    return tables


def tenant_config(settings: Settings, name: str) -> TenantConfig:
    """Merge a tenant's table over the settings.

    Raises:
        TenantError: The name has a wrong form, or is unknown while `auto_tenants` is off; its
            strategy is `mixed` without a mix; or it draws from `viewed` where views are positives.
    """
    check_name(name)
    tables = overrides(settings)
    if name not in tables and name != UNASSIGNED and not settings.auto_tenants:
        raise TenantError(
            f"tenant {name!r}",
            f"is not in {settings.tenants_file}",
            f"Add [tenants.{name}] there, or set RECSYS_AUTO_TENANTS=true",
        )
    table = tables.get(name, TenantOverrides())
    merged = {
        key: value if (value := getattr(table, key)) is not None else getattr(settings, key, None)
        for key in TenantOverrides.model_fields
    }
    if merged["negative_strategy"] == "mixed" and merged["negative_mix"] is None:
        raise TenantError(
            f"tenant {name!r}",
            "has the negative_strategy 'mixed' and no negative_mix",
            f"Set RECSYS_NEGATIVE_MIX, or negative_mix under [tenants.{name}] in "
            f"{settings.tenants_file}",
        )
    config = TenantConfig(name=name, **merged)
    mixed = config.negative_strategy == "mixed"
    sources = (config.negative_mix or {}) if mixed else {config.negative_strategy}
    if "viewed" in sources and "view" in config.positive_types:
        raise TenantError(
            f"tenant {name!r}",
            "draws negatives from 'viewed' and has 'view' among its positive_types",
            "Take 'view' out of positive_types, or 'viewed' out of negative_strategy and negative_mix",
        )
    return config


__all__ = [
    "INTERACTION_TYPES",
    "TENANT_PATTERN",
    "UNASSIGNED",
    "TenantConfig",
    "TenantOverrides",
    "check_name",
    "free_name",
    "overrides",
    "tenant_config",
]
