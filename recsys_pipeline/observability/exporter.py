"""The exporter: looks at the store, each source on its own, and tells Prometheus what it has seen.

Runs are too short to be asked, and what they leave is in the store. A request is answered from memory,
so that a store that is slow or down makes the measures old and never unanswered.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.observability.disk import disk_measures
from recsys_pipeline.observability.families import (
    EXPORTER_LAST_SUCCESS,
    EXPORTER_PASS_SECONDS,
    EXPORTER_UP,
    FAMILIES,
    Measures,
)
from recsys_pipeline.observability.stored_objects import StoredObjects
from recsys_pipeline.observability.tables import Tables
from recsys_pipeline.observability.topics import topic_measures
from recsys_pipeline.storage.objects import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

    from recsys_pipeline.settings import Settings

log = logging.getLogger(__name__)

# a look takes at most one part in so many of the time
SHARE = 5
# a source whose look has not ended for so long hangs
HANGING_SECONDS = 1800.0


class Source(threading.Thread):
    """Looks at one source again and again, and keeps what the last look that succeeded has seen.

    Args:
        name: Its name.
        measure: One look.
        seconds: Time between two looks.
    """

    def __init__(self, name: str, measure: Callable[[], Measures], seconds: float) -> None:
        super().__init__(name=name, daemon=True)
        self.measures: Measures = {}
        self.is_up: bool | None = None
        self.succeeded_at: float | None = None
        self.pass_seconds = 0.0
        self._measure = measure
        self._seconds = seconds
        self._ended = time.monotonic()
        self._over = threading.Event()

    def look(self) -> None:
        """Look once; a failure keeps what was seen before."""
        began = time.monotonic()
        try:
            self.measures = self._measure()
        except Exception as error:  # noqa: BLE001  # whatever a store or a broker raises
            self.is_up = False
            # the message of a library may quote a row
            log.warning("source %s failed: %s", self.name, type(error).__name__)
        else:
            self.is_up = True
            self.succeeded_at = time.time()
        self._ended = time.monotonic()
        self.pass_seconds = self._ended - began

    @property
    def hangs(self) -> bool:
        """Return whether no look has ended for long."""
        return time.monotonic() - self._ended > HANGING_SECONDS + SHARE * self._seconds

    def run(self) -> None:
        """Look until `stop`."""
        while not self._over.is_set():
            self.look()
            self._over.wait(max(self._seconds, (SHARE - 1) * self.pass_seconds))

    def stop(self) -> None:
        """End after the look that is under way."""
        self._over.set()


def sources(settings: Settings) -> list[Source]:
    """Return the sources that the settings have."""
    stored = StoredObjects(open_store(settings.storage_root))
    looks: dict[str, Callable[[], Measures]] = {
        "tables": Tables(settings).measure,
        "releases": stored.releases,
        "states": stored.states,
        "erasures": stored.erasures,
        "messages": stored.messages,
        "alerts": stored.alerts,
        "disk": lambda: disk_measures(settings),
    }
    if is_configured(settings):
        looks["topics"] = lambda: topic_measures(settings)
    return [Source(name, look, settings.exporter_seconds) for name, look in looks.items()]


class Collector:
    """What the sources have seen, as Prometheus' families."""

    def __init__(self, found: list[Source]) -> None:
        self._sources = found

    def collect(self) -> Iterator[Metric]:
        """Yield every family, those without a value too."""
        merged: Measures = {family: {} for family in FAMILIES}
        for source in self._sources:
            for family, values in source.measures.items():
                merged[family] |= values
            if source.is_up is not None:
                merged[EXPORTER_UP][(source.name,)] = float(source.is_up)
                merged[EXPORTER_PASS_SECONDS][(source.name,)] = source.pass_seconds
            if source.succeeded_at is not None:
                merged[EXPORTER_LAST_SUCCESS][(source.name,)] = source.succeeded_at
        for family, values in merged.items():
            make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            metric = make(family.name, family.help, labels=family.labels)
            for labels, value in sorted(values.items()):
                metric.add_metric(labels, value)
            yield metric


class Exporter(ThreadingHTTPServer):
    """Answers `/metrics` and `/health`.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        found: What is looked at.

    Raises:
        SettingsError: The address can't be listened on.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, found: list[Source]) -> None:
        self.sources = found
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(Collector(found))
        ProcessCollector(registry=self.registry)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise SettingsError(
                "RECSYS_EXPORTER_PORT",
                f"{host}:{port} can't be listened on ({error})",
                "Choose another",
            ) from None

    def serve(self) -> None:
        """Look and answer until `shutdown`."""
        for source in self.sources:
            source.start()
        try:
            self.serve_forever()
        finally:
            for source in self.sources:
                source.stop()
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Exporter

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, generate_latest(self.server.registry), CONTENT_TYPE_LATEST)
        elif path == "/health":
            # a restart cures a look that hangs, and not a store that is down
            hanging = [source.name for source in self.server.sources if source.hangs]
            body = {"status": "down" if hanging else "ok", "hanging": hanging}
            self._answer(503 if hanging else 200, json.dumps(body).encode(), "application/json")
        else:
            self._answer(404, b"See /metrics and /health\n", "text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its base's name
        log.debug(format, *args)
