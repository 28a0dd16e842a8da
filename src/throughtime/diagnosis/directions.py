"""Carry directions along a trajectory, and measure the growth of each at every step."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.checks import check_size
from throughtime.diagnosis.finite_checks import check_finite, checked_parameters
from throughtime.errors import ArgumentError
from throughtime.sequences.row_norms import row_norm
from throughtime.sequences.sequence import Sequence, steps_since_start
from throughtime.types import Parameters, State

JACOBIAN_ENTRIES = 2**18
"""The number of entries of the Jacobians that are held at a time, about."""


class Follower:
    """Orthonormal directions that are carried along a trajectory, from a random start.

    A start along the axes could be special to a network with symmetries. A long trajectory is followed piece by piece:
    directions and the number of steps so far stay from call to call of `follow`.
    """

    def __init__(self, cell: Cell, parameters: Parameters, sequence: Sequence, count: int | None) -> None:
        size = cell.state_size
        count = size if count is None else check_size("count", count, least=1)
        if count > size:
            raise ArgumentError("count", f"is {count}", f"the state has {size} entries, so it must lie in 1 … {size}")
        self.cell, self.parameters = cell, checked_parameters(parameters)
        rows, device = sequence.shape[1], sequence.initial[0].device
        start = torch.randn(size, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.directions = torch.linalg.qr(start)[0].to(device).expand(rows, -1, -1)
        self.steps = 0

    @property
    def nothing(self) -> Tensor:
        """Return ln|R_ii| of no steps."""
        return self.directions.new_empty(0, self.directions.shape[0], self.directions.shape[2])

    def follow(self, sequence: Sequence, entering: State) -> Float[Tensor, "time batch count"]:
        """Return ln|R_ii| for each step and row of the next piece.

        It is 0 where the step has no factor.

        Args:
            sequence: the piece.
            entering: the state that enters each step of it, each member [T, B, size].
        """
        state = torch.cat(entering, dim=-1)
        moves = moving(sequence)
        check_finite(state.isfinite().all(-1), moves, "the state that enters step", self.steps)
        length = max(1, JACOBIAN_ENTRIES // max(1, state[0].numel() * state.shape[-1]))
        logs = [
            self._through(sequence.x[start : start + length], state[start : start + length], moves, start)
            for start in range(0, len(state), length)
        ]
        self.steps += len(state)
        return torch.cat(logs) if logs else self.nothing

    def _through(self, x: Tensor, state: Tensor, moves: Tensor, start: int) -> Tensor:
        """Carry the directions through the steps of x, which begin at `start` of the piece; return ln|R_ii|.

        `moves` is that of the whole piece. A step without a factor has the identity for its Jacobian.
        """
        steps, size = len(x), state.shape[-1]
        sizes = list(self.cell.state_sizes.values())
        flat = tuple(state.double().flatten(0, 1).split(sizes, dim=-1))
        jacobians = self.cell.state_jacobian(self.parameters, x.double().flatten(0, 1), flat)
        jacobians = jacobians.unflatten(0, (steps, -1))
        moves = moves[start : start + steps]
        finite = jacobians.isfinite().flatten(2).all(-1)
        check_finite(finite, moves, "the derivative of the state at step", self.steps + start)
        if not bool(moves.all()):
            identity = torch.eye(size, dtype=jacobians.dtype, device=jacobians.device)
            jacobians = torch.where(moves[..., None, None], jacobians, identity)
        triangles = []
        for jacobian in jacobians:
            self.directions, r = torch.linalg.qr(jacobian @ self.directions)
            triangles.append(r)
        # The entries of J_t and Q have the relative error ε, and their product sums S of them.
        rounding = size * torch.finfo(torch.float64).eps * row_norm((jacobians.flatten(-2),))
        return resolved(torch.stack(triangles), rounding).log()


def resolved(triangles: Float[Tensor, "*rows count count"], rounding: Float[Tensor, "*rows"]) -> Tensor:
    """Return |R_ii|, or 0 where the value does not exceed its rounding error.

    `rounding` is the error of a column of J_t Q. The error of R_ii is made up of this and the errors of the earlier
    columns, as far as column i depends on them: `rounding` |R_ii| ‖R⁻¹ e_i‖_1 in all.
    """
    growth = triangles.diagonal(dim1=-2, dim2=-1).abs()
    with torch.no_grad():
        rounding = rounding[..., None]
        gone = growth <= rounding
        identity = torch.eye(growth.shape[-1], dtype=growth.dtype, device=growth.device)
        # Later columns do not depend on a direction that is lost.
        present = torch.where(gone[..., None] | gone[..., None, :], identity, triangles)
        inverse = torch.linalg.solve_triangular(present, identity, upper=True)
        gone |= rounding * inverse.abs().sum(-2) >= 1
    return growth.masked_fill(gone, 0)


def moving(sequence: Sequence) -> Bool[Tensor, "time batch"]:
    """Return where s_t comes from s_{t-1}: neither padded nor just reset."""
    moves = torch.ones(sequence.shape, dtype=torch.bool, device=sequence.initial[0].device)
    moves = moves if sequence.padding is None else moves & ~sequence.padding
    return moves if sequence.resets is None else moves & ~sequence.resets


def counted_steps(sequence: Sequence, discard: int) -> Bool[Tensor, "time batch"]:
    """Return the steps whose factors count. All steps that move count, but for the first `discard` of each stretch."""
    return moving(sequence) & (age(sequence) >= discard)


def checked_discard(sequence: Sequence, discard: int | None) -> int:
    """Return the number of steps of each stretch to discard."""
    ages = torch.where(moving(sequence), age(sequence) + 1, 0)
    longest = int(ages.max()) if ages.numel() else 0
    if discard is None:
        return longest // 5
    discard = check_size("discard", discard, least=0)
    if discard >= longest:
        raise ArgumentError(
            "discard",
            f"is {discard}",
            f"the longest stretch between resets has {longest} steps, so none would be left",
            "give less, or None for a fifth of it",
        )
    return discard


def age(sequence: Sequence) -> Int[Tensor, "time batch"]:
    """Return the number of factors before each step in its stretch. It is -1 at a reset.

    The first stretch has a factor at its first step, ∂s_0/∂(initial state); after a reset at step r the first factor is
    that of step r + 1.
    """
    steps = steps_since_start(sequence)
    return steps if sequence.resets is None else steps - sequence.resets.cummax(0).values.long()
