"""Calls of a model's recurrent layers, recorded while the model runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from throughtime.diagnosis.layout import OutputLayout
from throughtime.errors import ArgumentError
from throughtime.layers.base import RecurrentLayer
from throughtime.layers.stack import StackPlace
from throughtime.layers.tap import tap
from throughtime.models.contexts import differentiated_by
from throughtime.models.recording import RecordedRun, Recording
from throughtime.sequences.tap import LayerTap, Tap
from throughtime.types import State


@dataclass(frozen=True)
class LayerCall:
    """Call of a recurrent layer.

    Attributes:
        outputs, finals: the outputs, as they lie in memory, and each member of the final state.
        layout: where step t of row b lies in them.
        sources: the tensors down to which the layer's backward pass runs.
        taps, places: the tap and the place in the stack of each recurrence, by its name.
    """

    outputs: Tensor
    finals: State
    layout: OutputLayout
    sources: list[Tensor]
    taps: dict[str, LayerTap]
    places: dict[str, StackPlace]
    recording: Recording = field(repr=False)

    def runs(self, cotangents: tuple[Tensor, ...]) -> dict[str, RecordedRun]:
        """Run the backward pass of this layer alone; return its recurrences' parts by name.

        Args:
            cotangents: ∂L/∂(outputs) and ∂L/∂(each member of the final state).

        Raises:
            ArgumentError: no gradient flows through a recurrence.
        """
        runs = self.recording.runs
        runs.clear()
        ends = (self.outputs, *self.finals)
        torch.autograd.grad(ends, self.sources, cotangents, retain_graph=True, allow_unused=True)
        recorded = {name: run for name, layer_tap in self.taps.items() for run in runs if run.tap is layer_tap}
        runs.clear()
        missing = [name for name in self.taps if name not in recorded]
        if missing:
            raise ArgumentError(
                "model",
                f"has the layer {missing[0]}, which reads whole numbers and none of whose weights requires a gradient",
                "a gradient must flow through every recurrent layer",
                "call requires_grad_() on the layer for the time of the diagnosis",
            )
        # The taps are filled anew by the next backward pass, so that each result keeps a copy.
        return {name: replace(run, tap=copy(self.taps[name])) for name, run in recorded.items()}


def check_all_ours(model: nn.Module) -> None:
    """Raise `ArgumentError` if one of torch.nn's recurrent layers stands in the model."""
    for name, module in model.named_modules():
        if isinstance(module, nn.RNNBase | nn.RNNCellBase):
            kind = type(module).__name__
            cure = (
                "use throughtime's own" if kind.endswith("Cell") else f"convert it with throughtime.{kind}.from_torch"
            )
            raise ArgumentError(
                "model",
                f"holds torch.nn's {kind} as {_named(name)}, which would be left out",
                "its recurrent layers must be throughtime's, whose states can be recorded",
                cure,
            )


@contextmanager
def recorded_calls(model: nn.Module, layers: dict[str, RecurrentLayer]) -> Iterator[dict[str, LayerCall]]:
    """Record the calls of the layers made inside, in order. Every recurrence runs with `Recording`."""
    recording, calls = Recording(), {}
    with tap(model) as record, differentiated_by(layers.values(), recording), ExitStack() as hooks:
        for name, layer in layers.items():
            watch = _Watch(name, recording, record, calls)
            hooks.callback(layer.register_forward_pre_hook(watch.before, with_kwargs=True).remove)
            hooks.callback(layer.register_forward_hook(watch.after).remove)
        yield calls


@dataclass
class _Watch:
    """The hooks of one layer, which note its call.

    `sources` and `taps_before` carry from `before` to `after` what `LayerCall` needs, and how many recurrences the tap
    held before the call.
    """

    name: str
    recording: Recording
    record: Tap
    calls: dict[str, LayerCall]
    sources: list[Tensor] = field(default_factory=list)
    taps_before: int = 0

    def before(self, layer: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Let the input require a gradient. The backward pass then reaches every recurrence, frozen recurrences too."""
        if self.name in self.calls:
            raise ArgumentError(
                "model",
                f"calls {_named(self.name)} twice in one forward pass",
                "each layer must be called once, so that each of its steps has one gradient",
                "hand it the whole sequence at once, or use a separate layer for each call",
            )
        given = {"input": args[0], **options} if args else dict(options)
        x = given.get("input")
        data = x.data if isinstance(x, PackedSequence) else x
        if isinstance(data, Tensor) and data.is_floating_point():
            data = data if data.requires_grad else data.detach().requires_grad_()
            self.sources = [data]
            given["input"] = (
                PackedSequence(data, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
                if isinstance(x, PackedSequence)
                else data
            )
        else:
            # Whole numbers have no gradient: the backward pass runs down to the weights instead.
            self.sources = [parameter for parameter in layer.parameters() if parameter.requires_grad]
        self.taps_before = len(self.record.layers)
        return (given.pop("input"), *args[1:]) if args else (), given

    def after(self, layer: nn.Module, args: tuple[Any, ...], result: tuple[Any, Any]) -> None:
        """Note the result of the call."""
        assert isinstance(layer, RecurrentLayer)
        y, final = result
        layout = OutputLayout.of(y, layer.batch_first)
        if not layout.steps or not layout.rows:
            raise ArgumentError(
                "x",
                f"gives {_named(self.name)} {layout.steps} steps of {layout.rows} rows",
                "a gradient through time needs at least one step and one row",
            )
        finals = final if isinstance(final, tuple) else (final,)
        # A tap lists recurrences in the order in which they ran; those of this call come after the earlier ones.
        taps = dict(list(self.record.layers.items())[self.taps_before :])
        places = dict(zip(taps, layer.places, strict=True))
        outputs = y.data if isinstance(y, PackedSequence) else y
        if not outputs.requires_grad:
            raise ArgumentError(
                "model",
                f"runs {_named(self.name)} without a graph, so that no gradient flows through it",
                "the layer must run with gradients enabled",
                "leave no_grad() out of the forward pass; where the layer reads whole numbers, call requires_grad_() "
                "on it",
            )
        self.calls[self.name] = LayerCall(outputs, finals, layout, self.sources, taps, places, self.recording)


def _named(name: str) -> str:
    """Return the name of a layer for a sentence; the model itself has no name."""
    return f"layer {name!r}" if name else "the model itself"
