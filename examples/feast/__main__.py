"""Compare Feast's point-in-time join with ours: `python -m examples.feast --python FEAST/bin/python`.

The entities are rows of `training_samples`, at their own times. Feast runs in its own environment.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

from examples.feast.compare import KEYS, differences, entities_of, read_samples

PROJECT = Path(__file__).parents[2]


def main(words: list[str] | None = None) -> None:
    """Give Feast the samples' keys, and compare its features with theirs; exit code 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="Python of an environment that has Feast")
    parser.add_argument("--root", type=Path, default=Path("data"), help="storage root, a folder")
    parser.add_argument("--rows", type=int, default=20_000, help="samples to compare, at most")
    asked = parser.parse_args(words)
    samples = read_samples(asked.root, asked.rows)
    found = retrieve(asked.python, asked.root, samples)
    counts = differences(samples, found)
    values = len(samples) * len(counts)
    sys.stdout.write(
        f"{len(samples):,} samples of {samples['timestamp'].dt.date().n_unique()} days, "
        f"{len(counts)} features: {sum(counts.values()):,} of {values:,} values differ\n"
    )
    for name, count in counts.items():
        if count:
            sys.stdout.write(f"  {name}: {count:,}\n")
    sys.exit(bool(sum(counts.values())))


def retrieve(python: str, root: Path, samples: pl.DataFrame) -> pl.DataFrame:
    """Return Feast's features of samples, as it wrote them.

    Args:
        python: Python of an environment with Feast.
        root: Storage root.
        samples: Rows with `KEYS`.
    """
    with tempfile.TemporaryDirectory() as folder:
        entities, found = Path(folder) / "entities.parquet", Path(folder) / "found.parquet"
        entities_of(samples).write_parquet(entities)
        words = ["-m", "examples.feast.retrieve", str(root.absolute()), str(entities), str(found)]
        subprocess.run([python, *words], check=True, cwd=PROJECT)  # noqa: S603  # the caller's own
        return (
            pl.read_parquet(found)
            .rename({"event_timestamp": "timestamp"})
            .with_columns(pl.col("timestamp").cast(samples.schema["timestamp"]))
            .unique(KEYS)
        )


if __name__ == "__main__":
    main()
