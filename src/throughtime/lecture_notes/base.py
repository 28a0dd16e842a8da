"""Equations of the notes: definition, measurement and verdict."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeAlias

from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.lecture_notes.differentiation import Derivative, automatic, central, distance
from throughtime.lecture_notes.systems import ElmanSystem

AGREEMENT = 1e-7
"""Largest relative distance at which two values count as equal."""

DIFFERENCE = 1e-5
"""Least relative distance that confirms a mistake. A distance between AGREEMENT and DIFFERENCE confirms nothing."""


class Note(Enum):
    """Lecture notes, by the letters with which the project cites them."""

    MR = "MR"  # Martínez-Ramón, Ajith, Rajendra Kurup, "5.2a Training an RNN. Recursive gradients"
    Y = "Y"  # Kun Yuan, "Back Propagation in Recurrent Neural Network", 2024
    HSK = "HSK"  # HSK, "RNN", 2024
    T = "T"  # "Training RNNs", lecture notes without an author


class Kind(Enum):
    """Kind of an equation, which decides its reference."""

    DERIVATIVE = "derivative"  # measured by automatic differentiation and by central differences
    DEFINITION = "definition"  # measured by the value of a layer or a function of torch
    CLAIM = "claim"  # a statement that is no equality, measured by an experiment


class EquationVerdict(Enum):
    """Verdict on an equation as printed. The measurement confirms it or not."""

    HOLDS = "holds"
    LEFT_TO_READER = "left to reader"  # the note prints no formula
    WRONG_SIGN = "wrong sign"  # minus the printed form is right
    WRONG_ORDER = "wrong order"  # matrices are multiplied in the wrong order
    WRONG_FACTOR = "wrong factor"  # a factor is another quantity than it should be
    WRONG_INDEX = "wrong index"  # for example, a time step where a class is meant
    WRONG_SHAPE = "wrong shape"  # the factors do not multiply, or the result has another shape than its name says
    WRONG_LABEL = "wrong label"  # the right-hand side is another quantity than the left-hand side names
    WRONG_SCALE = "wrong scale"  # a constant factor is missing
    WRONG_QUANTITY = "wrong quantity"  # a rule tests or scales another quantity than it should
    TRANSPOSED = "transposed"  # the transpose of the printed form is right
    INCOMPLETE = "incomplete"  # terms are missing
    DOUBLE_COUNTS = "double counts"  # terms are counted more than once
    APPROXIMATE = "approximate"  # an approximation that the note does not call one
    ASYMPTOTIC = "asymptotic"  # right only in the limit of long lags
    CONDITIONAL = "conditional"  # right only under a condition that the note does not state
    WORDING = "wording"  # the words or symbols say something else than is meant


@dataclass(frozen=True)
class TorchValue:
    """Reference value that torch computes, for a definition.

    Attributes:
        value: the value.
        source: name of the layer or function of torch, such as "torch.nn.RNN".
    """

    value: Tensor
    source: str


@dataclass(frozen=True)
class Misfit:
    """Shapes of two adjacent factors that do not multiply as printed."""

    left: tuple[int, ...]
    right: tuple[int, ...]


@dataclass(frozen=True)
class ExperimentResult:
    """Result of an experiment on a claim.

    Attributes:
        numbers: the measured numbers, by names that the explanation of the claim can quote.
        shown: whether the numbers show what the verdict says.
    """

    numbers: Mapping[str, float]
    shown: bool


Reference: TypeAlias = Derivative | TorchValue
"""Right value of an equation, which does not use the formula of the note."""

Value: TypeAlias = Tensor | Misfit
"""Value of an equation as printed."""


@dataclass(frozen=True)
class Equation:
    """Equation of a note in a single reading, with everything needed to judge it.

    Attributes:
        note: the note.
        number: the number in the note, such as "(8)", or a name where the note gives none.
        statement: the equation as printed, in the symbols of this project.
        verdict: what is said of the equation as printed.
        explanation: reason for the verdict. In braces it may quote any field of the `Row` and any number of the
            experiment.
        kind: what the equation is measured by.
        reading: how the equation is read, where the note leaves more than one reading open; else "".
        printed: computes the right-hand side as printed, mistakes included; None where nothing is printed.
        corrected: computes the right form; None where the printed form is right.
        reference: the quantity that the left-hand side names; None for a claim.
        meant: for a wrong label, the quantity that the right-hand side computes; else None.
        experiment: for a claim, the experiment that decides; else None.
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
    """Measured line of the table.

    Distances are those of `distance`, relative to the second value; None where there is nothing to measure, or the
    shapes differ.

    Attributes:
        note, number, reading, kind, statement, verdict: as in `Equation`.
        confirmed: whether the measurement shows what the verdict says.
        explanation: that of the equation, with the measured figures in place of the braces.
        source: "automatic differentiation", or the source of a `TorchValue`.
        printed_automatic: distance of the printed form from automatic differentiation, or from a `TorchValue`.
        printed_central: distance of the printed form from central differences.
        corrected_automatic, corrected_central: the same distances of the corrected form.
        references: distance of central differences from automatic differentiation.
        meant: distance of the printed form from the quantity that it does compute.
        mirrored: distance from the reference of the transpose of the printed form where the verdict is TRANSPOSED,
            and of minus the printed form elsewhere.
        printed_shape, reference_shape: such as "(4, 4)", or "(1, 5)·(4, 5)" for a `Misfit`.
        numbers: the numbers of the experiment, by name.
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
    """Multiply matrices from left to right, as printed.

    Returns:
        The product; or, where two factors do not multiply, the shapes of the product so far and of the next factor.
    """
    result = factors[0]
    for factor in factors[1:]:
        if result.shape[-1] != factor.shape[0]:
            return Misfit(tuple(result.shape), tuple(factor.shape))
        result = result @ factor
    return result


def check(equation: Equation, system: ElmanSystem) -> Row:
    """Measure an equation on a network, and compare its verdict with the measurement.

    Returns:
        The row of the table. A verdict that the measurement does not confirm is no error: the row says so.

    Raises:
        ArgumentError: the equation has neither a reference nor an experiment.
    """
    row = Row(
        equation.note.value,
        equation.number,
        equation.reading,
        equation.kind,
        equation.statement,
        equation.verdict,
    )
    if equation.experiment is not None:
        result = equation.experiment(system)
        row = replace(row, numbers=result.numbers, confirmed=result.shown)
    else:
        row = replace(row, **_distances(equation, system))
        row = replace(row, confirmed=_confirms(row))
    return replace(row, explanation=equation.explanation.format(**_quotable(row)))


def _quotable(row: Row) -> dict[str, Any]:
    """Return the values that an explanation may quote, by name; nan stands for a distance that was not measured."""
    fields = {name: math.nan if value is None else value for name, value in vars(row).items()}
    return fields | dict(row.numbers)


def _distances(equation: Equation, system: ElmanSystem) -> dict[str, Any]:
    """Return the measured fields of the row of a derivative or a definition, by name."""
    if equation.reference is None:
        raise ArgumentError(
            "equation",
            f"is [{equation.note.value}] {equation.number} and has neither a reference nor an experiment",
            "there is nothing to measure it by",
            "give it one of the two",
        )
    exact, differences, source = _values(equation.reference(system))
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
        # Minus the printed form confirms a wrong sign, its transpose a swapped layout.
        mirror = printed.mT if equation.verdict is EquationVerdict.TRANSPOSED else -printed
        measured["mirrored"] = _distance(mirror, exact)
    if equation.meant is not None:
        measured["meant"] = _distance(printed, _values(equation.meant(system))[0])
    return measured


def _values(reference: Reference) -> tuple[Tensor, Tensor | None, str]:
    """Return the right value, the same by central differences (None for a `TorchValue`), and the name of the source."""
    if isinstance(reference, TorchValue):
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
    """Return whether the measured distances and shapes agree with the verdict."""
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
            return _close(row.mirrored) and row.printed_automatic is not None and _close(abs(row.printed_automatic - 2))
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
    """Return whether a form is as near to both references as equal values are; a definition has only the first."""
    return _close(by_automatic) and (kind is Kind.DEFINITION or _close(by_central))


def _differs(value: float | None) -> bool:
    return value is not None and value >= DIFFERENCE
