from __future__ import annotations

import ast
from pathlib import Path

from recsys_pipeline.maintenance import doctor


def test_every_fault_says_what_to_do():
    calls = [
        (path.name, node)
        for path in sorted(Path(doctor.__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding"
    ]
    faults = [
        (name, call)
        for name, call in calls
        if getattr(call.args[1], "value", "") in {"wrong", "warning"}
    ]
    assert len(faults) >= 10
    assert [(name, call.lineno) for name, call in faults if len(call.args) != 4] == []
