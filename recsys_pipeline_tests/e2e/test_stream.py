"""From a broker to a training sample, with the daemon that a deployment runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from recsys_pipeline.kafka import EventProducer
from recsys_pipeline.settings import Settings
from recsys_pipeline_tests.kafka.conftest import _up_again, real_broker, topic  # noqa: F401
from recsys_pipeline_tests.kafka.streams import landed_offsets

ROOT = Path(__file__).parents[2]
PATIENCE = 150

pytestmark = [pytest.mark.slow, pytest.mark.real_kafka, pytest.mark.timeout(420)]


@pytest.fixture
def settings(real_broker, topic, tmp_path, monkeypatch):  # noqa: F811
    values = {
        "storage_root": str(tmp_path / "root"),
        "start_date": (datetime.now(UTC) - timedelta(days=3)).date().isoformat(),
        "tenants_file": str(tmp_path / "tenants.toml"),
        "kafka_bootstrap_servers": real_broker.bootstrap,
        "kafka_interactions_topic": topic("events"),
        "kafka_items_topic": topic("items"),
        "kafka_features_topic": topic("features"),
        "kafka_training_topic": topic("training"),
        "kafka_consumer_group": "recsys-landed",
        "landing_debounce_seconds": "5",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"RECSYS_{name.upper()}", value)
    made = Settings(_env_file=None)
    real_broker.create_topic(made.kafka_interactions_topic, 3)
    for name in (made.kafka_items_topic, made.kafka_features_topic, made.kafka_training_topic):
        real_broker.create_topic(name, 1)
    return made


class Daemon:
    """`dagster-daemon run` with its code server, in a process group of its own."""

    def __init__(self, home: Path, log: Path) -> None:
        self._home, self._log = home, log
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                Path(sys.executable).parent / "dagster-daemon",
                "run",
                "-m",
                "recsys_pipeline.definitions",
            ],
            cwd=ROOT,
            env={**os.environ, "DAGSTER_HOME": str(self._home), "DAGSTER_EVENT_BATCH_SIZE": "500"},
            stdout=self._log.open("a"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self) -> None:
        """End it, its code server and every run under way, at once."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")


@pytest.fixture
def daemon(settings, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    made = Daemon(home, tmp_path / "daemon.log")
    yield made
    made.kill()


def event(number, at, kind="purchase") -> dict[str, str]:
    return {
        "user_id": f"u{number % 7}",
        "item_id": f"i{number}",
        "interaction_type": kind,
        "timestamp": at.isoformat(),
        "event_id": f"e{number}",
    }


def sampled(settings) -> set[tuple[str, str]]:
    """Return the positives of all published samples."""
    files = list(Path(settings.storage_root).glob("training_samples/*/*/*.parquet"))
    if not files:
        return set()
    positives = pl.read_parquet(files).filter(pl.col("label") == 1.0)
    return set(positives.select("user_id", "item_id").iter_rows())


def wait_for(settings, daemon, wanted) -> float:
    """Wait until the samples have some positives; return the seconds that it took."""
    began = time.monotonic()
    while not wanted <= sampled(settings):
        assert time.monotonic() - began < PATIENCE, daemon.log[-5000:]
        time.sleep(0.5)
    return time.monotonic() - began


def test_events_reach_the_samples_of_their_days(settings, daemon, real_broker):  # noqa: F811
    now = datetime.now(UTC)
    yesterday = now - timedelta(days=1)
    expected = set()

    def send(numbers, at):
        with EventProducer(settings) as producer:
            for n in numbers:
                producer.interaction(event(n, at), tenant="acme")
                expected.add((f"u{n % 7}", f"i{n}"))

    send(range(20), yesterday)
    first = wait_for(settings, daemon, expected)
    send(range(20, 30), yesterday)  # a late event's day is made anew
    later = wait_for(settings, daemon, expected)
    daemon.kill()
    send(range(30, 40), yesterday)
    daemon.start()
    killed = wait_for(settings, daemon, expected)
    sys.stdout.write(
        f"produce to sample: {first:.0f} s with the start of the daemon, then {later:.0f} s, "
        f"and {killed:.0f} s after the daemon and its runs were killed\n"
    )
    assert len(landed_offsets(settings)) == len(expected)
    assert sampled(settings) == expected
    until = time.monotonic() + 60
    while _notices(settings) < 3 and time.monotonic() < until:
        time.sleep(0.5)
    assert _notices(settings) >= 3


def _notices(settings) -> int:
    from recsys_pipeline.kafka.topics import topic_state

    state = topic_state(settings, settings.kafka_training_topic)
    return sum(high - low for low, high in state.watermarks.values())
