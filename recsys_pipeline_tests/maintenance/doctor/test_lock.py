from __future__ import annotations

from recsys_pipeline.maintenance.doctor.lock import check_lock, read_pins


def test_pins_are_read_with_their_markers():
    text = (
        'a==1.0 ; python_full_version < "3.9" \\\n    --hash=sha256:0\n'
        'a==2.0 ; python_full_version >= "3.9" \\\n    --hash=sha256:1\n'
        "b-c==3.1.4 \\\n    --hash=sha256:2\nd==5\n"
    ).replace('"', "'")
    assert read_pins(text) == {"a": "2.0", "b-c": "3.1.4", "d": "5"}


def test_a_version_that_differs_from_the_lock_is_named(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("polars==0.0.1 \\\n    --hash=sha256:0\nno-such-package-here==1\n")
    finding = check_lock(lock)
    assert finding.status == "warning"
    assert "locked 0.0.1" in finding.found
    assert "no-such-package-here absent" in finding.found
    lock.write_text("")
    assert check_lock(lock).status == "ok"
    assert check_lock(tmp_path / "none").status == "ok"
