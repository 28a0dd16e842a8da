"""Which recurrence runs a cell: its kernel, or the loop."""

import torch

from throughtime.cells.base import Cell
from throughtime.gradients.loop import LOOP
from throughtime.gradients.sequence import Sequence
from throughtime.kernels.base import Kernel


def kernel_for(cell: Cell, sequence: Sequence) -> Kernel | None:
    """The cell's kernel, where it serves this sequence.

    It must stand in the cell's own class: one inherited by a subclass with another step would be wrong.
    """
    kernel = vars(type(cell)).get("kernel")
    return kernel if kernel is not None and kernel.serves(cell, sequence) else None


def recurrence_for(cell: Cell, sequence: Sequence) -> Kernel:
    """The cell's kernel, or the loop: for what the kernel does not serve, and under create_graph."""
    kernel = None if torch.is_grad_enabled() else kernel_for(cell, sequence)
    return LOOP if kernel is None else kernel
