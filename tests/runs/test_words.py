"""What runs outside `tasks/` must not know, and how the library names its arguments."""

import ast
import pathlib
import re

import pytest

import throughtime

ROOT = pathlib.Path(throughtime.__file__).parent
SOURCES = sorted(path for path in (ROOT / "runs").rglob("*.py") if path.parent.name != "tasks")
OF_TEXT = re.compile(r"symbol|character|vocabular|bigram|unigram|embed|alphabet", re.IGNORECASE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_tasks_know_what_a_text_is(path):
    found = [line for line in path.read_text().splitlines() if OF_TEXT.search(line)]
    assert found == []
    modules = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert not modules & {"throughtime.data.text", "throughtime.data.bytestream", "throughtime.data.guesses"}
    of_tasks = {module for module in modules if str(module).startswith("throughtime.runs.tasks.")}
    assert of_tasks <= {"throughtime.runs.tasks.base", "throughtime.runs.tasks.streaming"}


def test_there_are_sources_to_look_at():
    assert {"engine.py", "passes.py", "streaming.py", "module.py"} <= {path.name for path in SOURCES}


FLAG = re.compile(r"(?<![\w-])--[a-z]")
COMMAND_LINE = re.compile(r"throughtime [a-z]+[^;:]* --[a-z]")
COLOURS = "canvas.py"
"""Names variables of CSS, which look like flags."""


def _strings(tree):
    """Every string of a module, an f-string as one, with … in the place of values."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


@pytest.mark.parametrize("room", ["runs", "training", "data", "records", "report"])
def test_flags_stand_in_whole_command_lines_only(room):
    for path in sorted((ROOT / room).rglob("*.py")):
        if path.name == COLOURS:
            continue
        for string in _strings(ast.parse(path.read_text())):
            assert not FLAG.search(string) or COMMAND_LINE.search(string), f"{path}: {string}"
