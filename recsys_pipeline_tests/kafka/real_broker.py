"""Apache Kafka: one node that is broker and controller, on loopback ports, its logs in a temp folder.

Unlike a broker out of the box it creates no topics by itself, and drops no records by age: tests use
fixed dates, which the usual seven days would drop at once.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from recsys_pipeline_tests.kafka import tied
from recsys_pipeline_tests.kafka.broker import Broker
from recsys_pipeline_tests.kafka.jars import class_path, java

_START_S = 60
_STOP_S = 15
_REQUEST_S = 20
_ATTEMPTS = 3
# Below the ports that systems give to outgoing connections: one of those could otherwise hold the
# broker's port while it is down.
_PORTS = range(20_000, 32_000)
_JVM = [
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # it starts in less CPU time, and tests do not wait for throughput
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]
_PROPERTIES = """
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={folder}/logs
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
log.segment.bytes=1048576
log.initial.task.delay.ms=500
log.retention.check.interval.ms=500
log.segment.delete.delay.ms=500
log.cleaner.backoff.ms=500
log.cleaner.dedupe.buffer.size=4194304
"""


class RealBroker(Broker):
    """One Kafka node.

    Raises:
        UnavailableError: Java or the jars can't be had here.
        RuntimeError: It did not start; the message ends with its log.
    """

    is_real = True

    def __init__(self) -> None:
        self._java, self._classes = java(), class_path()
        self._folder = Path(tempfile.mkdtemp(prefix="recsys-kafka-"))
        self._child: tied.Child | None = None
        try:
            self._start_on_free_ports()
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """The processes of this broker; none while it is down."""
        return [self._child.pid, self._pid] if self._child is not None else []

    def create_topic(self, name, partitions=1, config=None):
        topic = NewTopic(name, partitions, 1, config=config or {})
        self._done(self._admin.create_topics([topic]))
        self._wait_for(name, partitions)

    def delete_topic(self, name):
        self._done(self._admin.delete_topics([name], operation_timeout=_REQUEST_S))
        self._wait_for(name, 0)

    def add_partitions(self, name, total):
        self._done(self._admin.create_partitions([NewPartitions(name, total)]))
        self._wait_for(name, total)

    def drop_before(self, name, partition, offset):
        self._done(self._admin.delete_records([TopicPartition(name, partition, offset)]))

    def down(self):
        if self._child is None:
            return
        # A broker that was killed may not come back before its old session has run out, after 9 s.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)
            os.kill(self._pid, signal.SIGTERM)
            self._child.wait(_STOP_S)
        self._kill()

    def up(self):
        if self._child is None:
            self._start()
        elif self._paused:
            os.kill(self._pid, signal.SIGCONT)
            self._paused = False
            self._wait_until_ready()

    def pause(self):
        os.kill(self._pid, signal.SIGSTOP)
        self._paused = True

    def close(self):
        self._kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """What the broker has written to its console."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / "console").read_text("utf-8", errors="replace")
        return ""

    def _start_on_free_ports(self) -> None:
        for attempt in range(_ATTEMPTS):
            port, controller = _free_ports()
            self.bootstrap = f"127.0.0.1:{port}"
            self._format(port, controller)
            try:
                self._start()
            except RuntimeError:
                taken = "Address already in use" in self.log()
                if not taken or attempt == _ATTEMPTS - 1:
                    raise
            else:
                break
        self._admin = AdminClient(self.config())

    def _format(self, port: int, controller: int) -> None:
        shutil.rmtree(self._folder / "logs", ignore_errors=True)
        properties = _PROPERTIES.format(port=port, controller=controller, folder=self._folder)
        (self._folder / "server.properties").write_text(properties, "utf-8")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        run = subprocess.run(
            [
                *(self._java, *_JVM, "-cp", self._classes, "kafka.tools.StorageTool", "format"),
                *("--standalone", "--cluster-id", cluster),
                *("--config", str(self._folder / "server.properties")),
            ],
            capture_output=True,
            text=True,
            timeout=_START_S,
            check=False,
        )
        if run.returncode != 0:
            raise RuntimeError(f"Kafka could not format its folder: {run.stdout}{run.stderr}")

    def _kill(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _start(self) -> None:
        properties = str(self._folder / "server.properties")
        command = [self._java, *_JVM, "-cp", self._classes, "kafka.Kafka", properties]
        with (self._folder / "console").open("ab") as console:
            self._child = tied.Child(tied.__name__, *command, stderr=console)
        self._pid = int(self._child.answer())
        self._paused = False
        try:
            self._wait_until_ready()
        except RuntimeError as error:
            self._kill()
            raise RuntimeError(f"{error}; its log ends with: {self.log()[-3000:]}") from None

    def _wait_until_ready(self) -> None:
        host, port = self.bootstrap.split(":")
        give_up = time.monotonic() + _START_S
        while time.monotonic() < give_up:
            if not self._child.alive():
                raise RuntimeError("Kafka ended while it started")
            # a client that finds the port closed waits longer than this loop
            with contextlib.suppress(OSError, KafkaException):
                socket.create_connection((host, int(port)), timeout=1).close()
                cluster = AdminClient(self.config()).list_topics(timeout=5)
                topics = cluster.topics.values()
                leaders = [p.leader for topic in topics for p in topic.partitions.values()]
                if cluster.brokers and -1 not in leaders:
                    self._lead(topics)
                    return
            time.sleep(0.05)
        raise RuntimeError(f"Kafka was not ready after {_START_S} s")

    def _lead(self, topics) -> None:
        """Raise unless the broker knows itself that it leads every partition, which comes last."""
        consumer = Consumer(self.config(group_id="ready"))
        try:
            for topic in topics:
                for partition in topic.partitions:
                    consumer.get_watermark_offsets(TopicPartition(topic.topic, partition), 5)
        finally:
            consumer.close()

    def _done(self, futures: dict) -> None:
        for future in futures.values():
            future.result(_REQUEST_S)

    def _wait_for(self, name: str, partitions: int) -> None:
        """Until the metadata that clients see has a topic's partitions, each with a leader."""
        give_up = time.monotonic() + _REQUEST_S
        while time.monotonic() < give_up:
            topic = self._admin.list_topics(timeout=_REQUEST_S).topics.get(name)
            seen = topic.partitions.values() if topic is not None else []
            if len(seen) == partitions and all(p.leader != -1 for p in seen):
                return
            time.sleep(0.02)
        raise RuntimeError(f"topic {name} had not {partitions} partitions after {_REQUEST_S} s")


def _free_ports() -> tuple[int, int]:
    found: list[int] = []
    while len(found) < 2:
        port = random.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found[0], found[1]
