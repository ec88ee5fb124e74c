"""The Dagster UI on a small instance, as a reader sees it in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from recsys_pipeline.definitions import defs
from recsys_pipeline.runs import run_range
from recsys_pipeline_tests.landed import START, all_days, event, item_version, land

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
DAYS = 3
GROUPS = ("sources", "raw", "validated", "features", "training")
ASSETS = sorted(spec.key.to_user_string() for spec in defs.resolve_all_asset_specs())
CHECKED = "validated_interactions"
CHECKS = sorted(
    key.name for d in defs.asset_checks or [] for key in d.check_keys if key.asset_key.path[-1] == CHECKED
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("Chromium is not installed")
    return found


@pytest.fixture(scope="module")
def address(chromium, tmp_path_factory):
    """A webserver over an instance in which a few days have been run."""
    from recsys_pipeline.settings import get_settings

    folder = tmp_path_factory.mktemp("ui")
    root, home = folder / "root", folder / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    kinds = ("view", "click", "purchase")
    rows = [
        event("acme", day, n, f"u{n % 9}", f"i{n % 15}", kinds[n % 3])
        for day in range(DAYS)
        for n in range(60)
    ]
    land(root, [*rows, event("acme", 1, 100, "u1", "i1", "wink")], "a")
    land(root, [item_version(item=f"i{n}") for n in range(20)], "b", "items")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_STORAGE_ROOT", str(root))
        patch.setenv("DAGSTER_HOME", str(home))
        get_settings.cache_clear()
        with dg.DagsterInstance.from_config(str(home)) as instance:
            run = run_range(instance, START, all_days(DAYS)[-1])
        assert run.failed_checks == []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen(
            [
                Path(sys.executable).parent / "dagster-webserver",
                "-m", "recsys_pipeline.definitions", "-h", "127.0.0.1", "-p", str(port),
            ],
            cwd=ROOT,
            env={**os.environ, "DAGSTER_HOME": str(home)},
            stdout=(folder / "log").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    get_settings.cache_clear()
    try:
        _wait(server, f"http://127.0.0.1:{port}/server_info", folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    log = (folder / "log").read_text("utf-8")
    assert "Warning" not in log
    assert "Traceback" not in log


def _wait(server, url, log) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text("utf-8")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text("utf-8"))


@pytest.fixture(scope="module")
def browser(chromium, address):  # after the run: its event loop would be Dagster's too
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser, address):
    """A page that fails the test when the UI or its server reports an error."""
    problems: list[str] = []
    made = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=address)
    made.set_default_timeout(60_000)
    made.on("pageerror", lambda error: problems.append(f"page: {error}"))
    made.on("response", lambda answer: _look(answer, problems))
    yield made
    made.wait_for_timeout(1000)
    assert made.get_by_text("An unexpected error occurred").count() == 0
    assert made.get_by_text("PythonError").count() == 0
    # the announcer reads the page's title to the blind
    assert made.locator("[role=alert]:not(#__next-route-announcer__)").count() == 0
    made.close()
    assert problems == []


def _look(answer, problems) -> None:
    if answer.status >= 400:
        problems.append(f"{answer.status} {answer.url}")
    elif answer.url.endswith("/graphql"):
        text = answer.text()
        found = json.loads(text)
        if found.get("errors") or '"__typename":"PythonError"' in text.replace(" ", ""):
            problems.append(text[:2000])


def test_the_lineage_names_every_group_and_asset(page):
    expanded = quote(",".join(f"global@global:{group}" for group in GROUPS))
    page.goto(f"/asset-groups?expanded={expanded}")
    page.get_by_text("Global asset lineage").wait_for()
    for group in GROUPS:
        page.get_by_text(group, exact=True).first.wait_for()
    # a long name is cut in the middle by the graph, the catalogue has them whole
    page.goto("/assets")
    for asset in ASSETS:
        page.get_by_text(asset, exact=True).first.wait_for()
    assert page.get_by_text("Not loaded").count() == 0


def test_an_asset_says_what_it_is_and_how_it_stands(page):
    page.goto(f"/assets/{CHECKED}")
    page.get_by_text("Accepted events: typed, within the contract, without repeats.").wait_for()
    page.get_by_text("interaction_type", exact=True).first.wait_for()
    page.get_by_text("Latest check results").wait_for()
    page.get_by_text(START.replace(day=DAYS).isoformat(), exact=True).first.wait_for()


def test_every_check_of_an_asset_shows_as_succeeded(page):
    page.goto(f"/assets/{CHECKED}?view=checks")
    assert len(CHECKS) >= 4
    for check in CHECKS:
        page.get_by_text(check, exact=True).first.wait_for()
    page.get_by_text("Succeeded", exact=True).nth(len(CHECKS) - 1).wait_for()
    page.get_by_text("Latest execution").wait_for()
    assert page.get_by_text("Skipped", exact=True).count() == 0


def test_the_partitions_show_what_was_published(page):
    page.goto(f"/assets/training_samples?view=partitions&partition={START.isoformat()}")
    page.get_by_text(f"Materialized ({DAYS})").wait_for()
    page.get_by_text("dagster/partition_row_count").wait_for()
    page.get_by_text(f"date={START.isoformat()}/tenant=acme/part-0.parquet").wait_for()
