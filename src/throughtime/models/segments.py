"""Segments of a model and its loss: run forward, run again, and gone back through."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.schedule import go_back
from throughtime.models.boundaries import Boundary, Shelf, random_state, same_random_state, set_random_state
from throughtime.models.pieces import Pieces
from throughtime.models.scalar_loss import checked_loss
from throughtime.nests import map_tensors, tensors_of
from throughtime.torch_internals import times_changed

Model = Callable[[Tensor, Any], tuple[Any, Any]]
Loss = Callable[[Any, Tensor], Tensor]


class SegmentRunner:
    """Runs segments in both directions and sums up what those gone back through have given.

    Args:
        model, loss, state: as `checkpointed_backward` has them.
        mean: whether the loss of a segment is a mean over its steps, or a sum.

    Attributes:
        total: the loss of the segments gone back through; None before the first.
        end: the boundary after the last step; None before that.
    """

    def __init__(self, model: Model, loss: Loss, state: Any, mean: bool) -> None:
        self.total: Tensor | None = None
        self.end: Boundary | None = None
        self._model, self._loss, self._state, self._mean = model, loss, state, mean
        self._buffers = _Buffers(model)
        self._gradients: dict[Tensor, Tensor] = {}
        # ∂loss/∂(the state that leaves the segment gone back through next); after segment 0, ∂loss/∂(the first state).
        self._d_leaving: list[Tensor | None] = []

    def run(self, pieces: Pieces, slots: int) -> None:
        """Run all segments forward and back, and add to `.grad` at the end.

        Args:
            pieces: the inputs and targets of the segments.
            slots: the number of boundaries that are kept at a time, beside the first.
        """
        start = Boundary(self._state, random_state())
        # A place more than slots, for the boundary that is used at once and not kept.
        shelf = Shelf(min(slots + 1, len(pieces) - 1))

        def advance(index: int, start: Boundary, last_use: bool) -> Boundary:
            after = self._advance(pieces, index, start)
            if last_use:
                shelf.give_back(start)
            return shelf.put(after)

        def pull(index: int, start: Boundary) -> None:
            self._pull(pieces, index, start)
            shelf.give_back(start)

        go_back(len(pieces), slots, {0: start}, advance, pull)
        assert self.end is not None
        set_random_state(self.end.random)
        with torch.no_grad():
            for leaf, gradient in self._gradients.items():
                leaf.grad = gradient if leaf.grad is None else leaf.grad.add_(gradient)

    def d_state(self) -> Any:
        """Return ∂loss/∂(the state passed in), in the form of that state, after `run`.

        It has None for tensors that require no gradient.
        """
        gradients = iter(self._d_leaving)

        def d_of(tensor: Tensor) -> Tensor | None:
            gradient = next(gradients)
            if not tensor.requires_grad:
                return None
            return torch.zeros_like(tensor) if gradient is None else gradient

        return map_tensors(d_of, self._state)

    def saved_bytes(self, pieces: Pieces) -> tuple[int, int]:
        """Measure the first piece: bytes of the state after it, and bytes saved by autograd."""
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        random = random_state()
        x = pieces.x(0)
        with torch.enable_grad(), saved_tensors_hooks(note, lambda tensor: tensor):
            value, leaving = self._value(pieces, 0, map_tensors(Tensor.detach, self._state))
        drawn = 0 if same_random_state(random, random_state()) else sum(state.nbytes for state in random)
        set_random_state(random)
        self.end = None  # of the trial, not of the run
        for tensor in (x, *_leaves([value])):
            storages.pop(tensor.untyped_storage().data_ptr(), None)
        return sum(tensor.nbytes for tensor in tensors_of(leaving)) + drawn, sum(storages.values())

    def _advance(self, pieces: Pieces, index: int, start: Boundary) -> Boundary:
        """Run a segment without a graph to the boundary after it."""
        set_random_state(start.random)
        with torch.no_grad():
            return Boundary.here(self._outputs(pieces.x(index), start.state)[1])

    def _pull(self, pieces: Pieces, index: int, start: Boundary) -> None:
        """Run a segment with its graph and go back through it."""
        set_random_state(start.random)
        given = tensors_of(start.state)
        # The state passed in requires a gradient where its owner says so; the states between segments do.
        wanted = iter([tensor.requires_grad if index == 0 else _differentiable(tensor) for tensor in given])
        entering = map_tensors(lambda tensor: tensor.detach().requires_grad_(next(wanted)), start.state)
        with torch.enable_grad():
            value, leaving = self._value(pieces, index, entering)
        weight = pieces.share(index) if self._mean else 1.0
        self.total = weight * value.detach() if self.total is None else self.total + weight * value.detach()
        self._differentiate(value, weight, tensors_of(leaving), tensors_of(entering))

    def _value(self, pieces: Pieces, index: int, entering: Any) -> tuple[Tensor, Any]:
        """The loss of a segment and the state that leaves it; the first call also sets `end`."""
        output, leaving = self._outputs(pieces.x(index), entering)
        if self.end is None:  # the way back begins at the last segment
            self.end = Boundary.here(leaving).copied()
        before = random_state()
        value = checked_loss(self._loss(output, pieces.y(index)))
        if not same_random_state(before, random_state()):
            raise UnsupportedError("loss draws random numbers, and the next segment's would be the same: draw in model")
        return value, leaving

    def _outputs(self, x: Tensor, state: Any) -> tuple[Any, Any]:
        """The output of the model for a segment and the state that leaves it."""
        result = self._model(x, state)
        self._buffers.check()
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise ArgumentError("model", f"returned a {type(result).__name__}", "it must return (output, state)")
        return result[0], result[1]

    def _differentiate(self, value: Tensor, weight: float, leaving: list[Tensor], entering: list[Tensor]) -> None:
        """Go from ∂L/∂(the state that leaves) to ∂L/∂(the state that enters), and add to the leaves' gradients."""
        d_leaving = self._d_leaving or [None] * len(leaving)
        pairs = [(value, torch.full_like(value, weight)), *zip(leaving, d_leaving, strict=True)]
        pairs = [(root, cotangent) for root, cotangent in pairs if root.requires_grad and cotangent is not None]
        of_state = [tensor for tensor in entering if tensor.requires_grad]
        # A tensor of the state may be a leaf of the graph; its gradient is that of the state.
        leaves = [
            leaf for leaf in _leaves([root for root, _ in pairs]) if all(leaf is not tensor for tensor in of_state)
        ]
        gradients: list[Tensor | None] = [None] * len(of_state)
        if pairs:
            roots, cotangents = zip(*pairs, strict=True)
            gradients = list(torch.autograd.grad(roots, [*of_state, *leaves], cotangents, allow_unused=True))
        for leaf, gradient in zip(leaves, gradients[len(of_state) :], strict=True):
            if gradient is not None:
                # A new tensor each: autograd may return the same tensor for two parameters.
                before = self._gradients.get(leaf)
                self._gradients[leaf] = gradient.clone() if before is None else before.add_(gradient)
        by_state = iter(gradients)  # those of `of_state` come first
        self._d_leaving = [next(by_state) if tensor.requires_grad else None for tensor in entering]


class _Buffers:
    """Buffers of a module, which no forward pass may change.

    Every segment is run more than once, and must give the same.
    """

    def __init__(self, model: Model) -> None:
        buffers = dict(model.named_buffers()) if isinstance(model, nn.Module) else {}
        self._before = {name: (buffer, times_changed(buffer), buffer.clone()) for name, buffer in buffers.items()}

    def check(self) -> None:
        """Restore all buffers and raise `UnsupportedError` where a buffer has changed."""
        changed = [name for name, (buffer, version, _) in self._before.items() if times_changed(buffer) != version]
        if not changed:
            return
        with torch.no_grad():
            for buffer, _, values in self._before.values():
                buffer.copy_(values)
        raise UnsupportedError(
            f"model changes its buffer {changed[0]!r} in the forward pass, which is run more than once: call "
            "model.eval(), or use a normalization without running statistics"
        )


def _differentiable(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _leaves(roots: list[Tensor]) -> list[Tensor]:
    """The tensors to whose `.grad` a backward() from the roots would add."""
    leaves = [root for root in roots if root.is_leaf and root.requires_grad]
    nodes, seen = [root.grad_fn for root in roots if root.grad_fn is not None], set()
    while nodes:
        node = nodes.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.name() == "torch::autograd::AccumulateGrad":
            leaves.append(node.variable)  # type: ignore[attr-defined]
        nodes += [after for after, _ in node.next_functions if after is not None]
    return list({id(leaf): leaf for leaf in leaves}.values())
