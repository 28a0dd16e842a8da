"""Layer as a plain loop over its cell's step, where torch.nn has no twin."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence

from throughtime.layers.affine import AffineLayer


class Unrolled(nn.Module):
    """The same function as a layer with zero initial states, in PyTorch's operations alone.

    Args:
        layer: whose weights and cells are used; batch_first and dropout are not.
    """

    def __init__(self, layer: AffineLayer[Any]) -> None:
        super().__init__()
        self.layer = layer

    @property
    def num_layers(self) -> int:
        """Layers of the stack."""
        return self.layer.num_layers

    def forward(self, x: Tensor | PackedSequence) -> tuple[Any, None]:
        """Return the outputs in the form of x, padded or packed."""
        if isinstance(x, PackedSequence):
            rows = [self._run(row.unsqueeze(1)).squeeze(1) for row in unpack_sequence(x)]
            return pack_sequence(rows, enforce_sorted=False), None
        return self._run(x), None

    def _run(self, x: Tensor) -> Tensor:
        for depth in range(self.layer.num_layers):
            outputs = []
            for reverse in (False, True) if self.layer.bidirectional else (False,):
                cell, parameters = self.layer.cell_and_parameters(depth, reverse)
                state = tuple(x.new_zeros(x.shape[1], size) for size in cell.state_sizes.values())
                steps = []
                for row in x.flip(0) if reverse else x:
                    state = cell.step(parameters, row, state)
                    steps.append(state[0])
                h = torch.stack(steps)
                outputs.append(h.flip(0) if reverse else h)
            x = torch.cat(outputs, dim=-1)
        return x
