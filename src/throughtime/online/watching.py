"""What goes into and comes out of a model's recurrent layers while it takes a step."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import one_hot

from throughtime.cells.recurrence import Recurrence
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.evaluated import recurrent_layers
from throughtime.layers.base import RecurrentLayer
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Trace
from throughtime.types import Gradients, Parameters, State


@dataclass(frozen=True)
class Visit:
    """One call of a recurrent layer for one step.

    Attributes:
        x: what it read, [B, I].
        entering, leaving: its states, each member [layers, B, size].
    """

    x: Tensor
    entering: State
    leaving: State


def check_vectors(layers: dict[str, RecurrentLayer], x: Tensor) -> None:
    """Refuse numbers without a feature dimension where a recurrent layer is the model itself."""
    layer = layers.get("")
    if layer is not None and x.is_floating_point() and x.dim() != 2:
        size = layer.cell_and_parameters(0)[0].input_size
        raise ArgumentError(f"x_t is {tuple(x.shape)}; it must be [batch, {size}], the layer's input_size")


def streaming_layers(model: nn.Module) -> dict[str, RecurrentLayer]:
    """The recurrent layers of a model that may learn online, by name.

    Raises:
        ArgumentError: there is none.
        UnsupportedError: one of them needs what a stream cannot give.
    """
    layers = {name: layer for name, layer in recurrent_layers(model).items() if isinstance(layer, RecurrentLayer)}
    for name, layer in layers.items():
        place = f"model's layer {name!r}" if name else "model"
        for wrong, what, way_out in (
            (layer.bidirectional, "bidirectional=True", "its second direction begins at the end of the stream"),
            (layer.batch_first, "batch_first=True", "steps come as [time, batch, …]; build it without"),
            (layer.learn_initial_state, "learn_initial_state=True", "a stream has one start; build it without"),
        ):
            if wrong:
                raise UnsupportedError(f"{place} has {what}, which an OnlineLearner cannot serve: {way_out}")
    return layers


@dataclass(frozen=True)
class Observed(BPTT):
    """BPTT of one step that leaves behind what arrived at it.

    Attributes:
        direct: where a layer's parameters lie in memory → ∂L_t/∂s_t, each member [B, size].
    """

    direct: dict[tuple[int, ...], State] = field(default_factory=dict, compare=False, repr=False)

    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        h, *others = cotangents.final
        self.direct[place_of(recurrence.parameters)] = (cotangents.outputs[0] + h, *others)
        return super().backward(recurrence, trace, cotangents, norms)


def place_of(parameters: Parameters) -> tuple[int, ...]:
    """By what `Observed` knows a layer."""
    return tuple(value.data_ptr() for value in parameters.values())


@contextmanager
def watched(layers: dict[str, RecurrentLayer]) -> Iterator[dict[str, Visit]]:
    """Record each layer's one call inside the block."""
    visits: dict[str, Visit] = {}
    with ExitStack() as hooks:
        for name, layer in layers.items():
            handle = layer.register_forward_hook(_recording(name, visits), with_kwargs=True)
            hooks.callback(handle.remove)
        yield visits


def _recording(name: str, visits: dict[str, Visit]) -> Any:
    def record(layer: RecurrentLayer, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        x, hx = (*args, None, None)[:2]
        x, hx = kwargs.get("input", x), kwargs.get("hx", hx)
        if name in visits or not isinstance(x, Tensor) or hx is None:
            raise UnsupportedError(
                f"model calls its layer {name!r} more than once a step, or without the state that it was given; a "
                "forward method needs one call, with the state: model(x, state) must pass it on"
            )
        step = x[0] if x.is_floating_point() else one_hot(x[0].long(), layer.cell_and_parameters(0)[0].input_size)
        visits[name] = Visit(step.to(_members(hx)[0].dtype), _members(hx), _members(result[1]))

    return record


def _members(state: Tensor | State) -> State:
    return (state,) if isinstance(state, Tensor) else tuple(state)
