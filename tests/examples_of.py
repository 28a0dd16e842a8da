"""One or more examples of every public cell and gradient method, so that the contracts can run over all of them."""

import inspect
from collections.abc import Callable

import torch

import throughtime as tt
from throughtime import cells, gradients
from throughtime.cells import AffineCell, Cell, ElmanCell, FunctionCell, GRUCell, LSTMCell
from throughtime.gradients import GradientMethod

INPUT, HIDDEN = 3, 5


def _rate(p, x, h):
    """A leaky network with a product of states in it, so that no term of a derivative is constant."""
    return 0.8 * h + torch.tanh(x @ p["w_in"].T + h @ p["w"].T + p["b"]) * torch.sigmoid(h @ p["w"])


def _oscillator(p, x, state):
    """Two members of different sizes."""
    h, v = state
    v = 0.9 * v + torch.tanh(h @ p["w_hv"].T + x @ p["w_in"].T)
    return torch.sin(h + v @ p["w_vh"].T), v


def _values(**shapes):
    generator = torch.Generator().manual_seed(7)
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) * 0.5 for name, shape in shapes.items()}


CELLS: dict[str, Cell] = {
    **{f"Elman-{phi}": ElmanCell(INPUT, HIDDEN, nonlinearity=phi) for phi in ("tanh", "relu", "identity")},
    "Elman-no-bias": ElmanCell(INPUT, HIDDEN, bias=False),
    "LSTM": LSTMCell(INPUT, HIDDEN),
    "LSTM-proj": LSTMCell(INPUT, HIDDEN, proj_size=2),
    "LSTM-no-bias": LSTMCell(INPUT, HIDDEN, bias=False),
    "GRU": GRUCell(INPUT, HIDDEN),
    "GRU-no-bias": GRUCell(INPUT, HIDDEN, bias=False),
    "function": FunctionCell(
        _rate, _values(w_in=(HIDDEN, INPUT), w=(HIDDEN, HIDDEN), b=(HIDDEN,)), HIDDEN, input_size=INPUT
    ),
    "function-two-members": FunctionCell(
        _oscillator, _values(w_hv=(4, HIDDEN), w_in=(4, INPUT), w_vh=(HIDDEN, 4)), {"h": HIDDEN, "v": 4}, INPUT
    ),
}

METHODS: dict[str, GradientMethod] = {
    "BPTT": tt.BPTT(),
    "DoubleSum-backward": tt.DoubleSum(),
    "DoubleSum-forward": tt.DoubleSum(order="forward"),
    "RTRL": tt.RTRL(),
}
"""Exact, always."""

APPROXIMATIONS: dict[str, tuple[GradientMethod, Callable[[Cell, int], bool]]] = {
    "TruncatedBPTT": (tt.TruncatedBPTT(horizon=3), lambda cell, steps: steps <= 3),
    "SnAp-1": (tt.SnAp(order=1), lambda cell, steps: steps == 1),
    "SnAp-all": (tt.SnAp(order=9), lambda cell, steps: True),
    "UORO": (tt.UORO(seed=3), lambda cell, steps: False),
    "RFLO": (tt.RFLO(leak=0.3), lambda cell, steps: steps == 1),
    "EProp": (tt.EProp(), lambda cell, steps: steps == 1),
}
"""The others, each with when theory says that it is exact: for that cell over that many steps."""


def public_classes(room, base: type) -> set[type]:
    """The concrete subclasses of `base` that `room` exports."""
    return {
        value
        for value in vars(room).values()
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value)
    }


def uncovered() -> set[str]:
    """Public cells and methods without an example here."""
    exported = public_classes(cells, Cell) | public_classes(gradients, GradientMethod)
    methods = [*METHODS.values(), *(method for method, _ in APPROXIMATIONS.values())]
    covered = {type(one) for one in (*CELLS.values(), *methods)}
    return {one.__name__ for one in exported - covered - {AffineCell}}


def parameters_of(cell: Cell, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    """Parameters that no symmetry helps: as the cell draws them, and a little more."""
    return {
        name: (value + 0.4 * torch.randn(value.shape, dtype=dtype)).requires_grad_()
        for name, value in cell.initial_parameters(dtype=dtype).items()
    }


def states_of(cell: Cell, rows: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(rows, size, dtype=dtype).requires_grad_() for size in cell.state_sizes.values())
