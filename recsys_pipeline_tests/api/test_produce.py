"""Uploads by way of a topic: the same rows land as by the direct way."""

from __future__ import annotations

import json

import pytest

from recsys_pipeline.api import produce
from recsys_pipeline.api.app import create_app
from recsys_pipeline.errors import KafkaError, SettingsError
from recsys_pipeline.metadata.audit import entries
from recsys_pipeline_tests.api.conftest import client_of
from recsys_pipeline_tests.api.test_uploads import CSV, EVENTS, GOOD, ITEMS, landed, upload
from recsys_pipeline_tests.kafka.conftest import _up_again, mock_broker, topic  # noqa: F401
from recsys_pipeline_tests.kafka.streams import land_all


@pytest.fixture
def settings(settings, mock_broker, topic):  # noqa: F811
    names = topic("events"), topic("items")
    for name in names:
        mock_broker.create_topic(name, 1)
    brokers = {
        "kafka_bootstrap_servers": mock_broker.bootstrap,
        "kafka_topic_ids": False,
        "kafka_interactions_topic": names[0],
        "kafka_items_topic": names[1],
        "api_uploads_to": "kafka",
    }
    return settings.model_copy(update=brokers)


WHAT = (
    "user_id",
    "item_id",
    "interaction_type",
    "timestamp",
    "rating",
    "tenant",
    "date",
    "problem",
)


def test_the_rows_of_a_file_land_as_by_the_direct_way(acme, settings, tmp_path):
    answer = upload(acme)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["topic"], body["batch_id"]) == (settings.kafka_interactions_topic, None)
    assert (body["rows_received"], body["rows_landed"], body["rows_rejected"]) == (5, 2, 3)
    assert landed(settings).is_empty()
    land_all(settings)
    direct = settings.model_copy(
        update={"storage_root": str(tmp_path / "direct"), "api_uploads_to": "landing"}
    )
    app = create_app(direct)
    assert upload(client_of(app, app.state.context.database, "acme")).status_code == 200
    both = [landed(each).select(WHAT).sort(WHAT).rows() for each in (settings, direct)]
    # a row that can't be dated is parked under the day of its receipt, which is today for both
    assert both[0] == both[1]


@pytest.mark.parametrize("lines", [False, True])
def test_json_goes_to_the_topic_of_its_kind(acme, settings, lines):
    text = "\n".join(map(json.dumps, EVENTS)) if lines else json.dumps(EVENTS)
    assert acme.post("/internal/data/interactions", content=text).status_code == 202
    assert acme.post("/internal/data/items", json=ITEMS).status_code == 202
    land_all(settings)
    land_all(settings, settings.kafka_items_topic)
    assert landed(settings).height == 2
    assert landed(settings, "items")["title"].to_list() == ["Kettle"]


def test_a_repeat_is_not_sent_again(acme, settings):
    headers = {"Idempotency-Key": "k"}
    first, second = upload(acme, GOOD), upload(acme, GOOD)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    keyed = [upload(acme, CSV, headers=headers) for _ in range(2)]
    assert keyed[0].json() == keyed[1].json()
    assert upload(acme, GOOD, headers=headers).status_code == 409
    land_all(settings)
    assert landed(settings).height == 2 + 5


def test_a_body_that_names_another_tenant_reaches_none(acme, settings):
    acme.post("/internal/data/interactions", json=[EVENTS[0] | {"tenant": "beta"}])
    land_all(settings)
    assert landed(settings)["tenant"].to_list() == ["unassigned"]


def test_a_refused_upload_sends_nothing(acme, settings):
    assert upload(acme, on_error="reject").status_code == 422
    answer = acme.post("/internal/data/items?mode=snapshot", json=ITEMS)
    assert (answer.status_code, answer.json()["error"]) == (422, "no_snapshots")
    land_all(settings)
    assert landed(settings).is_empty()
    assert upload(acme, GOOD, on_error="reject").status_code == 202


def test_messages_that_were_not_acknowledged_are_no_success(
    acme,
    database,
    settings,
    mock_broker,  # noqa: F811
):
    mock_broker.down()
    quick = {"kafka_timeout_seconds": 1.0}
    app = create_app(settings.model_copy(update=quick))
    caller = client_of(app, database, "acme")
    answer = upload(caller, GOOD)
    assert (answer.status_code, answer.json()["error"]) == (503, "topic")
    assert [entry.outcome for entry in entries(database, "acme")] == ["failed"]
    mock_broker.up()
    assert upload(acme, GOOD).status_code == 202, "it may come again"


def test_a_crash_before_the_answer_leaves_repeats_that_validation_finds(
    acme, settings, monkeypatch
):
    def crash(*arguments):
        raise KafkaError("broker", "went away after the last message")

    with monkeypatch.context() as patch:
        patch.setattr(produce, "count", crash)
        assert upload(acme, GOOD).status_code == 503
    assert upload(acme, GOOD).status_code == 202
    land_all(settings)
    assert landed(settings).height == 4
    assert landed(settings).unique(["user_id", "item_id", "timestamp"]).height == 2


def test_without_brokers_the_service_does_not_start(settings):
    with pytest.raises(SettingsError, match="RECSYS_KAFKA_BOOTSTRAP_SERVERS"):
        create_app(settings.model_copy(update={"kafka_bootstrap_servers": None}))
