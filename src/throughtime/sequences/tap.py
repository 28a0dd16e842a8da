"""Records of ‖∂L/∂h_t‖ that a backward pass fills step by step."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from throughtime.sequences.row_norms import row_norm


class LayerTap:
    """Record of a direction of a layer in the latest backward pass.

    Args:
        names: the members of the state, in order: "h" and, for an LSTM, "c".
        norms, clipped: tensors to write into; None allocates them when the first norm is recorded.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        norms: dict[str, Float[Tensor, "time batch"]] | None = None,
        clipped: Bool[Tensor, "time batch"] | None = None,
    ) -> None:
        self.names = names
        self._norms, self._clipped = norms or {}, clipped
        self._form: tuple[tuple[int, int], torch.dtype, torch.device] | None = None

    @property
    def norms(self) -> dict[str, Float[Tensor, "time batch"]]:
        """Norms ‖∂L/∂h_t‖ [T, B] by member of the state, before clipping.

        ∂L/∂h_t is the total: through the loss of step t and through all later steps. Empty before the first backward
        pass. A norm is infinite or NaN only where an entry is: the dtype's largest number stands for a larger norm.
        """
        if not self._norms and self._form is not None:
            shape, dtype, device = self._form
            self._norms = {name: torch.zeros(shape, dtype=dtype, device=device) for name in self.names}
        return self._norms

    @property
    def clipped(self) -> Bool[Tensor, "time batch"] | None:
        """Mask [T, B] of the steps that were clipped; None before the first backward pass."""
        if self._clipped is None and self._form is not None:
            self._clipped = torch.zeros(self._form[0], dtype=torch.bool, device=self._form[2])
        return self._clipped

    def begin(self, steps: int, batch: int, like: Tensor) -> None:
        """Clear, and prepare for a backward pass of [steps, batch].

        The norms get the dtype and device of `like`.
        """
        self._norms, self._clipped, self._form = {}, None, ((steps, batch), like.dtype, like.device)

    def part(self, start: int, stop: int) -> "LayerTap":
        """Return a view of the steps start … stop - 1, which records into this record.

        A backward pass through these steps alone needs it.
        """
        clipped = None if self.clipped is None else self.clipped[start:stop]
        return LayerTap(self.names, {name: norms[start:stop] for name, norms in self.norms.items()}, clipped)

    def record_step(
        self, t: int, members: list[Float[Tensor, " batch"]], clipped: Bool[Tensor, " batch"] | None
    ) -> None:
        """Record the norms of step t by member of the state, and the clipped rows."""
        for name, member in zip(self.names, members, strict=True):
            self.norms[name][t] = member
        if clipped is not None and self.clipped is not None:
            self.clipped[t] = clipped

    def record_all(self, members: list[Float[Tensor, "time batch"]], clip_step: float | None) -> None:
        """Record all steps at once.

        Args:
            members: norms [T, B] of each member of the state, in order. The record keeps these tensors.
            clip_step: largest norm over all members together; None: no clipping.
        """
        if self._norms:  # the tensors of a `part` are views of the whole record, so they must be written in place
            for name, member in zip(self.names, members, strict=True):
                self._norms[name].copy_(member)
        else:
            self._norms = dict(zip(self.names, members, strict=True))
        if clip_step is not None and self.clipped is not None:
            norms = row_norm((torch.stack(members, dim=-1),))
            self.clipped.copy_((norms > clip_step) & norms.isfinite())  # not finite: not clipped, see `StepNorms.clip`


@dataclass
class Tap:
    """Records of a model's recurrent layers by name: "rnn.l0", "rnn.l0_reverse", "rnn.l1", …"""

    layers: dict[str, LayerTap] = field(default_factory=dict)

    def layer(self, name: str, names: tuple[str, ...]) -> LayerTap:
        """Return the record of the layer and direction `name`, made on first use.

        Args:
            name: such as "rnn.l0_reverse".
            names: the members of the state, for a new `LayerTap`.
        """
        record = self.layers.get(name)
        if record is None:
            record = self.layers[name] = LayerTap(names)
        return record

    def first_nonfinite(self) -> tuple[str, int, int] | None:
        """Find where the backward pass first met a NaN or an infinity.

        The backward pass runs from the last layer to the first and from the last step to the first, so the place
        that it met first is where to look; all earlier layers and steps are only contaminated.

        Returns:
            (layer, step counted from 0, row); None if all norms are finite. In a `_reverse` direction steps count in
            the order in which that direction runs.
        """
        for name, layer in reversed(self.layers.items()):
            bad = [~torch.isfinite(norms) for norms in layer.norms.values()]
            steps = torch.stack(bad).any(dim=0).nonzero() if bad else torch.empty(0, 2)
            if len(steps):
                step = int(steps[:, 0].max())
                return name, step, int(steps[steps[:, 0] == step][0, 1])
        return None
