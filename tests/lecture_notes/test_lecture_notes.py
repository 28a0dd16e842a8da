"""The whole list of equations: complete, confirmed on other networks too, and independent of the library."""

import ast
from pathlib import Path

import pytest
import torch

import throughtime.lecture_notes
from throughtime.lecture_notes import EQUATIONS, Note, verify
from throughtime.lecture_notes.base import AGREEMENT, EquationVerdict, Kind


@pytest.mark.parametrize("seed", [0, 1, 20240312])
def test_every_verdict_is_confirmed(seed):
    assert [(row.note, row.number, row.reading) for row in verify(seed) if not row.confirmed] == []


def test_the_two_references_agree():
    derivatives = [row for row in verify(0) if row.kind is Kind.DERIVATIVE]
    assert len(derivatives) > 50
    assert max(row.references or 1.0 for row in derivatives) < 1e-9 < AGREEMENT


def test_no_two_rows_have_one_name():
    names = [(equation.note, equation.number, equation.reading) for equation in EQUATIONS]
    assert len(names) == len(set(names))


def test_one_note_can_be_asked_for():
    rows = verify(0, Note.Y)
    assert {row.note for row in rows} == {"Y"}
    assert len(rows) == sum(equation.note is Note.Y for equation in EQUATIONS)


def test_seed_changes_the_measured_effect_but_not_the_sign_error():
    def effects(seed: int) -> dict[EquationVerdict, float | None]:
        return {row.verdict: row.printed_automatic for row in verify(seed, Note.HSK) if row.number == "(10)"}

    assert effects(0)[EquationVerdict.WRONG_ORDER] != effects(1)[EquationVerdict.WRONG_ORDER]
    assert effects(0)[EquationVerdict.WRONG_SIGN] == pytest.approx(effects(1)[EquationVerdict.WRONG_SIGN])


def test_the_number_of_threads_is_left_as_it_was():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        verify(0, Note.MR)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_room_imports_only_itself_and_torch():
    modules = set()
    for path in Path(throughtime.lecture_notes.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module or "")
    ours = {name for name in modules if name.startswith("throughtime")}
    assert ours, "the walk found no imports at all"
    assert all(name.startswith(("throughtime.lecture_notes", "throughtime.errors")) for name in ours), ours
