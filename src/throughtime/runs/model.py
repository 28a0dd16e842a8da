"""Model of a run: entry of the task, recurrent layers, dropout, readout of the task."""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from throughtime.errors import ArgumentError
from throughtime.gradients import GradientMethod
from throughtime.gradients.influence import memory_of
from throughtime.layers.affine import AffineLayer
from throughtime.layers.named import LAYERS
from throughtime.runs.settings import ModelSettings
from throughtime.runs.tasks.base import Task
from throughtime.types import State

CarriedState: TypeAlias = Tensor | State | None
"""State that recurrent layers return and take; None: zero."""


class SequenceModel(nn.Module):
    """Model of a run: outputs at every time step, from the inputs so far.

    Args:
        task: makes the module below the recurrent layers and the readout above them.
        settings: sizes and cell.
        recurrent: recurrent layers from the task's input size to the hidden size, with torch.nn's interface; None
            builds throughtime's.
        gradient: how these layers obtain their gradient; BPTT() if None.
    """

    def __init__(
        self,
        task: Task,
        settings: ModelSettings,
        recurrent: nn.Module | None = None,
        gradient: GradientMethod | None = None,
    ) -> None:
        super().__init__()
        # First, so that layers made by the caller draw the same random numbers as those made here.
        sizes = task.input_size(settings)
        if recurrent is None:
            _check_memory(sizes, settings)
        self.recurrent = build_recurrent(sizes, settings, gradient) if recurrent is None else recurrent
        self._entry_name, entry = task.entry(settings)
        self.add_module(self._entry_name, entry)
        self.dropout = nn.Dropout(settings.dropout)
        self.readout = task.readout(settings)

    def forward(
        self, inputs: Tensor, state: CarriedState = None, skip: int = 0, resets: Tensor | None = None
    ) -> tuple[Tensor, CarriedState]:
        """Compute the outputs of some time steps.

        Args:
            inputs: [time, batch, …], as the task has them.
            state: the state before the first of them, as the last call returned it; None: zero.
            skip: of so many steps at the beginning no outputs are wanted.
            resets: [time, batch], True where a series begins, so that the state starts anew; None: nowhere.

        Returns:
            What the task reads out of each step, [time - skip, batch, …], and the state after the last.
        """
        entered = self.entered(inputs)
        given = {} if resets is None else {"resets": resets}
        hidden, state = self.recurrent(entered, state, **given)
        told = (inputs[skip:],) if getattr(self.readout, "reads_inputs", False) else ()
        return self.readout(self.dropout(hidden[skip:]), *told), state

    def entered(self, inputs: Tensor) -> Tensor:
        """Return what enters the recurrent layers [time, batch, features] for inputs [time, batch, …]."""
        return self.get_submodule(self._entry_name)(inputs)


def _check_memory(input_size: int, settings: ModelSettings) -> None:
    """Refuse recurrent layers whose weights, gradients and running means are larger than the machine's memory."""
    hidden, layers = settings.hidden_size, settings.num_layers
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[settings.cell]
    needed = 4 * 4 * gates * hidden * (input_size + hidden * (2 * layers - 1))
    memory = memory_of(torch.device("cpu"))
    if needed > memory:
        raise ArgumentError(
            "hidden_size",
            f"is {hidden} with {layers} layers and {input_size} inputs",
            f"training takes {needed / 1e9:.1f} GB for weights alone, and the machine has {memory / 1e9:.1f} GB",
            "give a smaller model",
        )


def build_recurrent(
    input_size: int, settings: ModelSettings, gradient: GradientMethod | None = None
) -> AffineLayer[Any]:
    """Return throughtime's recurrent layers for these settings."""
    sizes = (input_size, settings.hidden_size, settings.num_layers)
    # Above the last layer the model drops by itself, as torch.nn's layers do not.
    dropout = settings.dropout if settings.num_layers > 1 else 0.0
    kind = LAYERS[settings.cell]
    make = cast(Callable[..., AffineLayer[Any]], kind)
    extra = {"nonlinearity": settings.nonlinearity} if "nonlinearity" in kind.extra_arguments else {}
    return make(*sizes, dropout=dropout, gradient=gradient, **extra)


def detached(state: CarriedState) -> CarriedState:
    """Detach a state from the graph, so that the gradient ends here."""
    if state is None:
        return None
    return state.detach() if isinstance(state, Tensor) else tuple(member.detach() for member in state)
