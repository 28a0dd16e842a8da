"""The table from hand-made rows: what is counted, what is flagged, and that it keeps its width."""

import pytest

from throughtime.lecture_notes import verify
from throughtime.lecture_notes.base import EquationVerdict, Kind, Row
from throughtime.lecture_notes.table import NARROWEST, legend, summary, table


def row(number: str, verdict: EquationVerdict, *, reading: str = "", confirmed: bool = True, **rest) -> Row:
    return Row("HSK", number, reading, Kind.DERIVATIVE, "a = b", verdict, confirmed, "Because.", **rest)


ROWS = [
    row("(1)", EquationVerdict.HOLDS, printed_automatic=2e-16, printed_central=3e-12),
    row("(2)", EquationVerdict.HOLDS, reading="one way", printed_automatic=1e-16, printed_central=1e-12),
    row("(2)", EquationVerdict.WRONG_ORDER, reading="the other", corrected_automatic=4e-16, corrected_central=1e-12),
    row("(3)", EquationVerdict.WRONG_SIGN, printed_automatic=2.0, corrected_automatic=1e-16, corrected_central=5e-12),
]


def test_summary_counts_equations_not_rows():
    assert summary(ROWS) == (
        "3 equations in 4 rows: 1 hold, 1 hold in one reading or under a condition only, 1 are wrong as printed; every "
        "corrected form agrees with automatic differentiation to 4e-16 and with central differences to 5e-12."
    )


def test_what_is_not_confirmed_is_named():
    rows = [*ROWS, row("(4)", EquationVerdict.HOLDS, reading="odd", confirmed=False)]
    assert summary(rows).endswith("NOT CONFIRMED by measurement: [HSK] (4), odd.")
    assert "NOT holds" in table(rows) and "NOT" not in table(ROWS)


def test_every_row_shows_its_figures_statement_and_explanation():
    lines = table(ROWS).splitlines()
    assert len(lines) == 2 + 3 * len(ROWS)
    assert lines[-3].split() == ["[HSK]", "(3)", "2.0e+00", "–", "1.0e-16", "5.0e-12", "–", "wrong", "sign"]
    assert lines[-2:] == ["    a = b", "    Because."]


@pytest.mark.parametrize("width", [NARROWEST, 120])
def test_table_fits(width):
    lines = table(verify(0), width).splitlines()
    assert max(len(line) for line in lines) <= width
    verdicts = {line.rindex("  ") for line in lines if line.startswith("[")}
    assert len(verdicts) == 1, "the columns stand under each other"


def test_the_legend_names_every_column():
    text = legend(NARROWEST)
    assert max(map(len, text.splitlines())) <= NARROWEST
    for column in ("as printed", "corrected", "autodiff", "central", "apart", "–"):
        assert column in " ".join(text.split())
