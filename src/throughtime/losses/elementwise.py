"""Losses that treat every feature separately: squared error, and Bernoulli for yes-or-no targets."""

from torch import Tensor
from torch.nn import functional

from throughtime.errors import ArgumentError
from throughtime.losses.features import check_features
from throughtime.losses.sequence import PerStepLoss, Reduction, sequence_loss
from throughtime.losses.steps import Lengths, Steps


def squared_error(
    predictions: Tensor,
    targets: Tensor,
    *,
    mask: Tensor | None = None,
    lengths: Lengths | None = None,
    reduction: Reduction = "mean",
    steps: Steps = "all",
) -> Tensor:
    """Compute the squared error of each step, summed over the features.

    L_t = Σ_k (ŷ_{t,k} − y_{t,k})², a choice of L in [Y]. There is no factor ½, and no division by the number of
    features as in `torch.nn.MSELoss`.

    Args:
        predictions: [T, B, features] (or [T, features] without a batch).
        targets: of the same shape, taken in the dtype of the predictions.
        mask, lengths, reduction, steps: as in `sequence_loss`.

    Returns:
        The loss in the squared unit of the targets, shaped as `sequence_loss` says.

    Raises:
        ArgumentError: as `sequence_loss`, and if the shapes of predictions and targets differ.
    """
    return _elementwise_loss(_squared_error, "predictions", predictions, targets, mask, lengths, reduction, steps)


def bernoulli(
    logits: Tensor,
    targets: Tensor,
    *,
    mask: Tensor | None = None,
    lengths: Lengths | None = None,
    reduction: Reduction = "mean",
    steps: Steps = "all",
) -> Tensor:
    """Compute the negative log-likelihood of independent keys at each step, summed over the keys.

    A key is a feature that is on or off, several at a time, such as the keys of a piano.
    L_t = −Σ_k y_{t,k} log σ(o_{t,k}) + (1 − y_{t,k}) log(1 − σ(o_{t,k})); the error at the logits is σ(o_t) − y_t.

    Args:
        logits: [T, B, keys] (or [T, keys] without a batch).
        targets: of the same shape: 0 and 1, bool, or probabilities; taken in the dtype of the logits.
        mask, lengths, reduction, steps: as in `sequence_loss`.

    Returns:
        The loss in nats, shaped as `sequence_loss` says.

    Raises:
        ArgumentError: as `sequence_loss`, and if the shapes of logits and targets differ.
    """
    return _elementwise_loss(_bernoulli, "logits", logits, targets, mask, lengths, reduction, steps)


def _squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    return functional.mse_loss(predictions, targets, reduction="none").sum(-1)


def _bernoulli(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(-1)


def _elementwise_loss(
    per_step_loss: PerStepLoss,
    name: str,
    predictions: Tensor,
    targets: Tensor,
    mask: Tensor | None,
    lengths: Lengths | None,
    reduction: Reduction,
    steps: Steps,
) -> Tensor:
    check_features(name, predictions)
    if targets.shape != predictions.shape:
        raise ArgumentError(
            "targets",
            f"has the shape {tuple(targets.shape)}",
            f"it must have the shape {tuple(predictions.shape)} of {name}, because nothing is broadcast",
            "expand it if that is meant",
        )
    return sequence_loss(
        per_step_loss,
        predictions,
        targets.to(predictions.dtype),
        mask=mask,
        lengths=lengths,
        reduction=reduction,
        steps=steps,
        batched=predictions.dim() == 3,
    )
