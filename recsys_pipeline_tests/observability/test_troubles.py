"""A trouble is told once in the set time, whoever sees it, and at least once, whoever is killed."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from recsys_pipeline.engines.webhooks import signature
from recsys_pipeline.errors import ServiceError, SettingsError
from recsys_pipeline.observability import alerts
from recsys_pipeline.observability import families as f
from recsys_pipeline.observability.alerts import send_alerts
from recsys_pipeline.observability.stored_objects import StoredObjects
from recsys_pipeline.observability.troubles import HOUR, Trouble, end, note, open_troubles
from recsys_pipeline.storage.layout import ALERTS_OUTBOX
from recsys_pipeline.storage.local_store import LocalStore
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.landed import settings_for
from recsys_pipeline_tests.receiver import receiver

NOW = 1_750_000_000.0
HELD = Trouble(
    "held", "validated_interactions", "acme", "2 days of acme publish nothing new",
    "recsys quarantine accept --tenant acme --date 2025-01-02", ("2025-01-02", "2025-01-05"), "abc",
)  # fmt: skip


class KilledError(BaseException):
    """As if the process had ended: nothing catches it."""


@pytest.fixture
def server():
    with receiver() as server:
        yield server


@pytest.fixture
def settings(server, tmp_path):
    return settings_for(
        tmp_path,
        alert_webhook_url=f"http://127.0.0.1:{server.server_port}/hook",
        alert_webhook_secret=SecretStr("a secret of theirs"),
        ui_url="https://ui.example/",
    )


@pytest.fixture
def objects(tmp_path):
    return open_store(str(tmp_path))


def told(server):
    return [(body["type"], body["data"]) for _, raw in server.calls for body in [json.loads(raw)]]


@pytest.fixture(autouse=True)
def _young(monkeypatch):
    """Messages of tests are of a day long past."""
    monkeypatch.setattr(alerts, "ABANDONED_SECONDS", float("inf"))


def test_a_call_says_what_to_do_and_is_signed(settings, objects, server):
    assert note(settings, objects, HELD, NOW)
    assert send_alerts(settings, objects) == 1
    ((headers, body),) = server.calls
    call = json.loads(body)
    assert call["type"] == "alert.firing"
    data = call["data"]
    assert (data["asset"], data["tenant"], data["days"]) == (HELD.asset, "acme", list(HELD.days))
    assert data["url"] == "https://ui.example/runs/abc"
    assert data["command"] == HELD.command
    when, who = int(headers["webhook-timestamp"]), headers["webhook-id"]
    assert headers["webhook-signature"] == signature("a secret of theirs", who, when, body)
    assert send_alerts(settings, objects) == 0
    assert len(server.calls) == 1


@pytest.mark.parametrize("seed", range(6))
def test_what_is_told_is_what_a_plain_rule_says(settings, objects, seed):
    """The oracle keeps a list: told if never told, or not within the set hours."""
    rng = random.Random(seed)
    now, last, is_open, was_told = NOW, {}, {}, {}
    for _ in range(25):
        now += rng.choice([0.1, 1, 3, 7]) * HOUR
        key = rng.choice([("acme", "held"), ("beta", "held"), ("", "run_failed")])
        trouble = Trouble(key[1], "step", key[0], "words", "recsys run")
        if rng.random() < 0.7:
            expected = key not in last or now - last[key] >= settings.alert_repeat_hours * HOUR
            if expected:
                last[key] = now
            was_told[key] = expected or (is_open.get(key, False) and was_told.get(key, False))
            is_open[key] = True
            assert note(settings, objects, trouble, now) == expected
        else:
            expected = is_open.get(key, False) and was_told[key]
            is_open[key] = False
            assert end(settings, objects, trouble, now) == expected
        going = {t.tenant for t in open_troubles(objects, "held")}
        assert going == {tenant for (tenant, kind), o in is_open.items() if o and kind == "held"}
        told_open = StoredObjects(objects).alerts().get(f.OPEN_ALERTS, {})
        assert {(t, k) for (k, t), v in told_open.items() if v} == {
            k for k, o in is_open.items() if o
        }


def test_of_processes_that_see_it_at_once_one_tells(settings, objects, server):
    with ThreadPoolExecutor(8) as pool:
        owed = list(pool.map(lambda _: note(settings, objects, HELD, NOW), range(16)))
    assert owed.count(True) == 1
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: send_alerts(settings, objects), range(4)))
    assert sum(sent) == len(server.calls) == 1


@pytest.mark.parametrize("act", ["note", "end", "send"])
def test_killed_before_any_write_it_is_told_all_the_same(
    settings, objects, server, act, monkeypatch
):
    left = [-1]
    for name in ("write", "delete"):
        original = getattr(LocalStore, name)

        def trap(store, *arguments, _original=original, **more):
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            return _original(store, *arguments, **more)

        monkeypatch.setattr(LocalStore, name, trap)

    def whole(kill=-1):
        """The way of a trouble, killed once in one of its acts, which its next caller does again."""
        kills = 0
        for name, do in (
            ("note", lambda: note(settings, objects, HELD, NOW)),
            ("send", lambda: send_alerts(settings, objects)),
            ("end", lambda: end(settings, objects, HELD, NOW + HOUR)),
            ("send", lambda: send_alerts(settings, objects)),
        ):
            left[0] = kill if name == act else -1
            try:
                do()
            except KilledError:
                kills += 1
                left[0] = -1
                do()
        return kills

    points = 0
    for kill in range(10):
        server.calls.clear()
        for path in [*objects.list("_meta/alerts/")]:
            left[0] = -1
            objects.delete(path)
        if not whole(kill):
            break
        points += 1
        calls = {headers["webhook-id"] for headers, _ in server.calls}
        assert len(calls) == 2, (
            "once that it began and once that it ended; a repeat has the same id"
        )
        assert {kind for kind, _ in told(server)} == {"alert.firing", "alert.resolved"}
        assert not objects.list(ALERTS_OUTBOX)
        assert list(open_troubles(objects, "held")) == []
    assert points >= (1 if act == "send" else 2)


def test_a_receiver_that_is_down_gets_them_later_and_is_asked_once_a_round(
    settings, objects, server
):
    server.status = 503
    for tenant in ("acme", "beta", "gamma"):
        note(settings, objects, Trouble("run_failed", "step", tenant, "words", "recsys run"), NOW)
    with pytest.raises(ServiceError, match="RECSYS_ALERT_WEBHOOK_URL: answers 503"):
        send_alerts(settings, objects)
    assert len(server.calls) == 1
    server.status = 200
    assert send_alerts(settings, objects) == 3
    assert len({headers["webhook-id"] for headers, _ in server.calls}) == 3


def test_what_nobody_takes_for_a_week_is_dropped(settings, objects, server, monkeypatch):
    note(settings, objects, HELD, NOW)
    monkeypatch.setattr(alerts, "ABANDONED_SECONDS", 7 * 24 * HOUR)
    assert send_alerts(settings, objects) == 0
    assert not server.calls
    assert not objects.list(ALERTS_OUTBOX)


def test_nobody_is_told_where_nobody_is_set(tmp_path, objects):
    quiet = settings_for(tmp_path)
    assert not note(quiet, objects, HELD, NOW)
    assert send_alerts(quiet, objects) == 0
    assert not objects.list(ALERTS_OUTBOX)
    assert list(open_troubles(objects, "held")) == [HELD], "the exporter counts it"


def test_what_was_seen_before_a_receiver_was_set_is_told_then(tmp_path, settings, objects, server):
    note(settings_for(tmp_path), objects, HELD, NOW)
    assert note(settings, objects, HELD, NOW + 60)
    send_alerts(settings, objects)
    assert told(server)[0][1]["times"] == 2


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"at": 1}', b'{"at": "x", "channels": 3}'])
def test_torn_objects_stop_nobody(settings, objects, server, torn):
    note(settings, objects, HELD, NOW)
    (outbox,) = objects.list(ALERTS_OUTBOX)
    objects.write(outbox, torn)
    note(settings, objects, Trouble("run_failed", "step", "", "words", "recsys run"), NOW)
    for path in objects.list("_meta/alerts/open/held/"):
        objects.write(path, torn)
    assert StoredObjects(objects).alerts()[f.OPEN_ALERTS]["held", "acme"] == 0
    assert StoredObjects(objects).messages()[f.OWED_MESSAGES][("alerts",)] == 2
    assert send_alerts(settings, objects) == 1
    assert note(settings, objects, HELD, NOW + 1), "it is told anew"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"alert_webhook_secret": None}, "RECSYS_ALERT_WEBHOOK_SECRET"),
        ({"alert_webhook_url": "example.com"}, "RECSYS_ALERT_WEBHOOK_URL"),
        ({"alert_email_to": ("a@example.com",)}, "RECSYS_SMTP_HOST"),
    ],
)
def test_settings_that_can_not_work_are_named(settings, objects, values, name):
    wrong = settings.model_copy(update=values)
    note(wrong, objects, HELD, NOW)
    with pytest.raises(SettingsError, match=name):
        send_alerts(wrong, objects)
    assert objects.list(ALERTS_OUTBOX)
