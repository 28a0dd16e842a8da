"""Checks of predictions and targets for the built-in losses."""

from torch import Tensor

from throughtime.errors import ArgumentError


def check_features(name: str, predictions: Tensor) -> None:
    """Check that predictions are floating-point numbers [T, B, features] or [T, features].

    Args:
        name: the name of the argument, for the error.
        predictions: the predictions.

    Raises:
        ArgumentError: any other number of dimensions or any other dtype.
    """
    if predictions.dim() not in (2, 3):
        raise ArgumentError(
            name,
            f"has the shape {tuple(predictions.shape)}",
            "it must be [T, B, features], or [T, features] without a batch",
            "flatten further dimensions into the last, or write the loss for sequence_loss",
        )
    if not predictions.is_floating_point():
        raise ArgumentError(name, f"has the dtype {predictions.dtype}", "it must hold floating-point numbers")
