"""Selection of the steps that a loss counts."""

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
    """Return which steps count.

    Args:
        leading: (T, B), or (T,) without a batch.
        mask: bool, of shape `leading`; True where a step is valid. Valid steps need not be adjacent.
        lengths: integers of shape [B] (0-d without a batch), each 0 … T: the number of valid steps from the first on.
        steps: "all" valid steps, or the "last" valid step of each batch row.
        device: the device of the result.

    Returns:
        A bool tensor of shape `leading`, or None when every step counts.

    Raises:
        ArgumentError: `mask` and `lengths` both came, have the wrong shape, dtype or range, or `steps` is unknown.
    """
    if steps not in ("all", "last"):
        raise ArgumentError("steps", f"is {steps!r}", "it must be 'all' or 'last'")
    if mask is not None and lengths is not None:
        raise ArgumentError("mask", "came together with `lengths`", "each follows from the other", "give only one")
    valid = _checked_mask(leading, mask, device) if lengths is None else _mask_from(leading, lengths, device)
    if steps == "all":
        return valid
    if valid is None:
        valid = torch.ones(leading, dtype=torch.bool, device=device)
    valid_from_here_on = valid.flip(0).cumsum(0).flip(0)  # how many; 1 at the last valid step
    return valid & (valid_from_here_on == 1)


def _checked_mask(leading: torch.Size, mask: Tensor | None, device: torch.device) -> Tensor | None:
    if mask is None:
        return None
    if mask.dtype != torch.bool:
        raise ArgumentError(
            "mask", f"has the dtype {mask.dtype}", "it must be torch.bool, True at valid steps", "try mask.bool()"
        )
    if mask.shape != leading:
        raise ArgumentError(
            "mask",
            f"has the shape {tuple(mask.shape)}",
            f"it must be {tuple(leading)}, an entry for each step of the predictions, time first",
            "expand or transpose it",
        )
    return mask.to(device)


def _mask_from(leading: torch.Size, lengths: Lengths, device: torch.device) -> Tensor:
    lengths = torch.as_tensor(lengths, device=device)
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise ArgumentError("lengths", f"has the dtype {lengths.dtype}", "it must hold integers", "try lengths.long()")
    if lengths.shape != leading[1:]:
        raise ArgumentError(
            "lengths",
            f"has the shape {tuple(lengths.shape)}",
            f"it must be {tuple(leading[1:])}, a length for each batch row",
        )
    wrong = (lengths < 0) | (lengths > leading[0])
    if wrong.any():
        raise ArgumentError(
            "lengths",
            f"holds {lengths[wrong][0].item()}",
            f"it must hold numbers from 0 to {leading[0]}, the steps of the predictions",
            "cut the lengths or pad the predictions",
        )
    time = torch.arange(leading[0], device=device).reshape(-1, *(1 for _ in leading[1:]))
    return time < lengths
