"""Norms of rows that neither overflow nor underflow."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.types import State


def row_norm(members: State) -> Float[Tensor, " *rows"]:
    """Compute the 2-norm of each row over all members, each [*rows, size].

    A norm beyond the dtype's largest number is given as that number, so that an infinite norm tells of an infinite
    entry, and NaN of NaN.
    """
    in_units, units = norm_in_units(members)
    norm = in_units * units
    return torch.where(in_units.isfinite(), norm.clamp(max=torch.finfo(norm.dtype).max), norm)


def norm_in_units(members: State) -> tuple[Float[Tensor, " *rows"], Float[Tensor, " *rows"]]:
    """Compute the 2-norm of each row in units of its largest entry, and these units.

    Their product is the norm, and may overflow. A row with an entry that is not finite has the unit 1, and an infinite
    norm or NaN.
    """
    together = members[0] if len(members) == 1 else torch.cat(members, dim=-1)
    if not together.shape[-1]:
        return together.new_zeros(together.shape[:-1]), together.new_ones(together.shape[:-1])
    peak = together.detach().abs().amax(dim=-1)
    units = peak.clamp(min=torch.finfo(together.dtype).tiny).masked_fill(~peak.isfinite(), 1)
    return torch.linalg.vector_norm(together / units[..., None], dim=-1), units


def joint_norm(tensors: Iterable[Tensor]) -> float:
    """Compute the 2-norm of all entries together, in float64; 0 without an entry."""
    flat = tuple(tensor.detach().double().flatten() for tensor in tensors)
    return row_norm(flat).item() if flat else 0.0
