"""Writes docs/settings.md and .env.example from the `Settings` class; run by `make docs`."""

from __future__ import annotations

import json
import sys
import types
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr

from recsys_pipeline.settings import Settings
from recsys_pipeline.tenants import TENANT_PATTERN, TenantOverrides

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

# Keys of tenants.toml that no setting describes.
_TENANT_ONLY = {
    "mapping": "Mapping of `recsys ingest` where `--mapping` is not given: a name or a TOML file.",
    "categories": "Allowed item categories; an item of another one is quarantined.",
}

_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}

_SETTINGS_INTRODUCTION = """\
# Settings

<!-- Written by `make docs` from recsys_pipeline/settings.py. Edit there. -->

Each setting is an environment variable. A line of the same form in `.env`, in the folder where a
command runs, does the same; the environment wins over the file. A value that has no meaning stops
every command with one line that names the variable; `recsys doctor` also names variables that no
setting reads.

After `source dev.env`, `RECSYS_STORAGE_ROOT` and `RECSYS_TENANTS_FILE` are absolute paths in the
project's folder unless `.env` sets them, and `RECSYS_START_DATE` is the first day of the data that
`make demo` made, if it has run.
"""

_TENANTS_INTRODUCTION = f"""\
## Tenants

`tenants.toml` has one table `[tenants.NAME]` a tenant; a name matches `{TENANT_PATTERN.strip("^$")}`.
A key overrides the setting of the same name for that tenant. An unknown key or a wrong value is an
error that names it. The file is read again whenever it changes. `tenants.example.toml` shows every
key.
"""

_OTHER_VARIABLES = """\
## Variables of others

| variable | read by | meaning |
|---|---|---|
| `DAGSTER_HOME` | Dagster | Absolute path of the instance's folder, where `dagster.yaml` and the run records are. `make setup` writes it into `dev.env`. |
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | Polars, deltalake, s3fs, boto3 | Credentials for an `s3://` storage root. |
| `AWS_REGION`, `AWS_DEFAULT_REGION` | the same four | Region; set both, as they differ in which one they read. |
| `AWS_ENDPOINT_URL` | the same four | Address of a store other than Amazon's, for example `http://127.0.0.1:7070`. |
| `AWS_SERVER_SIDE_ENCRYPTION`, `AWS_SSE_KMS_KEY_ID` | s3fs (through our settings), deltalake | Encryption at rest: `AES256` or `aws:kms`, with the id of a key. |
| `AWS_ALLOW_HTTP` | Polars, deltalake | `true` where that address has no TLS. |
| `DAGSTER_POSTGRES_URL` | `deploy/dagster.yaml` | Database of the containers, `postgresql+psycopg2://user:password@host:5432/name`. |
"""


def render_page() -> str:
    """Return docs/settings.md."""
    lines = [
        _SETTINGS_INTRODUCTION,
        "| variable | default | value | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{variable(name)}` | {_default_cell(field)} | {_value_cell(field)} |"
        f" {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    lines += [
        "",
        _TENANTS_INTRODUCTION,
        "| key | value | meaning |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {_value_cell(field)} | {_tenant_meaning(name)} |"
        for name, field in TenantOverrides.model_fields.items()
    ]
    return "\n".join(lines) + "\n\n" + _OTHER_VARIABLES


def render_env_example() -> str:
    """Return .env.example: every setting with its default, commented out."""
    lines = [
        "# Copy to .env and take the `# ` off a line to change its value. Written by `make docs`;",
        "# docs/settings.md says more.",
    ]
    for name, field in Settings.model_fields.items():
        lines += ["", f"## {field.description}"]
        if field.default is None:
            lines.append(f"## {variable(name)} is unset by default.")
        else:
            lines.append(f"# {variable(name)}={written(field.default)}")
    return "\n".join(lines) + "\n"


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return f"RECSYS_{name.upper()}"


def written(value: object) -> str:
    """Return a default as it stands behind `=` in an env file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | dict):
        return json.dumps(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _default_cell(field: FieldInfo) -> str:
    return "unset" if field.default is None else f"`{written(field.default)}`"


def _value_cell(field: FieldInfo) -> str:
    words = _type_words(field.annotation)
    bounds = [
        f"{sign} {getattr(entry, attribute)}"
        for entry in field.metadata
        for attribute, sign in _BOUNDS.items()
        if getattr(entry, attribute, None) is not None
    ]
    return " ".join([words, ", ".join(bounds)]).strip()


def _type_words(annotation: Any) -> str:  # noqa: ANN401  # any annotation of a field
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_words(part) for part in arguments if part is not type(None))
    if origin is Annotated:
        return _type_words(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        inner = arguments[0]
        words = "" if inner is str else f" of {_type_words(inner)}"
        return f"list{words}"
    if origin is dict:
        return "object"
    return {
        bool: "`true` or `false`",
        int: "whole number",
        float: "number",
        str: "text",
        date: "date",
        Path: "path",
        SecretStr: "secret text",
    }[annotation]


def _tenant_meaning(name: str) -> str:
    if name in _TENANT_ONLY:
        return _TENANT_ONLY[name]
    return str(Settings.model_fields[name].description)


def main(folder: Path) -> None:
    """Write both files below the project's folder."""
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "docs" / "settings.md").write_text(render_page(), encoding="utf-8")
    (folder / ".env.example").write_text(render_env_example(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2])
