"""The form every gated cell has: two affine maps and a pointwise part. All derivatives follow from it, once."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from throughtime.cells.base import Cell, check_size
from throughtime.types import Parameters, State


@dataclass(frozen=True)
class AffineCell(Cell):
    """a^x_t = W_ih x_t + b_ih,  a^h_t = W_hh h_{t-1} + b_hh,  s_t = update(a^x_t, a^h_t, s_{t-1}).

    A subclass gives the number of `gates` (blocks of `hidden_size` in a^x and a^h) and the pointwise pair `update`,
    `update_vjp`; "pointwise" means that unit j of the new state depends on unit j of each gate and of the old state
    only. With `proj_size` > 0 the first member of the state is W_hr u_t, where u_t is the pointwise part's output.

    Args:
        input_size: features I of x_t.
        hidden_size: units H.
        bias: whether b_ih and b_hh exist.
    """

    input_size: int
    hidden_size: int
    bias: bool = True
    proj_size: int = field(default=0, init=False, repr=False)

    gates: ClassVar[int]

    def __post_init__(self) -> None:
        check_size("input_size", self.input_size, least=0)
        check_size("hidden_size", self.hidden_size, least=1)

    @abstractmethod
    def update(self, a_x: Tensor, a_h: Tensor, state: State) -> tuple[State, tuple[Tensor, ...]]:
        """The pointwise part: the new state (its first member before any projection), and residuals."""

    @abstractmethod
    def update_vjp(self, residuals: tuple[Tensor, ...], cotangent: State) -> tuple[Tensor, Tensor, tuple]:
        """(∂L/∂a^x, ∂L/∂a^h, ∂L/∂s_{t-1} past the affine maps); None in the last for a member not used pointwise."""

    @property
    def output_size(self) -> int:
        """The size of h_t: `proj_size`, or `hidden_size` where nothing is projected."""
        return self.proj_size or self.hidden_size

    @property
    def state_sizes(self) -> Mapping[str, int]:
        return {"h": self.output_size}

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' shapes by name, in torch.nn's order."""
        rows = self.gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, self.input_size),
            "weight_hh": (rows, self.output_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return shapes

    def initial_parameters(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """Uniform in ±1/√H, drawn in torch.nn's order: one seed gives torch.nn's layers and ours the same weights."""
        bound = 1 / math.sqrt(self.hidden_size)  # not ** -0.5, which differs from torch.nn in the last bit
        return {
            name: torch.empty(shape, device=device, dtype=dtype).uniform_(-bound, bound)
            for name, shape in self.parameter_shapes().items()
        }

    def project(self, parameters: Parameters, x: Float[Tensor, "*rows input"]) -> Float[Tensor, "*rows projected"]:
        return linear(x, parameters["weight_ih"], parameters.get("bias_ih"))

    def advance(
        self, parameters: Parameters, projected: Float[Tensor, "batch projected"], state: State
    ) -> tuple[State, tuple[Tensor, ...]]:
        a_h = linear(state[0], parameters["weight_hh"], parameters.get("bias_hh"))
        new, residuals = self.update(projected, a_h, state)
        if self.proj_size:
            unprojected = new[0]
            new = (linear(unprojected, parameters["weight_hr"]), *new[1:])
            residuals = (*residuals, unprojected)
        return new, residuals

    def pull_back(
        self, parameters: Parameters, residuals: tuple[Tensor, ...], cotangent: State
    ) -> tuple[tuple[Tensor, ...], State]:
        projection_errors: tuple[Tensor, ...] = ()
        if self.proj_size:
            *rest, unprojected = residuals
            residuals = tuple(rest)
            projection_errors = (cotangent[0], unprojected)
            cotangent = (cotangent[0] @ parameters["weight_hr"], *cotangent[1:])
        e_x, e_h, d_state = self.update_vjp(residuals, cotangent)
        d_h = e_h @ parameters["weight_hh"]
        d_h = d_h if d_state[0] is None else d_h + d_state[0]
        return (e_x, e_h, *projection_errors), (d_h, *d_state[1:])

    def accumulate(
        self,
        parameters: Parameters,
        x: Float[Tensor, "rows input"],
        entering: State,
        errors: tuple[Tensor, ...],
        needs_x: bool,
    ) -> tuple[dict[str, Tensor], Float[Tensor, "rows input"] | None]:
        e_x, e_h, *projection = errors
        d_parameters = {"weight_ih": e_x.T @ x, "weight_hh": e_h.T @ entering[0]}
        if self.bias:
            d_bias = e_x.sum(0)
            # Never one tensor twice: whoever scales gradients in place would scale it twice.
            d_parameters |= {"bias_ih": d_bias, "bias_hh": d_bias.clone() if e_h is e_x else e_h.sum(0)}
        if projection:
            d_h, unprojected = projection
            d_parameters["weight_hr"] = d_h.T @ unprojected
        return d_parameters, e_x @ parameters["weight_ih"] if needs_x else None

    def _local_derivatives(self, parameters: Parameters, x: Tensor, state: State) -> list[tuple[Tensor, Tensor, tuple]]:
        """For each member of the new state its derivatives by a^x, a^h and the old state, as diagonals.

        A cotangent of ones on one member reads off all diagonals at once, because the update is pointwise.
        """
        a_h = linear(state[0], parameters["weight_hh"], parameters.get("bias_hh"))
        new, residuals = self.update(self.project(parameters, x), a_h, state)
        zeros = tuple(torch.zeros_like(member) for member in new)
        return [
            self.update_vjp(residuals, (*zeros[:i], torch.ones_like(member), *zeros[i + 1 :]))
            for i, member in enumerate(new)
        ]

    def _mix(self, parameters: Parameters, member: int, rows: Tensor) -> Tensor:
        """Rows [batch, H, …] of the pointwise output → rows of the state: W_hr acts on the first member only."""
        if member == 0 and self.proj_size:
            return torch.einsum("pj,bj...->bp...", parameters["weight_hr"], rows)
        return rows

    def state_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> Float[Tensor, "batch size size"]:
        """D^h W_hh + D^s, for Elman diag(φ'(a_t)) W_hh: [MR] (7) transposed, [HSK] between (9) and (10)."""
        weight = parameters["weight_hh"].unflatten(0, (self.gates, self.hidden_size))
        rows = []
        for i, (_, d_a_h, d_state) in enumerate(self._local_derivatives(parameters, x, state)):
            by_gate = d_a_h.unflatten(-1, (self.gates, self.hidden_size))
            blocks = [torch.einsum("bgj,gjk->bjk", by_gate, weight)]
            if d_state[0] is not None:
                blocks[0] = blocks[0] + torch.diag_embed(d_state[0])
            blocks += [torch.diag_embed(diagonal) for diagonal in d_state[1:]]
            rows.append(self._mix(parameters, i, torch.cat(blocks, dim=-1)))
        return torch.cat(rows, dim=-2)

    def immediate_derivative(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> dict[str, Tensor]:
        """∂s_t[j]/∂W_ih[g·H+j, i] = D^x_{g,j} x_i and likewise W_hh: one nonzero unit per row of the weight."""
        members = []
        for i, (d_a_x, d_a_h, _) in enumerate(self._local_derivatives(parameters, x, state)):
            by_a_x, by_a_h = (self._mix(parameters, i, self._spread(d)) for d in (d_a_x, d_a_h))
            member = {
                "weight_ih": torch.einsum("bsr,bi->bsri", by_a_x, x),
                "weight_hh": torch.einsum("bsr,bk->bsrk", by_a_h, state[0]),
            }
            if self.bias:
                member |= {"bias_ih": by_a_x, "bias_hh": by_a_h}
            if self.proj_size:
                member["weight_hr"] = self._projection_derivative(parameters, x, state, i)
            members.append(member)
        return {name: torch.cat([member[name] for member in members], dim=1) for name in self.parameter_shapes()}

    def _spread(self, diagonals: Tensor) -> Tensor:
        """Diagonals [batch, G·H] → the matrix [batch, H, G·H] that has them on each gate's diagonal."""
        by_gate = diagonals.unflatten(-1, (self.gates, self.hidden_size))
        return torch.diag_embed(by_gate).transpose(1, 2).flatten(2)

    def _projection_derivative(self, parameters: Parameters, x: Tensor, state: State, member: int) -> Tensor:
        size = tuple(self.state_sizes.values())[member]
        if member:
            return x.new_zeros(x.shape[0], size, self.proj_size, self.hidden_size)
        a_h = linear(state[0], parameters["weight_hh"], parameters.get("bias_hh"))
        unprojected = self.update(self.project(parameters, x), a_h, state)[0][0]
        return torch.einsum("sp,bj->bspj", torch.eye(size, dtype=x.dtype, device=x.device), unprojected)
