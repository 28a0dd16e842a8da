"""Every class name of the library means one thing."""

import ast
import pathlib
from collections import defaultdict

import throughtime

ROOT = pathlib.Path(throughtime.__file__).parent


def _modules_by_class() -> dict[str, set[str]]:
    found = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(path.relative_to(ROOT).as_posix())
    return found


def test_no_two_classes_share_a_name():
    modules = _modules_by_class()
    assert len(modules) > 100, "the search sees none"
    shared = {name: places for name, places in modules.items() if len(places) > 1}
    assert shared == {}
