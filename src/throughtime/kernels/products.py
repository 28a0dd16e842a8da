"""The large products around a recurrence, by the faster of the two libraries that torch carries."""

from functools import cache
from typing import Any

import torch
from torch import Tensor

LARGE = 4_000_000
"""Multiply-adds from which oneDNN's call, about 10 µs dearer, is worth it."""

ROWS_OF_A_SUM = 1024
"""Rows that a weight's gradient sums in one product."""


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows [N, K] · weightᵀ [K, M] + bias [M], of any strides.

    torch's own product is MKL's, which runs AVX2 code on processors that are not Intel's; oneDNN takes AVX-512 where
    there is any, at twice the rate on Zen 5. The operator is not part of torch's documented interface, so it is looked
    up, and torch's own product serves where it is missing.
    """
    large = rows.shape[0] * rows.shape[1] * weight.shape[0] >= LARGE
    if large and rows.dtype == torch.float32 and (onednn := _onednn()) is not None:
        return onednn(rows, weight, bias, "none", [], "")
    return rows @ weight.t() if bias is None else torch.addmm(bias, rows, weight.t())


def sum_of_outer(errors: Tensor, rows: Tensor) -> Tensor:
    """Σ_n errors[n] ⊗ rows[n]: [N, M], [N, K] → [M, K].

    Summed in blocks: one running sum over all rows would gather twice the rounding error.
    """
    total = linear(errors[:ROWS_OF_A_SUM].t(), rows[:ROWS_OF_A_SUM].t())
    for start in range(ROWS_OF_A_SUM, len(errors), ROWS_OF_A_SUM):
        block = slice(start, start + ROWS_OF_A_SUM)
        total += linear(errors[block].t(), rows[block].t())
    return total


@cache
def _onednn() -> Any | None:
    """oneDNN's linear operator, or None where this torch has none or it does not compute what is expected."""
    try:
        operator = torch.ops.mkldnn._linear_pointwise
        rows, weight = torch.arange(6.0).view(3, 2), torch.arange(4.0).view(2, 2)
        agrees = torch.equal(operator(rows, weight.t(), None, "none", [], ""), rows @ weight)
    except (AttributeError, RuntimeError):
        return None
    return operator if agrees else None
