"""Find step t of row b in a layer's outputs, for every form of input."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


@dataclass(frozen=True)
class OutputLayout:
    """How a layer's outputs and final states lie in memory.

    Rows are counted in the order in which the layer runs them; for a PackedSequence that is its sorted order.
    """

    steps: int
    rows: int
    batch_first: bool = False
    unbatched: bool = False
    packed: PackedSequence | None = None

    @classmethod
    def of(cls, outputs: Tensor | PackedSequence, batch_first: bool) -> "OutputLayout":
        """Read the layout off the outputs of a layer."""
        if isinstance(outputs, PackedSequence):
            return cls(len(outputs.batch_sizes), int(outputs.batch_sizes[0]), packed=outputs)
        if outputs.dim() == 2:
            return cls(len(outputs), 1, unbatched=True)
        steps, rows = outputs.transpose(0, 1).shape[:2] if batch_first else outputs.shape[:2]
        return cls(steps, rows, batch_first=batch_first)

    def for_outputs(self, steps: Bool[Tensor, "time batch"]) -> Bool[Tensor, "*outputs 1"]:
        """Lay a mask out like the outputs. It broadcasts over their last dimension."""
        if self.packed is not None:
            return steps[self._valid(self.packed)][:, None]
        if self.unbatched:
            return steps  # [T, 1]: the only row is the dimension to broadcast over
        return (steps.T if self.batch_first else steps)[..., None]

    def by_step(self, outputs: Float[Tensor, "*outputs size"]) -> Float[Tensor, "time batch size"]:
        """Lay the outputs out by step and row, with zeros in the padding."""
        if self.packed is not None:
            padded = outputs.new_zeros(self.steps, self.rows, outputs.shape[-1])
            return padded.index_put((self._valid(self.packed),), outputs)
        if self.unbatched:
            return outputs[:, None]
        return outputs.transpose(0, 1) if self.batch_first else outputs

    def for_finals(self, rows: Bool[Tensor, "layers batch"]) -> Bool[Tensor, "layers *batch 1"]:
        """Lay a mask out like a member of the final state. It broadcasts over the last dimension."""
        unsorting = None if self.packed is None else self.packed.unsorted_indices
        if self.unbatched:
            return rows  # [layers, 1]
        return (rows if unsorting is None else rows[:, unsorting])[..., None]

    def by_row(self, final: Float[Tensor, "layers *batch size"]) -> Float[Tensor, "layers batch size"]:
        """Lay a member of the final state out by recurrence and row."""
        sorting = None if self.packed is None else self.packed.sorted_indices
        if self.unbatched:
            return final[:, None]
        return final if sorting is None else final[:, sorting]

    def row_of(self, row: int) -> int:
        """Return the number of a row in the order of the input."""
        sorting = None if self.packed is None else self.packed.sorted_indices
        return row if sorting is None else int(sorting[row])

    def _valid(self, packed: PackedSequence) -> Bool[Tensor, "time batch"]:
        """Return which steps a packed sequence has; rows are sorted, longest first."""
        valid = torch.arange(self.rows) < packed.batch_sizes[:, None]
        return valid.to(packed.data.device)
