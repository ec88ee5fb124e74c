"""An erasure that is killed anywhere goes on: with the same command, or by the hashes alone."""

from __future__ import annotations

import pytest

from recsys_pipeline.maintenance.erasure.erase import erase, finish
from recsys_pipeline.maintenance.erasure.receipt import receipts
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.maintenance.erasure.conftest import USER, Filled
from recsys_pipeline_tests.maintenance.erasure.finding import holds, layers_with
from recsys_pipeline_tests.maintenance.erasure.test_erase import IDS, of_beta
from recsys_pipeline_tests.maintenance.kills import KilledError, kill_at  # noqa: F401  # the fixture

STRIDE = 9


def remains(root: str) -> list[str]:
    objects = open_store(root)
    found = [path for paths in of_beta(layers_with(root, USER)).values() for path in paths]
    return [path for path in found if holds(objects, path, f'"{USER}"')]


@pytest.mark.slow
@pytest.mark.parametrize("by_hash", [False, True])
def test_it_goes_on(filled: Filled, kill_at, by_hash):  # noqa: F811  # the fixture
    settings = filled.settings
    number, kills = 0, 0
    while True:
        kill_at(number)
        try:
            begun = receipts(open_store(filled.root))
            finish(settings) if by_hash and begun else erase(settings, "acme", IDS)
        except KilledError:
            kills += 1
            number += STRIDE
            kill_at(-1)
            # whatever is there is whole
            Landing(filled.root, "interactions").snapshot().scan().collect()
            for manifest in Releases(open_store(filled.root)).all():
                assert Releases(open_store(filled.root)).verify(manifest) == []
            continue
        break
    assert kills > 2
    kill_at(-1)
    assert remains(filled.root) == []
