"""`recsys erase`: remove users for good, and see what was removed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_pipeline.cli.console import err, out, print_json, table
from recsys_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.maintenance.erasure.receipt import Layer, Receipt

app = typer.Typer(
    help="Remove users from every layer, for good.",
    invoke_without_command=True,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.callback()
def erase(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Whose users.")] = None,
    user: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="User to erase; may be repeated.")
    ] = None,
    item: Annotated[
        str | None, typer.Option(metavar="ID", help="Only the users' events with this item.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    json: Json = False,
) -> None:
    """Remove users from landing, tables, states, releases, databases and logs.

    What of theirs comes again later lands empty. The receipt has counts and hashes, no id.

    Example: `recsys erase --tenant acme --user u1`
    """
    if context.invoked_subcommand is not None:
        return
    from recsys_pipeline.maintenance.erasure.erase import erase as run
    from recsys_pipeline.settings import dagster_home, get_settings
    from recsys_pipeline.tenants import check_name

    if tenant is None or not user:
        raise SettingsError("recsys erase", "needs --tenant and --user", "Give both")
    ids = frozenset((one, item) for one in user)
    what = f"events with item {item!r} of " if item is not None else ""
    if not yes:
        who = ", ".join(repr(one) for one in sorted(user))
        typer.confirm(f"Erase {what}{who} of {tenant} for good?", abort=True)
    receipt = run(
        get_settings(),
        check_name(tenant),
        ids,
        further=partial(_dagster, tenant) if dagster_home() else None,
        watch=None if json else _told,
    )
    _end([receipt], json=json)


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only this tenant.")] = None,
    json: Json = False,
) -> None:
    """List erasures and how far each is.

    Example: `recsys erase list`
    """
    from recsys_pipeline.maintenance.erasure.receipt import receipts
    from recsys_pipeline.resources.pipeline import open_store_of_settings

    found = receipts(open_store_of_settings(), tenant)
    if json:
        print_json([{**one.model_dump(mode="json"), "state": one.state} for one in found])
    elif found:
        rows = [
            (one.receipt, one.tenant, len(one.subjects), one.requested_at, one.state)
            for one in found
        ]
        columns = ("receipt", "tenant", "users", "requested (UTC)", "state")
        out.print(table("", columns, rows, whole=("receipt", "requested (UTC)", "state")))
    else:
        out.print("Nobody was erased.")


@app.command()
def finish(
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only this tenant.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Settled ones too: after a restore from a backup.")
    ] = False,
    json: Json = False,
) -> None:
    """Look again for those erased, by hash, until nothing of theirs can come any more.

    Needed once, a day after the erasure: uploads that began before it may land until then.

    Example: `recsys erase finish`
    """
    from recsys_pipeline.maintenance.erasure.erase import finish as run
    from recsys_pipeline.settings import get_settings

    _end(run(get_settings(), tenant, again=again, watch=None if json else _told), json=json)


def _told(layer: Layer) -> None:
    note = f"  ({layer.note})" if layer.note else ""
    waiting = f", {layer.waiting:,} files wait" if layer.waiting else ""
    out.print(
        f"[bold]{layer.name:<24}[/bold]{layer.looked_at:>8,} read {layer.changed:>8,} changed "
        f"{layer.rows:>10,} rows removed{waiting}{note}",
        soft_wrap=True,
    )


def _dagster(tenant: str, ids: frozenset[tuple[str, str | None]]) -> Iterator[Layer]:
    from recsys_pipeline.resources.erased_logs import erase_logs
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.storage.landing import TABLES, Landing

    tables = (Landing(get_settings().storage_root, kind).snapshot() for kind in TABLES)
    yield from erase_logs(ids, {tenant, *(name for table in tables for _, name in table.content())})


def _end(done: list[Receipt], *, json: bool) -> None:
    if json:
        print_json([{**one.model_dump(mode="json"), "state": one.state} for one in done])
        return
    if not done:
        out.print("Every erasure is settled.")
        return
    for receipt in done:
        out.print(f"Receipt {receipt.receipt} of {receipt.tenant}: {receipt.state}.")
    for statement in done[0].statements:
        err.print(f"[yellow]note:[/yellow] {statement}", soft_wrap=True)
    unsettled = [one for one in done if one.settled_at is None]
    if unsettled:
        out.print("What was made of them is stale: recsys run")
        out.print("A day from now, or with the daily schedule: recsys erase finish")
