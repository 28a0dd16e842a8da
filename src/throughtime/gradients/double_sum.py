"""Gradient as an explicit sum over pairs of steps, as in the lecture notes."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.loop import no_steps
from throughtime.cells.recurrence import Recurrence
from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.sequences.sequence import blank, choose
from throughtime.types import Gradients, State

Order = Literal["backward", "forward"]


@dataclass(frozen=True)
class DoubleSum(GradientMethod):
    """Double sum over the loss's step t and the weight's step k: exact.

    Every path from k to t is computed separately. The method is for teaching and an oracle for tests. Do not train with
    it: O(T²·B·S²) time instead of O(T·B·S²), and the dense Jacobians of every step in memory, O(T·B·S·P).

    Args:
        order: the order of the two sums. "backward", [HSK] (9) (10) (12) (14), corrected:
            ∂θ = Σ_k (Σ_{t≥k} J_{k+1}ᵀ … J_tᵀ g_t) B_k, the product ordered with k+1 leftmost.
            "forward", [Y]'s solved recursion: ∂θ = Σ_t g_tᵀ A_t with A_t = B_t + Σ_{i<t} (J_t … J_{i+1}) B_i.
        clip_step: see `GradientMethod`; only in the order "backward", because "forward" never forms ∂L/∂h_t.

    Raises:
        ArgumentError: `order` is neither, or `clip_step` came with the order "forward".
    """

    order: Order = "backward"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in get_args(Order):
            raise ArgumentError("order", f"is {self.order!r}", "it must be 'backward' ([HSK]) or 'forward' ([Y])")
        if self.order == "forward" and self.clip_step is not None:
            raise ArgumentError(
                "clip_step",
                f"is {self.clip_step} with order='forward'",
                "that sum never forms ∂L/∂h_t, which clip_step clips",
                "use order='backward'",
            )

    def check(self, cell: Cell) -> None:
        """Accept every cell."""

    def forward(self, recurrence: Recurrence, keep: bool) -> Pass:
        return recurrence.looped().forward("states" if keep else None)  # an oracle shares nothing with the kernels

    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        if not len(recurrence.sequence.x):
            return no_steps(recurrence.parameters, recurrence.sequence, cotangents.final)
        paths = _Paths(recurrence, recurrence.looped().entering(trace), cotangents)
        totals, d_initial, d_reset = paths.sum_of_paths(norms)
        d_parameters = paths.backward_order(totals) if self.order == "backward" else paths.forward_order()
        return Gradients(
            d_parameters,
            paths.d_x(totals) if cotangents.needs_x else None,
            paths.split(d_initial),
            None if d_reset is None else paths.split(d_reset),
        )


class _Paths:
    """Sums over the paths between steps, from the Jacobians and direct gradients of every step.

    The members of the state are laid side by side: S = Σ sizes.
    """

    def __init__(self, recurrence: Recurrence, entering: State, cotangents: Cotangents) -> None:
        self.cell, self.parameters = recurrence.cell, recurrence.parameters
        self.sequence, d_final = recurrence.sequence, cotangents.final
        self.entering = list(zip(*entering, strict=True))
        rest = torch.zeros_like(torch.cat(d_final[1:], dim=-1)) if len(d_final) > 1 else None
        # g_t reaches the first member of the state, h, alone; the final state's gradient joins at the last step.
        self.direct: list[Tensor] = []
        for t, d_output in enumerate(cotangents.outputs):
            g = blank(self.sequence.padding_at(t), d_output)
            self.direct.append(g if rest is None else torch.cat((g, rest), dim=-1))
        self.direct[-1] = self.direct[-1] + torch.cat(d_final, dim=-1)

    def split(self, flat: Float[Tensor, "batch size"]) -> State:
        """Split a state laid side by side into its members."""
        return flat.split(list(self.cell.state_sizes.values()), dim=-1)

    def jacobian(self, t: int) -> Float[Tensor, "batch size size"]:
        """Compute ∂s_t/∂(the state that entered step t): J_t, or the identity in padding."""
        jacobian = self.cell.state_jacobian(self.parameters, self.sequence.x[t], self.entering[t])
        padding = self.sequence.padding_at(t)
        identity = torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device).expand_as(jacobian)
        return jacobian if padding is None else choose(padding[..., None], (identity,), (jacobian,))[0]

    def immediate(self, t: int) -> dict[str, Tensor]:
        """Compute B_t, zero in padding."""
        derivative = self.cell.immediate_derivative(self.parameters, self.sequence.x[t], self.entering[t])
        return {name: blank(self.sequence.padding_at(t), value) for name, value in derivative.items()}

    def sum_of_paths(self, norms: StepNorms) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """Compute ∂L/∂s_k = Σ_{t≥k} J_{k+1}ᵀ … J_tᵀ g_t for every k.

        Returns:
            ∂L/∂s_k by step, ∂L/∂(initial state), and ∂L/∂(reset state) or, without resets, None.
        """
        totals: list[Tensor] = []
        paths: list[Tensor] = []
        d_reset = None if self.sequence.resets is None else torch.zeros_like(self.direct[0])
        for k in reversed(range(len(self.direct))):
            paths.append(self.direct[k])
            total = torch.stack(paths).sum(dim=0)
            scaling = norms.scaling(k, self.split(total), self.sequence.padding_at(k))
            if scaling is not None:
                units, factors = scaling
                paths, total = [path / units * factors for path in paths], total / units * factors
            totals.append(total)
            jacobian, resets = self.jacobian(k), self.sequence.resets_at(k)
            paths = [torch.einsum("bij,bi->bj", jacobian, path) for path in paths]
            if resets is not None and d_reset is not None:
                d_reset = d_reset + blank(~resets, torch.stack(paths).sum(dim=0))
                paths = [blank(resets, path) for path in paths]
        return totals[::-1], torch.stack(paths).sum(dim=0), d_reset

    def backward_order(self, totals: list[Tensor]) -> dict[str, Tensor]:
        """Compute Σ_k (Σ_{t≥k} …) B_k: [HSK] (10) (12) (14)."""
        return self._contract([(total, self.immediate(k)) for k, total in enumerate(totals)])

    def forward_order(self) -> dict[str, Tensor]:
        """Compute Σ_t g_tᵀ (B_t + Σ_{i<t} (J_t … J_{i+1}) B_i): [Y], the display after (1)."""
        terms: list[dict[str, Tensor]] = []
        pairs = []
        for t, direct in enumerate(self.direct):
            jacobian = blank(self.sequence.resets_at(t), self.jacobian(t))
            # Each earlier term (J_{t-1} … J_{i+1}) B_i is multiplied by J_t; then B_t joins them.
            terms = [
                {name: torch.einsum("bij,bj...->bi...", jacobian, b) for name, b in term.items()} for term in terms
            ]
            terms.append(self.immediate(t))
            pairs.append((direct, {name: torch.stack([term[name] for term in terms]).sum(dim=0) for name in terms[0]}))
        return self._contract(pairs)

    def _contract(self, pairs: list[tuple[Tensor, dict[str, Tensor]]]) -> dict[str, Tensor]:
        """Sum gᵀ A over pairs of g [B, S] and A, name → [B, S, *shape]."""
        return {
            name: torch.stack([torch.einsum("bs,bs...->...", g, by_name[name]) for g, by_name in pairs]).sum(dim=0)
            for name in self.parameters
        }

    def d_x(self, totals: list[Tensor]) -> Float[Tensor, "time batch input"]:
        """Compute ∂L/∂x_t from ∂L/∂s_t, through step t."""
        by_step = []
        for t, total in enumerate(totals):
            padding = self.sequence.padding_at(t)
            cotangent = self.split(blank(padding, total))
            d_x = self.cell.step_vjp(self.parameters, self.sequence.x[t], self.entering[t], cotangent)[1]
            by_step.append(blank(padding, d_x))
        return torch.stack(by_step)
