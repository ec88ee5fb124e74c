"""Changes to `tenants.toml`: one tenant's table at a time; comments and the others stay as they are."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import tomlkit
from tomlkit.exceptions import TOMLKitError

from recsys_pipeline.errors import StorageError, TenantError
from recsys_pipeline.tenants import TenantOverrides, free_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recsys_pipeline.settings import Settings


def write_overrides(settings: Settings, name: str, table: TenantOverrides) -> None:
    """Replace what `tenants.toml` says of a tenant, as a whole and all or nothing.

    Args:
        settings: Where the file is; it is made where there is none.
        name: The tenant.
        table: Its table; an absent key means the setting's value.

    Raises:
        TenantError: The name is not a tenant's, or the file is not TOML.
        StorageError: The file can't be written.
    """
    free_name(name)
    path = settings.tenants_file
    try:
        with _alone(path):
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            _replace(path, _changed(text, str(path), name, table))
    except OSError as error:
        raise StorageError(
            str(path), f"can't be written ({error.strerror})", "Let the service write it"
        ) from None


def _changed(text: str, culprit: str, name: str, table: TenantOverrides) -> str:
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise TenantError(culprit, f"is not TOML ({error})", "Mend that line") from None
    tenants = document.setdefault("tenants", tomlkit.table(is_super_table=True))
    own = tomlkit.table()
    for key, value in table.model_dump(exclude_none=True).items():
        own.add(key, list(value) if isinstance(value, tuple) else value)
    tenants[name] = own
    return tomlkit.dumps(document)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time change the file; its lock comes free when its process dies."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode if path.exists() else 0o644)  # noqa: PTH101  # as above
        os.replace(temporary, path)  # noqa: PTH105  # of a name that mkstemp gave
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108  # likewise
        raise
