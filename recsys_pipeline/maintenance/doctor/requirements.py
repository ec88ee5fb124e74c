"""The packages that this one requires."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.installed import PACKAGE, installed_version

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_requirements(requirements: Iterable[str] | None = None) -> Finding:
    """Compare the installed packages with what the package itself requires."""
    from packaging.requirements import Requirement

    faults = []
    declared = metadata.requires(PACKAGE) or () if requirements is None else requirements
    for requirement in map(Requirement, declared):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = installed_version(requirement.name)
        if version is None:
            faults.append(f"{requirement.name} is not installed")
        elif not requirement.specifier.contains(version, prereleases=True):
            faults.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if faults:
        return Finding("requirements", "wrong", "; ".join(faults), "Run `make setup`")
    return Finding("requirements", "ok", "every required package is installed")
