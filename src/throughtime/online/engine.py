"""How a learner comes by its gradient: the contract, and what both ways share."""

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
from throughtime.online.watching import check_vectors, streaming_layers
from throughtime.torch_internals import TreeSpec, tree_flatten, tree_unflatten
from throughtime.types import State

StepLoss = Callable[[Tensor, Tensor], Tensor]
"""L(prediction, y): the predictions [B, …] and targets [B, …] of one step to a scalar."""


class Engine(ABC):
    """The state of a model on a stream, and the gradient of the losses since the last update.

    A step has two halves, so that what is refused has changed nothing: `try_step` computes, `commit` makes it so.

    Args:
        model: model(x, state) → (output, state).
        loss: of one step.
        method: how to differentiate.
    """

    def __init__(self, model: nn.Module, loss: StepLoss, method: GradientMethod) -> None:
        self.model, self._loss, self.method = model, loss, method
        self.layers = streaming_layers(model)
        for cell in self.cells():
            method.check(cell)
        self.names = [name for name, value in model.named_parameters() if value.requires_grad]
        first: dict[int, str] = {}
        self.first_name = {
            name: first.setdefault(id(value), name) for name, value in model.named_parameters(remove_duplicate=False)
        }
        """Every name of a parameter → the first of those of the same one, by which it is in `names`."""
        self.leaves: State = ()
        self.form: TreeSpec

    def cells(self) -> Iterator[Cell]:
        """The cell of every layer of every recurrent layer."""
        for layer in self.layers.values():
            for depth in range(layer.num_layers):
                yield layer.cell_and_parameters(depth)[0]

    @abstractmethod
    def try_step(
        self, x: Tensor, y: Tensor | None, reset: Bool[Tensor, " batch"] | None
    ) -> tuple[Tensor, Tensor | None]:
        """The prediction for this step and its loss, if there is a target."""

    @abstractmethod
    def commit(self) -> None:
        """Take the step that was tried last."""

    @abstractmethod
    def gradient(self) -> dict[str, Tensor] | None:
        """∂(mean loss of the steps since the last call)/∂θ by name; None if none of them had a target."""

    @abstractmethod
    def memory(self) -> dict[str, Any]:
        """All that the engine remembers beside the state, to be given back to `remember`."""

    @abstractmethod
    def remember(self, memory: dict[str, Any]) -> None:
        """Go on from there."""

    @abstractmethod
    def forget(self) -> None:
        """Forget all steps that have been, but for the state."""

    @property
    def finite(self) -> bool:
        """Whether the state is."""
        return all(bool(leaf.isfinite().all()) for leaf in self.leaves)

    def start_anew_where_not_finite(self) -> None:
        """Rows whose state is not finite return to zero, and what is remembered of the steps before is forgotten."""
        bad = torch.stack([~leaf.isfinite().all(dim=2).all(dim=0) for leaf in self.leaves]).any(dim=0)
        self.leaves = self.entering(bad)
        self.forget()

    def begin(self, x: Tensor) -> None:
        """Learn from a first input what the state looks like, and start from zero."""
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
        leaves, self.form = tree_flatten(result[1])
        for leaf in leaves:
            if not isinstance(leaf, Tensor) or leaf.dim() != 3 or leaf.shape[1] != len(x):
                came = tuple(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__
                raise UnsupportedError(
                    f"model returned {came} in its state; it must be made of tensors [layers, batch = {len(x)}, size]"
                )
        self.leaves = tuple(torch.zeros_like(leaf) for leaf in leaves)

    def entering(self, reset: Bool[Tensor, " batch"] | None) -> State:
        """The state before the next step, zero where a row starts anew."""
        if reset is None:
            return self.leaves
        return tuple(leaf.masked_fill(reset[None, :, None], 0) for leaf in self.leaves)

    def nest(self, leaves: State) -> Any:
        """The state in the model's own form."""
        return tree_unflatten(list(leaves), self.form)

    def loss_of(self, prediction: Tensor, y: Tensor) -> Tensor:
        """The loss of one step, which must be one number."""
        loss = self._loss(prediction, y)
        if not isinstance(loss, Tensor) or loss.dim():
            came = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise ArgumentError(f"loss returned {came}; it must return a tensor of one number: take its mean")
        return loss

    @staticmethod
    def flat(state: Any) -> State:
        """The tensors in a state, without their history."""
        return tuple(leaf.detach() for leaf in tree_flatten(state)[0])
