from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import numba
import numpy as np

import recsys_pipeline.kernels
from recsys_pipeline.kernels.jit import kernel


def kernels():
    for module in pkgutil.iter_modules(recsys_pipeline.kernels.__path__):
        loaded = importlib.import_module(f"recsys_pipeline.kernels.{module.name}")
        for name, value in vars(loaded).items():
            if hasattr(value, "compiled") and value.__module__ == loaded.__name__:
                yield f"{module.name}.{name}", value


def test_warming_compiles_each_kernel_for_the_one_kind_of_arguments():
    code = (
        "from recsys_pipeline.maintenance.warm import warm; warm()\n"
        "from recsys_pipeline_tests.kernels.test_jit import kernels\n"
        "for name, found in kernels(): print(name, len(found.compiled.signatures))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True
    )
    found = dict(line.split() for line in done.stdout.splitlines())
    assert set(found) == {name for name, _ in kernels()}
    assert set(found.values()) == {"1"}


def test_arguments_of_any_kind_share_one_compilation():
    @kernel
    def total(values):
        found = 0
        for value in values:
            found += value
        return found

    frozen = np.arange(4)
    frozen.flags.writeable = False
    for values in (np.arange(4), frozen, np.arange(8)[::2]):
        assert total(values) == values.sum()
    assert len(total.compiled.signatures) == 1


def test_without_a_folder_for_the_cache_a_kernel_is_compiled_in_memory(monkeypatch):
    compile_ = numba.njit

    def without_folder(*arguments, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(*arguments, **options)

    monkeypatch.setattr(numba, "njit", without_folder)

    @kernel
    def one():
        return 1

    assert one() == 1
