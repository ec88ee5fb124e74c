"""A landed upload is announced once, whatever crashes; no answer waits for it."""

from __future__ import annotations

import json
import threading
import time

import pytest
from confluent_kafka import Consumer, TopicPartition
from starlette.testclient import TestClient

from recsys_pipeline.api import notices
from recsys_pipeline.api.app import create_app
from recsys_pipeline.engines.notices import send_notices
from recsys_pipeline.errors import StorageError
from recsys_pipeline.ingestion import ingest
from recsys_pipeline.storage.layout import NOTICES
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.api.conftest import client_of
from recsys_pipeline_tests.api.test_uploads import CSV, GOOD, ITEMS, landed, upload
from recsys_pipeline_tests.kafka.conftest import _up_again, mock_broker, topic  # noqa: F401


@pytest.fixture
def settings(settings, mock_broker, topic):  # noqa: F811
    name = topic("batches")
    mock_broker.create_topic(name, 1)
    brokers = {
        "kafka_bootstrap_servers": mock_broker.bootstrap,
        "kafka_topic_ids": False,
        "kafka_batches_topic": name,
    }
    return settings.model_copy(update=brokers)


def announced(settings):
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "reader"}
    )
    where = TopicPartition(settings.kafka_batches_topic, 0, 0)
    _, end = consumer.get_watermark_offsets(where, 10)
    consumer.assign([where])
    values: list[bytes] = []
    while len(values) < end:
        values += [m.value() for m in consumer.consume(end, 0.2) if m.error() is None]
    consumer.close()
    return [json.loads(value) for value in values]


def owed(settings):
    return list(open_store(settings.storage_root).list(NOTICES))


def send(settings):
    return send_notices(settings, open_store(settings.storage_root))


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_upload_is_announced_once(app, acme, settings):
    with TestClient(app, headers=dict(acme.headers)) as client:
        answer = upload(client).json()
        assert upload(client).json()["already_landed"]
        items = client.post("/internal/data/items", json=ITEMS).json()
        assert upload(client, CSV, on_error="reject").status_code == 422
        wait_until(lambda: not owed(settings))
    first, second = announced(settings)
    assert (first["batch_id"], second["batch_id"]) == (answer["batch_id"], items["batch_id"])
    assert first["rows"] == answer["rows_received"]
    assert first["days"] == answer["days"]
    assert (first["tenant"], first["kind"], second["kind"]) == ("acme", "interactions", "items")


def test_what_a_crash_left_is_sent_by_the_next_service(app, acme, settings):
    upload(acme, GOOD)  # this app's sender was never started
    assert len(owed(settings)) == 1
    with TestClient(create_app(settings)):
        wait_until(lambda: not owed(settings))
    assert len(announced(settings)) == 1


def test_two_that_land_the_same_announce_it_once(acme, settings, monkeypatch):
    """The second finds out only when it commits, after the first was announced."""
    real = ingest.land_batch

    def late(landing, batch, frames, **options):
        monkeypatch.setattr(ingest, "land_batch", real)
        assert not upload(acme, GOOD).json()["already_landed"]
        assert send(settings) == 1
        return real(landing, batch, frames, **options)

    monkeypatch.setattr(ingest, "land_batch", late)
    assert upload(acme, GOOD).json()["already_landed"]
    assert owed(settings) == []
    assert send(settings) == 0
    assert landed(settings).height == 2


def test_what_did_not_land_is_not_announced(acme, settings, monkeypatch):
    noted = []

    def fail(*_, **__):
        noted.extend(owed(settings))
        raise StorageError("disk", "is full")

    monkeypatch.setattr(ingest, "land_batch", fail)
    assert upload(acme, GOOD).status_code == 503
    assert len(noted) == 1
    assert owed(settings) == []


def test_a_stop_while_more_is_gathered_is_not_missed(settings, monkeypatch):
    """The sender once slept on: it cleared the call that was to end it."""
    sent = []
    monkeypatch.setattr(notices, "send_notices", lambda *_: sent.append(1))
    monkeypatch.setattr(notices, "GATHER_SECONDS", 0.3)
    sender = notices.NoticeSender(settings)
    sender.start()
    time.sleep(0.1)  # it gathers, of the call by which it began
    stopping = threading.Thread(target=sender.stop, daemon=True)
    stopping.start()
    stopping.join(5)
    assert not stopping.is_alive()
    assert sent


def test_a_broker_that_is_down_keeps_nobody_waiting(
    app,
    database,
    settings,
    mock_broker,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr("recsys_pipeline.engines.notices.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(notices, "AGAIN_SECONDS", 0.1)
    mock_broker.down()
    headers = dict(client_of(app, database, "acme").headers)
    with TestClient(app, headers=headers) as client:
        began = time.monotonic()
        assert upload(client, GOOD).status_code == 200
        assert time.monotonic() - began < 5
        assert len(owed(settings)) == 1
        mock_broker.up()
        wait_until(lambda: not owed(settings))
    assert len(announced(settings)) == 1
