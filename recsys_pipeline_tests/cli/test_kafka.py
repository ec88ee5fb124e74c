from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from recsys_pipeline.cli import console
from recsys_pipeline.cli.kafka import app
from recsys_pipeline.cli.main import app as recsys
from recsys_pipeline.errors import KafkaError, OffsetError, SettingsError
from recsys_pipeline_tests.kafka.conftest import _up_again, mock_broker, topic  # noqa: F401
from recsys_pipeline_tests.kafka.streams import landed_offsets, message


@pytest.fixture
def stream(mock_broker, topic, use_root, tmp_path):  # noqa: F811
    settings = use_root(
        tmp_path,
        kafka_bootstrap_servers=mock_broker.bootstrap,
        kafka_interactions_topic=topic("events"),
        kafka_items_topic=topic("items"),
        kafka_topic_ids="false",
        kafka_timeout_seconds=3,
    )
    mock_broker.create_topic(settings.kafka_interactions_topic, 2)
    mock_broker.create_topic(settings.kafka_items_topic, 1)
    return settings


def run(*arguments, of=app) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console.out, "_width", 200)
        result = CliRunner().invoke(of, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_lag_land_and_status(mock_broker, stream):  # noqa: F811
    name = stream.kafka_interactions_topic
    mock_broker.produce(name, [message(n) for n in range(3)] + [b"?"], partition=1)
    lag = json.loads(run("lag", "--topic", name, "--json"))
    assert [(one["partition"], one["lag"], one["landed"]) for one in lag] == [
        (0, 0, None),
        (1, 4, None),
    ]
    printed = run("land")
    assert f"{name}: 1 rows with line.readable" in printed
    assert len(landed_offsets(stream)) == 4
    found = json.loads(run("status", "--json", of=recsys))
    one = next(t for t in found["topics"] if t["topic"] == name and t["partition"] == 1)
    assert (one["landed"], one["end"], one["lag"]) == (4, 4, 0)
    assert one["landed_at"]
    assert found["problems"] == []
    assert name in run("status", of=recsys)


@pytest.mark.slow
def test_status_does_without_the_broker(mock_broker, stream, monkeypatch):  # noqa: F811
    monkeypatch.setattr("recsys_pipeline.cli.status.ANSWER_SECONDS", 1.0)
    mock_broker.down()
    assert "does not answer" in run("status", of=recsys)
    with pytest.raises(KafkaError):
        run("lag")


def test_reset(mock_broker, stream):  # noqa: F811
    name = stream.kafka_interactions_topic
    mock_broker.produce(name, [message(n) for n in range(3)], partition=0)
    run("land")
    assert "nothing" in run("reset", "--topic", name, "--to", "latest", "--yes")
    run("reset", "--topic", name, "--to", "1", "--partition", "0", "--yes")
    run("land")
    assert [n for _, n in landed_offsets(stream)] == [0, 1, 1, 2, 2]
    with pytest.raises(SettingsError, match="no offset"):
        run("reset", "--topic", name, "--to", "soon", "--yes")
    with pytest.raises(OffsetError, match="Choose from 0 to 3"):
        run("reset", "--topic", name, "--to", "9", "--partition", "0", "--yes")
    with pytest.raises(SettingsError, match="none of"):
        run("lag", "--topic", "other")


def test_without_kafka_the_setting_is_named(use_root, tmp_path):
    use_root(tmp_path)
    with pytest.raises(SettingsError, match="RECSYS_KAFKA_BOOTSTRAP_SERVERS"):
        run("lag")
