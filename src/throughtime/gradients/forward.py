"""What the forward methods share: they carry the influence of the weights along with the state."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.errors import UnsupportedError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.influence import Influence, StartInfluence
from throughtime.gradients.loop import no_steps
from throughtime.gradients.norms import StepNorms
from throughtime.gradients.sequence import Sequence, blank, choose
from throughtime.gradients.systems import CellSystem, System
from throughtime.types import Gradients, Parameters, State


@dataclass(frozen=True)
class ForwardMethod(GradientMethod):
    """∂θ = Σ_t (B_tᵀ g_t + A_{t-1}ᵀ J_tᵀ g_t), with A_t carried forwards ([Y] (1)): memory does not grow with T.

    A subclass says what A_t is. In a layer the method is handed ∂L/∂h_1…T after the forward pass, runs over the
    sequence once more, and gives ∂θ and ∂h_0 from what has been seen so far at each step, as an online learner does
    (`throughtime.OnlineLearner`).

    ∂L/∂x_t depends on all later steps, which nothing carried forwards can know. Where `local`, ∂x_t is the part of
    step t alone, (∂s_t/∂x_t)ᵀ g_t, which is what an online learner passes to the layer below; otherwise it is exact,
    by the backward recursion, if the inputs need a gradient at all.
    """

    local: ClassVar[bool] = False
    """Whether nothing crosses from unit to unit in time; then every layer of a stack keeps to its own weights too."""

    taps: ClassVar[bool] = False

    @abstractmethod
    def influence(self, system: System, batch: int) -> Influence:
        """A_0 = 0 of a batch of rows."""

    @abstractmethod
    def start_influence(self, system: CellSystem, like: Float[Tensor, "batch member"]) -> StartInfluence:
        """Likewise for the states that rows start from; `like` is a member of one."""

    def check(self, cell: Cell) -> None:
        if self.clip_step is not None:
            raise UnsupportedError(
                f"clip_step is {self.clip_step} with {type(self).__name__}, which never forms the ∂L/∂h_t that "
                "clip_step clips: leave it out and clip the whole gradient (throughtime.clip_gradients), or use BPTT"
            )

    def differentiable(self) -> GradientMethod:
        if self.exact:
            return BPTT()
        raise UnsupportedError(
            f"{self} gives an approximation, whose derivative is not that of the gradient: with create_graph=True use "
            "an exact method, such as throughtime.BPTT()"
        )

    def forward(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Float[Tensor, "time batch hidden"], State, tuple[Tensor, ...]]:
        outputs, final, _ = BPTT().forward(cell, parameters, sequence, keep=False)
        return outputs, final, ()

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
        if not len(sequence.x):
            return no_steps(parameters, sequence, d_final)
        sweep = _Sweep(self, cell, parameters, sequence)
        gradients = sweep.run(d_outputs, d_final, needs_x and self.local)
        if not needs_x or self.local:
            return gradients
        recursion = BPTT(save="states")
        trace = recursion.forward(cell, parameters, sequence, keep=True)[2]
        exact = recursion.backward(cell, parameters, sequence, trace, d_outputs, d_final, needs_x=True, norms=norms)
        return Gradients(gradients.parameters, exact.x, gradients.initial, gradients.reset_state)


class _Sweep:
    """One pass over a sequence, forwards, with the gradient summed up on the way."""

    def __init__(self, method: ForwardMethod, cell: Cell, parameters: Parameters, sequence: Sequence) -> None:
        self._cell, self._sequence = cell, sequence
        self._system = CellSystem(cell, parameters)
        like = sequence.initial[0]
        self._influence = method.influence(self._system, len(like)) if parameters else None
        self._initial = method.start_influence(self._system, like)
        self._reset = None if sequence.resets is None else method.start_influence(self._system, like)
        self._total = {name: torch.zeros_like(value) for name, value in parameters.items()}
        size = sum(self._system.sizes)
        self._d_initial, self._d_reset = like.new_zeros(len(like), size), like.new_zeros(len(like), size)
        self._initial.start(torch.ones(len(like), 1, dtype=torch.bool, device=like.device))

    def run(self, d_outputs: Tensor, d_final: State, needs_x: bool) -> Gradients:
        sequence, state = self._sequence, self._sequence.initial
        nothing = tuple(torch.zeros_like(member) for member in d_final)
        d_x = torch.zeros_like(sequence.x) if needs_x else None
        for t, x in enumerate(sequence.x):
            ended, entering = sequence.padding_at(t), sequence.entering(t, state)
            self._start_anew(sequence.resets_at(t))
            later = d_final if t == len(sequence.x) - 1 else nothing
            total = (later[0] + blank(ended, d_outputs[t]), *later[1:])
            advanced, d_x_t = self._one_step(x, entering, total, ended, needs_x)
            if d_x is not None and d_x_t is not None:
                d_x[t] = blank(ended, d_x_t)
            step = self._system.at(x, entering)
            for carried in (self._influence, self._initial, self._reset):
                if carried is not None:
                    carried.advance(step, ended)
            state = sequence.leaving(t, advanced, entering)
        sizes = list(self._system.sizes)
        d_reset = None if self._reset is None else self._d_reset.split(sizes, dim=-1)
        return Gradients(self._total, d_x, self._d_initial.split(sizes, dim=-1), d_reset)

    def _start_anew(self, resets: Bool[Tensor, "batch 1"] | None) -> None:
        if resets is None or self._reset is None:
            return
        if self._influence is not None:
            self._influence.forget(resets)
        self._initial.forget(resets)
        self._reset.start(resets)

    def _one_step(
        self, x: Tensor, entering: State, total: State, ended: Tensor | None, needs_x: bool
    ) -> tuple[State, Tensor | None]:
        """B_tᵀ g_t and A_{t-1}ᵀ J_tᵀ g_t added to the sums; the state after the step and (∂s_t/∂x_t)ᵀ g_t."""
        cell, parameters = self._cell, self._system.values
        advanced, residuals = cell.advance(parameters, cell.project(parameters, x), entering)
        active = tuple(blank(ended, member) for member in total)
        errors, d_entering = cell.pull_back(parameters, residuals, active)
        immediate, d_x = cell.accumulate(parameters, x, entering, errors, needs_x)
        d_state = torch.cat(choose(ended, total, d_entering), dim=-1)
        carried = {} if self._influence is None else self._influence.contract(d_state)
        for name, sum_so_far in self._total.items():
            sum_so_far += immediate[name] + carried[name]
        self._d_initial += self._initial.contract(d_state)
        if self._reset is not None:
            self._d_reset += self._reset.contract(d_state)
        return advanced, d_x
