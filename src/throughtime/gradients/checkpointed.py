"""Backpropagation through time in a memory budget: a few states are kept, the steps between them run again."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.budget import bytes_of
from throughtime.gradients.choice import kernel_for, recurrence_for
from throughtime.gradients.loop import LOOP
from throughtime.gradients.norms import StepNorms
from throughtime.gradients.schedule import Plan, go_back, kept_to_the_end, plan_for
from throughtime.gradients.sequence import Sequence
from throughtime.kernels.base import Kernel
from throughtime.types import Gradients, Parameters, State


def check_division(segments: int | None, memory: int | str | None) -> None:
    """Raise `ArgumentError` unless one of them, or neither, says how the steps are to be divided."""
    if segments is not None and memory is not None:
        raise ArgumentError(
            f"segments is {segments!r} and memory is {memory!r}; one follows from the other: leave one of them out"
        )
    if memory is not None:
        bytes_of(memory)
    whole = isinstance(segments, int) and not isinstance(segments, bool)
    if segments is not None and (not whole or segments < 1):
        raise ArgumentError(f"segments is {segments!r}; it must be a whole number, at least 1, or None")


@dataclass(frozen=True)
class CheckpointedBPTT(GradientMethod):
    """Backpropagation through time in the memory there is: exact, in segments that are run twice or more.

    The forward pass keeps the states between some of the segments and nothing else. The backward pass meets the
    segments from the last to the first, runs each again from its state, now keeping everything, and goes back through
    it: ∂L/∂(initial state) of one is ∂L/∂(final state) of the one before. `plan` says beforehand what that will take;
    the schedule is that of `gradients.schedule`.

    Args:
        segments: into how many of ⌈T/segments⌉ steps T is divided, the last one shorter (there are fewer where that
            many steps use T up early, and never more than T). All states between them are kept.
        memory: bytes, or a number with a unit, "256MB", for the states that are kept and the segment that is gone back
            through. Of all plans within it the one that runs the fewest steps is chosen; where all fits, that is BPTT.
            Neither: as few segments as take no more than three times the least memory that one level needs.

    The outputs, the inputs, their gradients and a kernel's workspace for one segment are not counted.

    Raises:
        ArgumentError: for both arguments, or bad ones; by the forward pass, before any work, for a memory that is too
            small for every plan.

    Cost: one forward pass more than BPTT, or what `plan` says of more levels; O(√T·B·H) in memory, or the budget.
    Do not use it where BPTT fits. Under torch.compile it is BPTT(save="states"): a graph has no segments.
    """

    segments: int | None = None
    memory: int | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_division(self.segments, self.memory)

    def check(self, cell: Cell) -> None:
        """Every cell is served."""

    def takes(self, cell: Cell, sequence: Sequence) -> bool:
        padded = sequence.batch_sizes is None and not sequence.reverse
        return padded and (kernel_for(cell, sequence) is not None or super().takes(cell, sequence))

    def differentiable(self) -> GradientMethod:
        return BPTT(clip_step=self.clip_step)

    def traced(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Float[Tensor, "time batch hidden"], State]:
        return BPTT("states", clip_step=self.clip_step).traced(cell, parameters, sequence, keep)

    def plan(self, cell: Cell, steps: int, batch: int, dtype: torch.dtype | None = None) -> Plan:
        """What a pass of `cell` over `steps` steps of `batch` rows will take, on the CPU.

        Examples:
            >>> print(CheckpointedBPTT(segments=40).plan(tt.cells.LSTMCell(64, 128), 1000, 16))
            1000 steps in 40 segments of 25: 1.87 MB instead of 49.2 MB, about 1.00 forward passes more
        """
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            parameters = cell.initial_parameters(dtype=dtype)
            initial = tuple(torch.zeros(batch, size, dtype=dtype) for size in cell.state_sizes.values())
            sequence = Sequence(initial[0].new_zeros(1, batch, cell.input_size), initial, initial)
            return self._plan(recurrence_for(cell, sequence), cell, parameters, sequence, steps)

    def _plan(self, recurrence: Kernel, cell: Cell, parameters: Parameters, sequence: Sequence, steps: int) -> Plan:
        state_bytes = sum(member.nbytes for member in sequence.initial)
        step_bytes = sequence.shape[1] * _bytes_of_a_step(recurrence, cell, parameters, sequence.initial[0])
        if self.segments is not None:
            length = max(1, -(-steps // self.segments))
            return Plan(steps, length, max(1, -(-steps // length)) - 1, state_bytes, step_bytes)
        budget = None if self.memory is None else bytes_of(self.memory)
        return plan_for(steps, state_bytes, step_bytes, budget)

    def forward(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Float[Tensor, "time batch hidden"], State, tuple[Tensor, ...]]:
        recurrence = recurrence_for(cell, sequence)
        if not keep:
            return recurrence.forward(cell, parameters, sequence, None)
        plan = self._plan(recurrence, cell, parameters, sequence, sequence.shape[0])
        marks = torch.tensor([plan.segments, plan.segment_steps, plan.slots])
        if plan.segments == 1:
            outputs, final, trace = recurrence.forward(cell, parameters, sequence, "gates")
            return outputs, final, (marks, *trace)
        run = _Segments(recurrence, cell, parameters, sequence, plan.segment_steps)
        kept = kept_to_the_end(plan.segments, plan.slots)
        outputs, final, states = run.at_once(kept) if run.can_run_at_once else run.one_by_one(plan.segments, kept)
        return outputs, final, (marks, *(member for state in states for member in state))

    def backward(
        self,
        cell: Cell,
        parameters: Parameters,
        sequence: Sequence,
        trace: tuple[Tensor, ...],
        d_outputs: Float[Tensor, "time batch hidden"],
        d_final: State,
        needs_x: bool,
        norms: StepNorms,
    ) -> Gradients:
        recurrence = recurrence_for(cell, sequence)
        (segments, segment_steps, slots), trace = trace[0].tolist(), trace[1:]
        if segments == 1:
            return recurrence.backward(cell, parameters, sequence, trace, d_outputs, d_final, "gates", needs_x, norms)
        run, members = _Segments(recurrence, cell, parameters, sequence, segment_steps), len(d_final)
        states = {0: sequence.initial}
        for index, segment in enumerate(kept_to_the_end(segments, slots)):
            states[segment] = trace[index * members : (index + 1) * members]
        way_back = _WayBack(run, d_outputs, d_final, needs_x, norms)
        go_back(segments, slots, states, run.advance, way_back.pull)
        return way_back.gradients()


def _bytes_of_a_step(recurrence: Kernel, cell: Cell, parameters: Parameters, like: Tensor) -> int:
    """What the backward pass needs of each step of one row, beside its inputs; measured, as it is up to the cell."""

    def kept(steps: int) -> int:
        initial = tuple(like.new_zeros(1, size) for size in cell.state_sizes.values())
        sequence = Sequence(like.new_zeros(steps, 1, cell.input_size), initial, initial)
        trace = recurrence.forward(cell, parameters, sequence, "gates")[2]
        found = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in trace}
        found.pop(sequence.x.untyped_storage().data_ptr(), None)
        return sum(found.values())

    return kept(2) - kept(1)


@dataclass(frozen=True)
class _Segments:
    """A sequence cut into segments of `length` steps."""

    recurrence: Kernel
    cell: Cell
    parameters: Parameters
    sequence: Sequence
    length: int

    def bounds(self, segment: int) -> tuple[int, int]:
        start = segment * self.length
        return start, min(start + self.length, self.sequence.shape[0])

    def part(self, segment: int, entering: State) -> Sequence:
        return self.sequence.part(*self.bounds(segment), entering)

    def advance(self, segment: int, entering: State) -> State:
        """The state that leaves a segment, in memory of its own."""
        part = self.part(segment, entering)
        final = self.recurrence.forward(self.cell, self.parameters, part, None)[1]
        return tuple(member.clone() for member in final)

    def one_by_one(self, segments: int, kept: list[int]) -> tuple[Tensor, State, list[State]]:
        """The outputs, the final state, and the states before the segments in `kept`."""
        state, outputs = self.sequence.initial, None
        # Taken at once, or they would lie scattered between the segments' outputs and tear the free memory to pieces.
        states = [tuple(map(torch.empty_like, state)) for _ in kept]
        for segment in range(segments):
            if segment in kept:
                for place, member in zip(states[kept.index(segment)], state, strict=True):
                    place.copy_(member)
            start, stop = self.bounds(segment)
            part, state, _ = self.recurrence.forward(self.cell, self.parameters, self.part(segment, state), None)
            outputs = part.new_empty(self.sequence.shape[0], *part.shape[1:]) if outputs is None else outputs
            outputs[start:stop] = part
        assert outputs is not None
        return outputs, state, states

    @property
    def can_run_at_once(self) -> bool:
        """Whether the outputs hold every state, and a whole pass keeps no more than these."""
        return self.recurrence is not LOOP and len(self.sequence.initial) == 1

    def at_once(self, kept: list[int]) -> tuple[Tensor, State, list[State]]:
        """The same as `one_by_one`, in a single call."""
        outputs, final, _ = self.recurrence.forward(self.cell, self.parameters, self.sequence, None)
        # A row that has ended shows zero there in place of its state, which no step reads any more.
        states = [(outputs[segment * self.length - 1].clone(),) for segment in kept]
        return outputs, final, states


class _WayBack:
    """The backward pass, segment by segment, and what it has found so far."""

    def __init__(self, run: _Segments, d_outputs: Tensor, d_final: State, needs_x: bool, norms: StepNorms) -> None:
        self.run, self.d_outputs, self.d_state, self.needs_x, self.norms = run, d_outputs, d_final, needs_x, norms
        self.d_parameters: dict[str, Tensor] = {}
        self.d_reset: State | None = None
        self.d_x: Tensor | None = None

    def pull(self, segment: int, entering: State) -> None:
        """Run a segment again, go back through it, and add what it gives."""
        run, (start, stop) = self.run, self.run.bounds(segment)
        part = run.part(segment, entering)
        trace = run.recurrence.forward(run.cell, run.parameters, part, "gates")[2]
        found = run.recurrence.backward(
            run.cell, run.parameters, part, trace, self.d_outputs[start:stop], self.d_state, "gates", self.needs_x,
            self.norms.part(start, stop),
        )  # fmt: skip
        self.d_state = found.initial
        self._add_parameters(found.parameters)
        if found.reset_state is not None:
            before = self.d_reset
            self.d_reset = found.reset_state if before is None else tuple(map(torch.add, before, found.reset_state))
        if found.x is not None:
            if self.d_x is None:
                self.d_x = found.x.new_empty(run.sequence.shape[0], *found.x.shape[1:])
            self.d_x[start:stop] = found.x

    def _add_parameters(self, found: dict[str, Tensor]) -> None:
        if not self.d_parameters:
            self.d_parameters = found
            return
        for name, value in found.items():
            self.d_parameters[name].add_(value)

    def gradients(self) -> Gradients:
        """What all segments gave."""
        return Gradients(self.d_parameters, self.d_x, self.d_state, self.d_reset)
