"""The tenants' file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.errors import RecsysError
from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.tenants import overrides

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings


def check_tenants(settings: Settings) -> Finding:
    """Read `tenants.toml` as the pipeline does."""
    try:
        names = sorted(overrides(settings))
    except (RecsysError, OSError) as error:
        return Finding("tenants", "wrong", str(error).rstrip("."), "See tenants.example.toml")
    others = "any other name is accepted too" if settings.auto_tenants else "no other is accepted"
    if names:
        return Finding("tenants", "ok", f"{', '.join(names)} configured; {others}")
    if settings.auto_tenants:
        return Finding("tenants", "ok", "none configured; any name is accepted")
    return Finding(
        "tenants",
        "wrong",
        f"{settings.tenants_file} names no tenant and RECSYS_AUTO_TENANTS is off",
        "Copy tenants.example.toml there, or set RECSYS_AUTO_TENANTS=true",
    )
