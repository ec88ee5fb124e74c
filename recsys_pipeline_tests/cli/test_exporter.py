"""`recsys exporter` serves until it is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from recsys_pipeline_tests.checks.published import events
from recsys_pipeline_tests.landed import land


@pytest.mark.slow
def test_it_serves_until_ctrl_c(tmp_path):
    land(tmp_path, events("acme", 0), "a")
    code = "from recsys_pipeline.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "exporter", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RECSYS_STORAGE_ROOT": str(tmp_path), "RECSYS_EXPORTER_SECONDS": "0.1"},
    )
    try:
        url = re.search(r"http://\S+", process.stderr.readline())[0]
        wanted = 'recsys_stored_rows{layer="raw_interactions",tenant="acme"} 4.0'
        for _ in range(100):
            with urllib.request.urlopen(url, timeout=5) as answer:
                if wanted in answer.read().decode():
                    break
            time.sleep(0.05)
        else:
            raise AssertionError("the store is not told of")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
