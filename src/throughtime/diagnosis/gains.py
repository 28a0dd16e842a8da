"""Gains ‖∂s_t/∂s_r‖: how much a state depends on an earlier state."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.models.recording import RecordedRun
from throughtime.records import GainMap
from throughtime.sequences.row_norms import row_norm

GRID = 48
"""The number of steps along each side of the map, at most."""
ROWS = 4
"""Largest number of rows that the map is a mean over. Each row has a probe."""


def gain_map(run: RecordedRun, generator: torch.Generator, exact: bool = False) -> GainMap | None:
    """Map ‖∂s_t/∂s_r‖_F / √S for up to 48 times 48 pairs of steps.

    Without a row that has a step, it is None. The map is the root mean square over the longest rows, 4 at most. E
    ‖Jᵀv‖² = ‖J‖_F² for a random vector v with E vvᵀ = I, such as a vector of length √S in a random direction. So a
    single vector for each t and row, carried back through the recurrence alone, estimates a whole line of the map,
    within some 20 % where many directions share the gain. With `exact`, all S unit vectors are carried instead, and
    give the spectral norm too: the largest gain of a direction, over these rows.

    Cost: T·48·4·S² multiplications for an Elman cell, in T small products; with `exact` S times that, for small S.
    """
    lengths = run.sequence.lengths
    length = len(run.sequence.x) if lengths is None else int(lengths.max())
    if not length:
        return None
    rows = torch.arange(run.sequence.shape[1]) if lengths is None else (lengths == length).nonzero()[:, 0]
    part = run.part(rows[:ROWS].to(run.direct[0].device))
    steps = torch.linspace(0, length - 1, min(GRID, length)).round().long().tolist()
    size = run.cell.state_size
    count = size if exact else 1
    gain, spectral = ([[math.nan] * len(steps) for _ in steps] for _ in range(2))
    with torch.no_grad():
        for j, carried in _columns(part, steps, _probes(part, len(steps), count, generator)):
            gains, norms = _gains(carried.double(), exact)
            for i, value in enumerate(gains, start=j):  # from the diagonal on
                gain[i][j] = value
            for i, value in enumerate(norms, start=j):
                spectral[i][j] = value
    return GainMap(steps, list(steps), gain, spectral if exact else None)


def _gains(carried: Float[Tensor, "steps count rows size"], exact: bool) -> tuple[list[float], list[float]]:
    """Return the gain to each step t, and with `exact` also the largest spectral norm of a row.

    Both are infinite where a product overflows.
    """
    beyond = ~carried.isfinite().all(-1).all(1).all(1)
    finite = carried.masked_fill(beyond[:, None, None, None], 0)
    rows, size = carried.shape[-2:]
    gains = row_norm((finite.flatten(1) / math.sqrt(rows * size),)).masked_fill(beyond, math.inf)
    if not exact:
        return gains.tolist(), []
    norms = torch.linalg.matrix_norm(finite.transpose(1, 2), ord=2).amax(1)
    return gains.tolist(), norms.masked_fill(beyond, math.inf).tolist()


def _probes(
    run: RecordedRun, steps: int, count: int, generator: torch.Generator
) -> Float[Tensor, "steps count rows size"]:
    """Return all unit vectors for a count of S, or for a count of 1 a random vector of length √S.

    Each step and row has its own random vector.
    """
    size = run.cell.state_size
    rows, like = run.sequence.shape[1], run.direct[0]
    if count > 1 or size == 1:
        units = torch.eye(size, dtype=like.dtype, device=like.device)
        return units[None, :, None].expand(steps, size, rows, size)
    normal = torch.randn(steps, 1, rows, size, generator=generator, dtype=torch.float64)
    return (normal * math.sqrt(size) / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)).to(like)


def _columns(run: RecordedRun, steps: list[int], probes: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield the columns of the map, last first: the place of step r in `steps`, and J_{r+1}ᵀ … J_tᵀ times the probes.

    The products [t, count, rows, S] are those for all t ≥ r in `steps`.
    """
    sizes, sequence = list(run.cell.state_sizes.values()), run.sequence
    projected = run.cell.project(run.parameters, sequence.x)
    place = {t: i for i, t in enumerate(steps)}
    carried = probes[:0]
    for r in reversed(range(steps[-1] + 1)):
        if r in place:
            carried = torch.cat((probes[place[r]][None], carried))
            yield place[r], carried
        many = carried.shape[:2].numel()
        given, *entering = (
            member.expand(many, *member.shape).flatten(0, 1) for member in (projected[r], *(s[r] for s in run.entering))
        )
        _, residuals = run.cell.advance(run.parameters, given, tuple(entering))
        cotangent = tuple(carried.flatten(0, 2).split(sizes, dim=-1))
        earlier = torch.cat(run.cell.pull_back(run.parameters, residuals, cotangent)[1], dim=-1)
        carried = earlier.view_as(carried)
        if sequence.resets is not None:
            carried = carried.masked_fill(sequence.resets[r][:, None], 0)
