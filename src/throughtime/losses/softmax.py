"""Losses of a softmax over K classes: cross-entropy, and the squared error of the probabilities."""

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.errors import ArgumentError
from throughtime.losses.features import check_features
from throughtime.losses.sequence import PerStepLoss, Reduction, sequence_loss
from throughtime.losses.steps import Lengths, Steps, select_steps


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    mask: Tensor | None = None,
    lengths: Lengths | None = None,
    reduction: Reduction = "mean",
    steps: Steps = "all",
) -> Tensor:
    """Compute the cross-entropy of the softmax of the logits at each step.

    L_t = −Σ_k y_{t,k} log softmax(o_t)_k, [MR] (1), [HSK] (4). The error at the logits is δ_t = p_t − y_t, [MR] (3) and
    [HSK] (6), for a y_t that sums to one.

    Args:
        logits: [T, B, K] (or [T, K] without a batch), in nats before normalisation.
        targets: class indices 0 … K − 1, [T, B] integers; or probabilities (one-hot included), [T, B, K], taken in the
            dtype of the logits.
        mask, lengths, reduction, steps: as in `sequence_loss`.

    Returns:
        The loss in nats, shaped as `sequence_loss` says.

    Raises:
        ArgumentError: as `sequence_loss`, and for a class index outside 0 … K − 1 at a step that counts.
    """
    return _softmax_loss(_cross_entropy, logits, targets, mask, lengths, reduction, steps)


def softmax_squared_error(
    logits: Tensor,
    targets: Tensor,
    *,
    mask: Tensor | None = None,
    lengths: Lengths | None = None,
    reduction: Reduction = "mean",
    steps: Steps = "all",
) -> Tensor:
    """Compute the squared error of the softmax's probabilities at each step.

    E_t = Σ_k (d_{t,k} − softmax(o_t)_k)², [T]. The error at the logits, 2 (diag p − p pᵀ)(p − d), needs the whole
    Jacobian of the softmax: [HSK] (5) prints only the part for i = j. The gradient vanishes where the softmax
    saturates, also at a wrong class; to train a classifier prefer `cross_entropy`.

    Args:
        logits: [T, B, K] (or [T, K] without a batch).
        targets: as in `cross_entropy`.
        mask, lengths, reduction, steps: as in `sequence_loss`.

    Returns:
        The loss, 0 to 2 a step, shaped as `sequence_loss` says.

    Raises:
        ArgumentError: as `cross_entropy`.
    """
    return _softmax_loss(_softmax_squared_error, logits, targets, mask, lengths, reduction, steps)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits, targets, reduction="none")  # [MR] (1), [HSK] (4)


def _softmax_squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    if targets.dim() < logits.dim():
        targets = functional.one_hot(targets, logits.shape[-1]).to(logits.dtype)
    return functional.mse_loss(logits.softmax(-1), targets, reduction="none").sum(-1)  # [T] E_t


def _softmax_loss(
    per_step_loss: PerStepLoss,
    logits: Tensor,
    targets: Tensor,
    mask: Tensor | None,
    lengths: Lengths | None,
    reduction: Reduction,
    steps: Steps,
) -> Tensor:
    check_features("logits", logits)
    leading = logits.shape[:-1]
    valid = select_steps(leading, mask, lengths, steps, logits.device)
    if targets.shape == logits.shape:
        targets = targets.to(logits.dtype)
    else:
        targets = _checked_classes(targets, leading, logits.shape[-1], valid)
    # `valid` stands for mask, lengths and steps together.
    return sequence_loss(per_step_loss, logits, targets, mask=valid, reduction=reduction, batched=logits.dim() == 3)


def _checked_classes(targets: Tensor, leading: torch.Size, classes: int, valid: Tensor | None) -> Tensor:
    if targets.shape != leading:
        raise ArgumentError(
            "targets",
            f"has the shape {tuple(targets.shape)}",
            f"it must be {tuple(leading)}, class indices, or {(*leading, classes)}, probabilities",
        )
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise ArgumentError(
            "targets", f"has the dtype {targets.dtype}", "class indices must be integers", "try targets.long()"
        )
    # Widened first: compared in uint8, a number of classes above 255 would wrap.
    targets = targets.long()
    wrong = (targets < 0) | (targets >= classes)
    if valid is not None:
        wrong = wrong & valid.to(wrong.device)
    if wrong.any():
        step, *row = wrong.nonzero()[0].tolist()
        place = f"step {step}, batch row {row[0]}" if row else f"step {step}"
        raise ArgumentError(
            "targets",
            f"is {targets[step, *row].item()} at {place} (counted from 0)",
            f"it must be from 0 to {classes - 1}, because the logits have {classes} classes",
            "mark padding in `mask` or `lengths`, or give the logits more classes",
        )
    return targets
