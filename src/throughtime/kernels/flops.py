"""Formulas for the floating-point operations of the kernels' operators, which torch.utils.flop_counter asks for.

The numbers count what torch counts for its layers: products of matrices, each multiplication and each addition. Steps
in the padding count too.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from throughtime.kernels import operators as operators  # without the operators nothing could be counted
from throughtime.kernels.compiled import Sizes


@register_flop_formula(torch.ops.throughtime.recurrence, get_raw=True)
def forward_flops(
    name: str, x: Tensor, initial: list[Tensor], reset_state: Any, weights: list[Tensor], *_: Any, **__: Any
) -> int:
    """Count the operations of `recurrence`: a product with each weight matrix at each step."""
    return sum(_products(x, weights))


@register_flop_formula(torch.ops.throughtime.recurrence_backward, get_raw=True)
def backward_flops(
    name: str,
    x: Tensor,
    initial: list[Tensor],
    reset_state: Any,
    weights: list[Tensor],
    lengths: Any,
    resets: Any,
    batch_sizes: Any,
    reverse: bool,
    save: str,
    *_: Any,
    **__: Any,
) -> int:
    """Count the operations of `recurrence_backward`.

    Each product has two derivatives. Gates that were not kept are computed again.
    """
    products = _products(x, weights)
    again = save == "states" and Sizes.of_weights(initial, weights).gates > 1
    return 2 * sum(products) + (sum(products[:2]) if again else 0)


def _products(x: Tensor, weights: list[Tensor]) -> list[int]:
    """Return the operations of the products with W_ih, W_hh and W_hr at all steps."""
    vectors = x.is_floating_point()
    rows = x.shape[:-1].numel() if vectors else x.numel()
    matrices = [weight.numel() for weight in weights if weight.dim() == 2]
    # An index picks a column of W_ih, which is no product.
    return [2 * rows * entries for entries in ([matrices[0]] if vectors else [0]) + matrices[1:]]
