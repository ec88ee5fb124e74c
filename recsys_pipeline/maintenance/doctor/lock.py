"""The lock file's pins."""

from __future__ import annotations

import re
from pathlib import Path

from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.installed import installed_version

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")


def check_lock(lock: Path | None = None) -> Finding:
    """Compare the installed packages with the pins of `requirements.lock`."""
    lock = lock or Path(__file__).parents[3] / "requirements.lock"
    if not lock.is_file():
        return Finding("lock", "ok", "installed without a lock file beside it")
    pins = read_pins(lock.read_text(encoding="utf-8"))
    different = [
        f"{name} {version}, locked {pin}"
        for name, pin in pins.items()
        if (version := installed_version(name)) is not None and version != pin
    ]
    absent = [name for name in pins if installed_version(name) is None]
    if different or absent:
        parts = [*different, *(f"{name} absent" for name in absent)]
        shown = "; ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")
        return Finding(
            "lock", "warning", shown, "Run `make setup` for the versions that were tested"
        )
    return Finding("lock", "ok", f"{len(pins)} packages as {lock.name} pins them")


def read_pins(text: str) -> dict[str, str]:
    """Return name and version of the pins of a lock file that hold for this interpreter."""
    from packaging.markers import Marker

    pins = {}
    for line in text.splitlines():
        match = _PIN.match(line)
        if match and (match[3] is None or Marker(match[3]).evaluate()):
            pins[match[1]] = match[2]
    return pins
