from __future__ import annotations

import gzip
import json
import time
import uuid
from collections import Counter

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from recsys_pipeline.cli import console, produce
from recsys_pipeline.cli.generate import generate
from recsys_pipeline.cli.main import main
from recsys_pipeline.errors import KafkaError, SettingsError, SourceError, TenantError
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline.ingestion.kafka_landing import land_ranges, plan
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.ingestion.files import HEADER, write
from recsys_pipeline_tests.kafka.consumed import consumed
from recsys_pipeline_tests.kafka.mock_broker import MockBroker

LINES = [
    b'{"user_id":"u1","item_id":"p1","rating":4.50,"note":"caf\xc3\xa9"}',
    b'  { "user_id" : 17, "item_id":"p2" }  ',
    b'{"user_id":"u3","item_i',
    b"\xff\xfe not text",
    b'["no object"]',
    b'{"user_id":null}',
    b'{"user_id":{"nested":1}}',
    b'{"user_id":"u1","n":12345678901234567890123}',
]
GENERATED = [
    "--events",
    "300",
    "--items",
    "40",
    "--users",
    "20",
    "--days",
    "3",
    "--end",
    "2025-01-05",
]


@pytest.fixture(scope="module")
def mock():
    with MockBroker() as broker:
        yield broker


@pytest.fixture
def settings(mock, tmp_path, use_root):
    mock.up()
    names = {
        f"kafka_{kind}_topic": f"{kind}-{uuid.uuid4().hex}" for kind in ("interactions", "items")
    }
    for name in names.values():
        mock.create_topic(name, 3)
    return use_root(
        tmp_path / "root",
        kafka_bootstrap_servers=mock.bootstrap,
        kafka_options='{"reconnect.backoff.ms": "50", "reconnect.backoff.max.ms": "200"}',
        kafka_topic_ids=False,
        tenants_file=tmp_path / "tenants.toml",
        **names,
    )


def run(*arguments: str, app=produce.app):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console.out, "_width", 200)  # narrower, words are folded over lines
        return CliRunner().invoke(app, list(arguments))


def summary(*arguments: str) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    (one,) = json.loads(result.stdout)
    return one


@pytest.mark.parametrize("name", ["f.jsonl", "f.jsonl.gz"])
def test_json_lines_pass_as_they_are(mock, settings, tmp_path, name):
    text = b"\n\r\n".join(LINES) + b"\r\n"
    path = write(tmp_path, name, gzip.compress(text) if name.endswith("gz") else text)
    found = summary("interactions", path, "--tenant", "acme")
    messages = consumed(mock, settings.kafka_interactions_topic)
    keys = [b"u1", b"17", None, None, None, None, None, b"u1"]
    assert Counter((m.value(), m.key()) for m in messages) == Counter(zip(LINES, keys, strict=True))
    assert {tuple(m.headers()) for m in messages} == {(("tenant", b"acme"),)}
    assert found["file"] == path
    assert found["topic"] == settings.kafka_interactions_topic
    assert (found["messages"], found["delivered"], found["failed"]) == (8, 8, 0)
    assert found["bytes"] == sum(map(len, LINES))
    assert found["messages_per_second"] == pytest.approx(8 / found["seconds"])


def test_rows_become_objects_of_texts(mock, settings, tmp_path):
    text = 'item_id,price,title,tags\np1,4.50,"a ""b"", é",\np2,,,x\np3,1\n'
    summary("items", write(tmp_path, "f.csv", text), "--tenant", "acme")
    found = {m.key(): m.value() for m in consumed(mock, settings.kafka_items_topic)}
    assert json.loads(found.pop(b"p1")) == {"item_id": "p1", "price": "4.50", "title": 'a "b", é'}
    assert json.loads(found.pop(b"p2")) == {"item_id": "p2", "tags": "x"}
    assert found == {None: b"p3,1"}  # for quarantine


def test_the_mapping_describes_the_format_alone(mock, settings, tmp_path):
    path = write(tmp_path, "m.toml", '[format]\ndelimiter = ";"\nencoding = "latin-1"\n')
    data = write(tmp_path, "f.txt", "uid;item_id\nZoë;p1\n".encode("latin-1"))
    result = run("interactions", data, "--tenant", "acme", "--mapping", path)
    assert result.exit_code == 0, result.output
    assert "note" not in result.stderr
    lines = write(tmp_path, "f.jsonl", '{"userId":"Zoë"}'.encode("latin-1"))
    result = run("interactions", lines, "--tenant", "acme", "--mapping", path)
    taobao = write(tmp_path, "t.csv", "u9,p9,1,pv,1735700000\n")
    result = run("interactions", taobao, "--tenant", "acme", "--mapping", "taobao")
    assert "only the format is taken from taobao" in result.stderr
    assert "[tenants.acme]" in result.stderr
    found = consumed(mock, settings.kafka_interactions_topic)
    values = {m.value(): m.key() for m in found}
    assert values.pop('{"userId":"Zoë"}'.encode()) is None
    assert values.pop('{"uid":"Zoë","item_id":"p1"}'.encode()) is None
    ((value, key),) = values.items()
    assert key == b"u9"
    assert list(json.loads(value)) == ["user_id", "item_id", "category_id", "behavior", "ts"]


def test_the_tenants_own_mapping_is_the_default(mock, settings, tmp_path):
    (tmp_path / "tenants.toml").write_text('[tenants.shop]\nmapping = "movielens"\n')
    path = write(tmp_path, "r.csv", "userId,movieId,rating,timestamp\n7,31,2.5,1735700000\n")
    result = run("interactions", path, "--tenant", "shop", "--mapping", "movielens")
    assert "note" not in result.stderr
    summary("interactions", path, "--tenant", "shop")
    found = consumed(mock, settings.kafka_interactions_topic)
    assert [m.key() for m in found] == [b"7", b"7"]
    assert json.loads(found[0].value())["movieId"] == "31"


ROWS = {
    "user_id": ["u1", "u2", "u3"],
    "item_id": ["p1", None, "p3"],
    "interaction_type": ["view", "click", "wishlist"],
    "timestamp": ["2025-01-02T10:00:00.000001Z", "2025-01-03T23:59:59Z", "2025-01-04T00:00:00Z"],
    "rating": [None, 4.5, 6.0],
    "device": ["mobile", "tv", None],
}


@pytest.mark.parametrize("name", ["f.csv", "f.jsonl", "f.json", "f.parquet"])
def test_what_is_produced_lands_as_what_is_ingested(settings, tmp_path, name):
    frame = pl.DataFrame(ROWS)
    path = tmp_path / name
    if name == "f.csv":
        frame.write_csv(path)
    elif name == "f.jsonl":
        frame.write_ndjson(path)
    elif name == "f.json":
        frame.write_json(path)
    else:
        frame.with_columns(
            pl.col("timestamp").str.to_datetime("%+", time_zone="UTC")
        ).write_parquet(path)
    summary("interactions", str(path), "--tenant", "acme")
    topic = settings.kafka_interactions_topic
    state, planned = plan(settings, topic)
    land_ranges(settings, topic, state.topic_id, planned.ranges)
    ingest_files(settings, "interactions", [str(path)], "acme")
    rows = Landing(settings.storage_root, "interactions").snapshot().scan().collect()
    own = ["batch_id", "source", "position", "received_at"]
    by_kafka = pl.col("source").str.starts_with("kafka:")
    produced = rows.filter(by_kafka).drop(own).sort("user_id")
    assert produced.height == 3
    assert produced.equals(rows.filter(~by_kafka).drop(own).sort("user_id"))


def test_a_table_is_printed_and_several_files_are_sent(mock, settings, tmp_path):
    first = write(tmp_path, "[bold]a.csv", HEADER + "u1,p1,view,2025-01-02\n" * 1234)
    second = write(tmp_path, "b.csv", HEADER)
    result = run("interactions", first, second, "--tenant", "acme")
    assert result.exit_code == 0, result.output
    assert f"Sent to {settings.kafka_interactions_topic}" in result.stdout
    assert "[bold]a.csv" in result.stdout.replace("\n", "")
    assert result.stdout.count("1,234") == 2
    for word in ("messages", "bytes", "seconds", "messages/s", "delivered", "failed"):
        assert word in result.stdout
    assert len(consumed(mock, settings.kafka_interactions_topic)) == 1234


def test_the_rate_is_kept(settings, tmp_path):
    path = write(tmp_path, "f.jsonl", b"{}\n" * 60)
    found = summary("interactions", path, "--tenant", "acme", "--rate", "50")
    assert 1.1 < found["seconds"] < 3


def test_a_line_that_is_too_large_costs_only_itself(mock, settings, tmp_path):
    path = write(tmp_path, "f.jsonl", b"{}\n" + b"x" * 1_500_000 + b"\n{}\n")
    result = run("interactions", path, "--tenant", "acme", "--json")
    assert isinstance(result.exception, KafkaError)
    assert "1 of 3 messages were not delivered" in str(result.exception)
    (one,) = json.loads(result.stdout)
    assert (one["delivered"], one["failed"]) == (2, 1)
    assert len(consumed(mock, settings.kafka_interactions_topic)) == 2


@pytest.mark.slow
def test_a_broker_that_is_down_ends_it(mock, settings, tmp_path, use_root):
    options = {
        "message.timeout.ms": "1500",
        "queue.buffering.max.messages": "1000",
        "log_level": "0",
    }
    use_root(tmp_path / "root", kafka_options=json.dumps(options))
    path = write(tmp_path, "f.jsonl", b"{}\n" * 50_000)
    mock.down()
    began = time.monotonic()
    result = run("interactions", path, path, "--tenant", "acme", "--json")
    assert time.monotonic() - began < 10
    assert isinstance(result.exception, KafkaError)
    (one,) = json.loads(result.stdout)
    assert one["delivered"] == 0
    assert 1000 <= one["messages"] == one["failed"] < 10_000
    assert f"{one['failed']:,} of {one['messages']:,} messages" in str(result.exception)


def test_a_damaged_file_tells_what_was_sent(settings, tmp_path):
    rows = b"".join(
        b'{"user_id":"%d","pad":"%s"}\n' % (n, uuid.uuid4().hex.encode()) for n in range(300_000)
    )
    path = write(tmp_path, "f.jsonl.gz", gzip.compress(rows, 1)[:-100_000])
    result = run("interactions", path, "--tenant", "acme", "--json")
    assert isinstance(result.exception, SourceError)
    (one,) = json.loads(result.stdout)
    assert 0 < one["messages"] == one["delivered"] < 300_000


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["FILE", "--tenant", "Acme"], TenantError),
        (["FILE", "--tenant", "unassigned"], TenantError),
        (["missing.csv", "--tenant", "acme"], SourceError),
    ],
)
def test_bad_input(settings, tmp_path, arguments, error):
    path = write(tmp_path, "f.csv", HEADER + "u1,p1,view,2025-01-02\n")
    result = run("interactions", *(path if a == "FILE" else a for a in arguments))
    assert isinstance(result.exception, error)


def test_without_a_broker_it_is_one_line(tmp_path, use_root, monkeypatch, capsys):
    use_root(tmp_path / "root")
    path = write(tmp_path, "f.csv", HEADER)
    monkeypatch.setattr("sys.argv", ["recsys", "produce", "items", path, "--tenant", "acme"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: RECSYS_KAFKA_BOOTSTRAP_SERVERS: is not set.")
    assert said.count("\n") == 1


app = typer.Typer()
app.command()(generate)


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_generated_events_go_to_the_topics(mock, settings, tmp_path, file_format):
    options = ["--format", file_format, "--dirty", "0.05", "--tenant", "acme", "--produce"]
    result = run("--out", str(tmp_path / "g"), *GENERATED, *options, app=app)
    assert result.exit_code == 0, (result.output, result.exception)
    items, events = settings.kafka_items_topic, settings.kafka_interactions_topic
    assert result.output.index(f"Sent to {items}") < result.output.index(f"Sent to {events}")
    assert "recsys ingest" not in result.output
    bad = Counter(json.loads(line)["file"] for line in (tmp_path / "g/injected.jsonl").open())
    for topic, stem, rows in ((events, "interactions", 300), (items, "items", 40)):
        messages = consumed(mock, topic)
        assert len(messages) == rows + bad[f"{stem}.{file_format}"]
        assert {tuple(m.headers()) for m in messages} == {(("tenant", b"acme"),)}


def test_nothing_is_generated_for_a_broker_that_is_not_configured(tmp_path, use_root):
    use_root(tmp_path / "root")
    result = run("--out", str(tmp_path / "g"), *GENERATED, "--produce", app=app)
    assert isinstance(result.exception, SettingsError)
    assert not (tmp_path / "g").exists()
