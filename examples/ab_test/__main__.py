"""Compare models trained on two releases: `python -m examples.ab_test control=RELEASE new=RELEASE`.

The releases are of the same days, split, seed and experiment, and differ in what negatives they hold.
Each arm is the name of a variant and a release, as an id or a folder; the first is control.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from examples.ab_test.arms import Arm, check_comparable, found
from examples.ab_test.compare import by_user, paired_difference, recall, unpaired_difference
from examples.matrix_factorisation.model import Training, train
from recsys_pipeline.export import open_release

if TYPE_CHECKING:
    from examples.ab_test.compare import Estimate

K = 20


def main(words: list[str] | None = None) -> None:
    """Train each arm, and tell recall of all users, of each arm's own, and the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arms", nargs=2, metavar="VARIANT=RELEASE", type=_arm)
    parser.add_argument("--epochs", type=int, default=Training.epochs)
    parser.add_argument("--split", default="test", help="split to evaluate on")
    asked = parser.parse_args(words)
    arms: list[Arm] = asked.arms
    held = check_comparable(arms, asked.split)
    how = Training(epochs=asked.epochs, negatives="sampled", logq=False)
    table = Table("variant", "negatives", f"recall@{K}, all users", "its own users", box=None)
    everybody, own = [], []
    users = held["user_id"].to_numpy()
    variants = held["variant"].to_numpy()
    for arm in arms:
        good = found(arm, train(arm.release, how), asked.split, K)
        _, hits, positives = by_user(users, good)
        mine = variants == arm.variant
        _, *counts = by_user(users[mine], good[mine])
        everybody.append(hits)
        own.append((counts[0], counts[1]))
        table.add_row(
            arm.variant,
            arm.sampling,
            _words(recall(hits, positives)),
            f"{_words(recall(*own[-1]))}, n = {len(counts[1])}",
        )
    console = Console(width=110, highlight=False)
    console.print(table)
    paired = paired_difference(everybody[0], everybody[1], positives)
    console.print(f"\n{arms[1].variant} less {arms[0].variant}:")
    console.print(f"  the same {len(positives)} users in both arms  {_verdict(paired)}")
    console.print(
        f"  each arm its own users{' ' * 11}{_verdict(unpaired_difference(own[0], own[1]))}"
    )


def _arm(text: str) -> Arm:
    variant, equals, release = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no VARIANT=RELEASE")
    return Arm(variant, open_release(release))


def _words(share: Estimate) -> str:
    return f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f})"


def _verdict(difference: Estimate) -> str:
    words = f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
    return f"{words}, {'no difference shown' if difference.includes_zero else 'they differ'}"


if __name__ == "__main__":
    main()
