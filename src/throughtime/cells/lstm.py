"""LSTM cell with torch.nn's gate order and optional projection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from throughtime.cells.affine import AffineCell
from throughtime.cells.base import ActivationValues, KeepBias
from throughtime.checks import keep_sizes
from throughtime.errors import ArgumentError
from throughtime.kernels.fused import FusedKernel
from throughtime.types import Parameters, State


@dataclass(frozen=True)
class LSTMCell(AffineCell):
    """Long short-term memory with forget gates: [T]'s answer to vanishing gradients.

    (1) i = σ(a_i)  (2) f = σ(a_f)  (3) g = tanh(a_g)  (4) o = σ(a_o), with a = a^x + a^h in that order of blocks
    (5) c_t = f ⊙ c_{t-1} + i ⊙ g
    (6) u_t = o ⊙ tanh(c_t),  h_t = u_t, or W_hr u_t with a projection

    Hochreiter & Schmidhuber 1997; the forget gate (2) from Gers, Schmidhuber & Cummins 2000; the projection from Sak,
    Senior & Beaufays 2014; names and order as torch.nn.LSTM.
    """

    proj_size: int = 0

    gates: ClassVar[int] = 4
    gate_names: ClassVar[tuple[str, ...]] = ("input gate", "forget gate", "candidate", "output gate")
    keep_bias: ClassVar[KeepBias | None] = KeepBias("forget gate", writes="input gate")

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_sizes(self, proj_size=0)
        if self.proj_size >= self.hidden_size:
            allowed = f"it must be 0 (none) or smaller than hidden_size = {self.hidden_size}"
            raise ArgumentError("proj_size", f"is {self.proj_size}", allowed)

    @property
    def state_sizes(self) -> Mapping[str, int]:
        return {"h": self.output_size, "c": self.hidden_size}

    @property
    def kernel(self) -> FusedKernel:
        return FusedKernel("lstm", self.sizes)

    def update(self, a_x: Tensor, a_h: Tensor, state: State) -> tuple[State, tuple[Tensor, ...]]:
        a_i_f, a_g, a_o = (a_x + a_h).split([2 * self.hidden_size, self.hidden_size, self.hidden_size], dim=-1)
        i, f = torch.sigmoid(a_i_f).chunk(2, dim=-1)  # (1) (2)
        g = torch.tanh(a_g)  # (3)
        o = torch.sigmoid(a_o)  # (4)
        c = torch.addcmul(f * state[1], i, g)  # (5)
        tanh_c = torch.tanh(c)
        return (o * tanh_c, c), (i, f, g, o, state[1], tanh_c)  # (6)

    def update_vjp(self, residuals: tuple[Tensor, ...], cotangent: State) -> tuple[Tensor, Tensor, tuple]:
        i, f, g, o, c_before, tanh_c = residuals
        d_u, d_c = cotangent
        d_c = d_c + d_u * o * (1 - tanh_c * tanh_c)  # through (6)
        e = torch.cat(
            (
                d_c * g * i * (1 - i),  # through (5) and (1)
                d_c * c_before * f * (1 - f),  # through (5) and (2)
                d_c * i * (1 - g * g),  # through (5) and (3)
                d_u * tanh_c * o * (1 - o),  # through (6) and (4)
            ),
            dim=-1,
        )
        return e, e, (None, d_c * f)

    def activations(self, parameters: Parameters, x: Tensor, state: State) -> list[ActivationValues]:
        a_x, a_h = self.affine(parameters, x, state)
        (_, c), (i, f, g, o, _, tanh_c) = self.update(a_x, a_h, state)
        a_g = (a_x + a_h)[..., 2 * self.hidden_size : 3 * self.hidden_size]
        return [
            ActivationValues("input gate", "gate", 0.0, 1.0, i),
            ActivationValues("forget gate", "keep", 0.0, 1.0, f),
            ActivationValues("candidate", "content", -1.0, 1.0, g, preactivation=a_g),
            ActivationValues("output gate", "gate", 0.0, 1.0, o),
            ActivationValues("tanh(c)", "content", -1.0, 1.0, tanh_c, preactivation=c),
        ]
