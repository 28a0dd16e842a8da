"""Run a model once, so that the backward pass of each layer can be repeated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from throughtime.diagnosis.calls import LayerCall, check_all_ours, recorded_calls
from throughtime.errors import ArgumentError
from throughtime.models.contexts import side_effects_undone
from throughtime.models.recording import RecordedRun
from throughtime.models.recurrent_layers import recurrent_layers
from throughtime.models.scalar_loss import scalar_loss
from throughtime.sequences.row_norms import row_norm
from throughtime.sequences.sequence import valid_steps
from throughtime.sequences.tap import Tap


@dataclass(frozen=True)
class CapturedLayer:
    """Recurrent layer of the captured pass, with all its recurrences.

    Attributes:
        call: the recorded call; its `runs` repeats the backward pass of this layer alone.
        cotangents: ∂L/∂(its outputs) and ∂L/∂(each member of its final state), in the layout of these.
        runs: each recurrence, by the name that a tap has for it; `tap` has the norms of the full backward pass.
    """

    call: LayerCall
    cotangents: tuple[Tensor, ...]
    runs: dict[str, RecordedRun]

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """The valid steps of each row."""
        sequence = next(iter(self.runs.values())).sequence
        full = torch.full((self.call.layout.rows,), self.call.layout.steps, device=sequence.x.device)
        return full if sequence.lengths is None else sequence.lengths

    def is_reverse(self, name: str) -> bool:
        """Return whether a recurrence, by name, runs from last step to first."""
        return self.call.places[name].reverse

    def entering(self) -> Bool[Tensor, "time batch"]:
        """Return where the part L_t of the loss has a gradient. L_t enters the layer at step t of its input."""
        layout, (d_outputs, *d_finals) = self.call.layout, self.cotangents
        entering = layout.by_step(d_outputs).ne(0).any(-1) & valid_steps(layout.steps, self.lengths)
        has_final = torch.stack([layout.by_row(member).ne(0).any(-1) for member in d_finals]).any(0)
        rows = torch.arange(layout.rows, device=entering.device)
        for ends, reached in zip(self._ends(), has_final, strict=True):
            entering[ends, rows] |= reached & (self.lengths > 0)
        return entering

    def norms(self, kept: Bool[Tensor, "time batch"]) -> dict[str, Float[Tensor, "time batch"]]:
        """Return the norms of ∂/∂s_t of the sum of the `kept` L_t, by name.

        A norm is over all members of the state. Steps in `kept` are those of the input, steps of the norms those of the
        recurrence. Cost: one backward pass of the layer.
        """
        layout, (d_outputs, *d_finals) = self.call.layout, self.cotangents
        rows = torch.arange(layout.rows, device=kept.device)
        kept_finals = layout.for_finals(torch.stack([kept[ends, rows] for ends in self._ends()]))
        masked = [torch.where(kept_finals, member, 0) for member in d_finals]  # not a product: 0 · NaN is NaN
        runs = self.call.runs((torch.where(layout.for_outputs(kept), d_outputs, 0), *masked))
        return {name: joint_norms(run) for name, run in runs.items()}

    def _ends(self) -> list[Int[Tensor, " batch"]]:
        """Return the input step of each recurrence's final state. It is 0 for a row without steps."""
        last = (self.lengths - 1).clamp(min=0)
        return [torch.zeros_like(last) if self.is_reverse(name) else last for name in self.runs]


@dataclass(frozen=True)
class Capture:
    """Forward and backward pass of a model: the loss, and the layers in order."""

    loss: float
    layers: list[CapturedLayer]

    @property
    def runs(self) -> dict[str, RecordedRun]:
        """All recurrences by name, in the order of the computation."""
        return {name: run for layer in self.layers for name, run in layer.runs.items()}

    @property
    def taps(self) -> Tap:
        """The norms of the full backward pass."""
        return Tap({name: run.tap for name, run in self.runs.items() if run.tap is not None})


def capture(model: nn.Module, loss: Callable[[Tensor, Any], Tensor], x: Any, y: Any) -> Capture:
    """Run the model and its backward pass once.

    The model is as before afterwards. The arguments are those of `gradient_flow`.

    Raises:
        ArgumentError: the model has no recurrent layer, holds one of torch.nn's, calls no layer, calls a layer twice or
            without a graph; the input has no steps or no rows; the loss is not a scalar.
    """
    layers = recurrent_layers(model)
    check_all_ours(model)
    with side_effects_undone(model), torch.enable_grad():
        with recorded_calls(model, layers) as calls:
            value = scalar_loss(model, loss, x, y)
        if not calls:
            names = ", ".join(map(repr, layers))
            raise ArgumentError("model", f"never called its recurrent layers: {names}", "it must call at least one")
        cotangents = _cotangents(value, list(calls.values()))
        captured = [
            CapturedLayer(call, given, call.runs(given)) for call, given in zip(calls.values(), cotangents, strict=True)
        ]
    return Capture(value.item(), captured)


def _cotangents(value: Tensor, calls: list[LayerCall]) -> list[tuple[Tensor, ...]]:
    """Return for each layer ∂L/∂(its outputs) and ∂L/∂(each member of its final state)."""
    ends = [(call.outputs, *call.finals) for call in calls]
    if not value.requires_grad:
        return [tuple(map(torch.zeros_like, members)) for members in ends]
    flat = [tensor for members in ends for tensor in members]
    gradients = iter(torch.autograd.grad(value, flat, retain_graph=True, materialize_grads=True))
    return [tuple(next(gradients) for _ in members) for members in ends]


def joint_norms(run: RecordedRun) -> Float[Tensor, "time batch"]:
    """Return ‖∂L/∂s_t‖ over all members of the state, from the run's tap."""
    assert run.tap is not None
    steps = torch.stack(list(run.tap.norms.values()), dim=-1)
    return row_norm((steps,))
