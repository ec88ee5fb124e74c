"""Releases for training: open one, and go through its rows in batches."""

from recsys_pipeline.export.batches import Batches, iter_batches
from recsys_pipeline.export.open import OpenRelease, open_release

__all__ = ["Batches", "OpenRelease", "iter_batches", "open_release"]
