"""The state after a pass, from the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from recsys_pipeline.transforms.state import BUCKET_BYTES, State, Users
from recsys_pipeline.transforms.threads import two_at_a_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.transforms.arrays import Ints, Lists
    from recsys_pipeline.transforms.entities import Entities
    from recsys_pipeline.transforms.event_pass import EventPass, Members


class Merge:
    """The state after a pass's last day; users are merged bucket by bucket.

    Args:
        events: The pass.

    Attributes:
        items: The items afterwards.
    """

    def __init__(self, events: EventPass) -> None:
        self._pass = events
        self._last_of_users, last_of_items = events.last_totals()
        items = events.items
        self.items: Entities
        self.items, self._item_codes = events.state.items.with_later(
            items.strings, items.hashes, events.known_items, last_of_items
        )
        # as `recent_items` has them: the state's codes stay, those of the pass become its
        present = np.arange(events.state.items.count)
        self._recent_codes = np.concatenate([self._item_codes, present]).astype(np.uint32)

    def buckets(self, limit: int = BUCKET_BYTES) -> Iterator[Users]:
        """Yield the buckets of users afterwards, in the order of hashes.

        Args:
            limit: Bytes of a bucket; one that has outgrown it is divided.
        """
        state = self._pass.state
        changed = {members.bucket: members for members in self._pass.members}

        def merged(number: int) -> Users:
            bucket = state.buckets[number]
            return self._merged(bucket, changed[number]) if number in changed else bucket

        for number, bucket in enumerate(two_at_a_time(merged, range(len(state.lows)))):
            yield from bucket.divided(state.end(number), limit)

    def state(self, limit: int = BUCKET_BYTES) -> State:
        """Return all of it, in memory."""
        return State.of(self.items, tuple(self.buckets(limit)))

    def _merged(self, bucket: Users, members: Members) -> Users:
        from recsys_pipeline.kernels.groups import replace_lists
        from recsys_pipeline.kernels.pairs import items_met

        one, users = self._pass, members.users
        entities, codes = bucket.entities.with_later(
            one.users.strings.take(pa.array(users)),
            one.users.hashes[users],
            members.known,
            self._last_of_users[users],
        )
        recent = self._recent(users)
        met = items_met(
            users,
            *one.by_user,
            one.items.codes,
            one.first_meetings,
            one.first_engagements,
            self._item_codes,
            members.known,
            bucket.met_offsets,
            bucket.met,
        )
        size = entities.count
        return Users(
            bucket.low,
            entities,
            *replace_lists(bucket.recent_offsets, bucket.recent, codes, *recent, size),
            *replace_lists(bucket.met_offsets, bucket.met, codes, *met, size),
        )

    def _recent(self, users: Ints) -> Lists:
        """Return the latest items of users of the pass, under the codes of `items`."""
        one = self._pass
        offsets, codes = one.recent_items(users, one.by_user[0][users + 1])
        return offsets, self._recent_codes[codes]
