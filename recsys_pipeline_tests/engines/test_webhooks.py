"""The webhook is called of each release, at least once and signed; nothing waits for it."""

from __future__ import annotations

import base64
import json

import pytest
from pydantic import SecretStr

from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.webhooks import send_webhooks, signature
from recsys_pipeline.errors import ServiceError, SettingsError
from recsys_pipeline.storage.layout import WEBHOOKS
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.landed import settings_for, view_of
from recsys_pipeline_tests.receiver import receiver
from recsys_pipeline_tests.releases import SPEC, small_root


@pytest.fixture
def server():
    with receiver() as server:
        yield server


@pytest.fixture
def settings(server, tmp_path):
    return settings_for(
        small_root(tmp_path),
        release_webhook_url=f"http://127.0.0.1:{server.server_port}/hook",
        release_webhook_secret=SecretStr("a secret of theirs"),
    )


def make(settings):
    return make_release(view_of(settings, [SPEC.tenant]), SPEC)


def owed(settings):
    return list(open_store(settings.storage_root).list(WEBHOOKS))


def test_a_release_calls_once_and_is_signed(settings, server):
    made = make(settings)
    assert made.untold == ()
    assert not make(settings).is_new
    assert send_webhooks(settings, open_store(settings.storage_root)) == 0
    ((headers, body),) = server.calls
    told = json.loads(body)
    assert told["type"] == "release.published"
    assert told["data"]["release"] == made.manifest.release
    assert told["data"]["path"] == made.uri
    assert told["data"]["rows"] == made.manifest.rows()
    assert headers["webhook-id"] == made.manifest.release
    expected = signature(
        "a secret of theirs", headers["webhook-id"], int(headers["webhook-timestamp"]), body
    )
    assert headers["webhook-signature"] == expected
    assert owed(settings) == []


def test_the_signature_is_that_of_the_specification():
    # the example of Standard Webhooks' own libraries
    found = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_plain_and_coded_secrets_are_the_same():
    coded = "whsec_" + base64.b64encode(b"secret").decode()
    assert signature("secret", "a", 1, b"x") == signature(coded, "a", 1, b"x")


def test_a_receiver_that_fails_is_called_again(settings, server):
    server.status = 500
    made = make(settings)
    assert "answers 500" in made.untold[0]
    assert made.is_new, "the release is there all the same"
    with pytest.raises(ServiceError, match="answers 500"):
        send_webhooks(settings, open_store(settings.storage_root))
    assert len(owed(settings)) == 1
    server.status = 200
    assert send_webhooks(settings, open_store(settings.storage_root)) == 1
    assert owed(settings) == []
    assert len({headers["webhook-id"] for headers, _ in server.calls}) == 1


def test_a_receiver_that_is_not_there_is_said(settings):
    gone = settings.model_copy(update={"release_webhook_url": "http://127.0.0.1:1/"})
    assert "does not answer" in make(gone).untold[0]


def test_what_was_never_published_is_not_told(settings, server, monkeypatch):
    monkeypatch.setattr(Releases, "publish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(settings)
    assert len(owed(settings)) == 1
    assert send_webhooks(settings, open_store(settings.storage_root)) == 0
    monkeypatch.undo()
    monkeypatch.setattr("recsys_pipeline.engines.webhooks.ABANDONED_SECONDS", -1)
    send_webhooks(settings, open_store(settings.storage_root))
    assert owed(settings) == []
    assert server.calls == []


def test_a_kill_after_the_switch_is_told_of_later(settings, server, monkeypatch):
    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("recsys_pipeline.engines.release._tell", killed)
        with pytest.raises(SystemExit):
            make(settings)
    assert send_webhooks(settings, open_store(settings.storage_root)) == 1
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"release_webhook_secret": None}, "RECSYS_RELEASE_WEBHOOK_SECRET"),
        ({"release_webhook_url": "localhost"}, "RECSYS_RELEASE_WEBHOOK_URL"),
    ],
)
def test_wrong_settings_stop_before_anything_is_made(settings, values, name):
    with pytest.raises(SettingsError, match=name):
        make(settings.model_copy(update=values))
    assert Releases(open_store(settings.storage_root)).all() == []
