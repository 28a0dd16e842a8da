"""The exact gradient of a whole model over any number of steps, of which only the states between segments are held."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.budget import bytes_of
from throughtime.gradients.checkpointed import check_division
from throughtime.gradients.nest import map_nest, tensors_of
from throughtime.gradients.pieces import Pieces, sliced, spooled, steps_of
from throughtime.gradients.schedule import Plan, go_back, plan_for
from throughtime.layers.base import RecurrentLayer

Reduction = Literal["mean", "sum"]
Model = Callable[[Tensor, Any], tuple[Any, Any]]
Loss = Callable[[Any, Tensor], Tensor]

TRIAL = 16
"""At most so many steps, and twice as many, are run to see what autograd saves of one."""


@dataclass(frozen=True)
class WholeBackward:
    """What `checkpointed_backward` returns.

    Attributes:
        loss: of all steps, detached.
        state: the model's state after the last step, detached.
        d_state: ∂loss/∂(the state passed in), in its form, zero where nothing depends on it; None for its tensors that
            require no gradient.
    """

    loss: Tensor
    state: Any
    d_state: Any


def checkpointed_backward(
    model: Model,
    loss: Loss,
    x: Any,
    y: Any = None,
    *,
    state: Any = None,
    segments: int | None = None,
    memory: int | str | None = None,
    reduction: Reduction = "mean",
    say: Callable[[str], object] | None = None,
) -> WholeBackward:
    """`loss(model(x)).backward()` over any number of steps: the exact gradient, in the memory of a few segments.

    The steps are run segment by segment, and only states between segments are kept. From the last segment to the first
    each is then run again, with its part of the loss, and gone back through. Gradients are added to `.grad` of every
    tensor that backward() would reach, all at the end: after an exception `.grad` is as it was.

    Args:
        model: (a segment of x, the state that enters it) → (its output, the state that leaves it). The first state is
            `state`; the others are what the model returned, detached: a tensor, or tensors in tuples, lists, dicts. A
            model like this is a `tt.LSTM` itself, or a function of a segment and a state around several modules.
        loss: (a segment's output, the segment of y) → a number.
        x, y: time first; tensors, arrays, memory-mapped files, or anything that has a len and can be sliced by [a:b].
            Or x is an iterator of chunks, or of pairs (x, y) with y=None, which is read once, to its end, into
            temporary files; each chunk is a segment then.
        state: the state before the first step, in the model's form. What it was computed from gets no gradient here:
            pass `d_state` on, h_0.backward(result.d_state).
        segments, memory: as in `CheckpointedBPTT`, for what autograd saves of this model, which a short trial shows.
            The temporary memory of a segment's backward pass, often as much again, is not counted.
        reduction: whether `loss` takes the "mean" over the steps that it is given, or the "sum". A mean over some of
            them only (ignore_index, a mask) is neither, as segments have different shares: sum up, and divide by the
            number in `loss` itself.
        say: called with one line that says what is planned, before it starts; print, for example.

    The model must give the same again when it is run again: torch's random numbers (on the CPU and CUDA) are drawn
    again as they were, but buffers that a forward pass changes (the statistics of batch normalization) are refused,
    and no other state of its own may change either. Hooks that wait for `.grad` of a parameter, as those of distributed
    training, are not called, and a tap sees one segment at a time.

    Raises:
        ArgumentError: before any work, for arguments that do not fit together, and a memory that is too small.
        UnsupportedError: for a model whose forward pass changes its buffers (they are put back), one that is a module
            with bidirectional layers or batch_first, and a random loss. In a function these are not seen.

    Cost: one forward pass of the model more than backward(). Do not use it where backward() fits.

    Examples:
        >>> lstm, readout = tt.LSTM(3, 8), torch.nn.Linear(8, 5)
        >>> def model(x, state):
        ...     h, state = lstm(x, state)
        ...     return readout(h), state
        >>> x, y = torch.randn(1000, 2, 3), torch.randn(1000, 2, 5)
        >>> result = checkpointed_backward(model, torch.nn.functional.mse_loss, x, y, segments=10)
        >>> result.loss.shape, lstm.weight_hh_l0.grad.shape
        (torch.Size([]), torch.Size([32, 8]))
    """
    check_division(segments, memory)
    if reduction not in get_args(Reduction):
        raise ArgumentError(f"reduction is {reduction!r}; it must be 'mean' or 'sum', as the loss takes it")
    _check_direction(model)
    task = _Task(model, loss, state, reduction == "mean")
    if isinstance(x, Iterator):
        _refuse_division(segments, memory)
        with spooled(x, y) as pieces:
            if say is not None:
                say(f"{pieces.steps} steps in {len(pieces)} segments, as they came")
            return task.run(pieces, len(pieces) - 1)
    steps = steps_of(x, y)
    plan = _planned(task, x, y, steps, segments, memory)
    if say is not None:
        say(str(plan))
    return task.run(sliced(x, y, steps, plan.segment_steps), plan.slots)


def _check_direction(model: Model) -> None:
    """Refuse recurrent layers that do not go through the segments from the first to the last."""
    if not isinstance(model, nn.Module):
        return
    for name, module in model.named_modules():
        if isinstance(module, RecurrentLayer | nn.RNNBase) and vars(module).get("bidirectional"):
            raise UnsupportedError(
                f"model's layer {name or 'itself'} is bidirectional; its second direction would begin anew at the end "
                "of every segment: use CheckpointedBPTT as its gradient method"
            )
    if vars(model).get("batch_first"):
        raise UnsupportedError(
            "model has batch_first=True, and segments are cut from the first dimension: give time "
            "first, to a layer with batch_first=False"
        )


def _refuse_division(segments: int | None, memory: int | str | None) -> None:
    for name, value in (("segments", segments), ("memory", memory)):
        if value is not None:
            raise ArgumentError(
                f"{name} is {value!r} and x an iterator, each of whose chunks is a segment: leave {name} out, or make "
                "the chunks longer or shorter"
            )


def _planned(task: "_Task", x: Any, y: Any, steps: int, segments: int | None, memory: int | str | None) -> Plan:
    few = max(1, min(TRIAL, steps // 2))
    state_bytes, one = task.saved(sliced(x, y, min(few, steps), few))
    _, two = task.saved(sliced(x, y, min(2 * few, steps), 2 * few))
    step_bytes = max(1, (two - one) // few if steps > 1 else one)
    if segments is None:
        return plan_for(steps, state_bytes, step_bytes, None if memory is None else bytes_of(memory), runs_on=False)
    length = -(-steps // segments)
    return Plan(steps, length, -(-steps // length) - 1, state_bytes, step_bytes, runs_on=False)


@dataclass(frozen=True)
class _Boundary:
    """What a segment starts from: the model's state, and that of torch's generators."""

    state: Any
    random: tuple[Tensor, ...]


class _Shelf:
    """Room for the boundaries that are kept, taken all at once.

    Copies made one by one would lie between the large tensors of the segments, and of the memory that these leave
    behind the next ones, a little larger than the gaps, would use nothing.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.places: list[_Boundary] | None = None

    def put(self, state: Any) -> _Boundary:
        """The state as it is here and now, with that of torch's generators."""
        now = _Boundary(map_nest(Tensor.detach, state), _random_state())
        if self.places is None:
            self.places = [_copied(now) for _ in range(self.room)]
        place = self.places.pop() if self.places else _copied(now)
        found, wanted = tensors_of((place.state, place.random)), tensors_of((now.state, now.random))
        if [(one.shape, one.dtype, one.device) for one in found] != [
            (one.shape, one.dtype, one.device) for one in wanted
        ]:
            return _copied(now)
        copies = iter([one.copy_(other) for one, other in zip(found, wanted, strict=True)])
        return _map_boundary(lambda _: next(copies), now)

    def give_back(self, boundary: _Boundary) -> None:
        """It is no longer needed."""
        if self.places is not None and len(self.places) < self.room:
            self.places.append(boundary)


def _map_boundary(function: Callable[[Tensor], Tensor], boundary: _Boundary) -> _Boundary:
    return _Boundary(map_nest(function, boundary.state), map_nest(function, boundary.random))


def _copied(boundary: _Boundary) -> _Boundary:
    return _map_boundary(Tensor.clone, boundary)


def _random_state() -> tuple[Tensor, ...]:
    """Of torch's generators: the CPU's, and where CUDA is in use those of its devices."""
    return (torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ()))


def _draw_again(random: tuple[Tensor, ...]) -> None:
    cpu, *cuda = random
    torch.set_rng_state(cpu)
    if cuda:
        torch.cuda.set_rng_state_all(cuda)


def _same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


class _Task:
    """A model and a loss, and what the segments gone back through so far have given."""

    def __init__(self, model: Model, loss: Loss, state: Any, mean: bool) -> None:
        self.model, self.loss, self.state, self.mean = model, loss, state, mean
        self.buffers = _Buffers(model)
        self.gradients: dict[Tensor, Tensor] = {}
        self.d_leaving: list[Tensor | None] = []
        self.total: Tensor | None = None
        self.end: _Boundary | None = None

    def run(self, pieces: Pieces, slots: int) -> WholeBackward:
        """All segments, then `.grad`."""
        start = _Boundary(self.state, _random_state())
        shelf = _Shelf(min(slots + 1, len(pieces) - 1))

        def advance(index: int, start: _Boundary) -> _Boundary:
            return self.advance(pieces, shelf, index, start)

        def pull(index: int, start: _Boundary) -> None:
            self.pull(pieces, index, start)
            shelf.give_back(start)

        go_back(len(pieces), slots, {0: start}, advance, pull)
        assert self.end is not None and self.total is not None
        _draw_again(self.end.random)
        with torch.no_grad():
            for leaf, gradient in self.gradients.items():
                leaf.grad = gradient if leaf.grad is None else leaf.grad.add_(gradient)
        return WholeBackward(self.total, self.end.state, self._d_state())

    def _d_state(self) -> Any:
        d_initial = iter(self.d_leaving)

        def of(tensor: Tensor) -> Tensor | None:
            found = next(d_initial)
            if not tensor.requires_grad:
                return None
            return torch.zeros_like(tensor) if found is None else found

        return map_nest(of, self.state)

    def advance(self, pieces: Pieces, shelf: _Shelf, index: int, start: _Boundary) -> _Boundary:
        """Run a segment and keep nothing but the state that leaves it."""
        _draw_again(start.random)
        with torch.no_grad():
            return shelf.put(self.outputs(pieces.x(index), start.state)[1])

    def pull(self, pieces: Pieces, index: int, start: _Boundary) -> None:
        """Run a segment and go back through it."""
        _draw_again(start.random)
        given = tensors_of(start.state)
        # The state passed in requires a gradient where its owner says so; those in between do.
        wanted = iter([one.requires_grad if index == 0 else _differentiable(one) for one in given])
        entering = map_nest(lambda one: one.detach().requires_grad_(next(wanted)), start.state)
        with torch.enable_grad():
            value, leaving = self.value(pieces, index, entering)
        weight = pieces.share(index) if self.mean else 1.0
        self.total = weight * value.detach() if self.total is None else self.total + weight * value.detach()
        self.differentiate(value, weight, tensors_of(leaving), tensors_of(entering))

    def value(self, pieces: Pieces, index: int, entering: Any) -> tuple[Tensor, Any]:
        """A segment's loss and the state that leaves it."""
        output, leaving = self.outputs(pieces.x(index), entering)
        if self.end is None:
            self.end = _copied(_Boundary(map_nest(Tensor.detach, leaving), _random_state()))
        before = _random_state()
        value = self.loss(output, pieces.y(index))
        if not isinstance(value, Tensor) or value.numel() != 1:
            came = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(f"loss returned {came}; it must return a tensor with one number")
        if not _same(before, _random_state()):
            raise UnsupportedError("loss draws random numbers, and the next segment's would be the same: draw in model")
        return value, leaving

    def outputs(self, x: Tensor, state: Any) -> tuple[Any, Any]:
        """What the model makes of a segment."""
        result = self.model(x, state)
        self.buffers.check()
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise ArgumentError(f"model returned a {type(result).__name__}; it must return (output, state)")
        return result[0], result[1]

    def differentiate(self, value: Tensor, weight: float, leaving: list[Tensor], entering: list[Tensor]) -> None:
        """From ∂L/∂(the state that leaves) to ∂L/∂(the state that enters), and the parameters' gradients."""
        d_leaving = self.d_leaving or [None] * len(leaving)
        pairs = [(value, torch.full_like(value, weight)), *zip(leaving, d_leaving, strict=True)]
        pairs = [(one, cotangent) for one, cotangent in pairs if one.requires_grad and cotangent is not None]
        of_state = [one for one in entering if one.requires_grad]
        leaves = [leaf for leaf in _leaves([one for one, _ in pairs]) if all(leaf is not one for one in of_state)]
        found: list[Tensor | None] = [None] * len(of_state)
        if pairs:
            roots, cotangents = zip(*pairs, strict=True)
            found = list(torch.autograd.grad(roots, [*of_state, *leaves], cotangents, allow_unused=True))
        for leaf, gradient in zip(leaves, found[len(of_state) :], strict=True):
            if gradient is not None:
                # A new tensor each: the gradients of two parameters may be one and the same.
                before = self.gradients.get(leaf)
                self.gradients[leaf] = gradient.clone() if before is None else before.add_(gradient)
        by_state = iter(found)
        self.d_leaving = [next(by_state) if one.requires_grad else None for one in entering]

    def saved(self, pieces: Pieces) -> tuple[int, int]:
        """The bytes of the state after the first piece, and of what autograd saves of it; nothing else is left."""
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        random = _random_state()
        x = pieces.x(0)
        with torch.enable_grad(), saved_tensors_hooks(note, lambda tensor: tensor):
            value, leaving = self.value(pieces, 0, map_nest(Tensor.detach, self.state))
        drawn = 0 if _same(random, _random_state()) else sum(one.nbytes for one in random)
        _draw_again(random)
        self.end = None  # this was only a trial
        for tensor in (x, *_leaves([value])):
            storages.pop(tensor.untyped_storage().data_ptr(), None)
        return sum(one.nbytes for one in tensors_of(leaving)) + drawn, sum(storages.values())


class _Buffers:
    """A module's buffers, which no forward pass may change: every segment is run more than once."""

    def __init__(self, model: Model) -> None:
        buffers = dict(model.named_buffers()) if isinstance(model, nn.Module) else {}
        self.before = {name: (buffer, buffer._version, buffer.clone()) for name, buffer in buffers.items()}

    def check(self) -> None:
        """Raise `UnsupportedError` where one has changed, and put all back."""
        changed = [name for name, (buffer, version, _) in self.before.items() if buffer._version != version]
        if not changed:
            return
        with torch.no_grad():
            for buffer, _, values in self.before.values():
                buffer.copy_(values)
        raise UnsupportedError(
            f"model changes its buffer {changed[0]!r} in the forward pass, which is run more than once: call "
            "model.eval(), or use a normalization without running statistics"
        )


def _differentiable(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _leaves(roots: list[Tensor]) -> list[Tensor]:
    """The tensors to whose `.grad` backward() from these would add."""
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
