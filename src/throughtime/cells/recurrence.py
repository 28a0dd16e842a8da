"""Recurrence: a cell with its parameters, a sequence, and a runner."""

from dataclasses import InitVar, dataclass, field

from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.loop import Loop
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
        runner = runner_for(self.cell, kernel_of(self.cell), self.sequence) if given is None else given
        object.__setattr__(self, "runner", runner)

    @property
    def is_fused(self) -> bool:
        """Whether a kernel runs the recurrence."""
        return not isinstance(self.runner, Loop)

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

    def taken_apart(self) -> tuple["Form", tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Split into a form without tensors, the differentiable tensors, and the masks."""
        sequence = self.sequence
        reset_state = () if sequence.resets is None else sequence.reset_state
        masks = (sequence.lengths, sequence.resets, sequence.batch_sizes)
        form = Form(
            self.cell,
            self.runner,
            tuple(self.parameters),
            tuple(mask is not None for mask in masks),
            sequence.reverse,
            sequence.one_hot,
            sequence.inert,
        )
        tensors = (sequence.x, *sequence.initial, *reset_state, *self.parameters.values())
        return form, tensors, tuple(mask for mask in masks if mask is not None)


@dataclass(frozen=True)
class Form:
    """Recurrence without its tensors, which autograd holds between the two passes."""

    cell: Cell
    runner: Runner
    names: tuple[str, ...]
    has_masks: tuple[bool, ...]
    reverse: bool
    one_hot: int
    inert: bool

    @property
    def counts(self) -> tuple[int, int]:
        """Number of tensors and number of masks that `Recurrence.taken_apart` returns."""
        members = len(self.cell.state_sizes)
        return 1 + members * (1 + self.has_masks[1]) + len(self.names), sum(self.has_masks)

    def put_together(self, tensors: tuple[Tensor, ...], masks: tuple[Tensor, ...]) -> Recurrence:
        """Rebuild the recurrence from the parts that `Recurrence.taken_apart` returned."""
        members, given = len(self.cell.state_sizes), iter(masks)
        # Only the masks that exist were saved, in this order.
        lengths, resets, batch_sizes = (next(given) if has_mask else None for has_mask in self.has_masks)
        at = 1 + members * (1 + self.has_masks[1])
        initial, reset_state = tensors[1 : 1 + members], tensors[1 + members : at]
        marks = (lengths, resets, batch_sizes, self.reverse, self.one_hot, self.inert)
        parameters = dict(zip(self.names, tensors[at:], strict=True))
        return Recurrence(self.cell, parameters, Sequence(tensors[0], initial, reset_state, *marks), self.runner)


def kernel_of(cell: Cell) -> Runner | None:
    """Return the kernel that a cell's class itself defines, or None."""
    return cell.kernel if "kernel" in vars(type(cell)) else None


def runner_for(cell: Cell, kernel: Runner | None, sequence: Sequence) -> Runner:
    """Choose the kernel where the kernel serves the sequence, else the loop."""
    return kernel if kernel is not None and kernel.serves(sequence) else Loop(cell)
