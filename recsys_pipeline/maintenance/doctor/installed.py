"""What is installed beside the package, by its metadata."""

from __future__ import annotations

from importlib import metadata

PACKAGE = "recsys_pipeline"


def installed_version(name: str) -> str | None:
    """Return the version of an installed package; None when it is absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
