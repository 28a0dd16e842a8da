"""Inputs and states of a model's recurrent layers during a step on a stream."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import one_hot

from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.layers.base import RecurrentLayer
from throughtime.models.recurrent_layers import recurrent_layers
from throughtime.types import State


@dataclass(frozen=True)
class Visit:
    """A call of a recurrent layer for a step.

    Attributes:
        x: the input of the layer, [B, I].
        entering, leaving: the states of the layer, each member [layers, B, size].
    """

    x: Tensor
    entering: State
    leaving: State


def check_vectors(layers: dict[str, RecurrentLayer], x: Tensor) -> None:
    """Refuse numbers without a feature dimension where a recurrent layer is the model itself."""
    layer = layers.get("")
    if layer is not None and x.is_floating_point() and x.dim() != 2:
        size = layer.cell_and_parameters(0)[0].input_size
        raise ArgumentError("x_t", f"is {tuple(x.shape)}", f"it must be [batch, {size}], the layer's input_size")


def streaming_layers(model: nn.Module) -> dict[str, RecurrentLayer]:
    """Find the recurrent layers of a model for online learning, by name.

    Raises:
        ArgumentError: where the model has none.
        UnsupportedError: for a layer with an option that a stream cannot serve.
    """
    layers = recurrent_layers(model)
    for name, layer in layers.items():
        place = f"model's layer {name!r}" if name else "model"
        for wrong, what, way_out in (
            (
                layer.bidirectional,
                "bidirectional=True",
                "its second direction would begin at the end of the stream; build it without",
            ),
            (layer.batch_first, "batch_first=True", "steps come as [time, batch, …]; build it without"),
            (layer.learn_initial_state, "learn_initial_state=True", "a stream has one start; build it without"),
        ):
            if wrong:
                raise UnsupportedError(f"{place} has {what}, which an OnlineLearner cannot serve: {way_out}")
    return layers


@contextmanager
def watched(layers: dict[str, RecurrentLayer]) -> Iterator[dict[str, Visit]]:
    """Record the call of each layer inside the block.

    A second call of a layer raises `UnsupportedError`.
    """
    visits: dict[str, Visit] = {}
    with ExitStack() as hooks:
        for name, layer in layers.items():
            handle = layer.register_forward_hook(_recorder(name, visits), with_kwargs=True)
            hooks.callback(handle.remove)
        yield visits


def _recorder(name: str, visits: dict[str, Visit]) -> Any:
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
