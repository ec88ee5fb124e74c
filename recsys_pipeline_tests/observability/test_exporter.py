"""The exporter answers whatever its sources do, and says which of them it can't read."""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.observability import exporter as module
from recsys_pipeline.observability import families as f
from recsys_pipeline.observability.exporter import Exporter, Source, sources
from recsys_pipeline_tests.checks.published import events
from recsys_pipeline_tests.landed import all_days, land, run_days, settings_for


@contextmanager
def serving(found):
    server = Exporter("127.0.0.1", 0, found)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(url):
    families = text_string_to_metric_families(get(f"{url}/metrics")[1])
    return {
        (s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples
    }


def until(condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it has not come")


def test_a_store_is_told_of_whole(tmp_path):
    settings = settings_for(tmp_path)
    land(tmp_path, events("acme", 0), "a")
    run_days(settings, all_days(1))
    found = sources(settings)
    with serving(found) as url:
        until(lambda: all(source.is_up for source in found))
        told = samples(url)
        assert get(f"{url}/health") == (200, '{"status": "ok", "hanging": []}')
        assert get(f"{url}/")[0] == 404
        _, page = get(f"{url}/metrics")
    assert told["recsys_stored_rows", ("layer", "raw_interactions"), ("tenant", "acme")] == 4
    assert told["recsys_disk_free_bytes", ("volume", "storage")] > 0
    ups = {name[1][1]: value for name, value in told.items() if name[0] == "recsys_exporter_up"}
    assert ups == dict.fromkeys(
        ("tables", "releases", "states", "erasures", "messages", "alerts", "disk"), 1.0
    ), "topics are no source where there is no broker"
    for family in f.FAMILIES:
        assert f"# HELP {family.name} {family.help}" in page, "every family is told, used or not"


def test_a_source_that_fails_keeps_its_last_values_and_the_others(caplog):
    state = {"fails": False}

    def store():
        if state["fails"]:
            raise OSError("the row of user u-secret")
        return {f.STORED_ROWS: {("raw_items", "acme"): 7.0}}

    found = [
        Source("tables", store, 0.01),
        Source("disk", lambda: {f.DISK_FREE: {("storage",): 1.0}}, 0.01),
    ]
    up = ("recsys_exporter_up", ("source", "tables"))
    with serving(found) as url, caplog.at_level(logging.WARNING):
        until(lambda: samples(url).get(up) == 1)
        state["fails"] = True
        until(lambda: samples(url)[up] == 0)
        told = samples(url)
        assert told["recsys_stored_rows", ("layer", "raw_items"), ("tenant", "acme")] == 7
        assert told["recsys_exporter_up", ("source", "disk")] == 1
        success = ("recsys_exporter_last_success_timestamp_seconds", ("source", "tables"))
        failed_since = told[success]
        assert get(f"{url}/health")[0] == 200, "a restart would not help"
        state["fails"] = False
        until(lambda: samples(url)[up] == 1)
        assert samples(url)[success] > failed_since
    assert "source tables failed: OSError" in caplog.text
    assert "u-secret" not in caplog.text


def test_a_source_that_hangs_leaves_the_others_and_is_named(monkeypatch):
    over = threading.Event()
    found = [
        Source("tables", lambda: over.wait(30) or {}, 0.01),
        Source("disk", lambda: {f.DISK_FREE: {("storage",): 1.0}}, 0.01),
    ]
    with serving(found) as url:
        until(lambda: samples(url).get(("recsys_disk_free_bytes", ("volume", "storage"))) == 1)
        assert ("recsys_exporter_up", ("source", "tables")) not in samples(url)
        assert get(f"{url}/health")[0] == 200, "it may only be slow"
        monkeypatch.setattr(module, "HANGING_SECONDS", -1.0)
        until(lambda: get(f"{url}/health")[0] == 503)
        assert "tables" in json.loads(get(f"{url}/health")[1])["hanging"]
        over.set()


def test_a_look_takes_a_fifth_of_the_time_at_most():
    began = []

    def slow():
        began.append(time.monotonic())
        time.sleep(0.05)
        return {}

    source = Source("tables", slow, 0.001)
    source.start()
    time.sleep(0.6)
    source.stop()
    source.join()
    assert 2 <= len(began) <= 3


def test_a_store_that_is_no_folder_is_said_and_no_end(tmp_path):
    (tmp_path / "file").write_text("x")
    found = sources(settings_for(tmp_path / "file"))
    for source in found:
        source.look()
    assert {source.name for source in found if source.is_up} >= {"disk"}


def test_a_port_that_is_taken_is_a_setting_to_change(tmp_path):
    with (
        serving([]) as url,
        pytest.raises(SettingsError, match=r"RECSYS_EXPORTER_PORT.*can't be listened on"),
    ):
        Exporter("127.0.0.1", int(url.rpartition(":")[2]), [])


def test_labels_are_bounded():
    for family in f.FAMILIES:
        assert not set(family.labels) & {"day", "date", "user", "user_id", "item", "batch", "run"}
        assert family.kind == ("counter" if family.name.endswith("_total") else "gauge")
        assert family.name.startswith("recsys_")
        assert family.help.endswith(".")
