from __future__ import annotations

import hashlib

from recsys_pipeline.maintenance.doctor.sealed import check_sealed
from recsys_pipeline.storage.horizons import Horizon, Seal, move_horizon
from recsys_pipeline.storage.layout import HORIZONS, sealed_file
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.landed import START, settings_for

CONTENT = b"the state"


def test_sealed_states_are_compared_with_their_hash(tmp_path):
    settings = settings_for(tmp_path)
    assert check_sealed(settings).found == "no events are sealed"
    objects = open_store(settings.storage_root)
    path = sealed_file("acme", START, "c")
    blake2b = hashlib.blake2b(CONTENT, digest_size=16).hexdigest()
    seal = Seal(day=START, chain="c", state=path, blake2b=blake2b)
    move_horizon(objects, "acme", lambda _: Horizon(seal=seal))
    move_horizon(objects, "beta", lambda _: Horizon(kept_from={"raw_items": START}))
    gone = check_sealed(settings)
    objects.write(path, CONTENT)
    whole = check_sealed(settings)
    objects.write(path, CONTENT[::-1])
    damaged = check_sealed(settings)
    assert (whole.status, whole.found) == ("ok", "the states of 1 tenants are whole")
    for finding in (damaged, gone):
        assert (finding.status, "acme" in finding.found) == ("wrong", True)
        assert "backup" in finding.fix
    (tmp_path / HORIZONS).write_text("{")
    assert check_sealed(settings).status == "wrong"
