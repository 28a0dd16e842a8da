"""Clip gradients by norm or value, and locate the first non-finite gradient."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import Module

from throughtime.checks import check_positive
from throughtime.errors import ArgumentError, NonFiniteError, UnsupportedError

ParametersWithGradients: TypeAlias = Module | Iterable[Tensor] | Iterable[tuple[str, Tensor]]

_PARAMETERS = "pass the module, module.parameters() or module.named_parameters()"

# A sum of squares keeps its precision for norms between these; beyond them squares underflow or overflow.
_SAFE_IN_FLOAT32 = (1e-15, 1e15)
_SAFE_IN_FLOAT64 = (1e-140, 1e140)
# Longer rows are added up in float64: in float32 the rounding errors of a million equal entries reach 4e-4.
_LONGEST_ROW_IN_FLOAT32 = 4096
# A factor below this is not a normal number in float32.
_SMALLEST_SAFE_FACTOR = 1e-30


class FirstNonFinite(Protocol):
    """Record that knows where a gradient stopped being finite, such as a tap."""

    def first_nonfinite(self) -> tuple[str, int, int] | None:
        """Return layer, time step and batch row of the first non-finite ∂L/∂h.

        The step counts from 0. Return None where all are finite.
        """
        ...


@dataclass(frozen=True)
class ClipReport:
    """The result of `clip_gradients`.

    Attributes:
        total_norm: the 2-norm of all gradients together before clipping; infinite or NaN if they are not finite.
        scale: the factor by which every gradient was multiplied; 1 without scaling, so also for clipping by value.
        clipped: whether any gradient was changed.
        nonfinite: the sentence that names the first gradient that is not finite; None if all are finite.
        skipped: whether the gradients were set to None.
    """

    total_norm: float
    scale: float = 1.0
    clipped: bool = False
    nonfinite: str | None = None
    skipped: bool = False


@torch.no_grad()
def clip_gradients(
    parameters: ParametersWithGradients,
    norm: float | None = None,
    value: float | None = None,
    nonfinite: Literal["raise", "skip", "report"] = "raise",
    tap: FirstNonFinite | None = None,
) -> ClipReport:
    """Clip the parameters' gradients in place, after checking them for NaN and infinity.

    By norm (Pascanu, Mikolov and Bengio 2013): if the 2-norm of all gradients together exceeds `norm`, all are
    multiplied by norm / total. [T] means the same, but what it prints compares single positive entries of ∂y/∂w with
    the threshold. Unlike in `torch.nn.utils.clip_grad_norm_`, the total neither overflows nor underflows, the rounding
    errors of large float32 gradients do not add up, the result has the norm `norm` (no 1e-6 is added to the total),
    and an infinite entry is reported instead of turning all gradients into NaN.

    Args:
        parameters: a module, tensors, or (name, tensor) pairs. A tensor whose `grad` is None is passed over, with a
            warning where every one is; a gradient counts once, however often it appears. Gradients may be dense or
            sparse (COO) and of several dtypes and devices.
        norm: the largest 2-norm allowed, above 0.
        value: the largest absolute entry allowed, above 0; entries beyond ±value are set to it, which changes the
            gradient's direction. With neither `norm` nor `value` the gradients are only checked.
        nonfinite: the policy for NaN or infinite entries. "raise": raise an error and leave all gradients as they are;
            "skip": set every gradient to None, so that an optimiser moves nothing; "report": leave all as they are.
        tap: names the layer, time step and batch row where the gradient stopped being finite.

    Returns:
        The total norm, what clipping did, and where the gradients are not finite.

    Raises:
        NonFiniteError: a gradient is not finite and `nonfinite` is "raise"; it names the first such parameter.
        ArgumentError: both thresholds given, a threshold that is not above 0, or `parameters` of another kind.
        UnsupportedError: a complex gradient, or a sparse gradient in another layout than COO.

    Cost: one reduction and at most one product over all gradients, and one wait for the device (by value: two). Norms
    below 1e-15 or above 1e15 take up to three reductions.
    """
    norm, value = _thresholds(norm, value)
    if nonfinite not in ("raise", "skip", "report"):
        raise ArgumentError("nonfinite", f"is {nonfinite!r}", "it must be 'raise', 'skip' or 'report'")
    gradients = _collect(parameters)
    entries = [gradient.entries for gradient in gradients]
    unit, norm_in_units = _global_norm(entries, scales=norm is not None)
    total = unit * norm_in_units
    if not math.isfinite(norm_in_units):
        return _handle_nonfinite(gradients, total, nonfinite, tap)
    if norm is not None and total > norm:
        for gradient in gradients:
            gradient.rescale(unit, norm / norm_in_units)
        return ClipReport(total, scale=norm / unit / norm_in_units, clipped=True)
    if value is not None and _any_beyond(entries, value):
        for gradient in gradients:
            gradient.clamp(value)
        return ClipReport(total, clipped=True)
    return ClipReport(total)


def _thresholds(norm: float | None, value: float | None) -> tuple[float | None, float | None]:
    """Check both thresholds, which may be numbers of numpy or tensors without dimensions, and return them as floats."""
    if norm is not None and value is not None:
        raise ArgumentError(
            "norm", f"is {norm} and value is {value}", "only one of them can be given", "clip twice for both"
        )
    norm, value = (each.item() if isinstance(each, Tensor) and not each.dim() else each for each in (norm, value))
    return (
        check_positive("norm", norm, "a number", "for no clipping"),
        check_positive("value", value, "a number", "for no clipping"),
    )


@dataclass(slots=True)
class _Gradient:
    """Gradient with its stored entries, and the parameters that share it.

    Attributes:
        name: of the first parameter, for messages.
        owners: the parameters whose `.grad` it is.
        tensor: the gradient; for a sparse gradient its coalesced copy, which the owners get when it is changed.
        entries: the same memory: `tensor` itself, or the values of a sparse tensor.
    """

    name: str
    owners: list[Tensor]
    tensor: Tensor
    entries: Tensor

    def rescale(self, unit: float, factor: float) -> None:
        """Multiply by factor / unit, in float64 where float32 has not the range."""
        if unit == 1.0 and factor >= _SMALLEST_SAFE_FACTOR:
            self.entries.mul_(factor)
        else:
            self.entries.copy_(self.entries.double().div_(unit).mul_(factor))
        self.give(self.tensor)

    def clamp(self, value: float) -> None:
        self.entries.clamp_(-value, value)
        self.give(self.tensor)

    def give(self, tensor: Tensor | None) -> None:
        """Make `tensor` the gradient of the owners."""
        for owner in self.owners:
            if owner.grad is not tensor:
                owner.grad = tensor


def _collect(parameters: ParametersWithGradients) -> list[_Gradient]:
    """Return the gradients, each once, in the order of the parameters.

    A gradient comes with all parameters that share it.
    """
    if isinstance(parameters, Tensor):
        parameters = [parameters]
    if not isinstance(parameters, Iterable | Module):
        raise ArgumentError(
            "parameters", f"is a {type(parameters).__name__}", "it must be a module, or tensors", _PARAMETERS
        )
    named = list(parameters.named_parameters() if isinstance(parameters, Module) else parameters)
    collected: dict[int, _Gradient] = {}
    for index, item in enumerate(named):
        name, parameter = _name_and_tensor(index, item)
        gradient = parameter.grad
        if gradient is None:
            continue
        known = collected.get(id(gradient))
        if known is None:
            collected[id(gradient)] = _gradient_of(name, parameter, gradient)
        else:
            known.owners.append(parameter)
    if not collected:
        _warn_of_nothing(len(named))
    return list(collected.values())


def _warn_of_nothing(parameters: int) -> None:
    """Warn that there is no gradient, which would leave one elsewhere unclipped."""
    if parameters:
        which = "the only one has no" if parameters == 1 else f"none of the {parameters} has a"
        cause = f"{which} gradient: call backward() first"
    else:
        cause = "it is empty, as an iterator is that was read before: pass the module, or module.parameters() anew"
    warnings.warn(f"clip_gradients was given nothing to clip in `parameters`; {cause}", stacklevel=5)


def _name_and_tensor(index: int, item: object) -> tuple[str, Tensor]:
    match item:
        case (str(name), Tensor() as tensor):
            return name, tensor
        case Tensor():
            return f"parameters[{index}]", item
    raise ArgumentError(
        f"parameters[{index}]",
        f"is a {type(item).__name__}",
        "it must be a tensor or a (name, tensor) pair",
        _PARAMETERS,
    )


def _gradient_of(name: str, parameter: Tensor, gradient: Tensor) -> _Gradient:
    layout = gradient.layout
    if gradient.is_complex() or layout not in (torch.strided, torch.sparse_coo):
        raise UnsupportedError(
            f"parameters holds {name!r}, whose gradient has dtype {gradient.dtype} and layout {layout}; "
            "allowed are real gradients, dense or sparse COO: leave this parameter out."
        )
    if layout == torch.strided:
        return _Gradient(name, [parameter], gradient, gradient)
    # Several entries at one index only count as their sum; the parameter keeps its own form unless something changes.
    tensor = gradient.coalesce()
    return _Gradient(name, [parameter], tensor, tensor.values())


def _global_norm(entries: list[Tensor], scales: bool) -> tuple[float, float]:
    """Return the 2-norm of all entries as (unit, norm / unit). The unit is 1 unless squares overflow or underflow.

    A norm that `scales` gradients is taken in float64, to the last bit as version 0.1.0 took it: a run that was begun
    with that version goes on bit for bit. A norm that is only reported takes a third of the time.
    """
    if not entries:
        return 1.0, 0.0
    in_rows, in_float64 = (_row_norms, _SAFE_IN_FLOAT32), (_norm_in_float64, _SAFE_IN_FLOAT64)
    for norms, (least, most) in [in_float64] if scales else [in_rows, in_float64]:
        total = _joint_norm([norms(tensor) for tensor in entries])
        if least < total < most:
            return 1.0, total
    largest = [torch.linalg.vector_norm(tensor, math.inf) for tensor in entries if tensor.numel() > 0]
    peak = float(_together([tensor.double() for tensor in largest]).max()) if largest else 0.0
    if peak == 0 or not math.isfinite(peak):
        return 1.0, peak
    return peak, _joint_norm([_norm_in_float64(tensor.double() / peak) for tensor in entries])


def _row_norms(tensor: Tensor) -> Tensor:
    """Return norms whose joint 2-norm is that of the tensor.

    In float32 each row has a norm, which takes a third of the time.
    """
    if tensor.dtype is not torch.float32 or not tensor.ndim or tensor.shape[-1] > _LONGEST_ROW_IN_FLOAT32:
        return _norm_in_float64(tensor)
    return torch.linalg.vector_norm(tensor, dim=-1).flatten()


def _norm_in_float64(tensor: Tensor) -> Tensor:
    return torch.linalg.vector_norm(tensor, dtype=torch.float64).view(1)


def _joint_norm(norms: list[Tensor]) -> float:
    """Return the 2-norm of all norms, added up in float64. The device is waited for once."""
    device = norms[0].device
    joint = torch.cat([norm.to(device) for norm in norms])
    return float(torch.linalg.vector_norm(joint, dtype=torch.float64))


def _any_beyond(entries: list[Tensor], value: float) -> bool:
    """Return whether an entry's size exceeds `value`."""
    # Compared in the gradient's own dtype, in which the threshold is rounded when it is applied.
    beyond = [torch.linalg.vector_norm(tensor, math.inf) > value for tensor in entries if tensor.numel() > 0]
    return bool(beyond) and bool(_together(beyond).any())


def _together(scalars: list[Tensor]) -> Tensor:
    """Stack the scalars on the device of the first scalar. A single wait for the device then reads all of them."""
    return torch.stack([scalar.to(scalars[0].device) for scalar in scalars])


def _handle_nonfinite(
    gradients: list[_Gradient], total: float, nonfinite: str, tap: FirstNonFinite | None
) -> ClipReport:
    """Raise, skip or report, as `nonfinite` says, once the total norm is not finite."""
    first = next(gradient for gradient in gradients if not gradient.entries.isfinite().all())
    sentence = _describe(first, None if tap is None else tap.first_nonfinite())
    if nonfinite == "raise":
        raise NonFiniteError(
            f"{sentence}; gradients must be finite, and all are left unchanged: lower the learning rate, clip each "
            "step of the backward recursion, or give nonfinite='skip' to skip such updates."
        )
    if nonfinite == "skip":
        for gradient in gradients:
            gradient.give(None)
    return ClipReport(total, nonfinite=f"{sentence}.", skipped=nonfinite == "skip")


def _describe(gradient: _Gradient, origin: tuple[str, int, int] | None) -> str:
    nans, infinities = int(gradient.entries.isnan().sum()), int(gradient.entries.isinf().sum())
    sentence = (
        f"The gradient of {gradient.name!r} has {nans} NaN and {infinities} infinite entries "
        f"among {gradient.entries.numel()}"
    )
    if origin is None:
        return sentence
    layer, step, row = origin
    return f"{sentence}, met first in layer {layer!r} at time step {step}, batch row {row} (counted from 0)"
