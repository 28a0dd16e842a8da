"""Backpropagation through time in a memory budget.

A few states are kept, and the steps between the kept states run again.
"""

from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.recurrence import Recurrence
from throughtime.checks import is_whole, keep_sizes
from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.budget import bytes_of
from throughtime.gradients.schedule import Plan, go_back, kept_to_the_end, plan_for
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.sequences.sequence import Sequence
from throughtime.types import Gradients, State


def check_division(segments: int | None, memory: int | str | None) -> None:
    """Check the arguments that divide the steps; at most one may be given.

    Raises:
        ArgumentError: both are given, or either is no valid number.
    """
    if segments is not None and memory is not None:
        raise ArgumentError(
            "segments",
            f"is {segments!r} and memory is {memory!r}",
            "each follows from the other",
            "leave one of them out",
        )
    if memory is not None:
        bytes_of(memory)
    if segments is not None and not is_whole(segments, least=1):
        raise ArgumentError("segments", f"is {segments!r}", "it must be a whole number, at least 1, or None")


@dataclass(frozen=True)
class CheckpointedBPTT(GradientMethod):
    """Backpropagation through time in little memory: exact, in segments that run again.

    The forward pass keeps the states between some of the segments and nothing else. The backward pass meets the
    segments from the last to the first, runs each segment again from its state, now keeping everything, and goes back
    through the segment: ∂L/∂(initial state) of a segment is ∂L/∂(final state) of the segment before. `plan` predicts
    memory and work; `gradients.schedule` has the schedule.

    Args:
        segments: number of segments of ⌈T/segments⌉ steps, the last segment shorter (they are fewer where segments of
            that length use T up early, and never more than T). All states between segments are kept.
        memory: bytes, or a number with a unit, "256MB", for the kept states and the segment of the backward pass. Of
            all plans within the budget the plan that runs the fewest steps is chosen; where everything fits, BPTT runs.
            Without `segments` and `memory`: as few segments as need no more than three times the least memory of a
            plan that runs each step again only once.

    The outputs, the inputs, their gradients and a kernel's workspace for a segment are not counted.

    Raises:
        ArgumentError: both arguments are given, or either is no valid number; in the forward pass, before any work:
            the memory is too small for every plan.

    Cost: one forward pass more than BPTT, or what `plan` says of more levels; O(√T·B·H) in memory, or the budget.
    Do not use the method where BPTT fits. Under torch.compile BPTT(save="states") runs: a graph has no segments.
    """

    segments: int | None = None
    memory: int | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_division(self.segments, self.memory)
        keep_sizes(self, **{name: 1 for name in ("segments", "memory") if is_whole(getattr(self, name), least=1)})

    def check(self, cell: Cell) -> None:
        """Accept every cell."""

    def takes(self, recurrence: Recurrence) -> bool:
        padded = recurrence.sequence.batch_sizes is None and not recurrence.sequence.reverse
        return padded and (recurrence.is_fused or super().takes(recurrence))

    def twice_differentiable(self) -> GradientMethod:
        return BPTT(clip_step=self.clip_step)

    def traced(self, recurrence: Recurrence, keep: bool) -> tuple[Float[Tensor, "time batch hidden"], State]:
        return BPTT("states", clip_step=self.clip_step).traced(recurrence, keep)

    def plan(self, cell: Cell, steps: int, batch: int, dtype: torch.dtype | None = None) -> Plan:
        """Predict the memory and work of a pass of a cell on the CPU.

        Args:
            cell: the cell.
            steps: T.
            batch: number of rows B.
            dtype: of the parameters and states; None for torch's default.

        Examples:
            >>> print(CheckpointedBPTT(segments=40).plan(tt.cells.LSTMCell(64, 128), 1000, 16))
            1000 steps in 40 segments of 25: 1.87 MB instead of 49.2 MB, about 1.00 forward passes more
        """
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            parameters = cell.initial_parameters(dtype=dtype)
            initial = tuple(torch.zeros(batch, size, dtype=dtype) for size in cell.state_sizes.values())
            sequence = Sequence(initial[0].new_zeros(1, batch, cell.input_size), initial, initial)
            return self._plan(Recurrence(cell, parameters, sequence), steps)

    def _plan(self, recurrence: Recurrence, steps: int) -> Plan:
        state_bytes = sum(member.nbytes for member in recurrence.sequence.initial)
        step_bytes = recurrence.sequence.shape[1] * _bytes_of_a_step(recurrence)
        if self.segments is not None:
            length = max(1, -(-steps // self.segments))
            return Plan(steps, length, max(1, -(-steps // length)) - 1, state_bytes, step_bytes)
        budget = None if self.memory is None else bytes_of(self.memory)
        return plan_for(steps, state_bytes, step_bytes, budget)

    def forward(self, recurrence: Recurrence, keep: bool) -> Pass:
        if not keep:
            return recurrence.forward(None)
        plan = self._plan(recurrence, recurrence.sequence.shape[0])
        if plan.segments == 1:
            result = recurrence.forward("gates")
            return replace(result, trace=PlannedTrace(result.trace.tensors, "gates", plan))
        cut = _Segments(recurrence, plan.segment_steps)
        kept = kept_to_the_end(plan.segments, plan.slots)
        outputs, final, states = cut.at_once(kept) if cut.can_run_at_once else cut.one_by_one(plan.segments, kept)
        return Pass(outputs, final, PlannedTrace(tuple(member for state in states for member in state), "states", plan))

    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        plan = cast(PlannedTrace, trace).plan
        if plan.segments == 1:
            return recurrence.backward(trace, cotangents, norms)
        cut, members = _Segments(recurrence, plan.segment_steps), len(cotangents.final)
        states = {0: recurrence.sequence.initial}
        for index, segment in enumerate(kept_to_the_end(plan.segments, plan.slots)):
            states[segment] = trace.tensors[index * members : (index + 1) * members]
        way_back = _WayBack(cut, cotangents, norms)
        go_back(plan.segments, plan.slots, states, cut.advance, way_back.pull)
        return way_back.gradients()


@dataclass(frozen=True)
class PlannedTrace(Trace):
    """Trace of a forward pass that follows a plan.

    A single segment keeps its own trace, several segments the states between some of them.
    """

    plan: Plan = Plan(0, 1, 0, 0, 0)  # never used: a field after those of Trace, which have defaults, needs one too


def _bytes_of_a_step(recurrence: Recurrence) -> int:
    """Measure the bytes that the backward pass needs of each step of a row.

    They are the difference between the traces of two steps and of one. Inputs are not counted.
    """
    cell, like = recurrence.cell, recurrence.sequence.initial[0]

    def kept(steps: int) -> int:
        initial = tuple(like.new_zeros(1, size) for size in cell.state_sizes.values())
        sequence = Sequence(like.new_zeros(steps, 1, cell.input_size), initial, initial)
        trace = recurrence.over(sequence).forward("gates").trace
        storages = [tensor.untyped_storage() for tensor in trace.tensors]
        # By address, because tensors may share a storage.
        by_place = {storage.data_ptr(): storage.nbytes() for storage in storages}
        by_place.pop(sequence.x.untyped_storage().data_ptr(), None)
        return sum(by_place.values())

    return kept(2) - kept(1)


@dataclass(frozen=True)
class _Segments:
    """Recurrence cut into segments of `length` steps."""

    recurrence: Recurrence
    length: int

    @property
    def steps(self) -> int:
        return self.recurrence.sequence.shape[0]

    def bounds(self, segment: int) -> tuple[int, int]:
        start = segment * self.length
        return start, min(start + self.length, self.steps)

    def part(self, segment: int, entering: State) -> Recurrence:
        return self.recurrence.part(*self.bounds(segment), entering)

    def advance(self, segment: int, entering: State, last_use: bool) -> State:
        """Return the state that leaves a segment, as a copy."""
        return tuple(member.clone() for member in self.part(segment, entering).forward(None).final)

    def one_by_one(self, segments: int, kept: list[int]) -> tuple[Tensor, State, list[State]]:
        """Run segment after segment.

        Returns:
            The outputs, the final state, and the states before the segments in `kept`.
        """
        state, outputs = self.recurrence.sequence.initial, None
        # Allocated together and first: between the segments' outputs these states would fragment the free memory.
        states = [tuple(map(torch.empty_like, state)) for _ in kept]
        for segment in range(segments):
            if segment in kept:
                for place, member in zip(states[kept.index(segment)], state, strict=True):
                    place.copy_(member)
            start, stop = self.bounds(segment)
            result = self.part(segment, state).forward(None)
            state = result.final
            if outputs is None:
                outputs = result.outputs.new_empty(self.steps, *result.outputs.shape[1:])
            outputs[start:stop] = result.outputs
        assert outputs is not None
        return outputs, state, states

    @property
    def can_run_at_once(self) -> bool:
        """Whether the outputs hold every state, and a whole pass keeps nothing else."""
        return self.recurrence.is_fused and len(self.recurrence.sequence.initial) == 1

    def at_once(self, kept: list[int]) -> tuple[Tensor, State, list[State]]:
        """Run all segments in a single call; the results are those of `one_by_one`."""
        result = self.recurrence.forward(None)
        # The outputs of a row that has ended are zero instead of its state, but no later step reads that state.
        states = [(result.outputs[segment * self.length - 1].clone(),) for segment in kept]
        return result.outputs, result.final, states


class _WayBack:
    """Backward pass, segment by segment, with the sums of the gradients so far."""

    def __init__(self, cut: _Segments, cotangents: Cotangents, norms: StepNorms) -> None:
        self.cut, self.cotangents, self.norms = cut, cotangents, norms
        self.d_state = cotangents.final  # ∂L/∂(the state that leaves the segment in turn)
        self.d_parameters: dict[str, Tensor] = {}
        self.d_reset: State | None = None
        self.d_x: Tensor | None = None

    def pull(self, segment: int, entering: State) -> None:
        """Run a segment again, go back through the segment, and add its gradients."""
        start, stop = self.cut.bounds(segment)
        part = self.cut.part(segment, entering)
        arriving = replace(self.cotangents, outputs=self.cotangents.outputs[start:stop], final=self.d_state)
        gained = part.backward(part.forward("gates").trace, arriving, self.norms.part(start, stop))
        self.d_state = gained.initial
        self._add_parameters(gained.parameters)
        if gained.reset_state is not None:
            before = self.d_reset
            self.d_reset = gained.reset_state if before is None else tuple(map(torch.add, before, gained.reset_state))
        if gained.x is not None:
            if self.d_x is None:
                self.d_x = gained.x.new_empty(self.cut.steps, *gained.x.shape[1:])
            self.d_x[start:stop] = gained.x

    def _add_parameters(self, gained: dict[str, Tensor]) -> None:
        if not self.d_parameters:
            self.d_parameters = gained
            return
        for name, value in gained.items():
            self.d_parameters[name].add_(value)

    def gradients(self) -> Gradients:
        """Return the gradients of all segments together."""
        return Gradients(self.d_parameters, self.d_x, self.d_state, self.d_reset)
