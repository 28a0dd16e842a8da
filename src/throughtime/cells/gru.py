"""GRU cell in torch.nn's (cuDNN's) form: the reset gate acts after the recurrent product."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from throughtime.cells.affine import AffineCell
from throughtime.cells.base import ActivationValues, KeepBias
from throughtime.kernels.fused import FusedKernel
from throughtime.types import Parameters, State


@dataclass(frozen=True)
class GRUCell(AffineCell):
    """Gated recurrent unit.

    (1) r = σ(a^x_r + a^h_r)  (2) z = σ(a^x_z + a^h_z)  (3) n = tanh(a^x_n + r ⊙ a^h_n), in that order of blocks
    (4) h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}

    Cho et al. 2014, with (3) as torch.nn.GRU has it: r multiplies W_hn h + b_hn, not h.
    """

    gates: ClassVar[int] = 3
    gate_names: ClassVar[tuple[str, ...]] = ("reset gate", "update gate", "new")
    keep_bias: ClassVar[KeepBias | None] = KeepBias("update gate")

    @property
    def kernel(self) -> FusedKernel:
        return FusedKernel("gru", self.sizes)

    def update(self, a_x: Tensor, a_h: Tensor, state: State) -> tuple[State, tuple[Tensor, ...]]:
        a_x_r_z, a_x_n = a_x.split([2 * self.hidden_size, self.hidden_size], dim=-1)
        a_h_r_z, a_h_n = a_h.split([2 * self.hidden_size, self.hidden_size], dim=-1)
        r, z = torch.sigmoid(a_x_r_z + a_h_r_z).chunk(2, dim=-1)  # (1) (2)
        n = torch.tanh(torch.addcmul(a_x_n, r, a_h_n))  # (3)
        h = torch.addcmul(n, z, state[0] - n)  # (4) with a product less
        return (h,), (r, z, n, a_h_n, state[0])

    def update_vjp(self, residuals: tuple[Tensor, ...], cotangent: State) -> tuple[Tensor, Tensor, tuple]:
        r, z, n, a_h_n, h_before = residuals
        (d_h,) = cotangent
        e_n = d_h * (1 - z) * (1 - n * n)  # through (4) and (3)
        e_z = d_h * (h_before - n) * z * (1 - z)  # through (4) and (2)
        e_r = e_n * a_h_n * r * (1 - r)  # through (3) and (1)
        return torch.cat((e_r, e_z, e_n), dim=-1), torch.cat((e_r, e_z, e_n * r), dim=-1), (d_h * z,)

    def activations(self, parameters: Parameters, x: Tensor, state: State) -> list[ActivationValues]:
        a_x, a_h = self.affine(parameters, x, state)
        _, (r, z, n, a_h_n, _) = self.update(a_x, a_h, state)
        a_n = torch.addcmul(a_x[..., 2 * self.hidden_size :], r, a_h_n)
        return [
            ActivationValues("reset gate", "gate", 0.0, 1.0, r),
            ActivationValues("update gate", "keep", 0.0, 1.0, z),
            ActivationValues("new", "content", -1.0, 1.0, n, preactivation=a_n),
        ]
