"""A root restored from what `docs/backup.md` calls needed gives the same files."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from recsys_pipeline.engines.acceptance import Acceptance, accept
from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline.engines.sealed import seal
from recsys_pipeline.ingestion.batches import retract_batch
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline.ingestion.replay import Selection, replay
from recsys_pipeline.maintenance.erasure.erase import erase, finish
from recsys_pipeline.maintenance.erasure.receipt import receipts, save
from recsys_pipeline.storage import layout
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.landing_erasure import ErasableLanding
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.landed import (
    RECEIVED,
    START,
    all_days,
    file_hashes,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
DAYS = 5
ERASED = "u3"
TEXT = "user_id,item_id,interaction_type,timestamp\nu1,i1,buy,2025-01-04\nu2,i2,view,2025-01-05\n"


def rows_of_page() -> dict[str, bool]:
    """Return the paths of the page's table, and whether each is needed."""
    found = re.findall(r"^\| `([^`]+)` \| (yes|no) \|", PAGE.read_text(), flags=re.MULTILINE)
    return {path.rstrip("/"): needed == "yes" for path, needed in found}


def restore(root: Path, target: Path) -> None:
    """Copy what the page says is needed; times of files are not kept."""
    for path, needed in rows_of_page().items():
        source = root / path
        if needed and source.is_dir():
            shutil.copytree(source, target / path, copy_function=shutil.copyfile)
        elif needed and source.exists():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / path)


@pytest.fixture
def shop(tmp_path):
    """A root with all that can't be made anew: batches, a replay, an erasure, a seal, a release."""
    root = tmp_path / "data"
    settings = settings_for(
        root, metadata_url=f"sqlite:///{tmp_path}/m.db", tenants_file=tmp_path / "t"
    )
    land(root, random_events(3, 300, DAYS), "a")
    land(root, [item_version(item=f"i{n}") for n in range(14)], "b", "items")
    (tmp_path / "f.csv").write_text(TEXT)
    (tmp_path / "m.toml").write_text('[event_types]\nbuy = "purchase"\n')
    file = [str(tmp_path / "f.csv")]
    (done,) = ingest_files(settings, "interactions", file, "acme", received_at=RECEIVED)
    replayed = replay(settings, Selection("interactions", "acme"), str(tmp_path / "m.toml"))
    assert replayed.repaired.total() == 1
    erase(settings, "acme", frozenset({(ERASED, None)}))
    held = Acceptance("validated_interactions", "2025-01-02", "beta", 1.0, "me", "2025-02-01", "")
    accept(open_store(str(root)), held)
    run_days(settings, all_days(DAYS))
    seal(view_of(settings, ["acme"]), "acme", START)
    ErasableLanding(str(root), "interactions").forget("acme", START + timedelta(days=1))
    last = START + timedelta(days=DAYS - 1)
    spec = ReleaseSpec("beta", START, last, validation_days=1, test_days=1, shard_rows=60)
    made = make_release(view_of(settings, ["beta"]), spec)
    return root, settings, file, done.batch_id, made.manifest


def users(root, tenant: str) -> list[str | None]:
    landed = Landing(str(root), "interactions").snapshot().scan(tenants=[tenant])
    return landed.collect()["user_id"].to_list()


def of_kept_days(root) -> dict[str, str]:
    """Return the published files, but for those of sealed days."""
    sealed = re.compile(rf"(?!\w+_items/).*date={START}/tenant=acme/.*")
    return {path: h for path, h in file_hashes(root).items() if not sealed.fullmatch(path)}


def test_a_restored_root_gives_the_same_files(shop, tmp_path):
    root, settings, file, batch, manifest = shop
    target = tmp_path / "restored"
    restore(root, target)
    there = settings.model_copy(update={"storage_root": str(target)})
    assert file_hashes(target) == {}
    run_days(there, all_days(DAYS))
    expected = of_kept_days(root)
    assert any("training_samples" in path for path in expected)
    assert file_hashes(target) == expected
    assert Releases(open_store(str(target))).verify(manifest) == []
    # batches and who was erased are known as before
    (again,) = ingest_files(there, "interactions", file, "acme", received_at=RECEIVED)
    assert again.already_landed
    path = tmp_path / "more.csv"
    path.write_text(TEXT.replace("u1", ERASED))
    ingest_files(there, "interactions", [str(path)], "acme", received_at=RECEIVED)
    assert users(target, "acme").count(ERASED) == 0
    assert retract_batch(str(target), batch, start_date=START).rows == 2


@pytest.mark.slow
def test_who_was_erased_after_the_backup_is_erased_again(shop, tmp_path):
    root, settings, *_ = shop
    target = tmp_path / "restored"
    restore(root, target)
    (_, first), *_ = [(r.tenant, r) for r in receipts(open_store(str(root)))]
    erase(settings, "acme", frozenset({("u4", None)}))
    objects = open_store(str(root))
    for receipt in receipts(objects):  # as they are some days later
        save(objects, receipt.model_copy(update={"settled_at": first.requested_at}))
    shutil.rmtree(target / "_meta" / "erasures")
    shutil.copytree(root / "_meta" / "erasures", target / "_meta" / "erasures")
    there = settings.model_copy(update={"storage_root": str(target)})

    assert users(target, "acme").count("u4") > 0
    assert finish(there) == []
    assert len(finish(there, again=True)) == 2
    assert users(target, "acme").count("u4") == 0


def test_the_page_knows_every_folder():
    source = Path(layout.__file__).read_text() + "{META}/batches {META}/locks"
    known = {path.split("/")[1] for path in rows_of_page() if path.startswith("_meta/")}
    written = set(re.findall(r"\{META\}/([a-z_]+(?:\.json)?)", source))
    assert written == known
