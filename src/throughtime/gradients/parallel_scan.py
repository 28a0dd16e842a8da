"""Exact gradients by an associative scan instead of a loop over time."""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.loop import no_steps
from throughtime.cells.recurrence import Recurrence
from throughtime.errors import UnsupportedError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.budget import bytes_of, in_words
from throughtime.gradients.scan import scan
from throughtime.gradients.steps import Steps, direct
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.sequences.sequence import blank
from throughtime.types import Gradients, State

COPIES = 4
"""Memory of a backward pass in copies of the Jacobians, rounded up.

A scan holds two and a half copies (see `scan`); T = 8000, H = 64 took 3.2 in all, with resets and lengths.
"""


@dataclass(frozen=True)
class ParallelScan(GradientMethod):
    """Exact gradients by an associative scan over the backward recursion.

    G_t = g_t + J_{t+1}ᵀ G_{t+1} ([MR] (8)) is affine in G, so steps can be joined. Every J_t is formed, all at once;
    then about 2 log2 T products follow one another instead of T steps. A cell that is `linear` also runs forward by a
    scan, h_t = J_t h_{t-1} + f(x_t, 0) ([Y]); any other cell needs its states first, by its kernel or loop. A
    `diagonal` cell (see `Cell`) has vectors in place of matrices.

    Args:
        limit: the most bytes that the Jacobians of a layer may take, as a number or with a unit, "1GB".

    Raises:
        ArgumentError: `limit` is no size, or `clip_step` is given: clipping is not affine, so clipped steps cannot be
            joined.
        UnsupportedError: the Jacobians would need more memory than `limit`.

    Cost: dense O(T·B·S³) time and O(T·B·S²) memory; diagonal O(T·B·S), both. A dense scan takes about S + 2 times the
    operations of `BPTT`'s recursion, so it pays only where a device has that many times more units than a step can
    keep busy, and never on a CPU, where it warns once. Measured on one core, T = 1000, B = 1 and 8: dense, H = 16, 9
    and 7 times the time of BPTT's kernel (linear forward by scan too: 12 and 15); a diagonal function, H = 256, 0.18
    and 0.61 of its loop's, and 0.12 and 0.54 if it is linear.
    """

    limit: str | int = "1GB"

    def __post_init__(self) -> None:
        super().__post_init__()
        bytes_of(self.limit, "limit")
        self._refuse_clip_step("clipping is not affine, so steps that clip cannot be joined")

    def check(self, cell: Cell) -> None:
        """Accept every cell; `forward` checks the memory that the steps need."""

    def twice_differentiable(self) -> GradientMethod:
        return BPTT()

    def forward(self, recurrence: Recurrence, keep: bool) -> Pass:
        cell, sequence = recurrence.cell, recurrence.sequence
        if (keep or cell.linear) and not cell.diagonal:
            self._check_size(recurrence)
        if not cell.linear or not len(sequence.x):
            return recurrence.forward("states" if keep else None)
        states = _scan_forward(recurrence)
        outputs = states[0] if sequence.padding is None else states[0].masked_fill(sequence.padding[..., None], 0)
        trace = Trace(states, "states") if keep else Trace()
        return Pass(outputs, tuple(member[-1].clone() for member in states), trace)

    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        cell, sequence = recurrence.cell, recurrence.sequence
        if not len(sequence.x):
            return no_steps(recurrence.parameters, sequence, cotangents.final)
        entering = sequence.entered_by(trace.tensors) if cell.linear else recurrence.entering(trace)
        losses, unstepped = direct(sequence, cotangents)
        back = _jacobians(recurrence, entering, latest_first=True)
        totals = scan(back if cell.diagonal else back.mT, torch.cat(losses, dim=-1).flip(0)).flip(0)  # [MR] (8)
        steps = Steps.of(recurrence, entering)
        return steps.gradients(_members(cell, totals), unstepped, cotangents.needs_x, norms)

    def _check_size(self, recurrence: Recurrence) -> None:
        """Refuse Jacobians above the limit; warn once on a CPU, where scans are slow."""
        sequence = recurrence.sequence
        (steps, rows), size = sequence.shape, recurrence.cell.state_size
        needed = COPIES * steps * rows * size * size * sequence.x.element_size()
        if needed > bytes_of(self.limit, "limit"):
            raise UnsupportedError(
                f"ParallelScan needs {in_words(needed)} for {steps} steps of {rows} rows with {size} numbers of state, "
                f"and limit is {self.limit!r}: raise it, run fewer rows or steps at once, declare the cell diagonal "
                "if it is, or use BPTT()"
            )
        if sequence.x.device.type == "cpu":
            _warn_once(size)


def _scan_forward(recurrence: Recurrence) -> State:
    """Compute the states J_t h_{t-1} + f(x_t, 0) that leave the steps, by a scan.

    Padded steps keep the state. Each member is [T, B, size].
    """
    cell, sequence = recurrence.cell, recurrence.sequence
    steps, rows = sequence.shape
    nothing = tuple(member.new_zeros(steps, rows, member.shape[-1]) for member in sequence.initial)
    # The first step and steps after a reset know the state that enters, so nothing has to be carried to them.
    known = sequence.entered_by(nothing)
    x, entering = sequence.x.flatten(0, 1), tuple(member.flatten(0, 1) for member in known)
    terms = torch.cat(cell.step(recurrence.parameters, x, entering), dim=-1).unflatten(0, (steps, rows))
    factors = _jacobians(recurrence, known, latest_first=False)
    padding = sequence.padding
    if padding is not None:
        at_once = torch.cat(known, dim=-1)  # a row without steps keeps its initial state
        terms = torch.where(padding[..., None], at_once, terms)
        ones = torch.ones_like(factors[0]) if cell.diagonal else torch.eye(factors.shape[-1]).to(factors)
        stand_still = padding[1:, :, None] if cell.diagonal else padding[1:, :, None, None]
        factors = torch.where(stand_still, ones, factors)
    return _members(cell, scan(factors, terms))


def _jacobians(recurrence: Recurrence, entering: State, latest_first: bool) -> Float[Tensor, "links batch *size"]:
    """Compute J_t of all steps but the first; zero at resets and in padding.

    Returns:
        [T - 1, B, S, S], or diagonals [T - 1, B, S].
    """
    cell, sequence = recurrence.cell, recurrence.sequence
    x, entering = sequence.x[1:], tuple(member[1:] for member in entering)
    masks = [mask[1:] for mask in (sequence.resets, sequence.padding) if mask is not None]
    if latest_first:  # reversed here, where the tensors are small
        x, entering = x.flip(0), tuple(member.flip(0) for member in entering)
        masks = [mask.flip(0) for mask in masks]
    shape = x.shape[:2]
    x, entering = x.flatten(0, 1), tuple(member.flatten(0, 1) for member in entering)
    if cell.diagonal:
        jacobians = _diagonals(recurrence, x, entering)
    else:
        jacobians = cell.state_jacobian(recurrence.parameters, x, entering)
    for mask in masks:
        jacobians = blank(mask.flatten(), jacobians)
    return jacobians.unflatten(0, shape)


def _diagonals(recurrence: Recurrence, x: Tensor, entering: State) -> Float[Tensor, "rows size"]:
    """Compute Jᵀ times ones, which is the diagonal of a diagonal matrix."""
    cell, parameters = recurrence.cell, recurrence.parameters
    new, residuals = cell.advance(parameters, cell.project(parameters, x), entering)
    return torch.cat(cell.pull_back(parameters, residuals, tuple(map(torch.ones_like, new)))[1], dim=-1)


def _members(cell: Cell, together: Float[Tensor, "time batch size"]) -> State:
    """Split states laid side by side into their members."""
    return together.split(list(cell.state_sizes.values()), dim=-1)


_warned = False


def _warn_once(size: int) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"ParallelScan on a CPU: with {size} numbers of state and dense Jacobians it takes about {size + 2} times "
            "the floating-point operations of BPTT's recursion, and there are too few cores to win them back; use "
            "BPTT(), or a cell declared diagonal. This is said once",
            stacklevel=2,
        )
