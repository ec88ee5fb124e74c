"""Rows that leave a landing table while others remove theirs."""

from __future__ import annotations

from recsys_pipeline.storage.landing_erasure import ErasableLanding
from recsys_pipeline_tests.landed import event, land


def users(*names: str):
    return lambda rows: rows["user_id"].is_in(names)


def test_a_file_that_another_removal_deletes_meanwhile_is_looked_for_again(tmp_path):
    for day in range(3):
        land(tmp_path, [event(day=day, user=f"u{n}") for n in range(3)], f"d{day}")
    landing = ErasableLanding(str(tmp_path), "interactions")
    others = [users("u0")]

    def meanwhile(rows):
        while others:
            ErasableLanding(str(tmp_path), "interactions").remove(["acme"], others.pop())
        return users("u1")(rows)

    assert landing.remove(["acme"], meanwhile).rows == 3
    assert set(landing.snapshot().scan().collect()["user_id"]) == {"u2"}
