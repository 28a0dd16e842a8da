"""The shape of the house: imports flow one way, modules and functions stay short, every public name is documented."""

import ast
import pathlib

import pytest

import throughtime as tt
from throughtime import api

ROOT = pathlib.Path(tt.__file__).parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))

ALLOWED = {
    "errors": set(),
    "types": set(),
    "kernels": {"types", "errors"},
    "cells": {"kernels", "types", "errors"},
    "gradients": {"cells", "kernels", "types", "errors"},
    "layers": {"gradients", "cells", "types", "errors"},
    "online": {"layers", "gradients", "cells", "clipping", "types", "errors"},
    "losses": {"errors", "types"},
    "clipping": {"errors", "types"},
    "notes": {"errors"},
    "verification": {"errors", "types"},
    "data": {"errors"},
    "records": {"errors"},
    "report": {"records", "errors"},
    "diagnosis": {"layers", "gradients", "cells", "records", "report", "types", "errors"},
    "benchmark": {"layers", "kernels", "cells", "gradients", "errors", "types"},
    "training": {
        "kernels",
        "layers",
        "gradients",
        "losses",
        "online",
        "clipping",
        "data",
        "diagnosis",
        "report",
        "records",
        "cells",
        "errors",
        "types",
    },
    "runs": {
        "training",
        "kernels",
        "cells",
        "layers",
        "gradients",
        "losses",
        "online",
        "clipping",
        "data",
        "report",
        "records",
        "errors",
        "types",
    },
    "commands": {
        "runs",
        "training",
        "benchmark",
        "diagnosis",
        "report",
        "kernels",
        "notes",
        "data",
        "records",
        "errors",
        "types",
    },
    "api": {"cells", "clipping", "diagnosis", "gradients", "layers", "losses", "online", "verification"},
}
"""What each room may import; `throughtime.errors` and `throughtime.types` are everybody's."""


def _room(path: pathlib.Path) -> str:
    return path.parts[0].removesuffix(".py")


def _imported_rooms(tree: ast.Module) -> set[str]:
    """Rooms imported at run time: what stands under `if TYPE_CHECKING` is only for the reader."""
    unread = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    rooms = {name.split(".")[1] for name in names if name.startswith("throughtime.")}
    return {room for room in rooms if (ROOT / room).is_dir() or (ROOT / f"{room}.py").is_file()}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_flow_one_way(path):
    room = _room(path)
    if room == "__init__":
        return
    reached = _imported_rooms(ast.parse((ROOT / path).read_text())) - {room}
    assert reached <= ALLOWED[room], f"{path} imports {sorted(reached - ALLOWED[room])}"


def test_the_library_core_knows_nothing_of_lightning():
    for path in MODULES:
        if _room(path) not in {"training", "runs", "commands"}:
            assert "import lightning" not in (ROOT / path).read_text(), path


def _functions() -> list[tuple[str, int]]:
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((f"{path}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1))
    return found


def test_modules_are_short():
    assert {str(path) for path in MODULES if len((ROOT / path).read_text().splitlines()) > 500} == set()


def test_functions_are_short():
    lengths = _functions()
    assert {name for name, length in lengths if length > 100} == set()
    assert sum(length > 45 for _, length in lengths) <= len(lengths) / 10


def test_every_public_name_is_listed_served_and_documented():
    assert set(dir(tt)) == {*api.__all__, "__version__"}
    for name in api.__all__:
        assert getattr(tt, name) is getattr(api, name)
        assert (getattr(api, name).__doc__ or "").strip(), name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'throughtime' has no attribute 'LTSM'"):
        _ = tt.LTSM
