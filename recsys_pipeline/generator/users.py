"""Users: how active each is, what each likes, which device each holds. No array per user."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys_pipeline.generator.zipf import TOP, Zipf, zipf_with_top_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recsys_pipeline.generator.config import GeneratorConfig

DEVICES = ("mobile", "desktop", "tablet")
FAVOURITES = 3
_DEVICE_BOUNDS = (0.62, 0.92)
_FAITHFUL = 0.85
# visits a session: the most active 20 % of users browse, the others look something up
_VISITS_ACTIVE, _VISITS_CASUAL = 4.0, 1.1


@dataclass(frozen=True)
class Users:
    """The population.

    Attributes:
        count: Number of users.
        seed: Seed of tastes and devices.
        activity: Distribution of sessions over activity ranks.
    """

    count: int
    seed: int
    activity: Zipf

    @classmethod
    def of(cls, config: GeneratorConfig) -> Users:
        """Make the population of a configuration."""
        return cls(config.users, config.seed, zipf_with_top_share(config.top_share))

    def draw_sessions(
        self, visits: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw sessions until they hold the given number of visits.

        Active users have longer sessions, so sessions are drawn in proportion to activity
        divided by length: a user's share of visits is its share of the activity.

        Returns:
            The user of each session, int64 (sessions,); the session of each visit, int64
            (visits,), in order.
        """
        top = self.activity.cdf(TOP)
        active, casual = top / _VISITS_ACTIVE, (1 - top) / _VISITS_CASUAL
        cut = active / (active + casual)
        uniform = np.interp(rng.random(visits), [0.0, cut, 1.0], [0.0, top, 1.0])
        mean = np.where(uniform < top, _VISITS_ACTIVE, _VISITS_CASUAL)
        length = rng.geometric(1 / mean)
        sessions = int(np.searchsorted(np.cumsum(length), visits)) + 1
        session_of = np.repeat(np.arange(sessions), length[:sessions])[:visits]
        return self._users(self.activity.ranks(uniform[:sessions], self.count)), session_of

    def _users(self, rank: NDArray[np.int64]) -> NDArray[np.int64]:
        """Spread ranks over ids, one to one: a low id is not an active user."""
        return (rank * _coprime_step(self.count) + self.seed % self.count) % self.count

    def favourite(self, user: NDArray[np.int64], which: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return a uniform draw in [0, 1) per user and slot that never changes: its taste."""
        return _hash_uniform(user * FAVOURITES + which, self.seed, stream=1)

    def device(self, user: NDArray[np.int64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return a session's device as an index of `DEVICES`: mostly the user's own."""
        own = _hash_uniform(user, self.seed, stream=2)
        other = (uniform - _FAITHFUL) / (1 - _FAITHFUL)
        return np.searchsorted(_DEVICE_BOUNDS, np.where(uniform < _FAITHFUL, own, other), "right")


def _coprime_step(count: int) -> int:
    step = max(1, int(count * 0.6180339887498949))
    while math.gcd(step, count) != 1:
        step += 1
    return step


def _hash_uniform(key: NDArray[np.int64], seed: int, *, stream: int) -> NDArray[np.float64]:
    """Hash integers to uniform floats in [0, 1) with SplitMix64 (Steele et al. 2014)."""
    mixed = key.astype(np.uint64) + np.uint64((seed * 4 + stream) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    uniform: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform
