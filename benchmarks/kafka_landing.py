"""Messages per second from a topic into the landing, against a consumer that only counts them.

Run: python -m benchmarks.kafka_landing [--messages 1000000] [--rounds 3] [--bootstrap host:port]

Without `--bootstrap` an Apache Kafka broker is started on this machine (Java 17 and Maven), which
takes its share of the cores. Each round reads the same messages three times: counted by the consumer
of the landing, counted with Python's garbage collector on as in a plain loop, and landed in a fresh
storage root.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import tempfile
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from recsys_pipeline.ingestion.kafka_landing import land_ranges, plan
from recsys_pipeline.kafka.reader import RangeReader, collector_paused
from recsys_pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Pause = Callable[[], AbstractContextManager[None]]

TOPIC = "benchmark-interactions"
SIZE = 200


def messages(count: int) -> Iterator[bytes]:
    """Yield events of five days, 200 bytes each."""
    rng = random.Random(1)
    kinds = ("view", "click", "like", "purchase")
    for n in range(count):
        event = {
            "tenant": "acme",
            "user_id": f"user-{rng.randrange(100_000):06d}",
            "item_id": f"item-{rng.randrange(20_000):05d}",
            "interaction_type": rng.choice(kinds),
            "timestamp": f"2025-01-{1 + n * 5 // count:02d}T10:{n % 60:02d}:{n % 59:02d}.{n % 1000:03d}Z",
            "event_id": f"{n:032x}",
        }
        text = json.dumps(event, separators=(",", ":"))
        pad = SIZE - len(text) - len(',"page":""')
        yield f'{text[:-1]},"page":"{"p" * pad}"}}'.encode()


def produce(bootstrap: str, count: int) -> None:
    """Fill the topic's only partition."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 200_000,
        }
    )
    for value in messages(count):
        while True:
            try:
                producer.produce(TOPIC, value)
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush()


def counted(settings: Settings, count: int, pause: Pause = collector_paused) -> float:
    """Read all messages and do nothing with them; return the seconds."""
    began = time.perf_counter()
    with RangeReader(settings, TOPIC) as reader:
        consumer = reader._consumer  # noqa: SLF001  # the very consumer of the landing
        assert consumer is not None  # noqa: S101
        from confluent_kafka import TopicPartition

        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        seen = 0
        while seen < count:
            with pause():
                seen += sum(m.error() is None for m in consumer.consume(10_000, 0.2))
    return time.perf_counter() - began


def landed(settings: Settings, count: int) -> float:
    """Land all messages; return the seconds."""
    began = time.perf_counter()
    state, planned = plan(settings, TOPIC)
    (done,) = land_ranges(settings, TOPIC, state.topic_id, planned.ranges)
    assert done.rows == count  # noqa: S101
    return time.perf_counter() - began


def main() -> None:
    """Print messages and megabytes per second of both, round by round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bootstrap")
    options = parser.parse_args()
    count = options.messages
    if options.bootstrap:
        broker = nullcontext()
    else:
        from recsys_pipeline_tests.kafka.real_broker import RealBroker

        broker = RealBroker()
    with broker as started:
        bootstrap = options.bootstrap or started.bootstrap
        if started is not None:
            started.create_topic(TOPIC, 1)
        produce(bootstrap, count)
        rates: dict[str, list[float]] = {"counted": [], "counted, collector on": [], "landed": []}
        for number in range(1, options.rounds + 1):
            with tempfile.TemporaryDirectory() as root:
                settings = Settings(
                    _env_file=None,
                    storage_root=root,
                    kafka_bootstrap_servers=bootstrap,
                    kafka_interactions_topic=TOPIC,
                    kafka_run_messages=count,
                )
                rates["counted"].append(count / counted(settings, count))
                rates["counted, collector on"].append(count / counted(settings, count, nullcontext))
                rates["landed"].append(count / landed(settings, count))
            ours = rates["landed"][-1]
            told = (
                f"{name} {found[-1]:,.0f}/s ({ours / found[-1]:.2f})"
                for name, found in rates.items()
            )
            print(f"round {number}: {', '.join(told)}")
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"{name}: median {rate:,.0f} messages/s, {rate * SIZE / 1e6:.0f} MB/s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of this process: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
