"""Layer over any cell, or over a function that is a step of a recurrence."""

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Ordered
from typing import Any

import torch
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.function import FunctionCell
from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod
from throughtime.layers.compatible import CompatibleLayer
from throughtime.layers.stack import check_options
from throughtime.wording import listed

ALLOWED = "it must be a Cell, a list of them, or a function f(parameters, x, h) -> h"


class Recurrent(CompatibleLayer):
    """Layer over any cell, a list of cells, or a plain function.

    Args:
        cell: a `Cell`; a list of cells, each reading the outputs of the cell before; or a function
            f(parameters, x, h) -> h, see `FunctionCell`.
        parameters, hidden_size, input_size, linear, diagonal: for a function only, see `FunctionCell`.
        (others): see `RecurrentLayer`.

    Examples:
        >>> def leaky(p, x, h):
        ...     return 0.9 * h + 0.1 * torch.tanh(x @ p["w_in"].T + h @ p["w"].T)
        >>> values = {"w_in": torch.randn(5, 3), "w": torch.randn(5, 5)}
        >>> rnn = Recurrent(leaky, parameters=values, hidden_size=5, input_size=3)
        >>> y, h = rnn(torch.randn(7, 2, 3))
        >>> y.shape, sorted(rnn.state_dict())
        (torch.Size([7, 2, 5]), ['w_in_l0', 'w_l0'])
    """

    def __init__(
        self,
        cell: Cell | Ordered[Cell] | Callable[..., Any],
        *,
        parameters: Mapping[str, Tensor] | None = None,
        hidden_size: int | Mapping[str, int] | None = None,
        input_size: int | None = None,
        linear: bool = False,
        diagonal: bool = False,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        learn_initial_state: bool = False,
        gradient: GradientMethod | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_options(batch_first, learn_initial_state, dtype)
        super().__init__(
            _cells(cell, parameters, hidden_size, input_size, {"linear": linear, "diagonal": diagonal}),
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            learn_initial_state=learn_initial_state,
            gradient=gradient,
            device=device,
            dtype=dtype,
        )


def _cells(
    cell: Cell | Ordered[Cell] | Callable[..., Any],
    parameters: Mapping[str, Tensor] | None,
    hidden_size: int | Mapping[str, int] | None,
    input_size: int | None,
    claims: Mapping[str, bool],
) -> list[Cell]:
    """Return the cell of each layer; `claims` are the arguments `linear` and `diagonal`."""
    given = {"parameters": parameters, "hidden_size": hidden_size, "input_size": input_size}
    if callable(cell):
        missing = [name for name, value in given.items() if value is None]
        if parameters is None or hidden_size is None or input_size is None:  # missing, so that a type checker sees it
            raise ArgumentError("cell", f"is a function without {listed(missing)}", f"it needs {listed(given)}")
        return [FunctionCell(cell, parameters, hidden_size, input_size, **claims)]
    if not isinstance(cell, Cell | Ordered):
        raise ArgumentError("cell", f"is a {type(cell).__name__}", ALLOWED)
    cells = [cell] if isinstance(cell, Cell) else list(cell)
    for index, entry in enumerate(cells):
        if not isinstance(entry, Cell):
            raise ArgumentError("cell", f"is a list with a {type(entry).__name__} at index {index}", ALLOWED)
    superfluous = [name for name, value in given.items() if value is not None]
    superfluous += [name for name, value in claims.items() if value]
    if superfluous:
        first, *others = superfluous
        came = f"came with a Cell, and so did {listed(others)}" if others else "came with a Cell"
        raise ArgumentError(first, came, "only a function takes it, because a Cell has it already", "leave it out")
    return cells
