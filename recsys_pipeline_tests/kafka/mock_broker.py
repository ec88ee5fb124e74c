"""librdkafka's mock cluster of one broker, in a process of its own.

It starts in milliseconds and speaks the protocol on a real port, so any process may connect. Limits:
a partition keeps its newest 5 MiB or 100,000 batches; of the administration protocol it knows the
listing of topics and offsets only; a search by time finds nothing; a producer to an unknown topic
creates it with 4 partitions.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from recsys_pipeline_tests.kafka.broker import Broker
from recsys_pipeline_tests.kafka.tied import Child, die_with_parent, lines, say

_BROKER = 1
_PRODUCER = 0  # rd_kafka_type_t

_pointer, _text, _int32, _int64 = (
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_int32,
    ctypes.c_int64,
)
_FUNCTIONS = {
    "conf_new": (_pointer, []),
    "conf_set": (ctypes.c_int, [_pointer, _text, _text, _text, ctypes.c_size_t]),
    "new": (_pointer, [ctypes.c_int, _pointer, _text, ctypes.c_size_t]),
    "mock_cluster_new": (_pointer, [_pointer, ctypes.c_int]),
    "mock_cluster_bootstraps": (_text, [_pointer]),
    "mock_topic_create": (ctypes.c_int, [_pointer, _text, ctypes.c_int, ctypes.c_int]),
    "mock_topic_delete": (ctypes.c_int, [_pointer, _text]),
    "mock_partition_delete_records": (ctypes.c_int, [_pointer, _text, _int32, _int64]),
    "mock_broker_set_down": (ctypes.c_int, [_pointer, _int32]),
    "mock_broker_set_up": (ctypes.c_int, [_pointer, _int32]),
    "mock_broker_set_rtt": (ctypes.c_int, [_pointer, _int32, ctypes.c_int]),
    "mock_push_request_errors_array": (
        None,
        [_pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
    ),
    "mock_clear_request_errors": (None, [_pointer, ctypes.c_int16]),
}


def _stopped(pid: int) -> bool:
    """Whether every thread of a process has stopped; True where that can't be seen."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.is_dir():
        return True
    states = [
        (task / "stat").read_text("utf-8").rpartition(")")[2].split()[0] for task in tasks.iterdir()
    ]
    return set(states) <= {"T", "t"}


class MockBroker(Broker):
    """The mock, as seen from a test."""

    is_real = False

    def __init__(self) -> None:
        self._failing: set[int] = set()
        self._child = Child(__name__)
        self.bootstrap = self._child.answer()

    @property
    def pids(self) -> list[int]:
        """The processes of this broker."""
        return [self._child.pid]

    def create_topic(self, name, partitions=1, config=None):
        if config:
            raise NotImplementedError("the mock's topics have no configuration")
        self._ask("create", name, partitions)

    def delete_topic(self, name):
        self._ask("delete", name)

    def add_partitions(self, name, total):
        raise NotImplementedError("the mock cannot add partitions")

    def drop_before(self, name, partition, offset):
        self._ask("drop", name, partition, offset)

    def down(self):
        self._ask("down")

    def up(self):
        """Undo `down`, `pause`, `slow` and `fail`."""
        os.kill(self._child.pid, signal.SIGCONT)
        self._ask("up")
        self.slow(0)
        for api_key in self._failing:
            self._ask("pass", api_key)
        self._failing.clear()

    def pause(self):
        self._ask("pause")
        os.kill(self._child.pid, signal.SIGSTOP)
        give_up = time.monotonic() + 10
        while not _stopped(self._child.pid) and time.monotonic() < give_up:
            time.sleep(0.005)

    def fail(self, api_key: int, *errors: int) -> None:
        """Answer the next requests of a kind (Fetch is 1, ListOffsets 2, Metadata 3) with errors.

        An error is a KafkaError's code, one a request; KafkaError._TRANSPORT closes the connection.
        """
        self._failing.add(api_key)
        self._ask("fail", api_key, *errors)

    def slow(self, milliseconds: int) -> None:
        """Hold back every answer for so long; 0 ends it."""
        self._ask("slow", milliseconds)

    def close(self):
        if self._child.alive():
            os.kill(self._child.pid, signal.SIGCONT)
        self._child.close()

    def _ask(self, *command: object) -> None:
        code = int(self._child.ask(" ".join(map(str, command))))
        if code:
            raise KafkaException(KafkaError(code, f"mock: {command}"))


class _Cluster:
    """The cluster itself, inside the child."""

    def __init__(self) -> None:
        # the extension module's handle finds the librdkafka that it is linked with
        self._library = ctypes.CDLL(confluent_kafka.cimpl.__file__)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._library, f"rd_kafka_{name}")
            function.restype, function.argtypes = result, arguments
        reason = ctypes.create_string_buffer(512)
        conf = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", reason, len(reason))
        handle = self._library.rd_kafka_new(_PRODUCER, conf, reason, len(reason))
        if not handle:
            raise RuntimeError(reason.value.decode())
        self._cluster = self._library.rd_kafka_mock_cluster_new(handle, 1)
        self.bootstrap = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def obey(self, line: str) -> int:
        """Carry out a command; returns librdkafka's error code, 0 for success."""
        match line.split(" "):
            case ["create", name, partitions]:
                call = ("topic_create", name.encode(), int(partitions), 1)
            case ["delete", name]:
                call = ("topic_delete", name.encode())
            case ["drop", name, partition, offset]:
                call = ("partition_delete_records", name.encode(), int(partition), int(offset))
            case ["pause"]:
                # while it is stopped it could not notice that its parent has ended
                die_with_parent()
                return 0
            case ["down" | "up" as state]:
                die_with_parent(0)
                call = (f"broker_set_{state}", _BROKER)
            case ["slow", milliseconds]:
                call = ("broker_set_rtt", _BROKER, int(milliseconds))
            case ["fail", api_key, *errors]:
                codes = (ctypes.c_int * len(errors))(*map(int, errors))
                call = ("push_request_errors_array", int(api_key), len(codes), codes)
            case ["pass", api_key]:
                call = ("clear_request_errors", int(api_key))
            case _:
                raise ValueError(f"{line!r} is no command")
        return self._call(*call) or 0

    def _call(self, function: str, *args: object) -> int | None:
        return getattr(self._library, f"rd_kafka_mock_{function}")(self._cluster, *args)


def main() -> None:
    """Print the address, then answer each command with an error code, until the parent ends."""
    cluster = _Cluster()
    say(cluster.bootstrap)
    for line in lines():
        say(cluster.obey(line))


if __name__ == "__main__":
    main()
    os._exit(0)  # librdkafka's threads hold nothing that is to be kept
