from __future__ import annotations

import socket
import time

from recsys_pipeline.maintenance.doctor.kafka import check_kafka
from recsys_pipeline_tests.maintenance.doctor.bare_settings import settings


def test_kafka_that_does_not_answer_is_wrong_within_the_bound():
    assert check_kafka(settings()).status == "ok"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        finding = check_kafka(settings(kafka_bootstrap_servers=address), seconds=1)
        assert time.monotonic() - began < 6
    assert finding.status == "wrong"
    assert address in finding.found


def test_kafka_that_answers_is_ok():
    from confluent_kafka import Producer

    mock = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored:9092"})
    # The mock cluster's address shows only in its own metadata.
    broker = next(iter(mock.list_topics(timeout=10).brokers.values()))
    address = f"{broker.host}:{broker.port}"
    finding = check_kafka(settings(kafka_bootstrap_servers=address))
    assert finding.status == "ok", finding
    assert "1 broker" in finding.found
