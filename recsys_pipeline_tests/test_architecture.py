"""The layers of CONTRIBUTING, kept by import-linter, and what it can't see, kept by the syntax tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "recsys_pipeline"
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Slow to import, and not every run needs them: they are imported inside the functions that do.
LAZY = {"boto3", "botocore", "dagster_aws", "duckdb", "faker", "pandas", "s3fs"}

# Folders whose modules compute on what they are handed.
PURE = {
    "kernels": {"polars", "pandas", "pyarrow", "dagster", "os", "pathlib", "datetime.now"},
    "transforms": {"os", "pathlib", "socket", "subprocess", "datetime.now"},
}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def imported(nodes) -> set[str]:
    """Top-level names of the packages that import statements among the nodes name."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def at_import(body) -> list[ast.stmt]:
    """Statements that run when the module is imported: not those of functions or TYPE_CHECKING."""
    run: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            run += at_import(node.orelse)
            continue
        run.append(node)
        for part in ("body", "orelse", "finalbody"):
            run += at_import(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            run += at_import(handler.body)
    return run


def environment_reads(module: ast.Module) -> list[int]:
    """Lines that take something from the environment; setting a variable is none."""
    set_only = {
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
    }
    lines = []
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}:
            lines += [node.lineno] if node not in set_only else []
        if isinstance(node, ast.ImportFrom) and node.module in {"os", "dotenv"}:
            lines += [
                node.lineno
                for alias in node.names
                if alias.name in {"environ", "environb", "getenv", "load_dotenv", "dotenv_values"}
            ]
    return lines


def test_import_layers():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_settings_reads_the_environment(path):
    if name(path) != "settings.py":
        assert environment_reads(tree(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_slow_packages_are_imported_where_they_are_used(path):
    assert imported(at_import(tree(path).body)) & LAZY == set()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_says_what_it_is(path):
    module = tree(path)
    assert not module.body or ast.get_docstring(module)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_annotations_are_deferred_except_where_dagster_reads_them(path):
    module = tree(path)
    code = [node for node in module.body if not isinstance(node, ast.Expr)]
    # Dagster takes the types of contexts, configs and resources from the annotations themselves.
    if code and path.name != "__init__.py" and "dagster" not in imported(ast.walk(module)):
        assert isinstance(code[0], ast.ImportFrom)
        assert code[0].module == "__future__"


@pytest.mark.parametrize("folder", sorted(PURE))
def test_the_pure_core_touches_no_file_process_or_clock(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        module = tree(path)
        at_run = [node for node in ast.walk(module) if node not in type_only(module)]
        assert imported(at_run) & PURE[folder] == set(), name(path)
        clocks = [
            node.lineno
            for node in ast.walk(module)
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
        ]
        assert clocks == [], name(path)


def type_only(module: ast.Module) -> set[ast.AST]:
    return {
        inner
        for node in module.body
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }


def test_dagster_is_imported_by_one_command_only():
    for path in (PACKAGE / "cli").glob("*.py"):
        if path.name != "run.py":
            assert "dagster" not in imported(ast.walk(tree(path))), name(path)


def test_the_rules_above_can_fail():
    module = ast.parse(
        "import os\nfrom os import environ as e\n"
        "if True:\n    import s3fs\n"
        "class A:\n    import pandas\n    def f(self):\n        import boto3\n"
        "try:\n    import duckdb\nexcept ImportError:\n    pass\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import faker\n"
        "os.environ['A']\nos.getenv('B')\nos.environ['C'] = '1'\n"
    )
    assert imported(at_import(module.body)) & LAZY == {"s3fs", "pandas", "duckdb"}
    assert len(environment_reads(module)) == 3


@pytest.mark.parametrize(
    "start", ["recsys_pipeline.cli.main", "recsys_pipeline.cli.doctor", "recsys_pipeline.settings"]
)
def test_light_modules_stay_light(start):
    code = f"import {start}, sys; print([m for m in {sorted(LAZY | {'dagster', 'pandera', 'polars'})} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_loading_the_definitions_loads_no_numba():
    code = "import recsys_pipeline.definitions, sys; print('numba' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
