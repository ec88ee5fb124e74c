"""A process that loads the code location, and one that imports Dagster."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _import(module: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


def ours(_: int) -> Callable[[], object]:
    """The code location."""
    return _import("recsys_pipeline.definitions")


def dagster(_: int) -> Callable[[], object]:
    """Dagster alone."""
    return _import("dagster")
