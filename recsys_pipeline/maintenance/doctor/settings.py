"""The variables that no setting reads."""

from __future__ import annotations

from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.settings import unknown_variables


def check_settings(unknown: list[str] | None = None) -> Finding:
    """Name `RECSYS_` variables that no setting reads."""
    unknown = unknown_variables() if unknown is None else unknown
    if unknown:
        return Finding(
            "settings",
            "warning",
            f"no setting is called {', '.join(unknown)}",
            "See docs/settings.md for the names",
        )
    return Finding("settings", "ok", "all values are valid")
