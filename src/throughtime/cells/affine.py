"""Base of the gated cells: two affine maps and a pointwise part.

All derivatives of these cells follow from this form.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from throughtime.cells.base import Cell
from throughtime.checks import keep_sizes
from throughtime.errors import ArgumentError
from throughtime.kernels.addresses import check_tensor
from throughtime.kernels.compiled import Sizes
from throughtime.types import Parameters, State


@dataclass(frozen=True)
class AffineCell(Cell):
    """Cell with two affine maps and a pointwise update.

    a^x_t = W_ih x_t + b_ih,  a^h_t = W_hh h_{t-1} + b_hh,  s_t = update(a^x_t, a^h_t, s_{t-1}). The weights and biases
    have torch.nn's names.

    A subclass gives the number of `gates` (blocks of `hidden_size` in a^x and a^h) and the pointwise pair `update`,
    `update_vjp`; "pointwise" means that unit j of the new state depends on unit j of each gate and of the old state
    only. With `proj_size` > 0 the first member of the state is W_hr u_t, where u_t is the pointwise part's output.

    Args:
        input_size: number of features I of x_t.
        hidden_size: number of units H.
        bias: whether b_ih and b_hh exist.

    Attributes:
        proj_size: size of W_hr u_t; 0, the default, for no projection. Only the LSTM takes it as an argument.
    """

    input_size: int
    hidden_size: int
    bias: bool = True
    proj_size: int = field(default=0, init=False, repr=False)

    gates: ClassVar[int]

    def __init_subclass__(cls) -> None:
        """Check that the `keep_bias` of a new cell class names gates of that class."""
        super().__init_subclass__()
        keep = cls.keep_bias
        if keep is None:
            return
        for field_name, gate in (("gate", keep.gate), ("writes", keep.writes)):
            if gate is not None and gate not in cls.gate_names:
                raise ArgumentError(
                    "keep_bias", f"has {field_name}={gate!r}", f"it must be one of gate_names, {cls.gate_names}"
                )

    def __post_init__(self) -> None:
        keep_sizes(self, input_size=0, hidden_size=1)

    @abstractmethod
    def update(self, a_x: Tensor, a_h: Tensor, state: State) -> tuple[State, tuple[Tensor, ...]]:
        """Apply the pointwise part.

        Returns:
            The new state (its first member before any projection), and residuals for `update_vjp`.
        """

    @abstractmethod
    def update_vjp(self, residuals: tuple[Tensor, ...], cotangent: State) -> tuple[Tensor, Tensor, tuple]:
        """Compute the vector-Jacobian product of `update`.

        Returns:
            (∂L/∂a^x, ∂L/∂a^h, ∂L/∂s_{t-1} past the affine maps). In the last, None stands for a member that `update`
            does not use.
        """

    @property
    def output_size(self) -> int:
        """Size of h_t: `proj_size`, or `hidden_size` without a projection."""
        return self.proj_size or self.hidden_size

    @property
    def state_sizes(self) -> Mapping[str, int]:
        return {"h": self.output_size}

    @property
    def sizes(self) -> Sizes:
        """Sizes of the cell, as kernels need them."""
        has_c = len(self.state_sizes) > 1
        return Sizes(self.input_size, self.hidden_size, self.output_size, self.gates, has_c, self.bias)

    @property
    def is_affine(self) -> bool:
        return True

    def recurrent_blocks(self, parameters: Parameters) -> dict[str, Float[Tensor, "hidden output"]]:
        weight = parameters["weight_hh"].detach()
        if self.gates == 1:
            return {"weight_hh": weight}
        names = self.gate_names or tuple(f"weight_hh block {gate}" for gate in range(self.gates))
        return dict(zip(names, weight.split(self.hidden_size), strict=True))

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parameters by name, in torch.nn's order."""
        return self.sizes.shapes

    def check_parameters(self, parameters: Parameters, like: Tensor) -> None:
        for name, shape in self.sizes.shapes.items():
            check_tensor(name, parameters[name], shape, like.dtype, like.device)

    def initial_parameters(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """Draw all parameters uniformly from ±1/√H, in torch.nn's order.

        The same seed gives torch.nn's layers and ours the same weights.
        """
        bound = 1 / math.sqrt(self.hidden_size)  # not ** -0.5, which differs from torch.nn in the last bit
        return {
            name: torch.empty(shape, device=device, dtype=dtype).uniform_(-bound, bound)
            for name, shape in self.parameter_shapes().items()
        }

    def project(self, parameters: Parameters, x: Float[Tensor, "*rows input"]) -> Float[Tensor, "*rows projected"]:
        return linear(x, parameters["weight_ih"], parameters.get("bias_ih"))

    def affine(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> tuple[Float[Tensor, "batch gates"], Float[Tensor, "batch gates"]]:
        """Compute a^x_t and a^h_t."""
        a_h = linear(state[0], parameters["weight_hh"], parameters.get("bias_hh"))
        return self.project(parameters, x), a_h

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
            # A copy: code that scales gradients in place would scale a shared tensor twice.
            d_parameters |= {"bias_ih": d_bias, "bias_hh": d_bias.clone() if e_h is e_x else e_h.sum(0)}
        if projection:
            d_h, unprojected = projection
            d_parameters["weight_hr"] = d_h.T @ unprojected
        return d_parameters, e_x @ parameters["weight_ih"] if needs_x else None

    def _local_derivatives(self, parameters: Parameters, x: Tensor, state: State) -> list[tuple[Tensor, Tensor, tuple]]:
        """Differentiate each member of the new state by a^x, a^h and the old state.

        Derivatives are returned as diagonals. A cotangent of ones on a member reads off all diagonals at once, because
        the update is pointwise.
        """
        new, residuals = self.update(*self.affine(parameters, x, state), state)
        zeros = tuple(torch.zeros_like(member) for member in new)
        return [
            self.update_vjp(residuals, (*zeros[:i], torch.ones_like(member), *zeros[i + 1 :]))
            for i, member in enumerate(new)
        ]

    def _mix(self, parameters: Parameters, member: int, rows: Tensor) -> Tensor:
        """Project rows [batch, H, …] of the pointwise output to rows of the state.

        W_hr acts on the first member only.
        """
        if member == 0 and self.proj_size:
            return torch.einsum("pj,bj...->bp...", parameters["weight_hr"], rows)
        return rows

    def state_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> Float[Tensor, "batch size size"]:
        """Compute J_t = D^h W_hh + D^s.

        For Elman this is diag(φ'(a_t)) W_hh: [MR] (7) transposed, [HSK] between (9) and (10).
        """
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

    def unit_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State, recurrent: bool
    ) -> Float[Tensor, "batch members members hidden"]:
        """Differentiate each unit's new state by the same unit's old state.

        The derivatives are the diagonals of the blocks of J_t. A cell with a projection has no such units.

        Args:
            parameters: θ by name.
            x: x_t [batch, I].
            state: s_{t-1}, each member [batch, H].
            recurrent: whether paths through W_hh count.

        Returns:
            Entry [b, m, n, j] is ∂s^m_t[j]/∂s^n_{t-1}[j].
        """
        weight = parameters["weight_hh"].unflatten(0, (self.gates, self.hidden_size)).diagonal(dim1=1, dim2=2)
        rows = []
        for _, d_a_h, d_state in self._local_derivatives(parameters, x, state):
            row = [x.new_zeros(x.shape[0], self.hidden_size) if d is None else d for d in d_state]
            if recurrent:
                row[0] = row[0] + (d_a_h.unflatten(-1, weight.shape) * weight).sum(dim=1)
            rows.append(torch.stack(row, dim=1))
        return torch.stack(rows, dim=1)

    def unit_immediate(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> dict[str, Tensor]:
        """Compute B_t at the units that the weights lead into; elsewhere B_t is zero.

        ∂s^m_t[j]/∂W_ih[g·H+j, i] = D^x_{g,j} x_i, and for W_hh with D^h and h_{t-1}. The state is taken before a
        projection, whose weights are left out.

        Returns:
            Name → [batch, members, *shape].
        """
        derivatives = self._local_derivatives(parameters, x, state)
        by_a_x = torch.stack([d_a_x for d_a_x, _, _ in derivatives], dim=1)
        by_a_h = torch.stack([d_a_h for _, d_a_h, _ in derivatives], dim=1)
        units = {
            "weight_ih": by_a_x[..., None] * x[:, None, None, :],
            "weight_hh": by_a_h[..., None] * state[0][:, None, None, :],
        }
        if self.bias:
            units |= {"bias_ih": by_a_x, "bias_hh": by_a_h}
        return units

    def add_immediate(
        self,
        parameters: Parameters,
        x: Float[Tensor, "batch input"],
        state: State,
        influence: Mapping[str, Tensor],
        mix: Float[Tensor, "batch rows size"] | None = None,
    ) -> None:
        units = self.unit_immediate(parameters, x, state)
        if mix is None and not self.proj_size:
            self._add_at_units(units, influence)
            return
        if mix is None:
            mix = torch.eye(self.state_size, dtype=x.dtype, device=x.device).expand(x.shape[0], -1, -1)
        if self.proj_size:
            influence["weight_hr"].add_(mix[..., : self.proj_size, None] * self._unprojected(parameters, x, state))
            # From here on `mix` acts on the state before the projection, like `units`.
            mix = torch.cat((mix[..., : self.proj_size] @ parameters["weight_hr"], mix[..., self.proj_size :]), dim=-1)
        by_unit = mix.unflatten(-1, (-1, self.hidden_size))
        for name, unit in units.items():
            value = unit.unflatten(2, (self.gates, self.hidden_size))
            influence[name].add_(torch.einsum("brmj,bmgj...->brgj...", by_unit, value).flatten(2, 3))

    def _add_at_units(self, units: Mapping[str, Tensor], influence: Mapping[str, Tensor]) -> None:
        """Add B_t in place where it is not zero: at the units that the weights lead into.

        Of influence [batch, member·H + j, gate·H + k, …] these are the entries with j = k, a diagonal of each block.
        """
        for name, unit in units.items():
            for member in range(unit.shape[1]):
                rows = influence[name].narrow(1, member * self.hidden_size, self.hidden_size)
                diagonal = rows.unflatten(2, (self.gates, self.hidden_size)).diagonal(dim1=1, dim2=3)
                diagonal.add_(unit[:, member].unflatten(1, (self.gates, self.hidden_size)).movedim(2, -1))

    def _unprojected(self, parameters: Parameters, x: Tensor, state: State) -> Tensor:
        """Return u_t as [batch, 1, 1, H], to be multiplied with rows of the state."""
        return self.update(*self.affine(parameters, x, state), state)[0][0][:, None, None, :]

    def input_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> Float[Tensor, "batch size input"]:
        weight = parameters["weight_ih"].unflatten(0, (self.gates, self.hidden_size))
        rows = []
        for i, (d_a_x, _, _) in enumerate(self._local_derivatives(parameters, x, state)):
            by_gate = d_a_x.unflatten(-1, (self.gates, self.hidden_size))
            rows.append(self._mix(parameters, i, torch.einsum("bgj,gji->bji", by_gate, weight)))
        return torch.cat(rows, dim=-2)
