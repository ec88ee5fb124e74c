"""Train on a release, and tell recall@20 of its test split: `python -m examples.matrix_factorisation RELEASE`.

The release is a folder or an id, as `recsys release` prints them.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

from examples.matrix_factorisation.evaluate import Popularity, hits, recall
from examples.matrix_factorisation.model import Training, train
from recsys_pipeline.export import open_release

K = 20


def main(words: list[str] | None = None) -> None:
    """Train with and without the logQ correction, and compare with popularity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release")
    parser.add_argument("--epochs", type=int, default=Training.epochs)
    parser.add_argument("--split", default="test", help="split to evaluate on")
    asked = parser.parse_args(words)
    release = open_release(asked.release)
    how = Training(epochs=asked.epochs)
    _say("model", "recall@20", "95 % interval", "seconds")
    for name, chosen in (
        ("popularity", None),
        ("matrix factorisation", replace(how, logq=False)),
        ("the same with logQ", how),
    ):
        began = time.perf_counter()
        scorer = Popularity(release) if chosen is None else train(release, chosen)
        share, low, high = recall(hits(release, scorer, asked.split, K))
        seconds = time.perf_counter() - began
        _say(name, f"{share:.3f}", f"{low:.3f} to {high:.3f}", f"{seconds:.1f}")


def _say(*cells: str) -> None:
    sys.stdout.write(
        "".join(cell.ljust(width) for cell, width in zip(cells, (24, 12, 18, 8), strict=True))
    )
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
