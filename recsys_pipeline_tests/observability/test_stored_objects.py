"""Releases, states, erasures and messages are counted as they are listed; only changes are read."""

from __future__ import annotations

import json
from datetime import datetime

from recsys_pipeline.engines.release import make_release
from recsys_pipeline.maintenance.erasure.receipt import Receipt, save
from recsys_pipeline.observability import families as f
from recsys_pipeline.observability.stored_objects import StoredObjects
from recsys_pipeline.storage.layout import STATES, notice_file, webhook_file
from recsys_pipeline.storage.local_store import LocalStore
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.landed import START, settings_for, view_of
from recsys_pipeline_tests.releases import SPEC, small_root


def test_releases_are_counted_with_all_their_bytes(tmp_path, monkeypatch):
    root = small_root(tmp_path)
    made = make_release(view_of(settings_for(root), [SPEC.tenant]), SPEC).manifest
    stored = StoredObjects(open_store(str(root)))
    found = stored.releases()
    folder = tmp_path if str(root) == str(tmp_path) else root
    files = [p for p in folder.glob("training_dataset/**/*") if p.is_file()]
    size = sum(path.stat().st_size for path in files)
    assert found[f.RELEASES] == {(SPEC.tenant,): 1}
    assert found[f.STORED_BYTES] == {("training_dataset", SPEC.tenant): size}
    at = datetime.fromisoformat(made.made.at).timestamp()
    assert found[f.LAST_RELEASE] == {(SPEC.tenant,): at}
    monkeypatch.setattr(LocalStore, "read", lambda *_: 1 / 0)
    assert stored.releases() == found, "a manifest is read once"
    for path in files:
        path.unlink()
    assert stored.releases() == {}


def test_messages_are_owed_since_the_oldest(tmp_path):
    objects = open_store(str(tmp_path))
    stored = StoredObjects(objects)
    nothing = {("notices",): 0, ("webhook",): 0, ("alerts",): 0}
    assert stored.messages() == {f.OWED_MESSAGES: nothing}
    for n, at in enumerate((300.0, 100.0, 200.0)):
        path = notice_file("user_features", START, "acme", f"inputs{n}")
        objects.write(path, json.dumps({"id": "x", "at": at}).encode())
    objects.write(webhook_file("acme", "r1", "t"), b"torn {")
    found = stored.messages()
    assert found[f.OWED_MESSAGES] == nothing | {("notices",): 3, ("webhook",): 1}
    assert found[f.OLDEST_OWED_MESSAGE] == {("notices",): 100.0}
    objects.delete(notice_file("user_features", START, "acme", "inputs1"))
    assert stored.messages()[f.OLDEST_OWED_MESSAGE] == {("notices",): 200.0}


def test_an_erasure_is_unsettled_until_it_is_settled(tmp_path):
    objects = open_store(str(tmp_path))
    asked = ("2025-03-02T00:00:00+00:00", "2025-03-01T00:00:00+00:00")
    receipts = [
        Receipt(receipt=f"r{n}", tenant="acme", subjects=(("hash", None),), requested_at=at)
        for n, at in enumerate(asked)
    ]
    for receipt in receipts:
        save(objects, receipt)
    found = StoredObjects(objects).erasures()
    assert found[f.ERASURES] == {("acme", "unfinished"): 2}
    assert found[f.OLDEST_UNSETTLED_ERASURE] == {
        ("acme",): datetime.fromisoformat(asked[1]).timestamp()
    }
    for receipt in receipts:
        save(objects, receipt.model_copy(update={"settled_at": asked[0]}))
    assert StoredObjects(objects).erasures() == {f.ERASURES: {("acme", "settled"): 2}}


def test_states_are_summed_by_tenant(tmp_path):
    objects = open_store(str(tmp_path))
    for name, size in (("acme/2025-01-01-ab.arrow", 3), ("acme/2025-01-02-cd.arrow", 4)):
        objects.write(f"{STATES}{name}", b"x" * size)
    assert StoredObjects(objects).states() == {f.STORED_BYTES: {("state", "acme"): 7}}
