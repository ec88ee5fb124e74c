"""`recsys keys`: API keys of the upload service."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys_pipeline.cli.console import err, out, print_json, table
from recsys_pipeline.errors import SettingsError

app = typer.Typer(help="API keys of the upload service.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command("create")
def create(
    tenant: Annotated[str, typer.Option(help="Whose rows the key reaches.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="upload, read or admin; may be given more than once. Default: upload, read."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What to call it.")] = "",
    json: Json = False,
) -> None:
    """Make a key and print it; it can't be shown again.

    Example: `recsys keys create --tenant acme --name checkout`
    """
    from recsys_pipeline.metadata.database import open_database
    from recsys_pipeline.metadata.keys import create_key
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.tenants import free_name, tenant_config

    settings = get_settings()
    known = tenant_config(settings, free_name(tenant)).name
    key, secret = create_key(
        open_database(settings.metadata_url), known, scope or ["upload", "read"], name
    )
    if json:
        print_json({"id": key.id, "tenant": key.tenant, "scopes": key.scopes, "key": secret})
        return
    out.print(secret, soft_wrap=True)
    err.print(
        f"key {key.id} of tenant {key.tenant}: {', '.join(key.scopes)}; keep it, it is not stored"
    )


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    json: Json = False,
) -> None:
    """List keys, revoked ones included; secrets are not stored.

    Example: `recsys keys list --tenant acme`
    """
    from recsys_pipeline.metadata.database import open_database
    from recsys_pipeline.metadata.keys import list_keys
    from recsys_pipeline.settings import get_settings

    found = list_keys(open_database(get_settings().metadata_url), tenant)
    if json:
        print_json([vars(key) for key in found])
        return
    rows = [
        (
            key.id,
            key.tenant,
            key.name,
            " ".join(key.scopes),
            f"{key.created_at:%Y-%m-%d %H:%M}",
            f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "",
        )
        for key in found
    ]
    out.print(table("API keys", ("id", "tenant", "name", "scopes", "created", "revoked"), rows))


@app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id.")]) -> None:
    """Revoke a key: from now on it is refused.

    Example: `recsys keys revoke 44a2f5fb44e9f91a`
    """
    from recsys_pipeline.metadata.database import open_database
    from recsys_pipeline.metadata.keys import revoke_key
    from recsys_pipeline.settings import get_settings

    if not revoke_key(open_database(get_settings().metadata_url), key_id):
        raise SettingsError(
            f"key {key_id}", "is no key that works", "See the ids with: recsys keys list"
        )
    out.print(f"revoked {key_id}")
