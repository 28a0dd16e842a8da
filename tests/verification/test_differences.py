import math

import pytest
import torch

from throughtime.verification.differences import HALVINGS, STEP_SIZE, Line, judge
from throughtime.verification.report import ComparisonOutcome


def _line(function, at):
    return Line(lambda offset: function(torch.tensor([at + offset], dtype=torch.float64)))


def _judge(function, at, automatic, step=STEP_SIZE, halvings=HALVINGS, tolerance=1e-6):
    return judge(_line(function, at), automatic, step, halvings, tolerance)


def test_the_formula_is_exact_for_polynomials_of_degree_four_and_no_further():
    line = _line(lambda x: x**4 - 2 * x**3, 1.5)
    assert line.central(0.25) == pytest.approx(4 * 1.5**3 - 6 * 1.5**2, abs=1e-12)
    # For x⁵ the error of the formula is -4 h⁴.
    assert _line(lambda x: x**5, 1.5).central(0.25) == pytest.approx(5 * 1.5**4 - 4 * 0.25**4, abs=1e-11)


def test_the_one_sided_derivatives_are_exact_for_parabolas():
    left, right = _line(lambda x: torch.where(x < 2, 3 * x, x * x + x), 2.0).gap(0.5)
    assert (left, right) == (pytest.approx(3), pytest.approx(5))


def test_each_point_is_evaluated_once_and_agreement_takes_four():
    seen = []

    def sine(x):
        seen.append(x.item())
        return torch.sin(x)

    assert _judge(sine, 0.7, math.cos(0.7)).finding is ComparisonOutcome.AGREES
    assert len(seen) == len(set(seen)) == 4
    found = _judge(sine, 0.7, 1.01 * math.cos(0.7))
    assert found.finding is ComparisonOutcome.DIFFERS and found.differences == pytest.approx(math.cos(0.7), abs=1e-11)
    assert found.uncertainty < 1e-9


@pytest.mark.parametrize(
    ("function", "at", "automatic", "finding"),
    [
        (torch.abs, 0.0, 0.3, ComparisonOutcome.KINK),
        (torch.abs, 0.0, 1.3, ComparisonOutcome.DIFFERS),
        (torch.abs, 3e-8, 1.0, ComparisonOutcome.AGREES),
        (torch.abs, 3e-8, -1.0, ComparisonOutcome.DIFFERS),
        (torch.sign, 0.0, 0.0, ComparisonOutcome.UNSETTLED),
        (torch.sign, 1e-5, 0.0, ComparisonOutcome.AGREES),
        (lambda x: torch.sin(1e5 * x), 0.2, 1e5 * math.cos(2e4), ComparisonOutcome.AGREES),
        (torch.sqrt, 1e-12, 0.5e6, ComparisonOutcome.AGREES),
        (torch.sqrt, 0.0, math.inf, ComparisonOutcome.UNSETTLED),
        (torch.tanh, 0.3, math.nan, ComparisonOutcome.DIFFERS),
        (lambda x: torch.sin(x).float().double(), 0.2, math.cos(0.2) + 1e-4, ComparisonOutcome.UNSETTLED),
    ],
)
def test_findings(function, at, automatic, finding):
    assert _judge(function, at, automatic).finding is finding


def test_what_does_not_change_adds_no_rounding():
    def parts(offset):
        return torch.tensor([1e12, math.sin(0.3 + offset)], dtype=torch.float64)

    line = Line(parts)
    assert line.noise(STEP_SIZE) < 1e-8
    assert line.central(STEP_SIZE) == pytest.approx(math.cos(0.3), abs=1e-11)
