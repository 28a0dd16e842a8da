"""What the built-in losses require of their predictions."""

from torch import Tensor

from throughtime.errors import ArgumentError


def check_features(name: str, predictions: Tensor) -> None:
    """Refuse anything but floating-point [T, B, features] or [T, features]; `name` is the argument's name.

    Raises:
        ArgumentError: any other number of dimensions or any other dtype.
    """
    if predictions.dim() not in (2, 3):
        raise ArgumentError(
            f"{name} has shape {tuple(predictions.shape)}; allowed is [T, B, features], or [T, features] without a "
            "batch: flatten further dimensions into the last, or write the loss for `sequence_loss`."
        )
    if not predictions.is_floating_point():
        raise ArgumentError(f"{name} has dtype {predictions.dtype}; allowed are floating-point numbers.")
