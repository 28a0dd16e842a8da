"""One forward pass of a model, with all that is needed to take the gradient of its recurrences apart afterwards."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from throughtime.diagnosis.layout import Layout
from throughtime.errors import ArgumentError
from throughtime.layers.base import RecurrentLayer
from throughtime.layers.tap import tap
from throughtime.models.evaluated import recurrent_layers, scalar_loss
from throughtime.models.recording import RecordedRun, Recording
from throughtime.models.unchanged import differentiated_by, unchanged
from throughtime.sequences.norms import row_norm
from throughtime.sequences.sequence import valid_steps
from throughtime.sequences.tap import LayerTap, Tap
from throughtime.types import State


@dataclass(frozen=True)
class LayerCall:
    """A recurrent layer as it was called: what it returned, down to where its backward pass runs, and its taps."""

    outputs: Tensor
    finals: State
    layout: Layout
    sources: list[Tensor]
    taps: dict[str, LayerTap]
    recording: Recording = field(repr=False)

    def runs(self, cotangents: tuple[Tensor, ...]) -> dict[str, RecordedRun]:
        """What a backward pass of this layer alone goes through, by name, given ∂L/∂(outputs, final state)."""
        runs = self.recording.runs
        runs.clear()
        ends = (self.outputs, *self.finals)
        torch.autograd.grad(ends, self.sources, cotangents, retain_graph=True, allow_unused=True)
        found = {name: run for name, own in self.taps.items() for run in runs if run.tap is own}
        runs.clear()
        missing = [name for name in self.taps if name not in found]
        if missing:
            raise ArgumentError(
                f"{missing[0]} reads whole numbers and none of its weights requires a gradient, so none flows through "
                "it: call requires_grad_() on the layer for the time of the diagnosis"
            )
        return {name: replace(run, tap=copy(self.taps[name])) for name, run in found.items()}


@dataclass(frozen=True)
class CapturedLayer:
    """One recurrent layer in the pass: all its recurrences.

    Attributes:
        cotangents: ∂L/∂(its outputs) and ∂L/∂(each member of its final state), as they lie.
        runs: each recurrence by the name that a tap has for it; `tap` has the norms of the full backward pass.
    """

    call: LayerCall
    cotangents: tuple[Tensor, ...]
    runs: dict[str, RecordedRun]

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """Valid steps of each row."""
        sequence = next(iter(self.runs.values())).sequence
        full = torch.full((self.call.layout.rows,), self.call.layout.steps, device=sequence.x.device)
        return full if sequence.lengths is None else sequence.lengths

    def entering(self) -> Bool[Tensor, "time batch"]:
        """Where L_t, the part of the loss that enters the layer at step t of its input, has a gradient."""
        layout, (d_outputs, *d_finals) = self.call.layout, self.cotangents
        entering = layout.by_step(d_outputs).ne(0).any(-1) & valid_steps(layout.steps, self.lengths)
        has_final = torch.stack([layout.by_row(member).ne(0).any(-1) for member in d_finals]).any(0)
        rows = torch.arange(layout.rows, device=entering.device)
        for ends, there in zip(self._ends(), has_final, strict=True):
            entering[ends, rows] |= there & (self.lengths > 0)
        return entering

    def norms(self, kept: Bool[Tensor, "time batch"]) -> dict[str, Float[Tensor, "time batch"]]:
        """By name the norms of ∂/∂s_t of the sum of those L_t alone that are `kept`, over all members of the state.

        t in `kept` counts the steps of the input, in the norms those of the recurrence. Cost: one backward pass.
        """
        layout, (d_outputs, *d_finals) = self.call.layout, self.cotangents
        rows = torch.arange(layout.rows, device=kept.device)
        kept_finals = layout.for_finals(torch.stack([kept[ends, rows] for ends in self._ends()]))
        masked = [torch.where(kept_finals, member, 0) for member in d_finals]  # where, for 0 · NaN is no 0
        runs = self.call.runs((torch.where(layout.for_outputs(kept), d_outputs, 0), *masked))
        return {name: joint_norms(run) for name, run in runs.items()}

    def _ends(self) -> list[Int[Tensor, " batch"]]:
        """For each recurrence the step of the input at which its final state left it; 0 for a row without steps."""
        last = (self.lengths - 1).clamp(min=0)
        return [torch.zeros_like(last) if is_reverse(name) else last for name in self.runs]


@dataclass(frozen=True)
class Capture:
    """A model's pass: the loss, and the layers in the order of the computation."""

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

    Raises:
        ArgumentError: where the model has no recurrent layer, runs none, or one twice or without a graph, where there
            are no steps or rows, where one of torch.nn's recurrent layers stands beside ours, or where the loss is no
            scalar.
    """
    layers = {name: layer for name, layer in recurrent_layers(model).items() if isinstance(layer, RecurrentLayer)}
    _check_all_ours(model)
    calls: dict[str, LayerCall] = {}
    with unchanged(model), torch.enable_grad():
        with _watched(layers, model, calls):
            value = scalar_loss(model, loss, x, y)
        if not calls:
            raise ArgumentError(f"model never called its recurrent layers: {', '.join(map(quoted, layers))}")
        cotangents = _cotangents(value, list(calls.values()))
        captured = [
            CapturedLayer(call, given, call.runs(given)) for call, given in zip(calls.values(), cotangents, strict=True)
        ]
    return Capture(value.item(), captured)


def _check_all_ours(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.RNNBase | nn.RNNCellBase):
            kind = type(module).__name__
            way = "use throughtime's own" if kind.endswith("Cell") else f"convert it with throughtime.{kind}.from_torch"
            raise ArgumentError(
                f"layer {quoted(name)} is torch.nn's {kind}, which cannot be looked into, so the diagnosis would leave "
                f"it out; {way}"
            )


@contextmanager
def _watched(layers: dict[str, RecurrentLayer], model: nn.Module, calls: dict[str, LayerCall]) -> Iterator[None]:
    """Note in `calls` how each layer is called, and with what result; every recurrence runs with `Recording`."""
    recording = Recording()
    with tap(model) as record, differentiated_by(layers.values(), recording), ExitStack() as hooks:
        for name, layer in layers.items():
            watch = _Watch(name, recording, record, calls)
            hooks.callback(layer.register_forward_pre_hook(watch.before, with_kwargs=True).remove)
            hooks.callback(layer.register_forward_hook(watch.after).remove)
        yield


@dataclass
class _Watch:
    """The hooks of one layer."""

    name: str
    recording: Recording
    record: Tap
    calls: dict[str, LayerCall]
    sources: list[Tensor] = field(default_factory=list)
    taps_before: int = 0

    def before(self, layer: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Let the input require a gradient, so that the backward pass reaches every recurrence, frozen ones too."""
        if self.name in self.calls:
            raise ArgumentError(
                f"layer {quoted(self.name)} is called twice in one forward pass, so that a step of it has no one "
                "gradient; hand it the whole sequence at once, or use a layer of its own for each call"
            )
        given = dict(zip(("input",), args[:1], strict=False)) | options
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
            self.sources = [parameter for parameter in layer.parameters() if parameter.requires_grad]
        self.taps_before = len(self.record.layers)
        return (given.pop("input"), *args[1:]) if args else (), given

    def after(self, layer: nn.Module, args: tuple[Any, ...], result: tuple[Any, Any]) -> None:
        """Note what came out."""
        y, final = result
        layout = Layout.of(y, bool(layer.batch_first))
        if not layout.steps or not layout.rows:
            raise ArgumentError(
                f"layer {quoted(self.name)} was given {layout.steps} steps of {layout.rows} rows; a gradient through "
                "time needs at least one of each"
            )
        finals = final if isinstance(final, tuple) else (final,)
        taps = dict(list(self.record.layers.items())[self.taps_before :])
        outputs = y.data if isinstance(y, PackedSequence) else y
        if not outputs.requires_grad:
            raise ArgumentError(
                f"layer {quoted(self.name)} was run without a graph, so no gradient flows through it; leave no_grad() "
                "out of the model's forward pass, and where the layer reads whole numbers call requires_grad_() on it"
            )
        self.calls[self.name] = LayerCall(outputs, finals, layout, self.sources, taps, self.recording)


def _cotangents(value: Tensor, calls: list[LayerCall]) -> list[tuple[Tensor, ...]]:
    """For each layer ∂L/∂(its outputs) and ∂L/∂(each member of its final state)."""
    ends = [(call.outputs, *call.finals) for call in calls]
    flat = [tensor for some in ends for tensor in some]
    if not value.requires_grad:
        return [tuple(map(torch.zeros_like, some)) for some in ends]
    gradients = iter(torch.autograd.grad(value, flat, retain_graph=True, materialize_grads=True))
    return [tuple(next(gradients) for _ in some) for some in ends]


def clipped_steps(model: nn.Module, loss: Callable[[Tensor, Any], Tensor], x: Any, y: Any) -> dict[str, int]:
    """By name at how many steps, of all rows, the layers' own per-step clipping takes hold; {} where none clips.

    That needs a pass of its own, in which every layer has its own method: clipping changes what reaches earlier steps.
    """
    methods = {name: layer.gradient for name, layer in recurrent_layers(model).items()}
    if all(method.clip_step is None for method in methods.values()):
        return {}
    exact = [layer for layer in recurrent_layers(model).values() if not layer.gradient.taps]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with unchanged(model), torch.enable_grad(), tap(model) as record, differentiated_by(exact, Recording()):
        value = scalar_loss(model, loss, x, y)
        if parameters and value.requires_grad:
            torch.autograd.grad(value, parameters, allow_unused=True)
    taken = {name: one.clipped for name, one in record.layers.items() if one.clipped is not None}
    return {name: int(clipped.sum()) for name, clipped in taken.items()}


def joint_norms(run: RecordedRun) -> Float[Tensor, "time batch"]:
    """‖∂L/∂s_t‖ over all members of the state, from the run's tap."""
    assert run.tap is not None
    steps = torch.stack(list(run.tap.norms.values()), dim=-1)
    return row_norm((steps.flatten(0, 1),)).unflatten(0, steps.shape[:2])


def is_reverse(name: str) -> bool:
    """Whether the recurrence of that name runs from a row's last step to its first."""
    return name.endswith("_reverse")


def quoted(name: str) -> str:
    """The name of a layer in a sentence; the model itself has none."""
    return repr(name) if name else "model itself"
