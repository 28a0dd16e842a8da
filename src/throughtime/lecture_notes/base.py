"""Equations of the notes: definition, measurement and verdict."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.lecture_notes.differentiation import Derivative, automatic, central, distance
from throughtime.lecture_notes.systems import ElmanSystem

AGREEMENT = 1e-7
"""Largest relative distance of two values that count as equal."""

DIFFERENCE = 1e-5
"""Least relative distance that confirms a mistake; between the two limits nothing is confirmed."""


class Note(Enum):
    """Lecture notes, by the letters with which the project cites them."""

    MR = "MR"  # Martínez-Ramón, Ajith, Rajendra Kurup, "5.2a Training an RNN. Recursive gradients"
    Y = "Y"  # Kun Yuan, "Back Propagation in Recurrent Neural Network", 2024
    HSK = "HSK"  # HSK, "RNN", 2024
    T = "T"  # "Training RNNs", lecture notes without an author


class Kind(Enum):
    """Kind of an equation, which decides its reference."""

    DERIVATIVE = "derivative"  # automatic differentiation and central differences
    DEFINITION = "definition"  # the value of torch's own layer or loss
    CLAIM = "claim"  # a statement that is no equality: an experiment decides


class EquationVerdict(Enum):
    """Verdict on an equation as printed, confirmed or refuted by measurement."""

    HOLDS = "holds"
    LEFT_TO_READER = "left to reader"
    WRONG_SIGN = "wrong sign"
    WRONG_ORDER = "wrong order"
    WRONG_FACTOR = "wrong factor"
    WRONG_INDEX = "wrong index"
    WRONG_SHAPE = "wrong shape"
    WRONG_LABEL = "wrong label"
    WRONG_SCALE = "wrong scale"
    WRONG_QUANTITY = "wrong quantity"
    TRANSPOSED = "transposed"
    INCOMPLETE = "incomplete"
    DOUBLE_COUNTS = "double counts"
    APPROXIMATE = "approximate"
    ASYMPTOTIC = "asymptotic"
    CONDITIONAL = "conditional"
    WORDING = "wording"


@dataclass(frozen=True)
class Known:
    """Reference value that torch computes; `source` is the name of the function in torch."""

    value: Tensor
    source: str


@dataclass(frozen=True)
class Misfit:
    """Shapes of two factors that stand side by side in print and do not multiply."""

    left: tuple[int, ...]
    right: tuple[int, ...]


@dataclass(frozen=True)
class ExperimentResult:
    """Result of an experiment on a claim. It has numbers by name, and says whether they show what the verdict says."""

    numbers: Mapping[str, float]
    shown: bool


Reference: TypeAlias = Derivative | Known
Value: TypeAlias = Tensor | Misfit


@dataclass(frozen=True)
class Equation:
    """Equation of a note in a single reading, with everything needed to judge it.

    `printed` is the equation as the note has it, mistakes included; `corrected` is the right form where it differs.
    `reference` is the quantity that the left-hand side names; `meant` is the quantity that the right-hand side
    computes where the label is wrong. A claim has `experiment` instead. `explanation` may quote, in braces, any field
    of the `Row` and any number of the experiment.
    """

    note: Note
    number: str
    statement: str
    verdict: EquationVerdict
    explanation: str
    kind: Kind = Kind.DERIVATIVE
    reading: str = ""
    printed: Callable[[ElmanSystem], Value] | None = None
    corrected: Callable[[ElmanSystem], Tensor] | None = None
    reference: Callable[[ElmanSystem], Reference] | None = None
    meant: Callable[[ElmanSystem], Reference] | None = None
    experiment: Callable[[ElmanSystem], ExperimentResult] | None = None


@dataclass(frozen=True)
class Row:
    """Measured line of the table. Distances are relative; None where there is nothing to measure.

    Attributes:
        note, number, reading, kind, statement, verdict: of the `Equation`.
        confirmed: whether the measurement shows what the verdict says.
        explanation: the equation's, with its figures put in.
        source: name of the reference.
        printed_automatic, printed_central: distances of the printed form from the two references.
        corrected_automatic, corrected_central: the same for the corrected form.
        references: distance of central differences from automatic differentiation.
        meant: distance of the printed form from the quantity that it does compute.
        mirrored: distance of minus the printed form, or of its transpose, from the reference.
        printed_shape, reference_shape: such as "(4, 4)", or "(1, 5)·(4, 5)" for a `Misfit`.
        numbers: results of an experiment, by name.
    """

    note: str
    number: str
    reading: str
    kind: Kind
    statement: str
    verdict: EquationVerdict
    confirmed: bool = False
    explanation: str = ""
    source: str = ""
    printed_automatic: float | None = None
    printed_central: float | None = None
    corrected_automatic: float | None = None
    corrected_central: float | None = None
    references: float | None = None
    meant: float | None = None
    mirrored: float | None = None
    printed_shape: str = ""
    reference_shape: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


def literal_product(factors: Sequence[Tensor]) -> Value:
    """Multiply matrices as printed, from left to right. Return the first two shapes that do not fit, if any."""
    result = factors[0]
    for factor in factors[1:]:
        if result.shape[-1] != factor.shape[0]:
            return Misfit(tuple(result.shape), tuple(factor.shape))
        result = result @ factor
    return result


def check(equation: Equation, system: ElmanSystem) -> Row:
    """Measure an equation on a network, and compare its verdict with the numbers.

    Returns:
        The row with `confirmed` set; a wrong verdict raises nothing, so that a table can list all of them.

    Raises:
        ArgumentError: the equation has neither a reference nor an experiment.
    """
    measured = _identity(equation)
    if equation.experiment is not None:
        experiment = equation.experiment(system)
        measured |= {"numbers": experiment.numbers, "confirmed": experiment.shown}
    else:
        measured |= _distances(equation, system)
        measured["confirmed"] = _confirms(Row(**measured))
    measured["explanation"] = equation.explanation.format(**_quotable(measured))
    return Row(**measured)


def _quotable(measured: dict) -> dict:
    """Return the values that an explanation may quote; unmeasured distances are nan."""
    known = {name: math.nan if value is None else value for name, value in measured.items()}
    return known | dict(measured.get("numbers", {}))


def _identity(equation: Equation) -> dict:
    return {
        "note": equation.note.value,
        "number": equation.number,
        "reading": equation.reading,
        "kind": equation.kind,
        "statement": equation.statement,
        "verdict": equation.verdict,
    }


def _distances(equation: Equation, system: ElmanSystem) -> dict:
    if equation.reference is None:
        raise ArgumentError(
            "equation",
            f"is [{equation.note.value}] {equation.number} and has neither a reference nor an experiment",
            "there is nothing to measure it by",
            "give it one of the two",
        )
    reference = equation.reference(system)
    exact, differences, source = _values(reference)
    printed = None if equation.printed is None else equation.printed(system)
    corrected = None if equation.corrected is None else equation.corrected(system)
    measured = {
        "source": source,
        "reference_shape": _shape(exact),
        "printed_shape": "" if printed is None else _shape(printed),
        "printed_automatic": _distance(printed, exact),
        "printed_central": _distance(printed, differences),
        "corrected_automatic": _distance(corrected, exact),
        "corrected_central": _distance(corrected, differences),
        "references": _distance(differences, exact),
    }
    if isinstance(printed, Tensor):
        # A wrong sign is confirmed by minus the value, a swapped layout by its transpose.
        mirror = printed.mT if equation.verdict is EquationVerdict.TRANSPOSED else -printed
        measured["mirrored"] = _distance(mirror, exact)
    if equation.meant is not None:
        measured["meant"] = _distance(printed, _values(equation.meant(system))[0])
    return measured


def _values(reference: Reference) -> tuple[Tensor, Tensor | None, str]:
    if isinstance(reference, Known):
        return reference.value, None, reference.source
    return automatic(reference), central(reference), "automatic differentiation"


def _shape(value: Value) -> str:
    if isinstance(value, Misfit):
        return f"{value.left}·{value.right}"
    return str(tuple(value.shape))


def _distance(value: Value | None, reference: Tensor | None) -> float | None:
    if not isinstance(value, Tensor) or reference is None or value.shape != reference.shape:
        return None
    return distance(value, reference)


def _confirms(row: Row) -> bool:
    """Return whether the measured distances agree with the verdict."""
    if row.verdict is EquationVerdict.HOLDS:
        return _agrees(row.printed_automatic, row.printed_central, row.kind)
    if not _agrees(row.corrected_automatic, row.corrected_central, row.kind):
        return False
    match row.verdict:
        case EquationVerdict.LEFT_TO_READER:
            return row.printed_shape == ""
        case EquationVerdict.WRONG_SHAPE:
            return row.printed_shape not in ("", row.reference_shape)
        case EquationVerdict.WRONG_SIGN:
            # Minus the reference is twice the reference's size away from it.
            return _close(row.mirrored) and row.printed_automatic is not None and abs(row.printed_automatic - 2) < 1e-7
        case EquationVerdict.TRANSPOSED:
            return _close(row.mirrored) and _differs(row.printed_automatic)
        case EquationVerdict.WRONG_LABEL:
            mislabelled = row.printed_shape != row.reference_shape or _differs(row.printed_automatic)
            return mislabelled and _close(row.meant)
        case EquationVerdict.WRONG_INDEX if row.printed_shape != row.reference_shape:
            return True
        case _:
            return _differs(row.printed_automatic)


def _close(value: float | None) -> bool:
    return value is not None and value <= AGREEMENT


def _agrees(by_automatic: float | None, by_central: float | None, kind: Kind) -> bool:
    return _close(by_automatic) and (kind is Kind.DEFINITION or _close(by_central))


def _differs(value: float | None) -> bool:
    return value is not None and value >= DIFFERENCE
