"""The gradient of W_ih that indices select columns of, where the reference multiplies by one-hot vectors.

A step adds its errors to the column of its index alone. The product of the loop adds 0 · e_t to all other columns,
which is NaN where an error is infinite or NaN. Both are right; anything else is a fault.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

from fuzz.verdicts import REFUSED
from torch import Tensor

from throughtime.cells.affine import AffineCell


@contextlib.contextmanager
def _selecting() -> Iterator[None]:
    """Leave out what the loop multiplies by 0 of a one-hot vector."""
    accumulate = AffineCell.accumulate

    def selected(self: Any, parameters: Any, x: Tensor, entering: Any, errors: Any, needs_x: bool) -> Any:
        gradients, d_x = accumulate(self, parameters, x, entering, errors, needs_x)
        terms = errors[0][:, :, None] * x[:, None]
        return gradients | {"weight_ih": terms.where(x[:, None] != 0, 0).sum(0)}, d_x

    AffineCell.accumulate = selected  # type: ignore[method-assign]
    try:
        yield
    finally:
        AffineCell.accumulate = accumulate  # type: ignore[method-assign]


def selected(reference: Callable[[], Any], expected: Any, names: Collection[str]) -> dict[str, Tensor]:
    """The results of these names without any 0 · ∞ and 0 · NaN, where the expected ones have a NaN.

    Args:
        reference: computes the expected results with the loop.
        expected: its results.
        names: the names of the gradients of W_ih that indices select columns of.
    """
    if expected is REFUSED:
        return {}
    names = [name for name in names if name in expected and expected[name].isnan().any()]
    if not names:
        return {}
    with _selecting():
        exact = reference()
    return {name: exact[name] for name in names}
