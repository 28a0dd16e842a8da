"""docs/mathematics.md: every mistake has its line, the figures are those measured, the tests it names exist."""

import ast
import re
from pathlib import Path

import pytest

from throughtime.lecture_notes import Row, verify
from throughtime.lecture_notes.base import Kind
from throughtime.lecture_notes.table import HOLDING

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mathematics.md").read_text(encoding="utf-8")


def mistakes() -> dict[str, list[str]]:
    """The cells of each line of the last table, by the name in the first cell."""
    lines = PAGE.split("## What is wrong in the notes")[1].splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("| `")]
    return {line[0].strip("`").replace("\\|", "|"): line for line in cells}


def name(row: Row) -> str:
    return f"[{row.note}] {row.number}" + (f", {row.reading}" if row.reading else "")


def effect(row: Row) -> str:
    if row.kind is Kind.CLAIM:
        return row.explanation
    if row.printed_automatic is None:
        return f"{row.printed_shape} instead of {row.reference_shape}"
    return f"{row.printed_automatic:.2g}"


WRONG = [row for row in verify(0) if row.verdict not in HOLDING]


def test_page_lists_exactly_the_rows_that_do_not_hold():
    assert len(WRONG) > 30
    assert set(mistakes()) == {name(row) for row in WRONG}


@pytest.mark.parametrize("row", WRONG, ids=name)
def test_figure_is_the_measured_one(row):
    assert mistakes()[name(row)][3] == effect(row)


@pytest.mark.parametrize("row", WRONG, ids=name)
def test_named_test_exists(row):
    found = re.fullmatch(r"`(tests/lecture_notes/test_\w+\.py)::(test_\w+)`", mistakes()[name(row)][4])
    assert found, mistakes()[name(row)][4]
    tree = ast.parse((ROOT / found[1]).read_text(encoding="utf-8"))
    assert found[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_corrected_forms_are_as_close_as_the_page_says():
    rows = [row for row in WRONG if row.kind is Kind.DERIVATIVE]
    assert max(row.corrected_automatic or 0 for row in rows) < 1e-14
    assert max(row.corrected_central or 0 for row in rows) < 1e-9


def test_other_tests_that_the_page_names_exist():
    paths = set(re.findall(r"`(tests/\w+/test_\w+\.py)", PAGE))
    assert "tests/lecture_notes/test_gated_cells.py" in paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
