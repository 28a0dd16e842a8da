"""Contract of an online engine, which keeps a state and computes gradients."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from throughtime.cells.base import Cell
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.base import GradientMethod
from throughtime.nests import leaves_of, refill, tensors_of
from throughtime.online.watching import check_vectors, streaming_layers
from throughtime.types import State

StepLoss = Callable[[Tensor, Tensor], Tensor]
"""L(prediction, y): from the predictions [B, …] and targets [B, …] of a step to a scalar."""


class Engine(ABC):
    """State of a model on a stream, and gradients of the losses between updates.

    A step has two halves, `try_step` and `commit`, so that a step that is refused has changed nothing.

    Args:
        model: model(x, state) → (output, state).
        loss: of a step.
        method: how to differentiate.

    Attributes:
        layers: the recurrent layers by name.
        names: the parameters that require a gradient.
        leaves: the tensors of the state after the latest step; empty before the first step.
        form: a state in the form that the model gives it.
    """

    def __init__(self, model: nn.Module, loss: StepLoss, method: GradientMethod) -> None:
        self.model, self._loss, self.method = model, loss, method
        self.layers = streaming_layers(model)
        for cell in self.cells():
            method.check(cell)
        self.names = [name for name, value in model.named_parameters() if value.requires_grad]
        self.leaves: State = ()
        self.form: Any = None

    def cells(self) -> Iterator[Cell]:
        """Iterate over the cells of all layers of all recurrent modules."""
        for layer in self.layers.values():
            for depth in range(layer.num_layers):
                yield layer.cell_and_parameters(depth)[0]

    @abstractmethod
    def try_step(
        self, x: Tensor, y: Tensor | None, reset: Bool[Tensor, " batch"] | None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the prediction for a step, and its loss where y is given.

        Args:
            x, y: the inputs and targets of the step, [B, …].
            reset: [B], True where the state returns to zero before the step; None for no row.

        Returns:
            The prediction [B, …] and the loss, both detached.
        """

    @abstractmethod
    def commit(self) -> None:
        """Take the step that was tried last: its state becomes the state."""

    @abstractmethod
    def gradient(self) -> dict[str, Tensor] | None:
        """Return ∂(mean loss)/∂θ by name, over the steps since the last call.

        Returns:
            The gradients of the parameters that the losses depend on; None if no step had a target.
        """

    @abstractmethod
    def memory(self) -> dict[str, Any]:
        """Return everything that the engine keeps beside the state, for `restore`."""

    @abstractmethod
    def restore(self, memory: dict[str, Any]) -> None:
        """Restore what `memory` returned."""

    @abstractmethod
    def forget(self) -> None:
        """Forget all past steps, except for the state."""

    @property
    def finite(self) -> bool:
        """Whether all numbers of the state are finite."""
        return all(bool(leaf.isfinite().all()) for leaf in self.leaves)

    def start_anew_where_not_finite(self) -> None:
        """Set rows whose state is not finite to zero, and forget all past steps."""
        bad = torch.stack([~leaf.isfinite().all(dim=2).all(dim=0) for leaf in self.leaves]).any(dim=0)
        self.leaves = self.entering_state(bad)
        self.forget()

    def begin(self, x: Tensor) -> None:
        """Run the model on a first input, and start from a state of zeros."""
        check_vectors(self.layers, x)
        if len(inspect.signature(self.model.forward).parameters) < 2 or isinstance(self.model, nn.Sequential):
            raise UnsupportedError(
                f"{type(self.model).__name__}.forward takes no state; a learner calls model(x, state) and gets "
                "(output, state) back: write a module that passes the state through its recurrent layers"
            )
        with torch.no_grad():
            result = self.model(x[None], None)
        if not isinstance(result, tuple) or len(result) != 2:
            raise UnsupportedError(
                "model(x, state) returned no pair; it must return the output and the state, which the next step gets"
            )
        self.form = result[1]
        for _, leaf in leaves_of(self.form):
            if not isinstance(leaf, Tensor) or leaf.dim() != 3 or leaf.shape[1] != len(x):
                came = tuple(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__
                raise UnsupportedError(
                    f"model returned {came} in its state; it must be made of tensors [layers, batch = {len(x)}, size]"
                )
        self.leaves = tuple(map(torch.zeros_like, tensors_of(self.form)))

    def entering_state(self, reset: Bool[Tensor, " batch"] | None) -> State:
        """Return the state before the next step, zero in the rows that `reset` marks."""
        if reset is None:
            return self.leaves
        return tuple(leaf.masked_fill(reset[None, :, None], 0) for leaf in self.leaves)

    def nest(self, leaves: State) -> Any:
        """Put the tensors of a state into the form that the model gives it."""
        return refill(self.form, leaves)

    def loss_of(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of a step, which must be a tensor without dimensions."""
        loss = self._loss(prediction, y)
        if not isinstance(loss, Tensor) or loss.dim():
            came = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise ArgumentError("loss", f"returned {came}", "it must return a tensor of one number", "take its mean")
        return loss

    @staticmethod
    def flat(state: Any) -> State:
        """List the tensors of a state, without their graph."""
        return tuple(map(Tensor.detach, tensors_of(state)))
