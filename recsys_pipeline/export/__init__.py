"""Releases for training: open one, go through its rows in batches, draw negatives for them."""

from recsys_pipeline.export.batches import Batches, iter_batches
from recsys_pipeline.export.online import OnlineNegativeSampler
from recsys_pipeline.export.open import OpenRelease, open_release

__all__ = ["Batches", "OnlineNegativeSampler", "OpenRelease", "iter_batches", "open_release"]
