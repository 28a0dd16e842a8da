"""`check` must not be able to confirm a verdict that the numbers do not show."""

from dataclasses import replace

import pytest
import torch

from throughtime.errors import ArgumentError
from throughtime.lecture_notes.base import (
    Equation,
    EquationVerdict,
    ExperimentResult,
    Kind,
    Misfit,
    Note,
    TorchValue,
    check,
    literal_product,
)
from throughtime.lecture_notes.differentiation import Derivative

MATRIX = torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64)
POINT = torch.tensor([0.5, -1.5], dtype=torch.float64)

HOLDS = Equation(
    note=Note.MR,
    number="(0)",
    statement="d(Mx)/dx = M",
    printed=lambda system: MATRIX,
    reference=lambda system: Derivative(lambda x: MATRIX @ x, POINT),
    verdict=EquationVerdict.HOLDS,
    explanation="Distance {printed_automatic:.0f} from {source}, shape {printed_shape}.",
)


def wrong(verdict: EquationVerdict, value: object, **rest) -> Equation:
    return replace(HOLDS, verdict=verdict, printed=lambda system: value, corrected=lambda system: MATRIX, **rest)


def test_a_right_equation_holds(system):
    row = check(HOLDS, system)
    assert row.confirmed
    assert row.printed_automatic == 0 and row.printed_central is not None and row.printed_central < 1e-9
    assert row.explanation == "Distance 0 from automatic differentiation, shape (2, 2)."


@pytest.mark.parametrize(
    ("verdict", "value"),
    [
        (EquationVerdict.WRONG_SIGN, -MATRIX),
        (EquationVerdict.TRANSPOSED, MATRIX.T),
        (EquationVerdict.WRONG_SHAPE, MATRIX[0]),
        (EquationVerdict.WRONG_SHAPE, Misfit((1, 2), (3, 2))),
        (EquationVerdict.WRONG_INDEX, MATRIX[:1]),
        (EquationVerdict.WRONG_ORDER, MATRIX @ MATRIX),
        (EquationVerdict.INCOMPLETE, MATRIX.diag().diag()),
    ],
)
def test_a_mistake_is_confirmed_and_nothing_else_is(system, verdict, value):
    assert check(wrong(verdict, value), system).confirmed
    assert not check(replace(HOLDS, printed=lambda system: value), system).confirmed, "claimed to hold"
    assert not check(wrong(verdict, MATRIX), system).confirmed, "there is no mistake in the right value"
    unmended = replace(wrong(verdict, value), corrected=lambda system: 1.001 * MATRIX)
    assert not check(unmended, system).confirmed, "the correction is wrong"


@pytest.mark.parametrize("verdict", [EquationVerdict.WRONG_SIGN, EquationVerdict.TRANSPOSED])
def test_another_mistake_of_the_same_size_is_not_confirmed(system, verdict):
    other = torch.tensor([[-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64) @ MATRIX
    assert not check(wrong(verdict, other), system).confirmed


def test_a_wrong_label_must_be_the_value_of_what_is_meant(system):
    meant = Derivative(lambda x: 3 * MATRIX @ x, POINT)
    assert check(wrong(EquationVerdict.WRONG_LABEL, 3 * MATRIX, meant=lambda system: meant), system).confirmed
    assert not check(wrong(EquationVerdict.WRONG_LABEL, 4 * MATRIX, meant=lambda system: meant), system).confirmed
    assert not check(wrong(EquationVerdict.WRONG_LABEL, MATRIX, meant=lambda system: meant), system).confirmed


def test_references_that_disagree_confirm_nothing(system):
    def deceived(x):
        return MATRIX @ x if x.requires_grad else 1.01 * MATRIX @ x

    assert not check(replace(HOLDS, reference=lambda system: Derivative(deceived, POINT)), system).confirmed


def test_not_a_number_confirms_nothing(system):
    value = torch.full_like(MATRIX, torch.nan)
    assert not check(replace(HOLDS, printed=lambda system: value), system).confirmed
    assert not check(wrong(EquationVerdict.INCOMPLETE, value), system).confirmed


def test_a_definition_is_held_against_torch(system):
    known = replace(HOLDS, kind=Kind.DEFINITION, reference=lambda system: TorchValue(MATRIX, "torch's own"))
    row = check(known, system)
    assert row.confirmed and row.source == "torch's own" and row.printed_central is None and row.references is None
    assert not check(replace(known, printed=lambda system: MATRIX + 1e-5), system).confirmed


def test_what_is_left_to_the_reader_has_no_printed_form(system):
    left = replace(
        HOLDS, verdict=EquationVerdict.LEFT_TO_READER, printed=None, corrected=lambda system: MATRIX, explanation=""
    )
    assert check(left, system).confirmed
    assert not check(replace(left, printed=lambda system: MATRIX), system).confirmed


@pytest.mark.parametrize("shown", [True, False])
def test_a_claim_is_decided_by_its_evidence(system, shown):
    claim = Equation(
        note=Note.T,
        number="claim",
        kind=Kind.CLAIM,
        statement="",
        experiment=lambda system: ExperimentResult({"reach": 7.0}, shown),
        verdict=EquationVerdict.CONDITIONAL,
        explanation="It reaches {reach:.0f} steps.",
    )
    row = check(claim, system)
    assert row.confirmed is shown and row.explanation == "It reaches 7 steps."


def test_an_equation_with_nothing_to_measure_it_by_is_refused(system):
    with pytest.raises(ArgumentError, match=r"^equation is \[MR\] \(0\) and has neither a reference nor an exp"):
        check(replace(HOLDS, reference=None), system)


def test_literal_product_stops_at_the_first_misfit():
    row = torch.ones(1, 2, dtype=torch.float64)
    assert literal_product([row, MATRIX, MATRIX.T, row]) == Misfit((1, 2), (1, 2))
    torch.testing.assert_close(literal_product([row, MATRIX, MATRIX.T]), row @ MATRIX @ MATRIX.T)
