"""Central differences along a line, with a step that is halved until the result settles."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from throughtime.verification.report import ComparisonOutcome

STEP_SIZE = 2.0**-10
"""The first step, in units of the larger of 1 and the element's size. The error of the formula, about h⁴, and the error
of rounding, about 1e-16 / h, are then both near 1e-12. A power of 2 can be added without rounding."""

HALVINGS = 40
"""The most halvings of the step where the differences have not settled, down to 1e-15."""

_ROUNDINGS = 32
"""Allowed error of `Line.central` by rounding, in float64's spacing at the value of the function, over the step.

The four evaluations weigh (8 + 8 + 1 + 1) / 12 together: these are some 40 roundings of half a spacing in each."""


@dataclass(frozen=True)
class Judgement:
    """Result of a comparison along a line, with fields as in `Place`."""

    differences: float
    uncertainty: float
    finding: ComparisonOutcome


class Line:
    """A function along a line, base + offset · direction; each point is evaluated once.

    Args:
        parts_at: from the offset to the numbers whose sum is the value of the function.
    """

    def __init__(self, parts_at: Callable[[float], Tensor]) -> None:
        self._parts_at = parts_at
        self._known: dict[float, Tensor] = {}

    def at(self, offset: float) -> Tensor:
        """Return the parts of the value of the function."""
        if offset not in self._known:
            self._known[offset] = self._parts_at(offset)
        return self._known[offset]

    def central(self, h: float) -> float:
        """Return the derivative by the fourth-order formula.

        It is [8 (f(h) - f(-h)) - (f(2h) - f(-2h))] / 12h, of error O(h⁴).
        """
        # Part by part, so that what does not change takes no part in the rounding.
        near, far = self.at(h) - self.at(-h), self.at(2 * h) - self.at(-2 * h)
        return float((8 * near - far).sum()) / (12 * h)

    def gap(self, h: float) -> tuple[float, float]:
        """Return the left and right derivatives at 0.

        Each is formed from the offsets 0, h and 2h on its side, with an error of O(h²).
        """
        left, right = (
            float((4 * (self.at(side) - self.at(0.0)) - (self.at(2 * side) - self.at(0.0))).sum()) / (2 * side)
            for side in (-h, h)
        )
        return left, right

    def noise(self, h: float) -> float:
        """Return how much rounding may add to `central(h)`.

        Parts that are equal in all four evaluations add nothing.
        """
        ahead, others = self.at(h), (self.at(-h), self.at(2 * h), self.at(-2 * h))
        changed = torch.stack([ahead != other for other in others]).any(dim=0)
        size = float(ahead[changed].abs().sum())
        return _ROUNDINGS * torch.finfo(torch.float64).eps * size / h if math.isfinite(size) else 0.0


def judge(line: Line, automatic: float, step: float, halvings: int, tolerance: float) -> Judgement:
    """Compare a derivative with central differences.

    Args:
        line: the function along a line.
        automatic: the derivative at 0 by automatic differentiation.
        step: the first h; it is halved until two results agree.
        halvings: the most halvings.
        tolerance: the allowed difference, in units of the derivative; an allowance for rounding at `step` is added.
    """
    value, strict = line.central(step), line.noise(step)
    if abs(automatic - value) <= tolerance * _size(automatic, value) + strict:
        return Judgement(value, max(abs(automatic - value), strict), ComparisonOutcome.AGREES)
    best = Judgement(value, math.inf, ComparisonOutcome.UNSETTLED)  # the value that changed least, until one settles
    for _ in range(halvings):
        step, before = step / 2, value
        value = line.central(step)
        change, slack = abs(value - before), tolerance * _size(automatic, value)
        if change < best.uncertainty:
            best = Judgement(value, change, ComparisonOutcome.UNSETTLED)
        # Settled: what a further halving would change is small beside the tolerance by which the value then judges.
        if change <= 0.1 * slack + line.noise(step):
            return _settled(line, automatic, value, step, slack + strict)
    # Where nothing settled, a derivative is called wrong only if it is far outside of what is uncertain.
    apart = abs(automatic - best.differences) > 10 * best.uncertainty
    return Judgement(
        best.differences, best.uncertainty, ComparisonOutcome.DIFFERS if apart else ComparisonOutcome.UNSETTLED
    )


def _settled(line: Line, automatic: float, value: float, step: float, allowed: float) -> Judgement:
    error = abs(automatic - value)
    if error <= allowed:
        return Judgement(value, max(error, line.noise(step)), ComparisonOutcome.AGREES)
    # Two results may be near each other by chance, where the function is rough; then smaller steps tell.
    changes = [abs(line.central(step / divisor) - value) for divisor in (2, 4, 8)]
    uncertainty = max(line.noise(step), *changes)
    # `not >` rather than `<=`: an uncertainty that is NaN settles nothing. A derivative that is NaN is wrong.
    if not error > 2 * uncertainty and math.isfinite(automatic):
        return Judgement(value, uncertainty, ComparisonOutcome.UNSETTLED)
    kink = _at_a_kink(line, automatic, step, allowed)
    return Judgement(value, uncertainty, ComparisonOutcome.KINK if kink else ComparisonOutcome.DIFFERS)


def _at_a_kink(line: Line, automatic: float, step: float, allowed: float) -> bool:
    """Return whether the function has a kink at this place.

    The one-sided derivatives stay apart as the step shrinks, with `automatic` between them.
    """
    coarse, fine = line.gap(step), line.gap(step / 8)
    apart, slack = abs(fine[1] - fine[0]), allowed + 10 * line.noise(step / 8)
    # Where the function is smooth they approach each other like h², by a factor of 64 here; at a kink by none.
    if not apart > max(abs(coarse[1] - coarse[0]) / 2, slack):
        return False
    return min(fine) - slack <= automatic <= max(fine) + slack


def _size(*values: float) -> float:
    """Return the largest finite |value|, or 0."""
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)
