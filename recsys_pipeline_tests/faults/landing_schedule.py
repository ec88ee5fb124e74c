"""One schedule of the landing suite: topics, a root, and seeded actions on them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import polars as pl

from recsys_pipeline.errors import OffsetError
from recsys_pipeline.ingestion.kafka_landing import land_ranges, plan
from recsys_pipeline.kafka.ranges import OffsetRange
from recsys_pipeline.storage.landing import Kind, Landing
from recsys_pipeline_tests.faults.children import Child, Outcome, UnexpectedError
from recsys_pipeline_tests.faults.comparison import (
    Fault,
    landed_days,
    landing_faults,
    publication_faults,
    split_faults,
    torn_files,
)
from recsys_pipeline_tests.faults.kill_points import MOMENT, POINTS, RARE, Kill
from recsys_pipeline_tests.faults.messages import Message, Writer, produce
from recsys_pipeline_tests.kafka.streams import land_all, stream_settings
from recsys_pipeline_tests.landed import run_days, view_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection

    from recsys_pipeline.kafka.topics import TopicState
    from recsys_pipeline_tests.kafka.broker import Broker

    Planned = tuple[TopicState, tuple[OffsetRange, ...]]

# a run that the broker has left gives up after this long
OUTAGE_SECONDS = 1.0
QUICK = {"reconnect.backoff.ms": "20", "reconnect.backoff.max.ms": "100"}


class Schedule:
    """One schedule: its topics and root, what was sent, and the actions on them.

    Args:
        broker: Where its topics are.
        folder: Where its root is.
        rng: Source of all choices.
        broken: A defect of the children.
    """

    def __init__(self, broker: Broker, folder: str, rng: random.Random, broken: str | None) -> None:
        self._broker, self._rng, self._broken = broker, rng, broken
        name = uuid.uuid4().hex[:12]
        self._topics: dict[Kind, str] = {"interactions": f"events-{name}", "items": f"items-{name}"}
        self._partitions: dict[Kind, int] = {"interactions": rng.randint(1, 3), "items": 1}
        for kind, topic in self._topics.items():
            broker.create_topic(topic, self._partitions[kind])
        self._settings = stream_settings(
            f"{folder}/root",
            broker,
            *self._topics.values(),
            kafka_options=QUICK,
            kafka_commit_messages=rng.choice([2, 4, 8, 100]),
            kafka_commit_bytes=rng.choice([500, 2**20, 2**20]),
            kafka_run_messages=rng.choice([6, 20, 1000]),
            kafka_consumer_group=rng.choice([None, "recsys"]),
            chunk_rows=rng.choice([10, 1000, 1000]),
        )
        self._hasty = self._settings.model_copy(update={"kafka_timeout_seconds": OUTAGE_SECONDS})
        days, tenants = rng.choice([1, 2, 2, 3]), rng.choice([1, 1, 2])
        self._writers = {kind: Writer(rng, kind, days, tenants) for kind in self._topics}
        self._produced: dict[Kind, dict[tuple[str, int], Message]] = {
            "interactions": {},
            "items": {},
        }
        self._plans: dict[Kind, Planned] = {}
        self.torn: list[Fault] = []
        self.done: list[str] = []
        self._produce("interactions")

    def actions(self) -> list[Callable[[], None]]:
        """Choose what is done, in order."""
        chosen = self._rng.choices(
            [self._tick, self._again, self._at_once, self._outage, self._materialise,
             self._compact, self._vacuum, self._wrong_range, self._produce],
            [26, 6, 12, 5, 18, 7, 3, 5, 10],
            k=self._rng.randint(2, 4),
        )  # fmt: skip
        return [self._tick, *chosen]

    def only(self, work: str, kill: Kill | None) -> Outcome:
        """Do what makes it certain that a child of a kind passes all its points, then run it."""
        self._produce("items")
        # commits enough for every part of upkeep
        update = {"kafka_consumer_group": "recsys", "kafka_commit_messages": 1}
        self._settings = self._settings.model_copy(update=update)
        if work == "land":
            while len(self._produced["interactions"]) < 20:
                self._produce("interactions")
            self._settings = self._settings.model_copy(update={"kafka_run_messages": 1000})
            return self._ended(self._run("land", self._plan("interactions"), kill))
        with mock.patch.object(Landing, "_after_commit"):  # it would leave little to compact
            for topic in self._topics.values():
                land_all(self._settings, topic)
            if work == "vacuum":
                Landing(self._settings.storage_root, "interactions").compact()
        return self._ended(self._run(work, None, kill))

    def finish(self) -> list[Fault]:
        """Land and materialise what is left, then compare."""
        if self.torn:
            return self.torn
        if self._rng.random() < 0.5:
            self._produce()
        for topic in self._topics.values():
            land_all(self._settings, topic)
        found = torn_files(Path(self._settings.storage_root), read=False)
        if found:
            return found  # nothing can be read of it
        found = [f for kind, sent in self._produced.items()
                 for f in landing_faults(self._settings, kind, sent)]  # fmt: skip
        try:
            run_days(self._settings, landed_days(view_of(self._settings)))
        except pl.exceptions.PolarsError:
            if found:
                return found
            raise
        found += torn_files(Path(self._settings.storage_root))
        view = view_of(self._settings)
        found += [
            f for kind, sent in self._produced.items() for f in split_faults(view, kind, sent)
        ]
        return found + publication_faults(view)

    # the actions

    def _produce(self, kind: Kind | None = None) -> None:
        kind = kind or self._rng.choice(["interactions", "interactions", "items"])
        count = self._rng.randint(4, 14)
        messages = self._writers[kind].portion(count)
        placed = [(self._rng.randrange(self._partitions[kind]), message) for message in messages]
        self._produced[kind] |= produce(self._broker, self._topics[kind], placed)
        self.done.append(f"produce {count} {kind}")

    def _tick(self) -> None:
        """A sensor's tick, and the run that it requests."""
        kind = self._kind()
        if not self._plan(kind)[1]:
            self._produce(kind)
        self._land(kind)

    def _again(self) -> None:
        """The last plan is launched again, as a retried run is."""
        kind = self._kind()
        if kind not in self._plans:
            self._land(kind)
        self._land(kind, self._plans[kind], {"OffsetError"})

    def _at_once(self) -> None:
        """Two children at the same time."""
        kind = self._kind()
        works = self._rng.choice(
            [("land", "land"), ("land", "land"), ("land", "compact"), ("land", "materialise"),
             ("materialise", "materialise"), ("compact", "compact")]
        )  # fmt: skip
        if "land" in works and not self._plan(kind)[1]:
            self._produce(kind)
        planned = self._plan(kind)
        may = {"land": {"OffsetError"}, "materialise": {"StaleInputError"}}
        upkeep = {"UpkeepError"}  # each of them does it, and one may find it done by the other
        running = [self._run(work, planned, self._choose(work)) for work in works]
        twice = works[0] == works[1]
        for child in running:
            self._ended(child, upkeep | may.get(child.work, set()) if twice else upkeep)

    def _outage(self) -> None:
        """The broker goes down while a run reads, and comes up again before or after its end."""
        kind = self._kind()
        self._produce(kind)
        planned = self._plan(kind)
        point = Kill(self._rng.choice(["consume.before", "chunk.before"]), self._rng.randint(1, 3))
        child = self._run("land", planned, point, stops=True)
        if child.stopped():
            self._broker.down()
            try:
                child.go()
                # sooner or later than the run gives up; librdkafka's commit of the copied offsets
                # would wait for a minute
                child.wait(self._rng.choice([0.0, 0.3, 2 * OUTAGE_SECONDS]))
            finally:
                self._broker.up()
        self._ended(child, {"KafkaError"})

    def _materialise(self) -> None:
        self._ended(self._run("materialise", None, self._choose("materialise")))

    def _compact(self) -> None:
        """After a landing, so that there is something to merge; at times a week goes by then."""
        self._produce("interactions")
        self._ended(self._run("land", self._plan("interactions"), None))
        self._ended(self._run("compact", None, self._choose("compact")))
        if self._rng.random() < 0.4:
            self._vacuum()

    def _vacuum(self) -> None:
        """As a week later: only alone, since every other child has begun before that week."""
        self._ended(self._run("vacuum", None, self._choose("vacuum")))

    def _wrong_range(self) -> None:
        """A range launched by hand that does not begin at the landed offset is refused."""
        settings, kind = self._settings, self._kind()
        topic = self._topics[kind]
        state, _ = self._plan(kind)
        landing = Landing(settings.storage_root, kind)
        before = landing.snapshot()
        partition = self._rng.choice(sorted(state.watermarks))
        app_id = state.app_id(partition)
        landed = before.offset(app_id)
        high = state.watermarks[partition][1]
        wrong = [OffsetRange(partition, landed or 0, high + 3, landed)]
        if landed is None:
            wrong.append(OffsetRange(partition, 1, max(high, 1), 1))
        else:
            wrong.append(OffsetRange(partition, 0, high, None))
            wrong.append(OffsetRange(partition, landed - 1, high, landed - 1))
            if landed + 1 < high:
                wrong.append(OffsetRange(partition, landed + 1, high, landed))
                wrong.append(OffsetRange(partition, landed + 1, high, landed + 1))
        chosen = self._rng.choice(wrong)
        self.done.append(f"wrong {chosen}")
        try:
            land_ranges(settings, topic, state.topic_id, [chosen])
        except OffsetError:
            after = landing.snapshot()
            if after.content() != before.content() or after.offset(app_id) != landed:
                raise UnexpectedError(f"{chosen} was refused, and has landed") from None
            return
        raise UnexpectedError(f"{chosen} was not refused; landed was {landed}")

    # what they are made of

    def _kind(self) -> Kind:
        return self._rng.choice(["interactions"] * 4 + ["items"])

    def _plan(self, kind: Kind) -> Planned:
        state, planned = plan(self._settings, self._topics[kind])
        self._plans[kind] = (state, planned.ranges)
        return self._plans[kind]

    def _land(self, kind: Kind, planned: Planned | None = None, may: Collection[str] = ()) -> None:
        child = self._run("land", planned or self._plan(kind), self._choose("land"))
        self._ended(child, may)

    def _choose(self, work: str) -> Kill | None:
        """Choose where to kill a child; some are let live, and some die at any moment."""
        chance = self._rng.random()
        if chance < 0.25:
            return None
        if chance < 0.35:
            return Kill(
                MOMENT, self._rng.randint(1, 400 if work in {"land", "materialise"} else 80)
            )
        point = self._rng.choice(POINTS[work])
        is_rare = point.startswith(RARE) or work in {"compact", "vacuum"}
        hits = [1, 1, 2] if is_rare else [1, 1, 2, 2, 3, 4, 6]
        return Kill(point, self._rng.choice(hits))

    def _run(
        self, work: str, planned: Planned | None, kill: Kill | None, *, stops: bool = False
    ) -> Child:
        if work == "land":
            state, ranges = planned
            settings = self._hasty if stops else self._settings
            args = (settings, state.name, state.topic_id, ranges)
        elif work == "materialise":
            args = (self._settings, self._rng.choice([1, 1, 2]))
        else:
            args = (self._settings, "interactions")
        return Child(work, *args, kill=kill, stops=stops, broken=self._broken)

    def _ended(self, child: Child, may: Collection[str] = ()) -> Outcome:
        root = Path(self._settings.storage_root)
        try:
            outcome = child.end(may)
        except UnexpectedError:
            self.torn = torn_files(root)
            if not self.torn:
                raise
            return Outcome(killed=False, error="torn files")
        self.done.append(f"{child} {outcome}")
        if outcome.killed:
            self.torn = self.torn or torn_files(root, read=False)
        return outcome
