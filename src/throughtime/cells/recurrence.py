"""Recurrence: a cell with its parameters, a sequence, and a runner."""

from collections.abc import Iterable, Iterator
from dataclasses import InitVar, dataclass, field
from itertools import islice

from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.loop import Loop
from throughtime.sequences.memory import check_memory
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Runner, Trace
from throughtime.sequences.sequence import Sequence
from throughtime.types import Gradients, Parameters, Save, State


@dataclass(frozen=True)
class Recurrence:
    """Recurrence s_t = f(x_t, s_{t-1}; θ) over a whole sequence ([Y], first display).

    Args:
        cell: f.
        parameters: θ by the cell's names.
        sequence: inputs x, initial states, lengths and resets.
        given: the runner. None, the default: the cell's kernel where the kernel serves the sequence, else the loop.

    Attributes:
        runner: the runner, chosen when the recurrence is made.
    """

    cell: Cell
    parameters: Parameters
    sequence: Sequence
    given: InitVar[Runner | None] = None
    runner: Runner = field(init=False)

    def __post_init__(self, given: Runner | None) -> None:
        runner = given or runner_for(self.cell, kernel_of(self.cell), self.parameters, self.sequence)
        object.__setattr__(self, "runner", runner)

    @property
    def is_fused(self) -> bool:
        """Whether a kernel runs the recurrence."""
        return type(self.runner) is not Loop  # isinstance is slow where the class is abstract

    def plain(self) -> "Recurrence":
        """Return the recurrence over the plain form of the sequence."""
        if self.sequence.is_plain:
            return self
        # A kernel that did not serve the given form of the sequence may serve the plain form.
        return Recurrence(self.cell, self.parameters, self.sequence.plain(), self.runner if self.is_fused else None)

    def looped(self) -> "Recurrence":
        """Return the recurrence over the plain form of the sequence, run by the loop.

        PyTorch can differentiate the operations of the loop.
        """
        return Recurrence(self.cell, self.parameters, self.sequence.plain(), Loop(self.cell))

    def part(self, start: int, stop: int, entering: State) -> "Recurrence":
        """Return the recurrence over the steps start … stop - 1.

        Args:
            start, stop: steps, counted from 0.
            entering: the state that left step start - 1, each member [B, size].
        """
        return self.over(self.sequence.part(start, stop, entering))

    def over(self, sequence: Sequence) -> "Recurrence":
        """Return the recurrence over another sequence, which the same runner must serve."""
        return Recurrence(self.cell, self.parameters, sequence, self.runner)

    def forward(self, save: Save | None) -> Pass:
        """Run over time and keep as much as `save` says."""
        return self.runner.forward(self.parameters, self.sequence, save)

    def backward(self, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        """Compute the gradients from the trace that `forward` kept."""
        return self.runner.backward(self.parameters, self.sequence, trace, cotangents, norms)

    def entering(self, trace: Trace) -> State:
        """Return the state that entered each step, each member [T, B, size].

        `trace` is the trace of `forward("states")`.
        """
        return self.runner.entering(self.sequence, trace)

    def named_tensors(self) -> list[tuple[str, Tensor]]:
        """List the tensors and masks of `taken_apart`, with the names that errors give them."""
        sequence, members = self.sequence, list(self.cell.state_sizes)
        masks = [(name, getattr(sequence, name)) for name in ("lengths", "resets", "batch_sizes")]
        reset_state = () if sequence.resets is None else sequence.reset_state
        return [
            ("input", sequence.x),
            *((f"initial_{name}", member) for name, member in zip(members, sequence.initial, strict=True)),
            *((f"reset_{name}", member) for name, member in zip(members, reset_state, strict=False)),
            *self.parameters.items(),
            *((name, mask) for name, mask in masks if mask is not None),
        ]

    def check_memory(self) -> None:
        """Check the memory of all tensors and masks.

        A kernel does so itself, with what it takes the address of.

        Raises:
            ArgumentError: a storage was freed or cut short.
        """
        for name, tensor in self.named_tensors():
            check_memory(name, tensor)

    def taken_apart(self) -> tuple["Form", tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Split into a form without tensors, the differentiable tensors, and the masks."""
        sequence = self.sequence
        reset_state = () if sequence.resets is None else sequence.reset_state
        masks = (sequence.lengths, sequence.resets, sequence.batch_sizes)
        form = Form(
            self.cell,
            self.runner,
            tuple(self.parameters),
            (sequence.lengths is not None, sequence.resets is not None, sequence.batch_sizes is not None),
            sequence.reverse,
            sequence.one_hot,
            sequence.inert,
        )
        tensors = (sequence.x, *sequence.initial, *reset_state, *self.parameters.values())
        return form, tensors, tuple(mask for mask in masks if mask is not None)


@dataclass(frozen=True)
class Form:
    """Recurrence without its tensors, which autograd holds between the two passes.

    Attributes:
        cell, runner: as in `Recurrence`.
        names: the parameters' names, in order.
        has_masks: whether the sequence has lengths, resets and batch_sizes, in this order.
        reverse, one_hot, inert: as in `Sequence`.
    """

    cell: Cell
    runner: Runner
    names: tuple[str, ...]
    has_masks: tuple[bool, bool, bool]
    reverse: bool
    one_hot: int
    inert: bool

    def in_order(self, gradients: Gradients) -> tuple[Tensor | None, ...]:
        """Return the gradients in the order of the tensors of `Recurrence.taken_apart`."""
        _, has_resets, _ = self.has_masks
        reset_state = (gradients.reset_state or (None,) * len(gradients.initial)) if has_resets else ()
        return gradients.x, *gradients.initial, *reset_state, *(gradients.parameters[name] for name in self.names)

    def named(self, d_x: Tensor | None, others: Iterable[Tensor]) -> Gradients:
        """Name ∂L/∂x and the others, in the order of the tensors of `Recurrence.taken_apart`: undo `in_order`."""
        members, (_, has_resets, _) = len(self.cell.state_sizes), self.has_masks
        left = iter(others)
        d_initial, d_reset = _take(left, members), _take(left, members * has_resets)
        return Gradients(dict(zip(self.names, left, strict=True)), d_x, d_initial, d_reset or None)

    def put_together(self, saved: tuple[Tensor, ...]) -> tuple[Recurrence, tuple[Tensor, ...]]:
        """Rebuild the recurrence from the tensors and masks of `Recurrence.taken_apart`.

        Args:
            saved: the tensors, the masks, and any further tensors.

        Returns:
            The recurrence, and the further tensors.
        """
        members, (_, has_resets, _) = len(self.cell.state_sizes), self.has_masks
        left = iter(saved)
        x, initial, reset_state = next(left), _take(left, members), _take(left, members * has_resets)
        parameters = dict(zip(self.names, _take(left, len(self.names)), strict=True))
        lengths, resets, batch_sizes = (next(left) if has_mask else None for has_mask in self.has_masks)
        marks = (lengths, resets, batch_sizes, self.reverse, self.one_hot, self.inert)
        recurrence = Recurrence(self.cell, parameters, Sequence(x, initial, reset_state, *marks), self.runner)
        return recurrence, tuple(left)


def _take(tensors: Iterator[Tensor], count: int) -> tuple[Tensor, ...]:
    return tuple(islice(tensors, count))


def kernel_of(cell: Cell) -> Runner | None:
    """Return the kernel that a cell's class itself defines, or None."""
    return cell.kernel if "kernel" in vars(type(cell)) else None


def runner_for(cell: Cell, kernel: Runner | None, parameters: Parameters, sequence: Sequence) -> Runner:
    """Choose the kernel where the kernel serves the parameters and the sequence, else the loop."""
    return kernel if kernel is not None and kernel.serves(parameters, sequence) else Loop(cell)
