"""Base of all recurrent layers: torch.nn's interface, stacking, directions and states."""

from abc import ABC
from collections.abc import Sequence as Ordered
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from torch.nn.functional import dropout as zero_some
from torch.nn.utils.rnn import PackedSequence

from throughtime.cells.base import Cell
from throughtime.cells.recurrence import Recurrence, kernel_of, runner_for
from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod, check_method, run
from throughtime.gradients.bptt import BPTT
from throughtime.kernels.addresses import check_tensor
from throughtime.layers.inputs import Batch, read_batch
from throughtime.layers.stack import Direction, StackPlace, check_stack, checked_dropout
from throughtime.sequences.autocast import autocasts
from throughtime.sequences.memory import converted
from throughtime.sequences.sequence import Sequence
from throughtime.sequences.tap import Tap
from throughtime.types import Parameters, State


class RecurrentLayer(nn.Module, ABC):
    """Stack of recurrent layers that run over time in one direction or both.

    Subclasses choose the cells.

    Args:
        cells: the cell of each layer. Both directions of a layer use the same cell, each with separate parameters.
        batch_first: whether inputs and outputs are [batch, time, …] instead of [time, batch, …]; states never are.
        dropout: share of each layer's outputs that is set to zero in training; the last layer's outputs stay.
        bidirectional: whether every layer runs in both directions, with the outputs side by side.
        learn_initial_state: whether a trainable initial state (parameters `h_0`, `c_0`, [layers · directions, size],
            zero at first) takes the place of zero where no state is passed in, and where resets return to.
        gradient: the gradient method; None for BPTT().
        device, dtype: of the parameters.

    Raises:
        ArgumentError: an argument is out of range, or the cells do not fit on one another.
        UnsupportedError: the gradient method cannot serve a cell.
    """

    tapped: tuple[Tap, str] | None = None
    """The open tap, and the prefix of the names of the layer's records; written by `layers/tap.py`."""

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
        check_method("gradient", self.gradient, "BPTT()")
        self.num_layers = len(cells)
        self.batch_first, self.bidirectional = bool(batch_first), bool(bidirectional)
        self.dropout = checked_dropout(dropout, self.num_layers)
        self.learn_initial_state = bool(learn_initial_state)
        check_stack(cells, 1 + self.bidirectional)
        # The same directions twice: all in the order of their states, and by layer, from the input up.
        self._directions: list[Direction] = []
        self._stack: list[list[Direction]] = []
        for layer, cell in enumerate(cells):
            self.gradient.check(cell)
            directions = (False, True) if self.bidirectional else (False,)
            places = [StackPlace(layer, reverse) for reverse in directions]
            self._stack.append([self._add_direction(cell, place, device, dtype) for place in places])
        self._state_sizes = dict(cells[0].state_sizes)
        if self.learn_initial_state:
            like = next(self.parameters(), torch.empty(0, device=device, dtype=dtype))
            for name, size in self._state_sizes.items():
                self.register_parameter(f"{name}_0", nn.Parameter(like.new_zeros(len(self._directions), size)))

    def _add_direction(
        self, cell: Cell, place: StackPlace, device: torch.device | str | None, dtype: torch.dtype | None
    ) -> Direction:
        suffix = f"l{place.depth}_reverse" if place.reverse else f"l{place.depth}"
        values = cell.initial_parameters(device, dtype)
        for name, value in values.items():
            self.register_parameter(f"{name}_{suffix}", nn.Parameter(value))
        names = tuple((name, f"{name}_{suffix}") for name in values)
        direction = Direction(len(self._directions), cell, kernel_of(cell), place, suffix, names)
        self._directions.append(direction)
        return direction

    @property
    def tap(self) -> Tap | None:
        """Tap that is open, or None."""
        return self.tapped and self.tapped[0]

    @property
    def places(self) -> list[StackPlace]:
        """Places of the recurrences, in the order in which they run.

        A tap records them in the same order.
        """
        return [direction.place for direction in self._directions]

    def cell_and_parameters(self, depth: int, reverse: bool = False) -> tuple[Cell, Parameters]:
        """Return the cell of a layer and its parameters by the cell's names.

        Args:
            depth: the layer, counted from 0 at the input.
            reverse: whether to return those of the second direction.
        """
        direction = self._stack[depth][reverse]
        return direction.cell, direction.parameters(self)

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
            input: [T, B, I], [B, T, I] with `batch_first`, [T, I] for a single sequence, or a PackedSequence. Whole
                numbers 0 … I - 1 without the last dimension stand for one-hot vectors: at each step the input of that
                index is 1, all others are 0. Indices cost less than the vectors, because no product is formed.
            hx: the state before the first step, [layers · directions, B, size] (without B for a single sequence), a
                tuple (h, c) for an LSTM; None for the learned initial state, or zero.
            lengths: valid steps of each row [B], in any order, 0 allowed. Outputs after a row's end are zero, the row's
                final state is the state after its last valid step, and values in the padding have no effect at all.
            resets: bool [T, B] ([B, T] with `batch_first`, [T] for a single sequence). Before a step where `resets` is
                True the row's state returns to the learned initial state, or zero, never to `hx`; no gradient passes.
                The second direction of a bidirectional layer has the same boundaries, met from the other side.

        Returns:
            The outputs [T, B, directions · H] in the form of the input, and the final state in the form of `hx`. The
            final state of the second direction is its state at the first step.

        Raises:
            ArgumentError: a shape, dtype or device does not fit.
        """
        if isinstance(input, Proxy):  # torch.fx keeps a layer as one call, as it keeps torch.nn's
            tracer = input.tracer
            given = {"lengths": lengths, "resets": resets}
            return tracer.create_proxy("call_module", tracer.path_of_module(self), (input, hx), given)  # type: ignore[attr-defined, return-value]
        batch, weights, initial, at_rest = self._read(input, hx, lengths, resets)
        y, finals = self._run(batch, weights, initial, at_rest, self.num_layers)
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
        """Return the sequence that a layer's forward direction runs over, in plain form.

        The layers below run as in `forward`: dropout acts in training mode.

        Args:
            depth: the layer, counted from 0 at the input.
            input, hx, lengths, resets: see `forward`.
        """
        batch, weights, initial, at_rest = self._read(input, hx, lengths, resets)
        y = self._between(depth, self._run(batch, weights, initial, at_rest, depth)[0])
        first = self._stack[depth][0]
        return _sequence(first, y, batch, initial[first.index], at_rest[first.index]).plain()

    def _read(
        self, input: Any, hx: Any, lengths: Any, resets: Any
    ) -> tuple[Batch, list[dict[str, Tensor]], list[State], list[State]]:
        """Check and convert the arguments of `forward`.

        Returns:
            The batch; and by direction the weights, the initial state, and the state that resets return to.
        """
        weights = [direction.parameters(self) for direction in self._directions]
        like = next(iter(weights[0].values()), None)
        batch = read_batch(input, lengths, resets, self.batch_first, self._directions[0].cell.input_size, like)
        at_rest = self._states_at_rest(batch)
        return batch, weights, at_rest if hx is None else self._read_states(batch, hx), at_rest

    def _run(
        self, batch: Batch, weights: list[dict[str, Tensor]], initial: list[State], at_rest: list[State], layers: int
    ) -> tuple[Tensor, list[State]]:
        """Run the first `layers` layers; return the output and all final states."""
        y, finals = batch.x, []
        for depth, directions in enumerate(self._stack[:layers]):
            y, outputs = self._between(depth, y), []
            for direction in directions:
                i = direction.index
                sequence = _sequence(direction, y, batch, initial[i], at_rest[i])
                output, final = self._run_direction(direction, weights[i], sequence)
                outputs.append(output)
                finals.append(final)
            y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        return y, finals

    def _between(self, depth: int, y: Tensor) -> Tensor:
        """Apply dropout to the input of any layer but the first."""
        return zero_some(y, self.dropout, self.training) if depth and self.dropout else y

    def _run_direction(self, direction: Direction, weights: Parameters, sequence: Sequence) -> tuple[Tensor, State]:
        record = self.tapped and self.tapped[0].layer(self.tapped[1] + direction.suffix, tuple(self._state_sizes))
        runner = runner_for(direction.cell, direction.kernel, weights, sequence)
        try:
            return run(self.gradient, Recurrence(direction.cell, weights, sequence, runner), record)
        except ArgumentError as error:
            name = dict(direction.names).get(error.argument)  # a cell's weight_hh is, say, the layer's weight_hh_l0
            if name is None:
                raise
            raise ArgumentError(name, error.came, error.allowed, error.cure) from None

    def _states_at_rest(self, batch: Batch) -> list[State]:
        """Return each direction's default initial state, each member [B, size]."""
        if self.learn_initial_state:
            learned = [getattr(self, f"{name}_0") for name in self._state_sizes]
            for (name, size), rows in zip(self._state_sizes.items(), learned, strict=True):
                check_tensor(f"{name}_0", rows, (len(self._directions), size), batch.dtype, batch.x.device)
            return [tuple(row.expand(batch.rows, -1) for row in rows) for rows in zip(*learned, strict=True)]
        # All directions share the same zeros, which are never written to.
        zeros = tuple(batch.x.new_zeros(batch.rows, size, dtype=batch.dtype) for size in self._state_sizes.values())
        return [zeros] * len(self._directions)

    def _read_states(self, batch: Batch, hx: Any) -> list[State]:
        """Check `hx` and split it by direction, each member [B, size]."""
        names = list(self._state_sizes)
        members = (hx,) if len(names) == 1 else hx
        if not isinstance(members, tuple | list) or len(members) != len(names):
            allowed = f"it must be a tuple of tensors ({', '.join(names)})"
            raise ArgumentError("hx", f"is a {type(hx).__name__}", allowed)
        count, rows = len(self._directions), batch.rows
        for (name, size), member in zip(self._state_sizes.items(), members, strict=True):
            allowed = (count, size) if batch.unbatched else (count, rows, size)
            came = tuple(member.shape) if isinstance(member, Tensor) else type(member).__name__
            if came != allowed:
                layout = f"[layers · directions, {'' if batch.unbatched else 'batch, '}size]"
                raise ArgumentError("hx", f"has {came} for {name}", f"it must be a tensor {allowed}, {layout}")
            wrong_dtype = member.dtype != batch.dtype and not autocasts(batch.x.device)
            if wrong_dtype or member.device != batch.x.device:
                raise ArgumentError(
                    "hx",
                    f"has {name} in {member.dtype} on {member.device}",
                    f"the layer computes in {batch.dtype} on {batch.x.device}",
                    f"convert {name} with .to(…)",
                )
        rows_of = (batch.state_in(converted("hx", member, batch.dtype)).unbind(0) for member in members)
        return list(zip(*rows_of, strict=True))

    def extra_repr(self) -> str:
        options = {
            "batch_first": self.batch_first,
            "dropout": self.dropout,
            "bidirectional": self.bidirectional,
            "learn_initial_state": self.learn_initial_state,
        }
        cells = [repr(direction.cell) for direction in self._directions if not direction.place.reverse]
        return ", ".join([*cells, *(f"{name}={value}" for name, value in options.items() if value), f"{self.gradient}"])


def _sequence(direction: Direction, x: Tensor, batch: Batch, initial: State, at_rest: State) -> Sequence:
    masks = (batch.lengths, batch.resets, batch.batch_sizes)
    one_hot = direction.cell.input_size if x.dtype is torch.int64 else 0  # 0: x are vectors, no indices
    return Sequence(x, initial, at_rest, *masks, direction.place.reverse, one_hot)


def _stacked(members: tuple[Tensor, ...]) -> Tensor:
    return members[0].unsqueeze(0) if len(members) == 1 else torch.stack(members)
