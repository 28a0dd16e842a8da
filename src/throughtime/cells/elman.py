"""Elman cell with tanh, ReLU or the identity (the linear RNN)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from throughtime.cells.affine import AffineCell
from throughtime.cells.base import ActivationValues
from throughtime.errors import ArgumentError
from throughtime.kernels.fused import FusedKernel
from throughtime.types import Parameters, State

Nonlinearity = Literal["tanh", "relu", "identity"]

_RANGES = {"tanh": (-1.0, 1.0), "relu": (0.0, math.inf), "identity": (-math.inf, math.inf)}


@dataclass(frozen=True)
class ElmanCell(AffineCell):
    """Elman cell, h_t = φ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).

    Sources: [MR] (4), [HSK] (1), [T] first display, [Y] for the identity.
    """

    nonlinearity: Nonlinearity = "tanh"

    gates: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nonlinearity not in get_args(Nonlinearity):
            raise ArgumentError(
                "nonlinearity",
                f"is {self.nonlinearity!r}",
                "it must be 'tanh', 'relu' or 'identity'",
                "for any other function write a function cell (throughtime.Recurrent)",
            )

    @property
    def linear(self) -> bool:
        return self.nonlinearity == "identity"

    @property
    def kernel(self) -> FusedKernel:
        return FusedKernel(f"elman_{self.nonlinearity}", self.sizes)

    @property
    def slope_bound(self) -> float | None:
        return 1.0  # the largest |φ'| of all three; γ in Pascanu, Mikolov & Bengio 2013

    def update(self, a_x: Tensor, a_h: Tensor, state: State) -> tuple[State, tuple[Tensor, ...]]:
        a = a_x + a_h
        if self.nonlinearity == "tanh":
            h = torch.tanh(a)  # [MR] (4), [HSK] (1)
        elif self.nonlinearity == "relu":
            h = torch.relu(a)
        else:
            h = a  # [Y], "h_t = W_x x_t + W_h h_{t-1}"
        return (h,), (h,)

    def update_vjp(self, residuals: tuple[Tensor, ...], cotangent: State) -> tuple[Tensor, Tensor, tuple]:
        (h,), (g,) = residuals, cotangent
        if self.nonlinearity == "tanh":
            e = g * (1 - h * h)  # φ'(a) = 1 - φ(a)²: the diagonal of [MR] (6), [HSK] before (10)
        elif self.nonlinearity == "relu":
            e = torch.where(h <= 0, torch.zeros_like(g), g)  # as torch: slope 0 at 0, NaN passes
        else:
            e = g
        return e, e, (None,)

    def activations(self, parameters: Parameters, x: Tensor, state: State) -> list[ActivationValues]:
        a_x, a_h = self.affine(parameters, x, state)
        (h,), _ = self.update(a_x, a_h, state)
        return [ActivationValues("h", "content", *_RANGES[self.nonlinearity], h, preactivation=a_x + a_h)]
