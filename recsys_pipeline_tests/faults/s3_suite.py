"""Suite `s3`: a store that refuses, loses answers and cuts connections gives what a local disk gives."""

from __future__ import annotations

import os
import random
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from unittest import mock

import s3fs

from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.conformance.s3_servers import (
    BUCKET,
    FaultyProxy,
    environment,
    served,
)
from recsys_pipeline_tests.conformance.through import run_through
from recsys_pipeline_tests.faults.comparison import Fault
from recsys_pipeline_tests.faults.held import Held
from recsys_pipeline_tests.faults.landing_suite import scratch

SHARE = (0.005, 0.06)  # of requests that fail: least and most of a schedule


class S3Suite(Held):
    """A server and what is to be stored on it; use it as a context manager."""

    name = "s3"
    schedules = 20

    def __enter__(self) -> Self:
        with ExitStack() as held:
            self._folder = Path(held.enter_context(scratch()))
            self._url = held.enter_context(served("moto", self._folder))
            here = self._folder / "here"
            self.expected = run_through(str(here), self._folder / "here.db")
            self._held = held.pop_all()
        return self

    def run(self, seed: int, broken: str | None = None) -> tuple[list[Fault], list[str]]:
        """See `Suite`."""
        share = random.Random(seed).uniform(*SHARE)
        name = uuid.uuid4().hex
        root = f"s3://{BUCKET}/{name}"
        with (
            FaultyProxy(self._url, share, seed) as proxy,
            mock.patch.dict(os.environ, environment(proxy.url)),
        ):
            s3fs.S3FileSystem.clear_instance_cache()
            release, files = run_through(root, self._folder / f"{name}.db")
            landed = Landing(root, "interactions").snapshot().scan().collect()
        done = [f"{proxy.failed} requests failed of one in {1 / share:.0f}"]
        expected, whole = self.expected
        faults = []
        if release != expected:
            faults.append(Fault("torn", 1, f"release {release}, not {expected}"))
        for kind, paths in (("lost", {*whole} - {*files}), ("doubled", {*files} - {*whole})):
            if paths:
                faults.append(Fault(kind, len(paths), f"files {sorted(paths)[:5]}"))  # type: ignore[arg-type]  # of the three
        changed = sorted(path for path in {*files} & {*whole} if files[path] != whole[path])
        if changed:
            faults.append(Fault("torn", len(changed), f"files {changed[:5]}"))
        repeats = int(landed.select("batch_id", "position").is_duplicated().sum())
        if repeats:
            faults.append(Fault("doubled", repeats, "landed rows"))
        return faults, done
