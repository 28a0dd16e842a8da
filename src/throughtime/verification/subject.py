"""The function under verification: float64 tensors that can be moved, everything else held still."""

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from throughtime.errors import ArgumentError, NonFiniteError, UnsupportedError
from throughtime.nests import leaves_of, map_named_tensors, map_tensors
from throughtime.wording import reason_of

_SAME = 1e-12
"""Relative difference allowed between two evaluations at the same place.

Some devices add in another order each time.
"""


class Subject:
    """A module's copy or a function, with inputs in float64 and weights of the outputs.

    Args: see `verify_gradients`.

    Attributes:
        tensors: the tensors to differentiate with respect to, by their names in the report.
        base: copies of the values of `tensors`, the place of the check; `put_back` restores them.
        frozen: names of the parameters that ask for no gradient.
    """

    def __init__(
        self,
        model: nn.Module | Callable[..., Any],
        inputs: tuple[Any, ...],
        keywords: dict[str, Any],
        loss: Callable[[Any], Any] | None,
        parameters: Mapping[str, Tensor] | None,
        seed: int,
    ) -> None:
        self._call = _copied(model) if isinstance(model, nn.Module) else model
        self._loss, self._seed = loss, seed
        self._buffers: dict[str, Tensor] = {}
        self.tensors: dict[str, Tensor] = {}
        self.frozen: tuple[str, ...] = ()
        if isinstance(self._call, nn.Module):
            self._take_module(self._call, parameters)
        else:
            self._take_parameters(dict(parameters or {}))
        self._inputs = map_named_tensors(self._take_input, inputs, "inputs")
        self._keywords = map_tensors(_in_float64, keywords)
        if not self.tensors:
            raise ArgumentError(
                "inputs",
                "hold no floating tensor, and no parameter asks for a gradient",
                "there is nothing to compare",
                "for a function, name the tensors that it reads in `parameters`",
            )
        self.base = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}
        self._kept = {name: buffer.clone() for name, buffer in self._buffers.items()}
        self._weights: list[tuple[str, Tensor]] | None = None

    def _take_module(self, module: nn.Module, parameters: Mapping[str, Tensor] | None) -> None:
        if parameters is not None:
            raise ArgumentError(
                "parameters", "came with a module", "the parameters of a module are all compared", "leave it out"
            )
        named = dict(module.named_parameters())
        self.frozen = tuple(name for name, value in named.items() if not value.requires_grad)
        for name, value in named.items():
            _check_values(f"parameter {name}", value)
            if value.requires_grad:
                self.tensors[f"parameter {name}"] = value
        self._buffers = dict(module.named_buffers())

    def _take_parameters(self, parameters: dict[str, Tensor]) -> None:
        for name, value in parameters.items():
            if not isinstance(value, Tensor) or value.dtype != torch.float64 or not value.requires_grad:
                what = f"of {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
                raise ArgumentError(
                    f"parameters[{name!r}]",
                    f"is {what}",
                    "it must be a float64 tensor with requires_grad, because it is changed in place",
                    "convert the function's tensors with .double()",
                )
            _check_values(f"parameter {name}", value)
            self.tensors[f"parameter {name}"] = value

    def _take_input(self, path: str, tensor: Tensor) -> Tensor:
        _check_values(path, tensor)
        if not tensor.is_floating_point():
            return tensor
        self.tensors[path] = tensor.detach().double().clone().requires_grad_()
        return self.tensors[path]

    def parts(self) -> Tensor:
        """Evaluate the function: return the weighted numbers of its output, 1-dimensional, with their graph."""
        _set_random_state(self._seed)
        with torch.no_grad():
            for name, buffer in self._buffers.items():
                buffer.copy_(self._kept[name])
        # Copies, so that a function that writes into its inputs finds them unchanged the next time.
        inputs = map_tensors(Tensor.clone, self._inputs)
        keywords = map_tensors(Tensor.clone, self._keywords)
        try:
            with torch.enable_grad():
                output = self._call(*inputs, **keywords)
                output = output if self._loss is None else self._loss(output)
        except RuntimeError as error:
            error.add_note("verify_gradients computes in float64: what the function or the loss reads must be, too.")
            raise
        return self._weighted(_floating_tensors(output))

    def _weighted(self, outputs: list[tuple[str, Tensor]]) -> Tensor:
        """Return all numbers of the outputs, each times its weight; the first call draws the weights."""
        if self._weights is None:
            self._weights = self._first_weights(outputs)
        if [(path, tensor.shape) for path, tensor in outputs] != [
            (path, weight.shape) for path, weight in self._weights
        ]:
            raise UnsupportedError(f"The output changes its form from one evaluation to the next: {_forms(outputs)}.")
        parts = [(tensor * weight).flatten() for (_, tensor), (_, weight) in zip(outputs, self._weights, strict=True)]
        return torch.cat([part.to(parts[0].device) for part in parts])

    def _first_weights(self, outputs: list[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
        """Check the outputs, and draw a weight for every number; the only number has the weight 1."""
        for path, tensor in outputs:
            if tensor.dtype != torch.float64:
                raise UnsupportedError(
                    f"{path} is {tensor.dtype} although the inputs are float64: rounding to {tensor.dtype} inside the "
                    "function appears as noise in the differences; compute in the dtype of the inputs."
                )
            nonfinite = _first_nonfinite(tensor)
            if nonfinite:
                raise NonFiniteError(
                    f"{path} holds {nonfinite}, where no derivative can be compared: give inputs at which the function "
                    "is finite."
                )
        if sum(tensor.numel() for _, tensor in outputs) == 1:
            return [(path, torch.ones_like(tensor, requires_grad=False)) for path, tensor in outputs]
        generator = torch.Generator().manual_seed(self._seed)
        return [(path, _weights_like(tensor, generator)) for path, tensor in outputs]

    def check_same(self, first: Tensor, second: Tensor) -> None:
        """Raise `UnsupportedError` if two evaluations at the same place differ."""
        if torch.allclose(first, second, rtol=_SAME, atol=_SAME):
            return
        names = [path for path, weight in self._weights or [] for _ in range(weight.numel())]
        worst = int((first - second).abs().argmax())
        raise UnsupportedError(
            f"Two evaluations at the same place differ by {float((first - second).abs()[worst]):.2g}, in "
            f"{names[worst]}: the function keeps a state between calls, or draws random numbers from a generator "
            "that torch.manual_seed does not reach; make both the same at every call."
        )

    def moved_parts(self, name: str, direction: Tensor, offset: float) -> Tensor:
        """Evaluate `parts` without a graph, with a tensor moved by offset · direction."""
        tensor, base = self.tensors[name], self.base[name]
        with torch.no_grad():
            tensor.copy_(base + offset * direction)
        try:
            return self.parts().detach()
        finally:
            with torch.no_grad():
                tensor.copy_(base)

    def put_back(self) -> None:
        """Restore the values of all tensors."""
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(self.base[name])


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Restore the random states of torch, numpy and Python after the block."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    pythons, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)


def _set_random_state(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def _copied(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module).double()
    except (RuntimeError, TypeError) as error:
        raise UnsupportedError(
            f"model cannot be copied ({reason_of(error)}): give a function of its float64 tensors, with "
            "parameters to name them."
        ) from error


def _in_float64(tensor: Tensor) -> Tensor:
    return tensor.detach().double() if tensor.is_floating_point() else tensor


def _check_values(name: str, tensor: Tensor) -> None:
    if tensor.is_complex():
        raise UnsupportedError(f"{name} is complex, and real derivatives are compared: give its torch.view_as_real")
    nonfinite = _first_nonfinite(tensor) if tensor.is_floating_point() else ""
    if nonfinite:
        raise NonFiniteError(f"{name} holds {nonfinite}: give finite values.")


def _first_nonfinite(tensor: Tensor) -> str:
    """Return value and index of the first element that is not finite, such as "nan at [0, 2]"; "" without one."""
    if tensor.isfinite().all():
        return ""
    where = (~tensor.isfinite()).nonzero()[0].tolist()
    return f"{tensor[tuple(where)].item()} at {where}"


def _floating_tensors(output: Any) -> list[tuple[str, Tensor]]:
    """Return the floating tensors of an output with their paths; complex ones as pairs of real numbers."""
    tensors: list[tuple[str, Tensor]] = []
    for path, leaf in leaves_of(output, "output"):
        if isinstance(leaf, Tensor) and leaf.is_complex():
            tensors.append((path, torch.view_as_real(leaf)))
        elif isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.numel():
            tensors.append((path, leaf))
    if not tensors:
        raise ArgumentError(
            "model",
            "returned no floating tensor with an element",
            "there is nothing to differentiate",
            "return one, or give a `loss` that does",
        )
    return tensors


def _forms(outputs: list[tuple[str, Tensor]]) -> str:
    return ", ".join(f"{path} is {list(tensor.shape)}" for path, tensor in outputs)


def _weights_like(output: Tensor, generator: torch.Generator) -> Tensor:
    """Draw weights between 0.5 and 1.5, of either sign."""
    sizes = torch.rand(output.shape, generator=generator, dtype=torch.float64) + 0.5
    signs = torch.randint(2, output.shape, generator=generator) * 2 - 1
    return (sizes * signs).to(output.device)
