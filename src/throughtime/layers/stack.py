"""Directions of a stack of recurrent layers, and checks of its cells and dropout."""

import inspect
import warnings
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from throughtime.cells.base import Cell
from throughtime.checks import check_flag, is_real
from throughtime.errors import ArgumentError, ArgumentTypeError
from throughtime.sequences.runner import Runner


class StackPlace(NamedTuple):
    """Place of a recurrence in a stack: layer and direction.

    Layers are counted from 0 at the input.
    """

    depth: int
    reverse: bool


@dataclass(frozen=True)
class Direction:
    """Direction of a layer of a stack.

    Attributes:
        index: number of the direction among all, counted layer by layer; also the index of its states.
        cell: the cell.
        kernel: the cell's kernel, if the cell has a kernel.
        place: the layer, and whether the direction runs from the last step to the first.
        suffix: end of the parameters' names: "l0", "l0_reverse", "l1", …
        names: the name of each parameter in the cell, and its name in the layer.
    """

    index: int
    cell: Cell
    kernel: Runner | None
    place: StackPlace
    suffix: str
    names: tuple[tuple[str, str], ...]

    def parameters(self, owner: nn.Module) -> dict[str, Tensor]:
        """Gather the direction's parameters by the cell's names."""
        held = owner._parameters
        # Reading `_parameters` is faster than nn.Module.__getattr__, which is only needed for parametrized weights and
        # for the weights of replicas.
        return {name: held[full] if full in held else getattr(owner, full) for name, full in self.names}  # type: ignore[misc]


def check_stack(cells: Ordered[Cell], directions: int) -> None:
    """Check that the cells of a stack fit on one another.

    Each must read what the layer below gives, and all must have the same state.

    Args:
        cells: the cell of each layer, from the input up.
        directions: the number of directions of each layer, 1 or 2.

    Raises:
        ArgumentError: no cells, or cells that do not fit on one another.
    """
    if not cells:
        raise ArgumentError("cells", "is empty", "at least one cell is needed")
    sizes = dict(cells[0].state_sizes)
    below = next(iter(sizes.values())) * directions
    for layer, cell in enumerate(cells[1:], start=1):
        if dict(cell.state_sizes) != sizes:
            raise ArgumentError(
                f"cells[{layer}]",
                f"has the state {dict(cell.state_sizes)}, cells[0] has {sizes}",
                "they must be equal, because the layers' final states are returned as one tensor",
            )
        if cell.input_size != below:
            raise ArgumentError(
                f"cells[{layer}]",
                f"has input_size {cell.input_size}",
                f"it must be the width of the layer below, {below}",
            )


def check_options(batch_first: object, learn_initial_state: object, dtype: object) -> None:
    """Check options of a layer that have no range.

    Raises:
        ArgumentTypeError: an option is of the wrong type.
        ArgumentError: `dtype` is a dtype of other numbers than floating-point or complex numbers.
    """
    check_flag("batch_first", batch_first)
    check_flag("learn_initial_state", learn_initial_state)
    if dtype is not None and not (isinstance(dtype, torch.dtype) and (dtype.is_floating_point or dtype.is_complex)):
        error = ArgumentError if isinstance(dtype, torch.dtype) else ArgumentTypeError
        raise error(
            "dtype", f"is {dtype!r}", "it must be a floating-point or complex dtype of torch, such as torch.float32"
        )


def checked_dropout(dropout: float, num_layers: int) -> float:
    """Return the share of dropout as a float, and warn where it does nothing.

    It acts between layers, so not in a single layer.

    Raises:
        ArgumentTypeError: no real number.
        ArgumentError: no number between 0 and 1.
    """
    if not is_real(dropout) or not 0 <= dropout <= 1:
        error = ArgumentError if is_real(dropout) else ArgumentTypeError
        raise error("dropout", f"is {dropout!r}", "it must be a share between 0 and 1")
    if dropout and num_layers == 1:
        warnings.warn(
            f"dropout={dropout} with one layer does nothing: it acts between layers. Use num_layers > 1, or a "
            "torch.nn.Dropout on the output",
            stacklevel=_frames_of_ours(),
        )
    return float(dropout)


def _frames_of_ours() -> int:
    """Find the `stacklevel` for a warning about the first line outside of the package."""
    package = str(Path(__file__).parent.parent)
    files = [frame.filename for frame in inspect.stack(context=0)]
    return next((level for level, file in enumerate(files) if level and not file.startswith(package)), 1)
