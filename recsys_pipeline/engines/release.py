"""The training dataset of a tenant's window: immutable, named by the hash of its content."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import polars as pl

from recsys_pipeline.engines.effective import CODE_VERSIONS, digest
from recsys_pipeline.engines.notices import send_notices
from recsys_pipeline.engines.release_fold import Files, FoldMaker
from recsys_pipeline.engines.release_inputs import release_inputs
from recsys_pipeline.engines.release_notices import ReleaseOutbox
from recsys_pipeline.engines.release_spec import LEAKAGE_WARNING
from recsys_pipeline.engines.steps import SAMPLES, sample_columns, sampling_config
from recsys_pipeline.engines.view import VALIDATED
from recsys_pipeline.engines.webhooks import check_webhook, send_webhooks
from recsys_pipeline.engines.workspace import LEFTOVER_AGE, Workspace
from recsys_pipeline.errors import RecsysError, ReleaseError
from recsys_pipeline.schemas.releases import VOCABULARIES, never_null, released_schema
from recsys_pipeline.storage.file_hash import hash_file
from recsys_pipeline.storage.layout import release_file
from recsys_pipeline.storage.manifest import Column, Content, InputDay, Making, Manifest
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline.transforms.catalogue import catalogue_as_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys_pipeline.engines.release_inputs import ReleaseInputs
    from recsys_pipeline.engines.release_spec import ReleaseSpec
    from recsys_pipeline.engines.view import View
    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.manifest import CheckResult, FoldRows
    from recsys_pipeline.storage.objects import ObjectStore

RELEASE = "training_dataset"
# what bytes depend on, besides our code
LIBRARIES = ("polars", "pyarrow", "numpy")


@dataclass(frozen=True)
class Released:
    """A release that was asked for.

    Attributes:
        manifest: Its manifest.
        is_new: False when it was there before.
        uri: The address of its folder.
        untold: Why somebody who is to be told of it could not be; `notices_sensor` tries again.
    """

    manifest: Manifest
    is_new: bool
    uri: str
    untold: tuple[str, ...] = ()


def make_release(view: View, spec: ReleaseSpec) -> Released:
    """Make a release, or find the one that would come out the same.

    Args:
        view: What is published, seen for the release's tenant alone.
        spec: What the release is to be.

    Raises:
        SettingsError: The options contradict one another, or the window; or the webhook's do.
        ReleaseError: A day is stale, missing or held; the release to extend is not there.
        StaleInputError: Another run has published a day while it was read.
        ContractError: A check has failed; nothing was published.
    """
    spec.check()
    check_webhook(view.settings)
    # where nothing but releases is made, nobody else removes what killed ones have left
    view.store.objects.sweep(LEFTOVER_AGE)
    releases = Releases(view.store.objects)
    parent = releases.get(spec.extend, spec.tenant) if spec.extend else None
    inputs = release_inputs(view, spec)
    settings = _settings(view, spec)
    recipe = _recipe(view, spec, inputs, settings, parent)
    found = releases.find(spec.tenant, recipe)
    if found is not None:
        return _released(releases, found, is_new=False)
    with Workspace(view.store.objects) as workspace:
        files = Files(workspace)
        folds, checks = _make_folds(view, spec, inputs, _vocabularies(releases, parent), files)
        content = _content(view, spec, inputs, settings, parent, folds, checks, files)
        made = Making(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            recipe=recipe,
            landing={"interactions": view.pin.interactions, "items": view.pin.items},
        )
        manifest = Manifest(release=content.id, content=content, made=made)
        outbox = ReleaseOutbox(view.settings, releases.objects)
        outbox.owe(spec.tenant, manifest.release)
        manifest, is_new = releases.publish(manifest, files.local)
        if not is_new:
            outbox.drop(spec.tenant, manifest.release)
    untold = _tell(view.settings, releases.objects)
    return replace(_released(releases, manifest, is_new=is_new), untold=untold)


def _tell(settings: Settings, objects: ObjectStore) -> tuple[str, ...]:
    """Send notices and call the webhook; return what went wrong."""
    untold = []
    for send in (send_notices, send_webhooks):
        try:
            send(settings, objects)
        except RecsysError as error:
            untold.append(str(error))
    return tuple(untold)


def _released(releases: Releases, manifest: Manifest, *, is_new: bool) -> Released:
    folder = release_file(manifest.content.tenant, manifest.release, "")
    return Released(manifest, is_new, releases.objects.uri(folder).rstrip("/"))


def _settings(view: View, spec: ReleaseSpec) -> dict[str, Any]:
    """Return the settings that shape rows."""
    sampling = asdict(sampling_config(view, spec.tenant))
    mix = dict(sampling.pop("mix"))
    return {
        # as JSON would give it back
        **{f"sampling_{k}": list(v) if isinstance(v, tuple) else v for k, v in sampling.items()},
        **({"sampling_mix": mix} if mix else {}),
        "event_weights": dict(sorted(view.settings.event_weights.items())),
        "sample_features": list(sample_columns(view)),
    }


def _libraries() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _deleted(view: View, spec: ReleaseSpec) -> tuple[str, ...]:
    """Warn where the window begins before the samples that retention has kept."""
    first = view.horizons.of(spec.tenant).kept_from.get(SAMPLES)
    if first is None or spec.first >= first:
        return ()
    return (f"days before {first} are left out: retention has deleted their samples",)


def _short_sequences(view: View, spec: ReleaseSpec) -> tuple[str, ...]:
    """Warn where sequences can't go back to events that retention has sealed."""
    seal = view.seal(spec.tenant)
    if not spec.sequence_length or seal is None:
        return ()
    return (f"sequences have no events up to {seal.day}: retention has sealed them",)


def _history(view: View, spec: ReleaseSpec) -> str | None:
    """Return the hash of all events that sequences are made of, None without them."""
    if not spec.sequence_length:
        return None
    chain = view.chains("interactions", spec.last).until(spec.tenant, spec.last)
    return digest(chain)


def _recipe(
    view: View,
    spec: ReleaseSpec,
    inputs: ReleaseInputs,
    settings: Mapping[str, Any],
    parent: Manifest | None,
) -> str:
    """Hash all that the release depends on, as far as it is known before it is made."""
    return digest(
        spec.tenant,
        spec.first,
        spec.last,
        spec.options(),
        view.settings.seed if spec.seed is None else spec.seed,
        spec.shard_rows,
        spec.sequence_length,
        _history(view, spec),
        spec.experiment,
        spec.variants,
        parent.release if parent else None,
        sorted((day, record.content) for day, record in inputs.records.items()),
        sorted(inputs.left_out.items()),
        view.chains("items", spec.last).until(spec.tenant, spec.last),
        sorted(settings.items()),
        sorted(CODE_VERSIONS.items()),
        sorted(_libraries().items()),
        version("recsys_pipeline"),
    )


def _vocabularies(releases: Releases, parent: Manifest | None) -> dict[str, pl.DataFrame]:
    """Read the vocabularies of the release to extend.

    Raises:
        ReleaseError: One is not there, or not what the manifest says.
    """
    if parent is None:
        return {}
    hashes = {file.path: file.blake2b for file in parent.content.files}
    found = {}
    for name in VOCABULARIES:
        path = f"vocabularies/{name}.parquet"
        whole = release_file(parent.content.tenant, parent.release, path)
        handle = releases.objects.open(whole) if path in hashes else None
        if handle is None:
            raise ReleaseError(
                whole, "is not there, so it can't be extended", "Extend a release by time"
            )
        with handle:
            if hash_file(handle) != hashes[path]:
                raise ReleaseError(
                    whole,
                    "is not what its manifest says",
                    f"See `recsys release verify {parent.release}`",
                )
            handle.seek(0)
            found[name] = pl.read_parquet(handle)
    return found


def _make_folds(
    view: View,
    spec: ReleaseSpec,
    inputs: ReleaseInputs,
    parent: Mapping[str, pl.DataFrame],
    files: Files,
) -> tuple[list[FoldRows], list[CheckResult]]:
    tenant = spec.tenant
    listed = [p for p in view.effective("items", spec.last) if p[1] == tenant]
    versions = view.valid("items", listed).collect()
    folds, checks = [], []
    for fold in spec.make_folds():
        maker = FoldMaker(view, spec, fold, inputs, parent, files)
        made, passed = maker.make(catalogue_as_of(versions.lazy(), fold.last).collect())
        folds.append(made)
        checks += passed
    view.confirm(VALIDATED["items"], view.published("items", listed))
    view.confirm(SAMPLES, [(day, tenant) for day in inputs.records])
    return folds, checks


def _content(
    view: View,
    spec: ReleaseSpec,
    inputs: ReleaseInputs,
    settings: dict[str, Any],
    parent: Manifest | None,
    folds: list[FoldRows],
    checks: list[CheckResult],
    files: Files,
) -> Content:
    warnings = [*inputs.warnings(), *_deleted(view, spec), *_short_sequences(view, spec)]
    if spec.split == "leave-last-out":
        warnings.append(LEAKAGE_WARNING)
    for fold in folds:
        where = f"{fold.name}: " if fold.name else ""
        warnings += [
            f"{where}{split} has no rows"
            for split, rows in fold.rows.items()
            if not sum(rows.values())
        ]
    return Content(
        tenant=spec.tenant,
        first_day=spec.first,
        last_day=spec.last,
        split=spec.options(),
        seed=view.settings.seed if spec.seed is None else spec.seed,
        shard_rows=spec.shard_rows,
        parent=parent.release if parent else None,
        sequence_length=spec.sequence_length,
        history=_history(view, spec),
        experiment=spec.experiment,
        variants=dict(spec.variants),
        folds=tuple(folds),
        columns=tuple(
            Column(name=name, dtype=str(dtype), nullable=not never_null(name))
            for name, dtype in released_schema(
                sample_columns(view),
                has_variants=spec.experiment is not None,
                has_sequences=spec.sequence_length > 0,
            ).items()
        ),
        files=tuple(sorted(files.released, key=lambda file: file.path)),
        inputs={
            day: InputDay(content=record.content, rows=record.rows)
            for day, record in inputs.records.items()
        },
        settings=settings,
        checks=tuple(checks),
        warnings=tuple(warnings),
        code_versions=dict(CODE_VERSIONS),
        package_version=version("recsys_pipeline"),
        libraries=_libraries(),
    )
