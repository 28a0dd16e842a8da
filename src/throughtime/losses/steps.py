"""Which steps of a sequence a loss counts."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from throughtime.errors import ArgumentError

Lengths: TypeAlias = Tensor | Sequence[int]
Steps: TypeAlias = Literal["all", "last"]


def select_steps(
    leading: torch.Size, mask: Tensor | None, lengths: Lengths | None, steps: Steps, device: torch.device
) -> Tensor | None:
    """The steps that count.

    Args:
        leading: (T, B), or (T,) without a batch.
        mask: bool, of shape `leading`; True where a step is valid. Valid steps need not be adjacent.
        lengths: integers of shape [B] (0-d without a batch), each 0 … T: the first so many steps are valid.
        steps: "all" valid steps, or the "last" valid step of each batch row.
        device: where the result is wanted.

    Returns:
        A bool tensor of shape `leading`, or None when every step counts.

    Raises:
        ArgumentError: both `mask` and `lengths` given, or one of the wrong shape, dtype or range; unknown `steps`.
    """
    if steps not in ("all", "last"):
        raise ArgumentError(f"steps is {steps!r}; allowed are 'all' and 'last'.")
    if mask is not None and lengths is not None:
        raise ArgumentError("mask and lengths were both given; give only one of them, the other one follows from it.")
    valid = _checked_mask(leading, mask, device) if lengths is None else _mask_from(leading, lengths, device)
    if steps == "all":
        return valid
    if valid is None:
        valid = torch.ones(leading, dtype=torch.bool, device=device)
    valid_from_here_on = valid.flip(0).cumsum(0).flip(0)
    return valid & (valid_from_here_on == 1)


def _checked_mask(leading: torch.Size, mask: Tensor | None, device: torch.device) -> Tensor | None:
    if mask is None:
        return None
    if mask.dtype != torch.bool:
        raise ArgumentError(
            f"mask has dtype {mask.dtype}; allowed is torch.bool, True at valid steps: try mask.bool()."
        )
    if mask.shape != leading:
        raise ArgumentError(
            f"mask has shape {tuple(mask.shape)}; allowed is {tuple(leading)}, one entry for each step of the "
            "predictions, time first: expand or transpose it."
        )
    return mask.to(device)


def _mask_from(leading: torch.Size, lengths: Lengths, device: torch.device) -> Tensor:
    lengths = torch.as_tensor(lengths, device=device)
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise ArgumentError(f"lengths has dtype {lengths.dtype}; allowed are integers: try lengths.long().")
    if lengths.shape != leading[1:]:
        raise ArgumentError(
            f"lengths has shape {tuple(lengths.shape)}; allowed is {tuple(leading[1:])}, one length for each batch row."
        )
    wrong = (lengths < 0) | (lengths > leading[0])
    if wrong.any():
        raise ArgumentError(
            f"lengths holds {lengths[wrong][0].item()}; allowed are 0 to {leading[0]}, the number of steps of the "
            "predictions: cut the lengths or pad the predictions."
        )
    time = torch.arange(leading[0], device=device).reshape(-1, *(1 for _ in leading[1:]))
    return time < lengths
