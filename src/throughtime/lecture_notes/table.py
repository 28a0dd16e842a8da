"""Format rows as a table of a given width, and as a summary."""

import textwrap
from collections.abc import Sequence

from throughtime.lecture_notes.base import EquationVerdict, Kind, Row

NARROWEST = 110
"""Least width of the table, at which the names of the equations still have room."""

FIGURE_WIDTH = 9
"""Width of a column of distances."""

VERDICT_WIDTH = max(len(f"  NOT {verdict.value}") for verdict in EquationVerdict)
"""Width of the last column."""

HOLDING = frozenset({EquationVerdict.HOLDS, EquationVerdict.LEFT_TO_READER})
"""Verdicts on equations that are right as printed, or that the note does not print."""

HOLDING_UNDER_CONDITIONS = frozenset(
    {EquationVerdict.APPROXIMATE, EquationVerdict.ASYMPTOTIC, EquationVerdict.CONDITIONAL}
)
"""Verdicts on equations that are right under a condition, in a limit or approximately."""

_LEGEND = (
    "Figures are relative distances of an equation, as printed and as corrected, from two references: automatic "
    "differentiation (autodiff) and central differences (central). apart: distance between both references. –: not "
    "measured. NOT before a verdict: the measurement does not confirm it."
)


def legend(width: int = 120) -> str:
    """Return the meaning of the table's columns, at most `width` wide."""
    return textwrap.fill(_LEGEND, width)


def table(rows: Sequence[Row], width: int = 120) -> str:
    """Format rows with distances, statement and explanation, at most `width` wide."""
    name_width = width - 5 * FIGURE_WIDTH - VERDICT_WIDTH  # what five distances and the verdict leave for the name
    pair = 2 * FIGURE_WIDTH
    groups = " " * name_width + f"{'as printed':>{pair}}{'corrected':>{pair}}{'references':>{FIGURE_WIDTH + 3}}"
    figures = "".join(f"{name:>{FIGURE_WIDTH}}" for name in ("autodiff", "central", "autodiff", "central", "apart"))
    lines = [groups.rstrip(), f"{'equation':<{name_width}}{figures}  verdict"]
    for row in rows:
        lines.append(_measurements(row, name_width))
        lines.extend(_wrapped(row.statement, width))
        lines.extend(_wrapped(row.explanation, width))
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """Summarise how many equations hold, how many are wrong, and the corrections' accuracy.

    An equation with several readings holds if all of them do. It holds in part if only some do, or if a reading holds
    under a condition only.
    """
    by_equation: dict[tuple[str, str], set[EquationVerdict]] = {}
    for row in rows:
        by_equation.setdefault((row.note, row.number), set()).add(row.verdict)
    counts = {"hold": 0, "in part": 0, "wrong": 0}
    for verdicts in by_equation.values():
        counts[_standing(verdicts)] += 1
    automatic, central = _worst(rows)
    text = (
        f"{len(by_equation)} equations in {len(rows)} rows: {counts['hold']} hold, {counts['in part']} hold in one "
        f"reading or under a condition only, {counts['wrong']} are wrong as printed; every corrected form agrees with "
        f"automatic differentiation to {automatic:.0e} and with central differences to {central:.0e}."
    )
    refuted = [_name(row) for row in rows if not row.confirmed]
    if refuted:
        text += f" NOT CONFIRMED by measurement: {'; '.join(refuted)}."
    return text


def _standing(verdicts: set[EquationVerdict]) -> str:
    if verdicts <= HOLDING:
        return "hold"
    return "in part" if verdicts & (HOLDING | HOLDING_UNDER_CONDITIONS) else "wrong"


def _worst(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the largest distance of a right form from each of the two references.

    The right form is the printed one where the equation holds, else the corrected one.
    """
    automatic, central = [0.0], [0.0]
    for row in rows:
        if row.kind is not Kind.DERIVATIVE:
            continue
        right = row.verdict is EquationVerdict.HOLDS
        automatic.append((row.printed_automatic if right else row.corrected_automatic) or 0.0)
        central.append((row.printed_central if right else row.corrected_central) or 0.0)
    return max(automatic), max(central)


def _name(row: Row) -> str:
    return f"[{row.note}] {row.number}" + (f", {row.reading}" if row.reading else "")


def _measurements(row: Row, name_width: int) -> str:
    values = (
        row.printed_automatic,
        row.printed_central,
        row.corrected_automatic,
        row.corrected_central,
        row.references,
    )
    figures = "".join(f"{'–' if value is None else format(value, '.1e'):>{FIGURE_WIDTH}}" for value in values)
    verdict = row.verdict.value if row.confirmed else f"NOT {row.verdict.value}"
    return f"{_name(row):<{name_width}}{figures}  {verdict}".rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ", break_long_words=False)
