"""`recsys release`: immutable training datasets, and what is known of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.markup import escape

from recsys_pipeline.cli.console import err, out, print_json, table
from recsys_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from recsys_pipeline.engines.release import Released
    from recsys_pipeline.storage.manifest import Manifest
    from recsys_pipeline.storage.releases import Releases
    from recsys_pipeline.transforms.splits import SplitKind

app = typer.Typer(invoke_without_command=True, no_args_is_help=True)

ReleaseId = Annotated[
    str, typer.Argument(metavar="ID", help="Release id, as `list` shows it, or its first digits.")
]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
MIB = 2**20


@app.callback()
def make(  # noqa: PLR0917  # options, none of them by position
    context: typer.Context,
    tenant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Tenant of the release.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First day (UTC).")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day, inclusive.")
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="`time`: the last days are held out; `leave-last-out`: each user's last positives; "
            "`rolling`: several pairs of train and validation, forward in time.",
        ),
    ] = "time",
    validation_days: Annotated[
        int, typer.Option(metavar="N", help="Days of validation; of each fold when rolling.")
    ] = 7,
    test_days: Annotated[int, typer.Option(metavar="N", help="Days of test, of `time` alone.")] = 7,
    folds: Annotated[int, typer.Option(metavar="N", help="Pairs of `rolling`.")] = 3,
    train_days: Annotated[
        int | None,
        typer.Option(metavar="N", help="Days that a pair of `rolling` trains on; default: all."),
    ] = None,
    extend: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Keep this release's vocabularies and append to them."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of the shuffle; default: RECSYS_SEED.")
    ] = None,
    evaluation_negatives: Annotated[
        bool,
        typer.Option("--evaluation-negatives", help="Keep negatives in validation and test."),
    ] = False,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Leave out days that are missing or held."),
    ] = False,
    shard_rows: Annotated[
        int, typer.Option(metavar="N", help="Rows of a file, about.")
    ] = 1_000_000,
    sequences: Annotated[
        int,
        typer.Option(
            metavar="N", help="Give each row the user's last N events before it; default: none."
        ),
    ] = 0,
    experiment: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Give each row the user's variant in this experiment."),
    ] = None,
    variants: Annotated[
        str, typer.Option(metavar="A=0.5,B=0.5", help="The experiment's variants and their shares.")
    ] = "",
    json: Json = False,
) -> None:
    """Make a release of a tenant's days: train, validation and test files, vocabularies, manifest.

    The same inputs, settings and seed give the same release, byte for byte; one that is there is
    found, never replaced. With DAGSTER_HOME set, Dagster's UI shows it.

    Examples: `recsys release --tenant acme --from 2025-01-01 --to 2025-03-31`,
    `recsys release --tenant acme --from 2025-01-01 --to 2025-03-31 --split rolling --folds 4`
    """
    if context.invoked_subcommand is not None:
        return
    from recsys_pipeline.engines.release import make_release
    from recsys_pipeline.engines.release_spec import ReleaseSpec
    from recsys_pipeline.resources.pipeline import open_view
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.tenants import tenant_config

    if tenant is None:
        raise SettingsError("--tenant", "is not given", "A release is of one tenant: name it")
    spec = ReleaseSpec(
        tenant=tenant_config(get_settings(), tenant).name,
        first=_day(first, "--from"),
        last=_over(_day(last, "--to")),
        split=cast("SplitKind", split),
        validation_days=validation_days,
        test_days=test_days,
        folds=folds,
        train_days=train_days,
        seed=seed,
        extend=extend,
        evaluation_negatives=evaluation_negatives,
        allow_missing=allow_missing,
        shard_rows=shard_rows,
        sequence_length=sequences,
        experiment=experiment,
        variants=_shares(variants),
    )
    spec.check()
    made = make_release(open_view(None, [spec.tenant]), spec)
    _record(made)
    if json:
        print_json({"new": made.is_new, "uri": made.uri, **made.manifest.model_dump(mode="json")})
        return
    _print_rows(made.manifest)
    for warning in made.manifest.content.warnings:
        out.print(f"[yellow]![/yellow] {escape(warning)}", soft_wrap=True)
    for words in made.untold:
        err.print(f"[yellow]note:[/yellow] not everybody was told: {escape(words)}", soft_wrap=True)
    if not made.is_new:
        out.print("It was there already: the same inputs, settings and seed give the same release.")
    out.print(f"Release {made.manifest.release}: {escape(made.uri)}", soft_wrap=True)


def _record(made: Released) -> None:
    """Let Dagster's UI show a release, where there is an instance."""
    from recsys_pipeline.settings import dagster_home

    if not dagster_home():
        return
    from recsys_pipeline.assets.recording import RecordError, record_release

    try:
        record_release(made)
    except RecordError as error:
        err.print(f"[yellow]note:[/yellow] {escape(str(error))}", soft_wrap=True)


def _day(value: str | None, name: str) -> date:
    if value is None:
        raise SettingsError(name, "is not given", "Write it as 2025-01-31")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise SettingsError(name, f"{value!r} is not a date", "Write it as 2025-01-31") from None


def _shares(text: str) -> tuple[tuple[str, float], ...]:
    found = []
    for part in filter(None, text.split(",")):
        name, _, share = part.partition("=")
        try:
            found.append((name.strip(), float(share)))
        except ValueError:
            raise SettingsError(
                "--variants", f"{part!r} is no share", "Write it as control=0.5,new=0.5"
            ) from None
    return tuple(found)


def _over(day: date) -> date:
    """Refuse a day that goes on: its samples are provisional, and a release is for good."""
    today = datetime.now(UTC).date()
    if day >= today:
        raise SettingsError("--to", f"{day} is not over (UTC)", "Choose an earlier day")
    return day


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only this tenant's.")] = None,
    json: Json = False,
) -> None:
    """List releases, latest first.

    Example: `recsys release list --tenant acme`
    """
    from recsys_pipeline.tenants import check_name

    found, damaged = _releases().judged(check_name(tenant) if tenant else None)
    for error in damaged:
        err.print(f"[red]damaged[/red] {escape(str(error))}", soft_wrap=True)
    if json:
        print_json([_summary(manifest) for manifest in found])
        return
    if not found:
        out.print("No releases. Make one with: recsys release --tenant T --from A --to B")
        return
    columns = ("release", "tenant", "from", "to", "split", "rows", "MiB", "made")
    rows = [
        (
            *(summary[name] for name in columns[:6]),
            round(summary["bytes"] / MIB, 1),
            summary["made"][:10],
        )
        for summary in map(_summary, found)
    ]
    out.print(table("", columns, rows, whole=columns))


@app.command("show")
def show(release: ReleaseId, json: Json = False) -> None:
    """Show what a release holds, and what it was made from.

    Example: `recsys release show 0123456789abcdef`
    """
    manifest = _releases().get(release)
    if json:
        print_json(manifest.model_dump(mode="json"))
        return
    content = manifest.content
    facts = [
        ("Release", manifest.release),
        ("Tenant", content.tenant),
        ("Days", f"{content.first_day} to {content.last_day}, {len(content.inputs)} with rows"),
        ("Split", content.split.kind),
        ("Extends", content.parent or "nothing"),
        ("Seed", str(content.seed)),
        ("Columns", str(len(content.columns))),
        ("Files", f"{len(content.files)}, {sum(f.bytes for f in content.files):,} bytes"),
        ("Made (UTC)", manifest.made.at),
        ("Folder", _folder(manifest)),
    ]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        out.print(f"[bold]{name:<{width}}[/bold]  {escape(value)}", soft_wrap=True)
    _print_rows(manifest)
    for check in content.checks:
        out.print(f"[green]passed[/green] {check.name}: {escape(check.words)}", soft_wrap=True)
    for warning in content.warnings:
        out.print(f"[yellow]![/yellow] {escape(warning)}", soft_wrap=True)


@app.command("verify")
def verify(release: ReleaseId, json: Json = False) -> None:
    """Hash every file of a release again; exit code 1 if one is bad, missing or extra.

    Example: `recsys release verify 0123456789abcdef`
    """
    releases = _releases()
    manifest = releases.get(release)
    found = releases.verify(manifest)
    if json:
        faults = [finding._asdict() for finding in found]
        print_json({"release": manifest.release, "good": not found, "faults": faults})
    else:
        for finding in found:
            out.print(
                f"[red]{finding.fault}[/red] {escape(finding.path)} {finding.words}",
                soft_wrap=True,
            )
        files = manifest.content.files
        if not found:
            size = sum(file.bytes for file in files)
            out.print(f"All {len(files)} files are as the manifest says ({size:,} bytes).")
    if found:
        raise typer.Exit(1)


@app.command("pin")
def pin(release: ReleaseId) -> None:
    """Keep a release whatever its age; retention leaves it.

    Example: `recsys release pin 0123456789abcdef`
    """
    releases = _releases()
    releases.pin(manifest := releases.get(release))
    out.print(f"Pinned {manifest.release}.")


@app.command("unpin")
def unpin(release: ReleaseId) -> None:
    """Leave a release to retention again.

    Example: `recsys release unpin 0123456789abcdef`
    """
    releases = _releases()
    releases.unpin(manifest := releases.get(release))
    out.print(f"Unpinned {manifest.release}.")


@app.command("diff")
def diff(old: ReleaseId, new: ReleaseId, json: Json = False) -> None:
    """Say what changed from one release to another: rows, columns, settings, inputs, vocabularies.

    Example: `recsys release diff 0123456789abcdef fedcba9876543210`
    """
    from recsys_pipeline.engines.release_diff import release_diff

    releases = _releases()
    before, after = releases.get(old), releases.get(new)
    found = release_diff(before, after)
    if json:
        print_json({"old": before.release, "new": after.release, "changes": found})
        return
    if not found:
        out.print("Nothing differs.")
        return
    for section, changes in found.items():
        rows = [(name, _value(a), _value(b)) for name, (a, b) in changes.items()]
        out.print(table(section, ("", before.release, after.release), rows))


def _value(value: Any) -> Any:  # noqa: ANN401  # a setting's value
    if value is None:
        return "-"
    return value if isinstance(value, int) and not isinstance(value, bool) else escape(str(value))


def _releases() -> Releases:
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.storage.objects import open_store
    from recsys_pipeline.storage.releases import Releases

    return Releases(open_store(get_settings().storage_root))


def _folder(manifest: Manifest) -> str:
    from recsys_pipeline.storage.layout import release_file

    return release_file(manifest.content.tenant, manifest.release, "").rstrip("/")


def _summary(manifest: Manifest) -> dict[str, Any]:
    content = manifest.content
    return {
        "release": manifest.release,
        "tenant": content.tenant,
        "from": str(content.first_day),
        "to": str(content.last_day),
        "split": content.split.kind,
        "rows": sum(manifest.rows().values()),
        "bytes": sum(file.bytes for file in content.files),
        "made": manifest.made.at,
    }


def _print_rows(manifest: Manifest) -> None:
    rows = [
        (
            f"{fold.name}/{split}" if fold.name else split,
            str(fold.days[split][0]),
            str(fold.days[split][1]),
            counts["positives"],
            counts["negatives"],
            fold.cold[split]["cold_user"],
            fold.cold[split]["cold_item"],
        )
        for fold in manifest.content.folds
        for split, counts in fold.rows.items()
    ]
    columns = ("split", "from", "to", "positives", "negatives", "cold users", "cold items")
    out.print(table("", columns, rows, whole=columns[:3]))
