"""Unbiased online recurrent optimization: influence as a random product of vectors."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from throughtime.checks import keep_sizes
from throughtime.gradients.forward import ForwardMethod
from throughtime.gradients.influence import Influence, StartInfluence, keep_ended
from throughtime.gradients.systems import CellSystem, Step, System
from throughtime.sequences.row_norms import row_norm
from throughtime.sequences.sequence import blank


@dataclass(frozen=True)
class UORO(ForwardMethod):
    """Unbiased online recurrent optimization (UORO). Unbiased, and noisy.

    A_t is replaced by a random matrix of rank one, s̃_t θ̃_tᵀ, whose mean is A_t:

    (1) s̃_t = ρ_0 J_t s̃_{t-1} + ρ_1 ν_t, with a sign ν drawn for each state variable and row
    (2) θ̃_t = θ̃_{t-1} / ρ_0 + B_tᵀ ν_t / ρ_1
    (3) ρ_0² = ‖θ̃_{t-1}‖ / ‖J_t s̃_{t-1}‖,  ρ_1² = ‖B_tᵀ ν_t‖ / ‖ν_t‖: the least variance of such a product

    The mean over many draws converges to the gradient; a single draw may be far from the gradient, the farther the
    longer the memory, the more units and the fewer rows.

    Args:
        seed: of the signs. A sequence always gets the same signs, so that a gradient can be reproduced: vary the seed
            for independent draws. An online learner goes on drawing.

    Cost: O(T·B·P) time and O(B·P) memory; S times that time for a function cell, whose J_t is written out.

    Tallec & Ollivier 2018, proposition 1 and algorithm 1.
    """

    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_sizes(self, seed=0)

    @property
    def exact(self) -> bool:
        return False

    def is_dense(self, system: System) -> bool:
        return False

    def influence(self, system: System, batch: int) -> Influence:
        return RankOneInfluence(system, batch, self.seed)

    def start_influence(self, system: CellSystem, like: Float[Tensor, "batch member"]) -> StartInfluence:
        return RankOneStart(system, like, self.seed + 1)


class RankOneInfluence(Influence):
    """Influence of rank one, A ≈ s̃ θ̃ᵀ, with separate signs for each row.

    s̃ is [batch, S], and θ̃ name → [batch, 1, *shape].
    """

    def __init__(self, system: System, batch: int, seed: int) -> None:
        like = next(iter(system.parameters.values()))
        self._state = like.new_zeros(batch, sum(system.sizes))
        self._weights = {name: value.new_zeros(batch, 1, *value.shape) for name, value in system.parameters.items()}
        self._generator = torch.Generator().manual_seed(seed)

    def contract(self, d_state: Float[Tensor, "batch size"]) -> dict[str, Tensor]:
        by_row = (d_state * self._state).sum(dim=-1)
        return {name: torch.einsum("b,b...->...", by_row, value[:, 0]) for name, value in self._weights.items()}

    def advance(self, step: Step, ended: Bool[Tensor, "batch 1"] | None = None) -> None:
        signs = draw_signs(self._state, self._generator)
        immediate = {name: torch.zeros_like(value) for name, value in self._weights.items()}
        step.add_immediate(immediate, signs[:, None])  # B_tᵀ ν_t
        state = torch.einsum("bij,bj->bi", step.jacobian(), self._state)
        # (3); where either norm is zero the product is zero too, and the ratio does not matter
        rho_0 = _balance(_norm(self._weights), row_norm((state,)))
        rho_1 = _balance(_norm(immediate), row_norm((signs,)))
        state = rho_0[:, None] * state + rho_1[:, None] * signs  # (1)
        keep_ended(ended, self._state, state)
        self._state = state
        for name, before in self._weights.items():
            per_row = [-1] + [1] * (before.dim() - 1)
            after = before / rho_0.view(per_row) + immediate[name] / rho_1.view(per_row)  # (2)
            keep_ended(ended, before, after)
            self._weights[name] = after

    def forget(self, rows: Bool[Tensor, "batch 1"]) -> None:
        self._state = blank(rows, self._state)
        self._weights = {name: blank(rows, value) for name, value in self._weights.items()}

    def tensors(self) -> dict[str, Tensor]:
        # The names begin with a space, as no parameter's name does, so they cannot collide.
        return {" state": self._state, " generator": self._generator.get_state(), **self._weights}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        self._generator.set_state(tensors[" generator"])
        self._state.copy_(tensors[" state"])
        for name, value in self._weights.items():
            value.copy_(tensors[name])


class RankOneStart(StartInfluence):
    """Influence of the start of rank one, (J_{t-1} … J_1 ν) νᵀ.

    Its mean is ∂s_{t-1}/∂(the start). Both factors are [batch, S].
    """

    def __init__(self, system: CellSystem, like: Float[Tensor, "batch member"], seed: int) -> None:
        self._state = like.new_zeros(len(like), sum(system.sizes))
        self._signs = torch.zeros_like(self._state)
        self._generator = torch.Generator().manual_seed(seed)

    def contract(self, d_state: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
        return (d_state * self._state).sum(dim=-1, keepdim=True) * self._signs

    def advance(self, step: Step, ended: Bool[Tensor, "batch 1"] | None = None) -> None:
        after = torch.einsum("bij,bj->bi", step.jacobian(), self._state)
        keep_ended(ended, self._state, after)
        self._state = after

    def start(self, rows: Bool[Tensor, "batch 1"]) -> None:
        signs = draw_signs(self._state, self._generator)
        self._state, self._signs = torch.where(rows, signs, self._state), torch.where(rows, signs, self._signs)

    def forget(self, rows: Bool[Tensor, "batch 1"]) -> None:
        self._state = blank(rows, self._state)


def draw_signs(like: Float[Tensor, "batch size"], generator: torch.Generator) -> Float[Tensor, "batch size"]:
    """Draw signs -1 or 1, each with probability 1/2.

    The signs are drawn on the CPU, so that they are the same on every device.
    """
    return (torch.randint(0, 2, like.shape, generator=generator) * 2 - 1).to(like)


def _norm(weights: dict[str, Tensor]) -> Float[Tensor, " batch"]:
    """Compute the 2-norm of each row over all parameters, one after another: all at once would be a copy of them."""
    return row_norm((torch.stack([row_norm((value.flatten(1),)) for value in weights.values()], dim=-1),))


def _balance(above: Float[Tensor, " batch"], below: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """Compute ρ = √(above / below) of (3), by row; 1 where either norm is zero or below the smallest normal number."""
    tiny = torch.finfo(above.dtype).tiny
    return torch.where((above > tiny) & (below > tiny), above.sqrt() / below.clamp(min=tiny).sqrt(), 1.0)
