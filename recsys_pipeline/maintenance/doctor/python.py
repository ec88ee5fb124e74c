"""The interpreter."""

from __future__ import annotations

import sys
from importlib import metadata

from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.installed import PACKAGE


def check_python(version: tuple[int, int, int] | None = None) -> Finding:
    """Compare the interpreter with the versions that the package is made for."""
    from packaging.specifiers import SpecifierSet

    found = ".".join(str(part) for part in version or sys.version_info[:3])
    wanted = metadata.metadata(PACKAGE)["Requires-Python"]
    if SpecifierSet(wanted).contains(found):
        return Finding("python", "ok", f"Python {found}")
    return Finding(
        "python",
        "wrong",
        f"Python {found} is not {wanted}",
        "Run `make setup PYTHON=/path/to/python3.11`",
    )
