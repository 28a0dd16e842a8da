"""Spectra: eigenvalues and singular values of the recurrent weights and of the state Jacobians."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.checks import check_size
from throughtime.diagnosis.directions import moving
from throughtime.diagnosis.finite_checks import check_finite, checked_parameters
from throughtime.diagnosis.transient import power_norms, spectral_norm
from throughtime.models.recording import RecordedRun
from throughtime.records import MatrixSpectrum, Spectrum
from throughtime.sequences.row_norms import joint_norm
from throughtime.types import Parameters

LAGS = 64
"""The largest power of a weight matrix whose norm is computed."""


def spectrum_of(run: RecordedRun, samples: int = 16) -> Spectrum:
    """Compute the spectra of the recurrent weights and of J_t along a run.

    J_t = ∂s_t/∂s_{t-1} is in float64.

    Args:
        run: the trajectory, of a cell with S state entries.
        samples: the number of (step, row) at which J_t is taken, evenly chosen among those where s_t comes from s_{t-1}
            (neither padded nor just reset); all of them where there are fewer.

    Returns:
        The weights gate by gate, under the names of the gates, or "weight_hh" for a cell with one block; a cell that is
        a function has none. A block that is not square, as under a projection, has singular values only.
        `bound` is γ σ_max(W_hh), γ the cell's `slope_bound`, 1 for an Elman cell (Pascanu, Mikolov & Bengio 2013): no
        product of k Jacobians has a larger norm than its k-th power.

    Raises:
        ArgumentError: samples is not a positive whole number.
        NonFiniteError: a weight, a state, or a derivative at one of these steps is NaN or infinite.

    Cost: O(G·64·H³ + samples·S³), G the number of gates. When not to use it: eigenvalues of one matrix say little
    about products of many; for those see `lyapunov_of`, and the gradient by lag.
    """
    check_size("samples", samples, least=1)
    parameters = checked_parameters(run.parameters)
    blocks, slope = run.cell.recurrent_blocks(parameters), run.cell.slope_bound
    jacobians = _sampled(run, parameters, samples)
    eigenvalues = torch.linalg.eigvals(jacobians)
    norms = torch.linalg.matrix_norm(jacobians, 2)
    bound = None if slope is None else slope * spectral_norm(blocks["weight_hh"])
    return Spectrum(
        weights={name: matrix_spectrum(block) for name, block in blocks.items()},
        jacobian_eigenvalues=torch.view_as_real(eigenvalues.flatten()).tolist(),
        jacobian_norms=norms.tolist(),
        jacobian_radii=eigenvalues.abs().amax(-1).tolist(),
        bound=bound,
    )


def matrix_spectrum(matrix: Float[Tensor, "rows columns"]) -> MatrixSpectrum:
    """Return the spectrum of a block of weights, which must be finite."""
    singular = torch.linalg.svdvals(matrix).tolist()
    if matrix.shape[0] != matrix.shape[1]:
        return MatrixSpectrum([], singular, math.nan, math.nan, [])
    eigenvalues = torch.linalg.eigvals(matrix)
    size = joint_norm([matrix])
    normal_share = joint_norm([eigenvalues.abs()]) / size if size else 1.0
    # For a normal matrix the share is 1 up to rounding, which may leave a small negative difference.
    departure = math.sqrt(max(0.0, (1 - normal_share) * (1 + normal_share)))
    radius = float(eigenvalues.abs().max())
    return MatrixSpectrum(
        torch.view_as_real(eigenvalues).tolist(), singular, radius, departure, power_norms(matrix, LAGS)
    )


def _sampled(run: RecordedRun, parameters: Parameters, samples: int) -> Float[Tensor, "samples size size"]:
    """Return J_t at evenly chosen (step, row)."""
    moves = moving(run.sequence)
    places = moves.nonzero()
    chosen = torch.linspace(0, max(0, len(places) - 1), min(samples, len(places))).round().long()
    steps, rows = places[chosen.to(places.device)].unbind(1)
    check_finite(torch.cat(run.entering, dim=-1).isfinite().all(-1), moves, "the state that enters step", 0)
    state = tuple(member[steps, rows].double() for member in run.entering)
    with torch.no_grad():
        jacobians = run.cell.state_jacobian(parameters, run.sequence.x[steps, rows].double(), state)
    finite = torch.ones_like(moves).index_put((steps, rows), jacobians.isfinite().flatten(1).all(-1))
    check_finite(finite, moves, "the derivative of the state at step", 0)
    return jacobians
