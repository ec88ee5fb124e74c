"""What changed from one release to another, told by their manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys_pipeline.storage.manifest import Content, Manifest

Change = tuple[Any, Any]


def release_diff(old: Manifest, new: Manifest) -> dict[str, dict[str, Change]]:
    """Compare two releases.

    Returns:
        By section (`window`, `rows`, `columns`, `vocabularies`, `settings`, `inputs`, `code`), what
        differs: the old and the new value by name, None where one has no such thing. Sections in
        which nothing differs are left out.
    """
    before, after = _sections(old.content), _sections(new.content)
    found = {name: _changes(before[name], after[name]) for name in before}
    return {name: changes for name, changes in found.items() if changes}


def _sections(content: Content) -> dict[str, dict[str, Any]]:
    folds = {fold.name: fold for fold in content.folds}
    return {
        "window": {
            "tenant": content.tenant,
            "first_day": str(content.first_day),
            "last_day": str(content.last_day),
            "parent": content.parent,
            **{f"split.{name}": value for name, value in content.split.model_dump().items()},
            **_by_fold({n: {s: _span(d) for s, d in f.days.items()} for n, f in folds.items()}),
        },
        "rows": _by_fold(
            {
                name: {
                    f"{split} {label}": count
                    for split, counts in fold.rows.items()
                    for label, count in counts.items()
                }
                for name, fold in folds.items()
            }
        ),
        "columns": {column.name: column.dtype for column in content.columns},
        "vocabularies": _by_fold({name: fold.vocabularies for name, fold in folds.items()}),
        "settings": {
            **content.settings,
            "shuffle_seed": content.seed,
            "shard_rows": content.shard_rows,
            "sequence_length": content.sequence_length,
            "experiment": content.experiment,
            "variants": content.variants,
        },
        "inputs": {str(day): found.content for day, found in content.inputs.items()},
        "code": {
            "package": content.package_version,
            **{f"code {name}": value for name, value in content.code_versions.items()},
            **content.libraries,
        },
    }


def _span(days: tuple[Any, Any]) -> str:
    return f"{days[0]} to {days[1]}"


def _by_fold(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"{fold}/{name}" if fold else name: value
        for fold, found in values.items()
        for name, value in found.items()
    }


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    names = sorted({*old, *new})
    return {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}
