"""torch.nn's interface over a cell and a gradient method: stacking, directions and states, written once."""

import inspect
import warnings
from abc import ABC
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as zero_some
from torch.nn.utils.rnn import PackedSequence

from throughtime.cells.base import Cell
from throughtime.errors import ArgumentError
from throughtime.gradients.autocast import autocasts
from throughtime.gradients.base import GradientMethod, run
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.sequence import Sequence
from throughtime.gradients.tap import Tappable
from throughtime.layers.inputs import Batch, read_batch
from throughtime.types import Parameters, State


class Place(NamedTuple):
    """Where a recurrence stands in a stack: its layer, counted from 0 at the input, and its direction."""

    depth: int
    reverse: bool


@dataclass(frozen=True)
class _Pass:
    """One direction of one layer: its cell, its place, and the suffix of its parameters' names ("l0", "l0_reverse")."""

    cell: Cell
    place: Place
    suffix: str
    names: tuple[str, ...]

    def parameters(self, owner: nn.Module) -> Parameters:
        return {name: getattr(owner, f"{name}_{self.suffix}") for name in self.names}


class RecurrentLayer(Tappable, ABC):
    """Layers of cells, run over time in one or two directions. Subclasses say which cells.

    Args:
        cells: the cell of each layer; both directions of a layer use it, with parameters of their own.
        batch_first: inputs and outputs are [batch, time, …] instead of [time, batch, …]; states never are.
        dropout: the share of each layer's outputs that is zeroed, but for the last, in training.
        bidirectional: run every layer in both directions and lay their outputs side by side.
        learn_initial_state: keep a trainable initial state (parameters `h_0`, `c_0`, [layers · directions, size],
            zero at first) that is used where no state is passed in and that resets return to. Otherwise that is zero.
        gradient: how the gradient is obtained; BPTT() if None.
    """

    def __init__(
        self,
        cells: Ordered[Cell],
        *,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        learn_initial_state: bool,
        gradient: GradientMethod | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.gradient = BPTT() if gradient is None else gradient
        if not isinstance(self.gradient, GradientMethod):
            raise ArgumentError(f"gradient is {gradient!r}; it must be a gradient method such as throughtime.BPTT()")
        self.num_layers = len(cells)
        self.batch_first, self.bidirectional = bool(batch_first), bool(bidirectional)
        self.dropout = _checked_dropout(dropout, self.num_layers)
        self.learn_initial_state = bool(learn_initial_state)
        _check_stack(cells, 1 + self.bidirectional)
        self._layers: list[list[_Pass]] = []
        for layer, cell in enumerate(cells):
            self.gradient.check(cell)
            directions = (False, True) if self.bidirectional else (False,)
            self._layers.append([self._add(cell, Place(layer, reverse), device, dtype) for reverse in directions])
        self._passes = [one for layer in self._layers for one in layer]
        self._state_sizes = dict(cells[0].state_sizes)
        for name, size in self._state_sizes.items() if self.learn_initial_state else ():
            like = next(self.parameters(), torch.empty(0, device=device, dtype=dtype))
            zeros = like.new_zeros(self.num_layers * (1 + self.bidirectional), size)
            self.register_parameter(f"{name}_0", nn.Parameter(zeros))

    def _add(self, cell: Cell, place: Place, device: torch.device | str | None, dtype: torch.dtype | None) -> _Pass:
        values = cell.initial_parameters(device, dtype)
        suffix = f"l{place.depth}_reverse" if place.reverse else f"l{place.depth}"
        for name, value in values.items():
            self.register_parameter(f"{name}_{suffix}", nn.Parameter(value))
        return _Pass(cell, place, suffix, tuple(values))

    def reset_parameters(self) -> None:
        """Draw all parameters anew from torch's generator, as torch.nn does; a learned initial state returns to 0."""
        with torch.no_grad():
            for one in self._passes:
                parameters = one.parameters(self)
                like = next(iter(parameters.values()), None)
                if like is not None:  # drawn where and as they will be used, as torch.nn does
                    for name, value in one.cell.initial_parameters(like.device, like.dtype).items():
                        parameters[name].copy_(value)
            for name in self._state_sizes if self.learn_initial_state else ():
                getattr(self, f"{name}_0").zero_()

    def flatten_parameters(self) -> None:
        """Nothing to do; here because code written for torch.nn calls it."""

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, as torch.nn has them."""
        return [list(one.parameters(self).values()) for one in self._passes]

    @property
    def places(self) -> list[Place]:
        """The places of the recurrences, in the order in which they run and a tap records them."""
        return [one.place for one in self._passes]

    def cell_and_parameters(self, depth: int) -> tuple[Cell, Parameters]:
        """The cell of a layer, counted from 0 at the input, and its parameters by the cell's names for them."""
        one = self._layers[depth][0]
        return one.cell, one.parameters(self)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | State | None = None,
        *,
        lengths: Tensor | Ordered[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Any, Any]:
        """Run over time.

        Args:
            input: [T, B, I], [B, T, I] with `batch_first`, [T, I] for one sequence, or a PackedSequence. Or the same
                without the last dimension and of whole numbers 0 … I - 1: at each step that input is 1, all others are
                0. It costs less than the one-hot vectors, of which no product is formed.
            hx: the state before the first step, [layers · directions, B, size] (without B for one sequence), a tuple
                (h, c) for an LSTM; None for the learned initial state, or zero.
            lengths: valid steps of each row [B], in any order, 0 allowed. Outputs after a row's end are zero, its
                final state is that of its last valid step, and what stands in the padding has no effect at all.
            resets: bool [T, B] ([B, T] with `batch_first`, [T] for one sequence). Before a step where it is True the
                row's state returns to the learned initial state, or zero, never to `hx`; no gradient passes.
                In the second direction of a bidirectional layer the same boundaries hold, met from the other side.

        Returns:
            The outputs [T, B, directions · H] in the form of the input, and the final state in the form of `hx`. The
            final state of the second direction is the one at the first step.

        Raises:
            ArgumentError: where a shape, dtype or device does not fit.
        """
        batch, initial, at_rest = self._read(input, hx, lengths, resets)
        y, finals = self._run(batch, initial, at_rest, self.num_layers)
        final = tuple(batch.state_out(_stacked(members)) for members in zip(*finals, strict=True))
        return batch.output(y), final[0] if len(final) == 1 else final

    def sequence_at(
        self,
        depth: int,
        input: Tensor | PackedSequence,
        hx: Tensor | State | None = None,
        *,
        lengths: Tensor | Ordered[int] | None = None,
        resets: Tensor | None = None,
    ) -> Sequence:
        """What the cell of a layer, counted from 0 at the input, runs over in its forward direction, in plain form.

        The arguments are those of `forward`. The layers below are run as they are: dropout acts in training mode.
        """
        batch, initial, at_rest = self._read(input, hx, lengths, resets)
        y = self._between(depth, self._run(batch, initial, at_rest, depth)[0])
        first = self._layers[depth][0]
        index = self._passes.index(first)
        start, rest = (tuple(member[index] for member in states) for states in (initial, at_rest))
        return self._sequence(first, y, batch, start, rest).plain()

    def _read(self, input: Any, hx: Any, lengths: Any, resets: Any) -> tuple[Batch, State, State]:
        """The input, the initial state, and the state that resets return to."""
        like = next(self.parameters(), None)
        batch = read_batch(input, lengths, resets, self.batch_first, self._passes[0].cell.input_size, like)
        at_rest = self._states_at_rest(batch)
        return batch, at_rest if hx is None else self._read_states(batch, hx), at_rest

    def _run(self, batch: Batch, initial: State, at_rest: State, layers: int) -> tuple[Tensor, list[State]]:
        """The output of so many layers, from the first on, and their final states."""
        y, finals = batch.x, []
        for depth, layer in enumerate(self._layers[:layers]):
            y = self._between(depth, y)
            outputs = []
            for one in layer:
                index = len(finals)
                start, rest = (tuple(member[index] for member in states) for states in (initial, at_rest))
                h, final = self._run_one(one, y, batch, start, rest)
                outputs.append(h)
                finals.append(final)
            y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        return y, finals

    def _between(self, depth: int, y: Tensor) -> Tensor:
        """What enters a layer, from what left the one below."""
        return zero_some(y, self.dropout, self.training) if depth and self.dropout else y

    def _run_one(self, one: _Pass, x: Tensor, batch: Batch, start: State, rest: State) -> tuple[Tensor, State]:
        sequence = self._sequence(one, x, batch, start, rest)
        record = self.tapped and self.tapped[0].layer(self.tapped[1] + one.suffix, tuple(self._state_sizes))
        return run(self.gradient, one.cell, one.parameters(self), sequence, record)

    def _sequence(self, one: _Pass, x: Tensor, batch: Batch, start: State, rest: State) -> Sequence:
        masks = (batch.lengths, batch.resets, batch.batch_sizes)
        one_hot = 0 if x.is_floating_point() else one.cell.input_size
        return Sequence(x, start, rest, *masks, one.place.reverse, one_hot)

    def _states_at_rest(self, batch: Batch) -> State:
        """The initial state where none is passed in, each member [layers · directions, B, size]."""
        count, rows = len(self._passes), batch.rows
        if self.learn_initial_state:
            return tuple(getattr(self, f"{name}_0")[:, None].expand(-1, rows, -1) for name in self._state_sizes)
        return tuple(batch.x.new_zeros(count, rows, size, dtype=batch.dtype) for size in self._state_sizes.values())

    def _read_states(self, batch: Batch, hx: Any) -> State:
        """The state passed in, checked and with a row for each row of the batch."""
        names = list(self._state_sizes)
        members = (hx,) if len(names) == 1 else hx
        if not isinstance(members, tuple | list) or len(members) != len(names):
            raise ArgumentError(f"hx is a {type(hx).__name__}; it must be a tuple of tensors ({', '.join(names)})")
        count, rows = len(self._passes), batch.rows
        for (name, size), member in zip(self._state_sizes.items(), members, strict=True):
            allowed = (count, size) if batch.unbatched else (count, rows, size)
            came = tuple(member.shape) if isinstance(member, Tensor) else type(member).__name__
            if came != allowed:
                raise ArgumentError(
                    f"hx: {name} is {came}; it must be a tensor {allowed}, "
                    f"[layers · directions, {'' if batch.unbatched else 'batch, '}size]"
                )
            wrong_dtype = member.dtype != batch.dtype and not autocasts(batch.x.device)
            if wrong_dtype or member.device != batch.x.device:
                raise ArgumentError(
                    f"hx: {name} is {member.dtype} on {member.device}; the layer computes in {batch.dtype} on "
                    f"{batch.x.device}: convert it with .to(…)"
                )
        return tuple(batch.state_in(member.to(batch.dtype)) for member in members)

    def extra_repr(self) -> str:
        options = {
            "batch_first": self.batch_first,
            "dropout": self.dropout,
            "bidirectional": self.bidirectional,
            "learn_initial_state": self.learn_initial_state,
        }
        cells = [repr(layer[0].cell) for layer in self._layers]
        return ", ".join([*cells, *(f"{name}={value}" for name, value in options.items() if value), f"{self.gradient}"])


def _stacked(members: tuple[Tensor, ...]) -> Tensor:
    return members[0][None] if len(members) == 1 else torch.stack(members)


def _check_stack(cells: Ordered[Cell], directions: int) -> None:
    if not cells:
        raise ArgumentError("cells is empty; at least one is needed")
    sizes = dict(cells[0].state_sizes)
    below = next(iter(sizes.values())) * directions
    for layer, cell in enumerate(cells[1:], start=1):
        if dict(cell.state_sizes) != sizes:
            raise ArgumentError(
                f"cells[{layer}] has the state {dict(cell.state_sizes)}, cells[0] has {sizes}; the layers' final "
                "states are returned as one tensor, so they must be equal"
            )
        if cell.input_size != below:
            raise ArgumentError(
                f"cells[{layer}] has input_size {cell.input_size}; it must be the width of the layer below, {below}"
            )


def _checked_dropout(dropout: float, num_layers: int) -> float:
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        raise ArgumentError(f"dropout is {dropout!r}; it must be a share between 0 and 1")
    if dropout and num_layers == 1:
        warnings.warn(
            f"dropout={dropout} with one layer does nothing: it acts between layers. Use num_layers > 1, or a "
            "torch.nn.Dropout on the output",
            stacklevel=_frames_of_ours(),
        )
    return float(dropout)


def _frames_of_ours() -> int:
    """The `stacklevel` that makes a warning point at the first line outside this package."""
    package = str(Path(__file__).parent.parent)
    files = [frame.filename for frame in inspect.stack(context=0)]
    return next((level for level, file in enumerate(files) if level and not file.startswith(package)), 1)
