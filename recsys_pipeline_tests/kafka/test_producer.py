from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

import orjson
import pytest

from recsys_pipeline.errors import KafkaError, SettingsError, TenantError
from recsys_pipeline.kafka import EventProducer
from recsys_pipeline.kafka.producer import _until_interrupted
from recsys_pipeline.settings import Settings
from recsys_pipeline_tests.kafka.consumed import consumed

DOWN_S = 1.5


def settings_of(broker, topic):
    """Settings of a broker with two empty topics."""
    events, items = topic("events"), topic("items")
    for name in (events, items):
        broker.create_topic(name, 3)
    return Settings(
        kafka_bootstrap_servers=broker.bootstrap,
        kafka_options={"reconnect.backoff.ms": "50", "reconnect.backoff.max.ms": "200"},
        kafka_interactions_topic=events,
        kafka_items_topic=items,
    )


@pytest.fixture
def settings(mock_broker, topic):
    return settings_of(mock_broker, topic)


def down(settings, **more):
    """A producer that gives up soon."""
    options = {"message.timeout.ms": int(DOWN_S * 1000), "log_level": 0, **more}
    return EventProducer(settings, options)


def test_events_and_items_arrive_with_key_and_tenant(broker, topic):
    settings = settings_of(broker, topic)
    at = datetime(2025, 1, 1, 12, 30, 0, 250_000, UTC)
    with EventProducer(settings) as producer:
        for n in range(1000):
            producer.interaction(
                {"user_id": f"u{n % 7}", "item_id": n, "timestamp": at}, tenant="acme"
            )
        producer.item({"item_id": 42, "price": Decimal("9.90")}, tenant="b")
        producer.item(MappingProxyType({"title": "without id", "tenant": "c"}))
    events = consumed(broker, settings.kafka_interactions_topic)
    values = [orjson.loads(m.value()) for m in events]
    assert sorted(v["item_id"] for v in values) == list(range(1000))
    assert {v["timestamp"] for v in values} == {"2025-01-01T12:30:00.250000+00:00"}
    assert all(m.key().decode() == v["user_id"] for m, v in zip(events, values, strict=True))
    assert {tuple(m.headers()) for m in events} == {(("tenant", b"acme"),)}
    for user in range(7):
        own = [
            (m.partition(), orjson.loads(m.value())["item_id"])
            for m in events
            if m.key() == b"u%d" % user
        ]
        assert len({partition for partition, _ in own}) == 1
        assert own == sorted(own)
    items = {m.key(): m for m in consumed(broker, settings.kafka_items_topic)}
    assert orjson.loads(items[b"42"].value()) == {"item_id": 42, "price": "9.90"}
    assert items[b"42"].headers() == [("tenant", b"b")]
    assert items[None].headers() == [("tenant", b"c")]
    assert producer.stats.delivered == producer.stats.messages == 1002


def test_a_key_goes_where_java_puts_it(mock_broker, topic, settings):
    # from UtilsTest.testMurmur2 of Apache Kafka
    hashes = {"21": -973932308, "foobar": -790332482, "abc": 479470107}
    name = topic()
    mock_broker.create_topic(name, 12)
    with EventProducer(settings) as producer:
        for key in hashes:
            producer.send(name, b"{}", key=key)
    found = {m.key().decode(): m.partition() for m in consumed(mock_broker, name)}
    assert found == {key: (value & 0x7FFFFFFF) % 12 for key, value in hashes.items()}


def test_bytes_pass_unchanged(mock_broker, settings):
    values = [b'{"a": 1}', b"{torn", b"\xff\xfe", b"", b"  [1] ", b"x" * 500_000]
    topic = settings.kafka_interactions_topic
    with EventProducer(settings) as producer:
        for value in values:
            producer.send(topic, value)
    found = consumed(mock_broker, topic)
    assert sorted(m.value() for m in found) == sorted(values)
    assert {(m.key(), m.headers()) for m in found} == {(None, None)}
    assert producer.stats.bytes == sum(map(len, values))


def test_it_waits_where_the_local_queue_is_full(mock_broker, settings):
    topic = settings.kafka_interactions_topic
    mock_broker.slow(20)
    try:
        with EventProducer(settings, {"queue.buffering.max.messages": 10}) as producer:
            for n in range(100):
                producer.send(topic, b"%d" % n)
            assert producer.stats.delivered >= 90
    finally:
        mock_broker.slow(0)
    assert {int(m.value()) for m in consumed(mock_broker, topic)} == set(range(100))


def test_a_full_queue_is_waited_for_within_bounds(mock_broker, settings, monkeypatch):
    producer = EventProducer(settings, {"queue.buffering.max.messages": 10, "log_level": 0})
    monkeypatch.setattr(producer, "_patience", 0.5)
    mock_broker.down()
    began = time.monotonic()
    for _ in range(10):
        producer.send("t", b"x")
    with pytest.raises(KafkaError, match=r"has taken nothing for 0\.5 s"):
        producer.send("t", b"x")
    with pytest.raises(KafkaError, match="10 of 10"):
        producer.close()
    assert time.monotonic() - began < 5
    assert producer.stats.messages == 10


def test_what_a_broker_that_is_down_has_not_got_is_named(mock_broker, settings):
    producer = down(settings)
    producer.interaction({"user_id": "u"}, tenant="acme")
    assert producer.flush() == 0
    mock_broker.down()
    began = time.monotonic()
    for _ in range(3):
        producer.interaction({"user_id": "u"}, tenant="acme")
    why = rf"{mock_broker.bootstrap}: 3 of 4 messages were not delivered \(.*Message timed out; "
    with pytest.raises(KafkaError, match=why):
        producer.close()
    assert time.monotonic() - began < DOWN_S + 3
    assert producer.is_losing
    assert (producer.stats.delivered, producer.stats.failed) == (1, 3)


def test_nobody_listens(topic):
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    with (
        pytest.raises(KafkaError, match=r"1 of 1 .*Connection refused"),
        down(settings) as producer,
    ):
        producer.send(topic(), b"x")


def test_a_broker_that_hangs(mock_broker, settings):
    producer = down(settings)
    producer.send(settings.kafka_items_topic, b"x")
    assert producer.flush() == 0
    mock_broker.pause()
    began = time.monotonic()
    producer.send(settings.kafka_items_topic, b"x")  # it goes out, no answer comes
    with pytest.raises(KafkaError, match="1 of 2 messages were not delivered"):
        producer.close()
    assert time.monotonic() - began < DOWN_S + 4


def test_messages_survive_a_short_outage(broker, topic):
    settings = settings_of(broker, topic)
    topic = settings.kafka_interactions_topic
    with EventProducer(settings, {"log_level": 0}) as producer:
        producer.send(topic, b"0", key="k")
        producer.flush()
        broker.down()
        for n in range(1, 50):
            producer.send(topic, b"%d" % n, key="k")
        producer.wait(0.3)
        broker.up()
    assert [int(m.value()) for m in consumed(broker, topic)] == list(range(50))


def test_a_flush_that_is_too_short_tells_what_is_open(mock_broker, settings):
    producer = EventProducer(settings, {"log_level": 0})
    mock_broker.down()
    producer.send("t", b"x")
    assert producer.flush(0.1) == 1
    producer._patience = 0.1
    with pytest.raises(KafkaError, match="Purged in queue"):
        producer.close()
    producer._end(0)
    assert producer.stats.failed == 1


def send_and_raise(producer, error):
    with producer:
        producer.send("t", b"x")
        raise error


def test_the_error_of_the_block_is_not_hidden(mock_broker, settings, caplog):
    mock_broker.down()
    with pytest.raises(ZeroDivisionError):
        send_and_raise(down(settings), ZeroDivisionError)
    assert "1 of 1 messages were not delivered" in caplog.text


def test_ctrl_c_waits_a_second(mock_broker, settings):
    mock_broker.down()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        send_and_raise(EventProducer(settings, {"log_level": 0}), KeyboardInterrupt)
    assert time.monotonic() - began < 2


def test_ctrl_c_in_a_callback_is_still_ctrl_c():
    """confluent-kafka makes a SystemError of it."""

    def call(seconds):
        raise SystemError("returned a result with an exception set")

    with pytest.raises(KeyboardInterrupt):
        _until_interrupted(call, 1.0)


def test_a_message_that_is_too_large_fails_by_itself(mock_broker, settings):
    topic = settings.kafka_items_topic
    producer = EventProducer(settings)
    for size in (10, 2_000_000, 20):
        producer.send(topic, b"x" * size)
    assert not producer.is_losing
    with pytest.raises(KafkaError, match=rf"1 of 3 .*{topic}: 2,000,000 bytes: .*too large"):
        producer.close()
    assert sorted(len(m.value()) for m in consumed(mock_broker, topic)) == [10, 20]


def test_tenants_are_checked(settings):
    with EventProducer(settings) as producer:
        for tenant in ("Acme", "../x", "", "unassigned"):
            with pytest.raises(TenantError, match=r"Use a|Choose another"):
                producer.interaction({"user_id": "u"}, tenant=tenant)
        with pytest.raises(TenantError, match="names no tenant"):
            producer.item({"item_id": "i"})
        with pytest.raises(TenantError, match="contradicts the field tenant 'b'"):
            producer.item({"item_id": "i", "tenant": "b"}, tenant="a")
    assert producer.stats.messages == 0


def test_what_is_no_json(settings):
    with EventProducer(settings) as producer:
        for value in ({"a": object()}, {1: 2}, {"a": 2**70}):
            with pytest.raises(KafkaError, match="can't be written as JSON"):
                producer.send("t", value)
    assert producer.stats.messages == 0


def test_wrong_settings():
    with pytest.raises(SettingsError, match="RECSYS_KAFKA_BOOTSTRAP_SERVERS"):
        EventProducer(Settings())
    wrong = Settings(kafka_bootstrap_servers="127.0.0.1:1", kafka_options={"linger.mss": "1"})
    with pytest.raises(SettingsError, match=r"RECSYS_KAFKA_OPTIONS.*linger\.mss"):
        EventProducer(wrong)


def test_the_settings_options_beat_the_defaults_and_not_what_keeps_messages_whole():
    options = {"linger.ms": "0", "delivery.timeout.ms": "2000", "enable.idempotence": "false"}
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1", kafka_options=options)
    assert EventProducer(settings)._patience == 7
    with pytest.raises(SettingsError, match=r"enable\.idempotence"):
        EventProducer(settings, {"max.in.flight": 9})


def test_threads_share_one(mock_broker, settings):
    topic = settings.kafka_interactions_topic
    with EventProducer(settings) as producer:
        threads = [
            threading.Thread(target=lambda: [producer.send(topic, b"x") for _ in range(2000)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    stats = producer.stats
    assert (stats.messages, stats.bytes, stats.delivered) == (8000, 8000, 8000)
    assert stats.messages_per_second == pytest.approx(8000 / stats.seconds)


def test_the_package_alone_loads_no_kafka():
    code = "import recsys_pipeline.kafka, sys; print('confluent_kafka' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    with pytest.raises(ImportError, match="Nothing"):
        from recsys_pipeline.kafka import Nothing  # noqa: F401
