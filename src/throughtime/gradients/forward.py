"""Base of the forward methods, which carry the weights' influence along with the state."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.loop import no_steps
from throughtime.cells.recurrence import Recurrence
from throughtime.errors import UnsupportedError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.influence import Influence, StartInfluence, check_room
from throughtime.gradients.systems import CellStep, CellSystem, Step, System
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.sequences.sequence import blank
from throughtime.types import Gradients, State


@dataclass(frozen=True)
class ForwardMethod(GradientMethod):
    """Gradient method whose memory does not grow with T.

    ∂θ = Σ_t (B_tᵀ g_t + A_{t-1}ᵀ J_tᵀ g_t), with A_t carried forwards ([Y] (1)).

    A subclass defines A_t. In a layer the method receives ∂L/∂h_1…T after the forward pass, runs over the sequence once
    more, and computes ∂θ and ∂h_0 at each step from that step and the steps before, as an online learner does
    (`throughtime.OnlineLearner`). The loss of step t takes an ordinary, exact backward pass through step t; where
    `local`, J_t of that step is the method's approximation too, so that ∂θ = Σ_t A_tᵀ g_t.

    ∂L/∂x_t depends on all later steps, which nothing carried forwards can know. Where `local`, ∂x_t is the part of
    step t alone, (∂s_t/∂x_t)ᵀ g_t, which an online learner passes to the layer below; otherwise ∂x_t is exact, by the
    backward recursion in O(T·B·S) memory, if the inputs need a gradient at all.

    Raises:
        ArgumentError: `clip_step` is given; it clips the recursion for the total ∂L/∂s_t, which is not run here.
    """

    local: ClassVar[bool] = False
    """Whether nothing crosses from unit to unit in time.

    Every layer of a stack then keeps to the influence of its own weights too.
    """

    taps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse_clip_step("the method never forms the total ∂L/∂h_t that clip_step clips")

    @abstractmethod
    def is_dense(self, system: System) -> bool:
        """Return whether all of A_t is held, O(B·S·P)."""

    @abstractmethod
    def influence(self, system: System, batch: int) -> Influence:
        """Make A_0 = 0 for a batch of rows."""

    @abstractmethod
    def start_influence(self, system: CellSystem, like: Float[Tensor, "batch member"]) -> StartInfluence:
        """Make the influence of the states that rows start from.

        `like` is a member of such a state.
        """

    def past_gradient(
        self, step: Step, direct: Float[Tensor, "batch size"], exact: Float[Tensor, "batch size"]
    ) -> Float[Tensor, "batch size"]:
        """Return the gradient of the loss of step t that meets A_{t-1}.

        Args:
            step: step t.
            direct: g_t = ∂L_t/∂s_t.
            exact: J_tᵀ g_t, returned unless a subclass overrides the method.
        """
        return exact

    def check(self, cell: Cell) -> None:
        """Accept every cell; a subclass may refuse some."""

    def twice_differentiable(self) -> GradientMethod:
        if self.exact:
            return BPTT()
        raise UnsupportedError(
            f"{self} gives an approximation, whose derivative is not that of the gradient: with create_graph=True use "
            "an exact method, such as throughtime.BPTT()"
        )

    def forward(self, recurrence: Recurrence, keep: bool) -> Pass:
        system = CellSystem(recurrence.cell, recurrence.parameters)
        if keep and system.parameters and self.is_dense(system):
            check_room(system, recurrence.sequence.shape[1])
        return recurrence.forward(None)

    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        if not len(recurrence.sequence.x):
            return no_steps(recurrence.parameters, recurrence.sequence, cotangents.final)
        local = replace(cotangents, needs_x=cotangents.needs_x and self.local)
        gradients = _Sweep(self, recurrence).run(local)
        if not cotangents.needs_x or self.local:
            return gradients
        exact = recurrence.backward(recurrence.forward("states").trace, cotangents, norms)
        return replace(gradients, x=exact.x)


class _Sweep:
    """Sweep forwards over a sequence, after its forward pass, that sums up the gradient."""

    def __init__(self, method: ForwardMethod, recurrence: Recurrence) -> None:
        self._method, self._cell, self._sequence = method, recurrence.cell, recurrence.sequence
        self._system, sequence = CellSystem(recurrence.cell, recurrence.parameters), recurrence.sequence
        parameters = recurrence.parameters
        like = sequence.initial[0]
        self._influence = method.influence(self._system, len(like)) if parameters else None
        self._initial = method.start_influence(self._system, like)
        self._reset = None if sequence.resets is None else method.start_influence(self._system, like)
        self._total = {name: torch.zeros_like(value) for name, value in parameters.items()}
        size = sum(self._system.sizes)
        self._d_initial, self._d_reset = like.new_zeros(len(like), size), like.new_zeros(len(like), size)
        # All rows start from the initial state; from the reset state they start in `_start_anew`.
        self._initial.start(torch.ones(len(like), 1, dtype=torch.bool, device=like.device))

    def run(self, cotangents: Cotangents) -> Gradients:
        sequence, state = self._sequence, self._sequence.initial
        d_outputs, d_final, needs_x = cotangents.outputs, cotangents.final, cotangents.needs_x
        d_x = torch.zeros_like(sequence.x) if needs_x else None
        if sequence.lengths is not None:  # the final state of a row without steps is its initial state
            self._d_initial += blank((sequence.lengths > 0)[:, None], torch.cat(d_final, dim=-1))
        for t, x in enumerate(sequence.x):
            ended, entering = sequence.padding_at(t), sequence.entering(t, state)
            self._start_anew(sequence.resets_at(t))
            step = self._system.at(x, entering)
            advanced, d_x_t = self._one_step(step, self._direct(t, d_outputs[t], d_final), needs_x)
            if d_x is not None and d_x_t is not None:
                d_x[t] = d_x_t
            for carried in (self._influence, self._initial, self._reset):
                if carried is not None:
                    carried.advance(step, ended)
            state = sequence.leaving(t, advanced, entering)
        sizes = list(self._system.sizes)
        d_reset = None if self._reset is None else self._d_reset.split(sizes, dim=-1)
        return Gradients(self._total, d_x, self._d_initial.split(sizes, dim=-1), d_reset)

    def _start_anew(self, resets: Bool[Tensor, "batch 1"] | None) -> None:
        """Forget the past of the rows that are reset before the step."""
        if resets is None or self._reset is None:
            return
        if self._influence is not None:
            self._influence.forget(resets)
        self._initial.forget(resets)
        self._reset.start(resets)

    def _direct(self, t: int, d_output: Tensor, d_final: State) -> State:
        """Compute g_t; the gradient of the final state joins at each row's last valid step."""
        sequence = self._sequence
        if sequence.lengths is None:
            ending = t == len(sequence.x) - 1
            return (d_output + d_final[0], *d_final[1:]) if ending else (d_output, *map(torch.zeros_like, d_final[1:]))
        others = (sequence.lengths != t + 1)[:, None]
        final = tuple(blank(others, member) for member in d_final)
        return (blank(sequence.padding_at(t), d_output) + final[0], *final[1:])

    def _one_step(self, step: CellStep, direct: State, needs_x: bool) -> tuple[State, Tensor | None]:
        """Add the contributions of g_t to the sums.

        Returns:
            The state after the step, and (∂s_t/∂x_t)ᵀ g_t or None.
        """
        cell, parameters = self._cell, self._system.values
        advanced, residuals = cell.advance(parameters, cell.project(parameters, step.x), step.entering)
        errors, d_entering = cell.pull_back(parameters, residuals, direct)
        immediate, d_x = cell.accumulate(parameters, step.x, step.entering, errors, needs_x)
        exact = torch.cat(d_entering, dim=-1)
        d_state = self._method.past_gradient(step, torch.cat(direct, dim=-1), exact)
        carried = {} if self._influence is None else self._influence.contract(d_state)
        for name, sum_so_far in self._total.items():
            sum_so_far += immediate[name] + carried[name]
        self._d_initial += self._initial.contract(exact)
        if self._reset is not None:
            self._d_reset += self._reset.contract(exact)
        return advanced, d_x
