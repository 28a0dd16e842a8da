"""Clipping of the parameters' gradients against explosion, with a guard that names what is not finite."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import Module

from throughtime.errors import ArgumentError, NonFiniteError, UnsupportedError

ParametersWithGradients: TypeAlias = Module | Iterable[Tensor] | Iterable[tuple[str, Tensor]]

# A sum of squares in float64 keeps full precision for norms between these, below them squares are lost to underflow.
_SMALLEST_SAFE_NORM, _LARGEST_SAFE_NORM = 1e-140, 1e140
# A factor below this is not a normal number in float32.
_SMALLEST_SAFE_FACTOR = 1e-30


class FirstNonFinite(Protocol):
    """What clipping asks of a tap on the backward recursion."""

    def first_nonfinite(self) -> tuple[str, int, int] | None:
        """The layer, time step (from 0) and batch row where ∂L/∂h was first met not finite, or None."""
        ...


@dataclass(frozen=True)
class ClipReport:
    """What `clip_gradients` found and did.

    Attributes:
        total_norm: the 2-norm of all gradients together before clipping; infinite or NaN if they are not finite.
        scale: the factor by which every gradient was multiplied; 1 where nothing was, and for clipping by value.
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
    """Clip the gradients of the parameters in place, after checking that all of them are finite.

    By norm (Pascanu, Mikolov and Bengio 2013): if the 2-norm of all gradients together exceeds `norm`, all are
    multiplied by norm / total. Meant by [T], whose printed form compares single entries of ∂y/∂w, positive ones only,
    with the threshold. Against `torch.nn.utils.clip_grad_norm_`: the total neither overflows nor underflows, the
    result has norm `norm` (no 1e-6 is added to the total), and one infinity is reported, not spread as NaN to all.

    Args:
        parameters: a module, tensors, or (name, tensor) pairs. Of those whose `grad` is not None, each counts once,
            however often it appears. Gradients may be dense or sparse (COO) and of several dtypes and devices.
        norm: the largest 2-norm allowed, above 0.
        value: the largest absolute entry allowed, above 0; entries beyond ±value are set to it, which changes the
            gradient's direction. With neither `norm` nor `value` the gradients are only checked.
        nonfinite: what to do if an entry is NaN or infinite. "raise" an error and leave all gradients as they are;
            "skip": set every gradient to None, so that an optimiser moves nothing; "report": leave all as they are.
        tap: asked, if an entry is not finite, for the layer, time step and batch row where that began.

    Returns:
        The report of what was found and done.

    Raises:
        NonFiniteError: a gradient is not finite and `nonfinite` is "raise"; it names the first such parameter.
        ArgumentError: both thresholds given, a threshold that is not above 0, or `parameters` of another kind.
        UnsupportedError: a complex gradient, or a sparse one that is not COO.

    Cost: one reduction and at most one product over all gradients; waits for the device once (by value: twice).
    """
    _check_options(norm, value, nonfinite)
    gradients = _collect(parameters)
    entries = [gradient.entries for gradient in gradients]
    unit, norm_in_units = _global_norm(entries)
    total = unit * norm_in_units
    if not math.isfinite(norm_in_units):
        return _guard(gradients, total, nonfinite, tap)
    if norm is not None and total > norm:
        for gradient in gradients:
            gradient.rescale(unit, norm / norm_in_units)
        return ClipReport(total, scale=norm / unit / norm_in_units, clipped=True)
    if value is not None and _any_beyond(entries, value):
        for gradient in gradients:
            gradient.clamp(value)
        return ClipReport(total, clipped=True)
    return ClipReport(total)


def _check_options(norm: float | None, value: float | None, nonfinite: str) -> None:
    if norm is not None and value is not None:
        raise ArgumentError(
            f"norm={norm} and value={value} were both given; allowed is one of them: clip twice for both."
        )
    for name, threshold in (("norm", norm), ("value", value)):
        if threshold is not None and not threshold > 0:  # so written, NaN is refused too
            raise ArgumentError(f"{name} is {threshold}; allowed are numbers above 0, or None for no clipping.")
    if nonfinite not in ("raise", "skip", "report"):
        raise ArgumentError(f"nonfinite is {nonfinite!r}; allowed are 'raise', 'skip' and 'report'.")


@dataclass(frozen=True)
class _Gradient:
    """One gradient, the parameters whose `grad` it is, and its stored entries, which share its memory."""

    name: str
    owners: list[Tensor]
    tensor: Tensor
    entries: Tensor

    def rescale(self, unit: float, factor: float) -> None:
        """Multiply by factor / unit."""
        if unit == 1.0 and factor >= _SMALLEST_SAFE_FACTOR:
            self.entries.mul_(factor)
        else:
            self.entries.copy_(self.entries.double().div_(unit).mul_(factor))
        self.give(self.tensor)

    def clamp(self, value: float) -> None:
        self.entries.clamp_(-value, value)
        self.give(self.tensor)

    def give(self, tensor: Tensor | None) -> None:
        for owner in self.owners:
            if owner.grad is not tensor:
                owner.grad = tensor


def _collect(parameters: ParametersWithGradients) -> list[_Gradient]:
    """The gradients in the order of the parameters; what appears twice, or belongs to several, stands there once."""
    if isinstance(parameters, Tensor):
        parameters = [parameters]
    named = parameters.named_parameters() if isinstance(parameters, Module) else parameters
    found: dict[int, _Gradient] = {}
    for index, item in enumerate(named):
        name, parameter = _name_and_tensor(index, item)
        gradient = parameter.grad
        if gradient is None:
            continue
        if id(gradient) in found:
            found[id(gradient)].owners.append(parameter)
        else:
            found[id(gradient)] = _opened(name, parameter, gradient)
    return list(found.values())


def _name_and_tensor(index: int, item: object) -> tuple[str, Tensor]:
    match item:
        case Tensor():
            return f"parameters[{index}]", item
        case (str(name), Tensor() as tensor):
            return name, tensor
    raise ArgumentError(
        f"parameters[{index}] is a {type(item).__name__}; allowed are tensors and (name, tensor) pairs: pass a module, "
        "module.parameters() or module.named_parameters()."
    )


def _opened(name: str, parameter: Tensor, gradient: Tensor) -> _Gradient:
    if gradient.is_complex() or gradient.layout not in (torch.strided, torch.sparse_coo):
        raise UnsupportedError(
            f"parameters holds {name!r}, whose gradient has dtype {gradient.dtype} and layout {gradient.layout}; "
            "allowed are real gradients, dense or sparse COO: leave this parameter out."
        )
    if gradient.layout == torch.strided:
        return _Gradient(name, [parameter], gradient, gradient)
    # Several entries at one index only count as their sum; the parameter keeps its own form unless something changes.
    tensor = gradient.coalesce()
    return _Gradient(name, [parameter], tensor, tensor.values())


def _global_norm(entries: list[Tensor]) -> tuple[float, float]:
    """The 2-norm of everything as (unit, norm / unit), where unit is 1 unless squares would overflow or underflow."""
    total = _norm(entries)
    if _SMALLEST_SAFE_NORM < total < _LARGEST_SAFE_NORM:
        return 1.0, total
    largest = [torch.linalg.vector_norm(tensor, math.inf) for tensor in entries if tensor.numel() > 0]
    peak = float(_together([tensor.double() for tensor in largest]).max()) if largest else 0.0
    if peak == 0 or not math.isfinite(peak):
        return 1.0, peak
    return peak, _norm([tensor.double() / peak for tensor in entries])


def _norm(entries: list[Tensor]) -> float:
    if not entries:
        return 0.0
    norms = [torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in entries]
    return float(torch.linalg.vector_norm(_together(norms)))


def _any_beyond(entries: list[Tensor], value: float) -> bool:
    # Compared in the gradient's own dtype, in which the threshold is rounded when it is applied.
    beyond = [torch.linalg.vector_norm(tensor, math.inf) > value for tensor in entries if tensor.numel() > 0]
    return bool(beyond) and bool(_together(beyond).any())


def _together(scalars: list[Tensor]) -> Tensor:
    """The scalars on the first one's device: one wait for the device then reads them all."""
    return torch.stack([scalar.to(scalars[0].device) for scalar in scalars])


def _guard(gradients: list[_Gradient], total: float, nonfinite: str, tap: FirstNonFinite | None) -> ClipReport:
    first = next(gradient for gradient in gradients if not gradient.entries.isfinite().all())
    sentence = _describe(first, None if tap is None else tap.first_nonfinite())
    if nonfinite == "raise":
        raise NonFiniteError(
            f"{sentence}; gradients must be finite, and all are left as they came: lower the learning rate, clip "
            "each step of the backward recursion, or give nonfinite='skip' to pass over such updates."
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
