"""Checks of what an online learner is given: at its construction and at each step."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from throughtime.checks import check_positive, check_size
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.base import check_method
from throughtime.inference_mode import check_built_outside
from throughtime.layers.inputs import check_flags

NonFinitePolicy = Literal["raise", "skip"]


def check_construction(
    model: object,
    loss: object,
    optimizer: object,
    gradient: object,
    update_every: object,
    clip: object,
    nonfinite: object,
) -> None:
    """Check the arguments of `OnlineLearner`.

    Raises:
        ArgumentError: an argument is of the wrong type or out of range, or the optimizer is not one of the model.
        UnsupportedError: the model was built inside torch.inference_mode().
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError("model", f"is a {type(model).__name__}", "it must be a torch.nn.Module")
    if not callable(loss):
        raise ArgumentError(
            "loss", f"is a {type(loss).__name__}", "it must be a function (prediction, target) → a scalar"
        )
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError("optimizer", f"is a {type(optimizer).__name__}", "it must be an optimizer of torch.optim")
    check_method("gradient", gradient, "RTRL()")
    check_size("update_every", update_every, least=1)
    check_positive("clip", clip, "a norm", "for no clipping")
    if nonfinite not in get_args(NonFinitePolicy):
        raise ArgumentError("nonfinite", f"is {nonfinite!r}", "it must be 'raise' or 'skip'")
    check_built_outside(model)
    _check_held(model, optimizer)


def _check_held(model: nn.Module, optimizer: Optimizer) -> None:
    """Refuse an optimizer that holds no trained parameter of the model, or tensors of something else."""
    of_model = {id(parameter): parameter.requires_grad for parameter in model.parameters()}
    held = {id(value) for group in optimizer.param_groups for value in group["params"]}
    if not any(of_model.get(key) for key in held):
        raise ArgumentError(
            "optimizer",
            "holds none of the model's parameters that require a gradient",
            "it must hold some",
            "build it with model.parameters()",
        )
    if held - of_model.keys():
        raise ArgumentError(
            "optimizer",
            "holds tensors that are not the model's",
            "they would never get a gradient",
            "put all that learns into the model, the readout too, and build the optimizer with model.parameters()",
        )


def check_graphs_recorded(method: str) -> None:
    """Raise `UnsupportedError` if a method of the learner was called inside torch.inference_mode()."""
    if torch.is_inference_mode_enabled():
        raise UnsupportedError(
            f"{method} was called inside torch.inference_mode(), where nothing can be differentiated: call it outside; "
            "torch.no_grad() does no harm"
        )


def check_step(x_t: object, y_t: object, reset: object, earlier: tuple[Tensor, Tensor | None] | None) -> None:
    """Check the arguments of `OnlineLearner.step`.

    Args:
        x_t, y_t, reset: the arguments.
        earlier: inputs and targets of an earlier step, whose shapes and dtypes all others must have.

    Raises:
        ArgumentError: a type, shape or dtype does not fit, or a number is not finite.
    """
    x_before, y_before = earlier or (None, None)
    rows = _rows_of("x_t", x_t, x_before)
    if y_t is not None:
        targets = _rows_of("y_t", y_t, y_before)
        if targets != rows:
            raise ArgumentError("y_t", f"has {targets} rows, x_t has {rows}", "each row needs its target")
    if reset is not None:
        check_flags("reset", reset, (rows,), "row")


def check_parameters(model: nn.Module, as_built: Sequence[tuple[nn.Parameter, bool]]) -> None:
    """Check that a model has the parameters that its learner was built with.

    Args:
        model: the model.
        as_built: each parameter, and whether it required a gradient.

    Raises:
        ArgumentError: a parameter was added, removed, replaced, frozen or set free.
    """
    now = list(model.named_parameters())
    for (name, parameter), (before, trained) in zip(now, as_built, strict=False):  # length: see below
        if parameter is not before or parameter.requires_grad != trained:
            raise ArgumentError(
                "model",
                f"has a parameter {name!r} that was replaced, frozen or set free since the learner was built",
                "neither the learner nor the optimizer knows of that",
                "build a new learner",
            )
    if len(now) != len(as_built):
        raise ArgumentError(
            "model",
            f"has {len(now)} parameters, and had {len(as_built)} when the learner was built",
            "they must stay the same",
            "build a new learner",
        )


def _rows_of(name: str, value: object, before: Tensor | None) -> int:
    """Check the inputs or targets of a step, and return their number of rows."""
    if not isinstance(value, Tensor) or not value.dim() or not len(value):
        came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ArgumentError(name, f"is {came}", "it must be a tensor [batch, …] with at least 1 row")
    if before is not None and (value.shape != before.shape or value.dtype != before.dtype):
        raise ArgumentError(
            name,
            f"is {value.dtype} {tuple(value.shape)}, at the first step it was {before.dtype} {tuple(before.shape)}",
            "the streams must stay the same",
            "build a new learner for others",
        )
    if value.is_floating_point() and not bool(value.isfinite().all()):
        row = int((~value.isfinite()).flatten(1).any(dim=1).nonzero()[0]) if value.dim() > 1 else 0
        raise ArgumentError(
            name,
            f"has a value that is missing or infinite (row {row})",
            "a stream needs finite numbers",
            "fill the value in, leave the step out, or for a target pass y_t=None",
        )
    return len(value)
