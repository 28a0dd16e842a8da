"""Associative scan: an affine recurrence in logarithmic depth."""

import torch
from torch import Tensor


def scan(factors: Tensor, terms: Tensor) -> Tensor:
    """Run an affine recurrence by odd-even reduction.

    x_0 = terms[0], x_i = factors[i - 1] x_{i-1} + terms[i], for all i. Two neighbouring steps are together a step of
    the same form, (A_2, b_2) ∘ (A_1, b_1) = (A_2 A_1, A_2 b_1 + b_2): the odd places are half as long a recurrence, and
    each even place is a step away from an odd place. Blelloch 1990.

    Args:
        factors: [n - 1, batch, size, size], or [n - 1, batch, size] for diagonal matrices.
        terms: [n, batch, size].

    Returns:
        x_i of all i, [n, batch, size].

    Cost: about n products of two matrices and 2 n products of a matrix and a vector, where a loop has n of the latter;
    only about 2 log2 n products follow one another. Memory: two and a half times the factors.
    """
    count = len(terms)
    if count < 2:
        return terms
    pairs = count // 2
    later, earlier = factors[0::2][:pairs], factors[1::2][: pairs - 1]
    odd = scan(_compose(later[1:], earlier), _apply(later, terms[0::2][:pairs]) + terms[1::2])
    even = _apply(factors[1::2], odd[: count - pairs - 1]) + terms[2::2]
    places = torch.empty_like(terms)
    places[0], places[2::2], places[1::2] = terms[0], even, odd
    return places


def _apply(factors: Tensor, terms: Tensor) -> Tensor:
    diagonal = factors.dim() == terms.dim()
    return factors * terms if diagonal else (factors @ terms[..., None])[..., 0]


def _compose(later: Tensor, earlier: Tensor) -> Tensor:
    return later * earlier if later.dim() == 3 else later @ earlier
