"""The shape of the house: imports go down, files make no circle, modules and functions are short, names documented."""

import ast
import importlib
import pathlib
import re

import pytest

import throughtime as tt
from throughtime import api

ROOT = pathlib.Path(tt.__file__).parent
HOUSE = pathlib.Path(__file__).parents[1] / "docs" / "house.md"
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
TREES = {path: ast.parse((ROOT / path).read_text()) for path in MODULES}

ONLY = {
    "report": {"records"},
    **dict.fromkeys(("losses", "clipping", "data", "records", "verification", "lecture_notes"), set()),
}
"""Rooms that use less than what stands below them, beside the ground floor, whose rooms are everybody's."""


def _floors() -> list[list[str]]:
    """The rooms of docs/house.md, from the ground up."""
    block = re.search(r"^```\n(.*?)^```", HOUSE.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    return [re.split(r"\s{2,}", line)[0].split() for line in block[1].splitlines()]


FLOORS = _floors()
FLOOR = {room: level for level, floor in enumerate(FLOORS) for room in floor}
GROUND = {room for floor in FLOORS[:3] for room in floor}


def _room(path: pathlib.Path) -> str:
    return path.parts[0].removesuffix(".py")


def _file(name: str) -> pathlib.Path | None:
    """The file of a module or package of ours, relative to the root; None for what is no module."""
    path = pathlib.Path(*name.split(".")[1:])
    for candidate in (path.with_suffix(".py") if path.parts else None, path / "__init__.py"):
        if candidate is not None and (ROOT / candidate).is_file():
            return candidate
    return None


def _imports(path: pathlib.Path) -> set[pathlib.Path]:
    """All files that a file imports, wherever the import stands: in a function or under `if TYPE_CHECKING` too."""
    found = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            found |= {_file(alias.name) for alias in node.names if alias.name.split(".")[0] == "throughtime"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            if module.split(".")[0] == "throughtime":
                found |= {_file(f"{module}.{alias.name}") or _file(module) for alias in node.names}
    return {file for file in found if file is not None and file != path}


IMPORTS = {path: _imports(path) for path in MODULES}


def test_the_map_has_every_room_once():
    rooms = {_room(path) for path in MODULES} - {"__init__"}
    assert sorted(room for floor in FLOORS for room in floor) == sorted(rooms)
    table = re.findall(r"^\| (`.*?`) \|", HOUSE.read_text(), re.MULTILINE)
    described = {name.strip("`/").removesuffix(".py") for cell in table for name in cell.split(", ")}
    assert described == rooms - GROUND


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_go_down(path):
    room = _room(path)
    if room == "__init__":
        return
    above = [file for file in IMPORTS[path] if _room(file) not in ("__init__", room)]
    assert {str(file) for file in above if FLOOR[_room(file)] >= FLOOR[room]} == set()
    assert {_room(file) for file in above} <= ONLY.get(room, set(FLOOR)) | GROUND


def test_no_files_make_a_circle():
    """Files that import nothing that is left are taken away until none can be; what remains stands in a circle."""
    left = {path: set(files) for path, files in IMPORTS.items()}
    while free := {path for path, files in left.items() if not files & left.keys()}:
        left = {path: files for path, files in left.items() if path not in free}
    assert set(map(str, left)) == set()


def test_the_library_core_knows_nothing_of_lightning():
    for path in MODULES:
        if _room(path) not in {"updates", "runs", "benchmark", "commands"}:
            assert "import lightning" not in (ROOT / path).read_text(), path


def _functions() -> list[tuple[str, int]]:
    return [
        (f"{path}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


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


PUBLIC = {
    "": """BPTT GRU LSTM RFLO RNN RTRL UORO AffineCell Cell CheckpointedBPTT DoubleSum EProp FeedbackLinear FunctionCell
        OnlineLearner ParallelScan Recurrent SnAp TruncatedBPTT checkpointed_backward clip_gradients diagnosis floss
        flossing_loss gradient_bias gradient_flow losses lyapunov_exponents tap verify_gradients""",
    "cells": "ActivationValues AffineCell Cell ElmanCell FunctionCell GRUCell LSTMCell",
    "gradients": """BPTT CheckpointedBPTT DoubleSum EProp GradientMethod Gradients ParallelScan RFLO RTRL SnAp
        TruncatedBPTT UORO run""",
    "layers": "FeedbackLinear GRU LSTM RNN Recurrent RecurrentLayer",
    "kernels": "Kernel describe",
    "losses": "bernoulli cross_entropy sequence_loss softmax_squared_error squared_error",
    "online": "OnlineLearner OnlineStep",
    "diagnosis": """GradientFlow Suggestion TransientGrowth Verdict activations_of floss flossing_loss gradient_flow
        judge lyapunov_exponents lyapunov_of spectrum_of transient_growth units_of""",
    "verification": "GradientCheck Place TensorCheck verify_gradients",
    "training": "GradientMonitor",
    # Moved: from throughtime.gradients.
    "sequences": "Sequence Tap",
    "layers.tap": "tap",
    "models": "checkpointed_backward gradient_bias",
}
"""The names that version 0.1.0 had, by the room that exports them now; "" is the package."""


@pytest.mark.parametrize("room", PUBLIC)
def test_no_public_name_is_lost(room):
    exported = tt if not room else importlib.import_module(f"throughtime.{room}")
    assert [name for name in PUBLIC[room].split() if not hasattr(exported, name)] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'throughtime' has no attribute 'LTSM'"):
        _ = tt.LTSM
