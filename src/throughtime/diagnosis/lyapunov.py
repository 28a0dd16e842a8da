"""Lyapunov exponents: the growth of each direction of the state per step, along a trajectory."""

from collections.abc import Iterator
from collections.abc import Sequence as Ordered
from numbers import Integral

import torch
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.recurrence import Recurrence
from throughtime.checks import check_size
from throughtime.diagnosis.batch_means import mean_with_error
from throughtime.diagnosis.directions import Follower, checked_discard, counted_steps, moving
from throughtime.errors import ArgumentError
from throughtime.layers.base import RecurrentLayer
from throughtime.models.recording import RecordedRun, entering_states
from throughtime.records import Lyapunov
from throughtime.sequences.sequence import Sequence
from throughtime.types import Parameters, State

STATE_ENTRIES = 2**18
"""The number of entries of the states that are held at a time, about."""


def lyapunov_of(
    run: RecordedRun, count: int | None = None, discard: int | None = None, rows: int | None = None
) -> Lyapunov:
    """Compute the Lyapunov exponents along the trajectory of a recorded run.

    Orthonormal directions Q are carried along, J_t Q_{t-1} = Q_t R_t, and exponent i is the mean of ln|R_ii| over
    steps and rows (Benettin et al. 1980; for recurrent networks Engelken, Wolf & Abbott 2023), all in float64. A
    padded step has no factor, nor has a step before which the state is reset: the product is cut there, and the
    directions are kept and align again.

    Args:
        run: the trajectory, of a cell with S state entries.
        count: the number of leading exponents, 1 … S; all if None.
        discard: the steps of every row, at the start and after each reset, that only align the directions. None: a
            fifth of the longest stretch. The error of a wrong start decays exponentially, with the gaps between
            exponents.
        rows: the number of rows, the longest ones; all if None.

    Returns:
        The exponents, decreasing, with standard errors: the larger of batch means over time and the scatter between
        rows, see `mean_with_error`; nan where there are too few steps. `steps` counts the steps of all rows together;
        without any, the exponents are nan.
        An exponent is -inf where its direction is lost at once, at any counted step: where |R_ii| does not exceed the
        rounding error of J_t Q, see `resolved`.

    Raises:
        ArgumentError: count, discard or rows is out of range.
        NonFiniteError: a weight, a state or a derivative on the way is NaN or infinite.

    Cost: O(T·B·(S²·count + J)), J the cost of one state Jacobian; a few Jacobians are held at a time. When not to use
    it: exponents are limits for T → ∞; for a sequence of a few dozen steps use products over its lags instead.
    """
    if rows is not None:
        check_size("rows", rows, least=1)
        run = run.part(moving(run.sequence).sum(0).argsort(descending=True, stable=True)[:rows])
    follower = Follower(run.cell, run.parameters, run.sequence, count)
    discard = checked_discard(run.sequence, discard)
    with torch.no_grad():
        logs = follower.follow(run.sequence, run.entering)
    return _record(logs, run.sequence, discard)


def lyapunov_exponents(
    layer: RecurrentLayer,
    x: Tensor | int,
    hx: Tensor | State | None = None,
    *,
    lengths: Tensor | Ordered[int] | None = None,
    resets: Tensor | None = None,
    count: int | None = None,
    discard: int | None = None,
    depth: int = 0,
) -> Lyapunov:
    """Compute the Lyapunov exponents of a recurrent layer along the trajectory of an input.

    With a positive exponent the dynamics are chaotic, and gradients explode; if all are negative, gradients vanish, at
    the rate of the leading exponent.

    Args:
        layer: an `RNN`, `LSTM`, `GRU` or `Recurrent`; a bidirectional layer is followed in its forward direction.
        x, hx, lengths, resets: the arguments of the layer. Or x is a number of steps, in which the input is zero.
        count, discard: see `lyapunov_of`.
        depth: the layer of the stack, counted from 0 at the input; it reads the outputs of the layers below.

    Returns:
        See `lyapunov_of`. The trajectory runs in the layer's own dtype, the exponents are computed in float64.

    Raises:
        ArgumentError: an argument has the wrong type or shape, or is out of range.
        NonFiniteError: see `lyapunov_of`.

    Cost: see `lyapunov_of`; T may be large, since only a piece of the trajectory is held at a time.

    Examples:
        >>> rnn = tt.RNN(1, 3, nonlinearity="identity", dtype=torch.float64)
        >>> _ = rnn.weight_hh_l0.data.copy_(torch.diag(torch.tensor([0.5, 2.0, 1.0])))
        >>> [round(exponent, 6) for exponent in tt.lyapunov_exponents(rnn, 500).exponents]
        [0.693147, 0.0, -0.693147]
    """
    check_layer(layer, depth)
    cell, parameters = layer.cell_and_parameters(depth)
    with torch.no_grad():
        given = _zeros(layer, x, hx) if isinstance(x, int | Integral) else x
        sequence = layer.sequence_at(depth, given, hx, lengths=lengths, resets=resets)
        follower = Follower(cell, parameters, sequence, count)
        discard = checked_discard(sequence, discard)
        pieces = [follower.follow(*piece) for piece in _pieces(cell, parameters, sequence)]
    return _record(torch.cat(pieces) if pieces else follower.nothing, sequence, discard)


def check_layer(layer: RecurrentLayer, depth: int) -> None:
    """Raise `ArgumentError` unless `layer` is a recurrent layer of throughtime with that depth."""
    if not isinstance(layer, RecurrentLayer):
        raise ArgumentError(
            "layer",
            f"is a {type(layer).__name__}",
            "it must be a throughtime.RNN, LSTM, GRU or Recurrent",
            "convert torch.nn's with from_torch",
        )
    check_size("depth", depth, least=0)
    if depth >= layer.num_layers:
        raise ArgumentError("depth", f"is {depth}", f"the stack has {layer.num_layers} layers, counted from 0")


def _record(logs: Tensor, sequence: Sequence, discard: int) -> Lyapunov:
    counted = counted_steps(sequence, discard)
    mean, error = mean_with_error(logs, counted)
    order = mean.argsort(descending=True)
    rows = int(counted.any(0).sum())
    return Lyapunov(mean[order].tolist(), error[order].tolist(), int(counted.sum()), rows, discard)


def _pieces(cell: Cell, parameters: Parameters, sequence: Sequence) -> Iterator[tuple[Sequence, State]]:
    """Yield stretches of the sequence that fit into memory. They come with the states that enter their steps."""
    steps, state, whole = sequence.shape[0], sequence.initial, Recurrence(cell, parameters, sequence)
    length = max(1, STATE_ENTRIES // max(1, sum(member.numel() for member in state)))
    for start in range(0, steps, length):
        part = whole.part(start, min(start + length, steps), state)
        entering, state = entering_states(part)
        yield part.sequence, entering


def _zeros(layer: RecurrentLayer, steps: object, hx: Tensor | State | None) -> Tensor:
    """Return zeros as input: so many steps, and the initial state's rows."""
    steps = check_size("x", steps, least=1)
    member = hx[0] if isinstance(hx, tuple | list) else hx
    inputs = layer.cell_and_parameters(0)[0].input_size
    if member is None or member.dim() < 3:
        like = next(layer.parameters(), torch.empty(0)) if member is None else member
        return like.new_zeros(steps, inputs)
    rows = member.shape[1]
    return member.new_zeros(*((rows, steps) if layer.batch_first else (steps, rows)), inputs)
