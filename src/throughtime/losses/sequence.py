"""Loss of a sequence from the loss of a step. Every other loss is a call of `sequence_loss`."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.losses.steps import Lengths, Steps, select_steps

PerStepLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Function from predictions and targets [N, …] of N steps to their losses [N]."""
Reduction: TypeAlias = Literal["mean", "sum", "none"]


def sequence_loss(
    per_step_loss: PerStepLoss,
    predictions: Tensor,
    targets: Tensor,
    *,
    mask: Tensor | None = None,
    lengths: Lengths | None = None,
    reduction: Reduction = "mean",
    steps: Steps = "all",
    batched: bool = True,
) -> Tensor:
    """Compute the loss of a batch of sequences from any loss of a step.

    F = (1/T) Σ_t L(ŷ_t, y_t), [Y]. Only steps that count reach `per_step_loss`: values in the padding, NaN included,
    are never computed with, and their gradient is exactly zero. The layout is time-major, but the loss is the same for
    [B, T, …] tensors if `mask` is transposed with them (`lengths` and steps="last" need time first). Works under
    `torch.func.grad` and twice differentiated; under `torch.func.vmap` mask and lengths must not be mapped over.

    Args:
        per_step_loss: L(ŷ, y), from [N, …] predictions and [N, …] targets of N ≥ 0 steps to [N] losses.
        predictions: [T, B, …], or [T, …] if not `batched`.
        targets: [T, B, …], or [T, …] if not `batched`; the trailing dimensions are those that `per_step_loss` takes.
        mask: [T, B] bool, True where a step is valid (without a batch [T]). Default: every step is valid.
        lengths: [B] integers from 0 to T in place of `mask`: the first `lengths[b]` steps of row b are valid.
        reduction: "mean" over the steps that count (the 1/T of [Y]), "sum" over them ([MR] (1), [HSK] 2.2), or "none":
            the losses per step, [T, B], 0 where a step does not count.
        steps: "all" valid steps, or only the "last" valid step of each row (the E_N of [T]); a row without valid
            steps has no last one and does not enter the mean.
        batched: False if the tensors have no batch dimension.

    Returns:
        A scalar, or [T, B] for reduction="none"; in the dtype that `per_step_loss` returns.

    Raises:
        ArgumentError: shapes, dtypes or options do not fit, or the mean is over no step at all (the sum is then 0).

    Cost: `per_step_loss` on N steps, and one copy of the N selected steps if there is a mask; finding them waits for
    the device once.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError("reduction", f"is {reduction!r}", "it must be 'mean', 'sum' or 'none'")
    leading = _leading_shape(predictions, targets, batched)
    valid = select_steps(leading, mask, lengths, steps, predictions.device)
    index = None if valid is None else valid.flatten().nonzero().squeeze(1)
    count = leading.numel() if index is None else len(index)
    if reduction == "mean" and count == 0:
        raise ArgumentError(
            "mask",
            f"or `lengths` leaves no valid step among predictions of leading shape {tuple(leading)}",
            "a mean needs at least one step",
            "leave such a batch out, or use reduction='sum', which is 0 here",
        )
    losses = per_step_loss(_take(predictions, index, leading), _take(targets, index, leading))
    if losses.shape != (count,):
        raise ArgumentError(
            "per_step_loss",
            f"returned the shape {tuple(losses.shape)} for {count} steps",
            f"it must return [{count}], a loss for each step",
            "sum or average over the features inside it",
        )
    if reduction == "none":
        return _put(losses, index, leading)
    return losses.mean() if reduction == "mean" else losses.sum()


def _leading_shape(predictions: Tensor, targets: Tensor, batched: bool) -> torch.Size:
    dimensions, layout = (2, "[T, B, …]") if batched else (1, "[T, …]")
    if predictions.dim() < dimensions:
        raise ArgumentError(
            "predictions",
            f"has the shape {tuple(predictions.shape)}",
            f"it must be {layout}",
            "give batched=False if there is no batch dimension" if batched else "",
        )
    leading = predictions.shape[:dimensions]
    if targets.shape[:dimensions] != leading:
        raise ArgumentError(
            "targets",
            f"has the shape {tuple(targets.shape)}",
            f"it must be {layout} with the leading shape {tuple(leading)} of the predictions",
            "give a target for each step",
        )
    return leading


def _take(tensor: Tensor, index: Tensor | None, leading: torch.Size) -> Tensor:
    steps = tensor.flatten(0, len(leading) - 1)
    # Selecting, not multiplying by a mask: 0 · NaN is NaN, in the loss and in the gradient.
    return steps if index is None else steps.index_select(0, index.to(tensor.device))


def _put(losses: Tensor, index: Tensor | None, leading: torch.Size) -> Tensor:
    if index is None:
        return losses.reshape(leading)
    return losses.new_zeros(leading.numel()).index_copy(0, index, losses).reshape(leading)
