"""The gate: what is accepted comes back in the form in which it came, and what is refused is refused by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from layers.comparison import normal
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import throughtime as tt
from throughtime.errors import ArgumentError
from throughtime.layers.inputs import read_batch

T, B, INPUT = 7, 5, 3
LENGTHS = [3, 7, 1, 7, 5]


def x_of(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return normal(1, *(shape or (T, B, INPUT)), dtype=dtype)


def packed() -> PackedSequence:
    return pack_padded_sequence(x_of(), LENGTHS, enforce_sorted=False)


def gru(x: Any, **options: Any) -> Any:
    return tt.GRU(INPUT, 5)(x, **options)


def gru_batch_first(x: Any, **options: Any) -> Any:
    return tt.GRU(INPUT, 5, batch_first=True)(x, **options)


def packed_by(*sizes: int) -> PackedSequence:
    """The five rows of data, said to belong to steps of so many rows."""
    return PackedSequence(x_of(5, INPUT), torch.tensor(sizes))


def no_resets(*shape: int, dtype: torch.dtype = torch.bool) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


def cut_short(tensor: Tensor) -> Tensor:
    """The tensor with memory for its first bytes alone."""
    tensor.untyped_storage().resize_(4)
    return tensor


def packed_with(**members: Tensor) -> PackedSequence:
    return packed()._replace(**members)


REFUSED: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "rank 4": (lambda: gru(x_of(1, T, B, INPUT)), ("input", "(1, 7, 5, 3)", "[time, batch, input]", "batch_first")),
    "rank 1": (lambda: gru(x_of(INPUT)), ("input", "(3,)", "[time, input]")),
    "rank 0": (lambda: gru(torch.tensor(1.0)), ("input", "()", "[time, batch, input]")),
    "features": (lambda: gru(x_of(T, B, 4)), ("input", "(7, 5, 4)", "input_size", "3")),
    "features unbatched": (lambda: gru(x_of(T, 4)), ("input", "(7, 4)", "input_size", "3")),
    "features packed": (lambda: gru(pack_padded_sequence(x_of(T, B, 4), [7] * B)), ("input", "4", "input_size", "3")),
    "a list": (lambda: gru([[1.0]]), ("input", "list", "tensor or a PackedSequence")),
    "numpy": (lambda: gru(np.zeros((T, B, INPUT))), ("input", "ndarray", "tensor or a PackedSequence")),
    "none": (lambda: gru(None), ("input", "NoneType", "tensor or a PackedSequence")),
    "dtype": (lambda: gru(x_of(dtype=torch.float64)), ("input", "float64", "float32", "convert")),
    "whole numbers": (lambda: gru(x_of().long()), ("input", "int64", "float32", "convert")),
    "packed dtype": (lambda: gru(packed().double()), ("input", "float64", "float32", "convert")),
    "packed rising": (lambda: gru(packed_by(2, 1, 2)), ("input", "batch_sizes", "5 rows", "pack_padded_sequence")),
    "packed negative": (lambda: gru(packed_by(4, 2, -1)), ("input", "batch_sizes", "5 rows", "pack_padded_sequence")),
    "packed too few": (lambda: gru(packed_by(2, 2)), ("input", "batch_sizes", "5 rows", "pack_padded_sequence")),
    "device": (lambda: gru(x_of().to("meta")), ("input", "meta", "cpu", ".to(")),
    "length too large": (lambda: gru(x_of(), lengths=[7, 8, 1, 2, 3]), ("lengths[1]", "8", "0 … 7")),
    "length negative": (lambda: gru(x_of(), lengths=torch.tensor([7, 7, -1, 2, 3])), ("lengths[2]", "-1", "0 … 7")),
    "length of batch first": (lambda: gru_batch_first(x_of(B, T, INPUT), lengths=[8] * B), ("lengths[0]", "0 … 7")),
    "lengths float": (lambda: gru(x_of(), lengths=torch.ones(B)), ("lengths", "float32", "5 whole numbers")),
    "lengths bool": (lambda: gru(x_of(), lengths=[True] * B), ("lengths", "bool", "5 whole numbers")),
    "lengths complex": (lambda: gru(x_of(), lengths=[1j] * B), ("lengths", "complex64", "5 whole numbers")),
    "lengths complex double": (lambda: gru(x_of(), lengths=np.full(B, 1j)), ("lengths", "complex128", "whole numbers")),
    "lengths too few": (lambda: gru(x_of(), lengths=[7, 1]), ("lengths", "(2,)", "5 whole numbers")),
    "lengths in a column": (lambda: gru(x_of(), lengths=torch.ones(B, 1).long()), ("lengths", "(5, 1)", "5 whole")),
    "lengths one number": (lambda: gru(x_of(), lengths=7), ("lengths", "()", "5 whole numbers")),
    "lengths words": (lambda: gru(x_of(), lengths="seven"), ("lengths", "str", "5 whole numbers")),
    "lengths packed": (lambda: gru(packed(), lengths=LENGTHS), ("lengths", "PackedSequence", "leave lengths out")),
    "lengths unbatched": (lambda: gru(x_of(T, INPUT), lengths=[3]), ("lengths", "unbatched", "input[:length]")),
    "resets whole": (lambda: gru(x_of(), resets=no_resets(T, B, dtype=torch.int64)), ("resets", "int64", "bool")),
    "resets float": (lambda: gru(x_of(), resets=no_resets(T, B, dtype=torch.float32)), ("resets", "float32", "bool")),
    "resets turned": (lambda: gru(x_of(), resets=no_resets(B, T)), ("resets", "(5, 7)", "(7, 5)")),
    "resets flat": (lambda: gru(x_of(), resets=no_resets(T)), ("resets", "(7,)", "(7, 5)")),
    "resets deep": (lambda: gru(x_of(), resets=no_resets(T, B, 1)), ("resets", "(7, 5, 1)", "(7, 5)")),
    "resets list": (lambda: gru(x_of(), resets=[[False] * B] * T), ("resets", "list", "bool tensor", "(7, 5)")),
    "resets batch first": (
        lambda: gru_batch_first(x_of(B, T, INPUT), resets=no_resets(T, B)),
        ("resets", "(7, 5)", "(5, 7)"),
    ),
    "resets unbatched": (lambda: gru(x_of(T, INPUT), resets=no_resets(T, 1)), ("resets", "(7, 1)", "(7,)")),
    "uninitialised": (lambda: gru(nn.UninitializedParameter()), ("input", "uninitialised", "dense")),
    "packed uninitialised": (lambda: gru(packed_with(data=nn.UninitializedParameter())), ("input", "data", "dense")),
    "lengths cut short": (lambda: gru(x_of(), lengths=cut_short(torch.full((B,), T))), ("lengths", "4 bytes", "freed")),
    "narrow lengths cut short": (
        lambda: gru(x_of(), lengths=cut_short(torch.full((B,), T).int())),
        ("lengths", "freed"),
    ),
    "resets cut short": (
        lambda: gru(x_of(), lengths=LENGTHS, resets=cut_short(no_resets(T, B))),
        ("resets", "35 belong"),
    ),
    "indices cut short": (lambda: gru(cut_short(no_resets(T, B, dtype=torch.int64))), ("input", "280 belong", "freed")),
    "narrow indices cut short": (lambda: gru(cut_short(no_resets(T, B, dtype=torch.uint8))), ("input", "35 belong")),
    "batch_sizes cut short": (
        lambda: gru(packed_with(batch_sizes=cut_short(packed().batch_sizes))),
        ("input.batch_sizes", "56 belong", "freed"),
    ),
    "sorted_indices cut short": (
        lambda: gru(packed_with(sorted_indices=cut_short(torch.arange(B)))),
        ("input.sorted_indices", "40 belong", "freed"),
    ),
    "sorted_indices in a row": (
        lambda: gru(packed_with(sorted_indices=torch.arange(B)[None]), resets=no_resets(T, B)),
        ("input", "sorted_indices", "0 … 4", "once"),
    ),
    "state cut short": (lambda: gru(packed(), hx=cut_short(torch.zeros(1, B, 5))), ("hx", "100 belong", "freed")),
    "packed input cut short": (
        lambda: tt.GRU(INPUT, 5, gradient=tt.RTRL())(packed_with(data=cut_short(packed().data.clone()))),
        ("input", "4 bytes", "freed"),
    ),
    "resets packed": (lambda: gru(packed(), resets=no_resets(6, B)), ("resets", "(6, 5)", "(7, 5)")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_argument_what_came_and_what_is_allowed(case: str):
    attempt, parts = REFUSED[case]
    with pytest.raises(ArgumentError) as caught:
        attempt()
    message = str(caught.value)
    missing = [part for part in parts if part not in message]
    assert not missing, f"{missing} not in {message!r}"
    assert "\n" not in message and message[0].islower() and not message.endswith(".")


AS_IN_TORCH: dict[str, Callable[[type], Any]] = {
    "rank 4": lambda layer: layer(INPUT, 5)(x_of(1, T, B, INPUT)),
    "rank 1": lambda layer: layer(INPUT, 5)(x_of(INPUT)),
    "features": lambda layer: layer(INPUT, 5)(x_of(T, B, 4)),
    "dtype": lambda layer: layer(INPUT, 5)(x_of(dtype=torch.float64)),
    "device": lambda layer: layer(INPUT, 5)(x_of().to("meta")),
    "dropout": lambda layer: layer(INPUT, 5, 2, dropout=1.5),
    "dropout bool": lambda layer: layer(INPUT, 5, 2, dropout=True),
    "num_layers": lambda layer: layer(INPUT, 5, 0),
    "hidden_size": lambda layer: layer(INPUT, 0),
    "state": lambda layer: layer(INPUT, 5)(x_of(), state_for(layer, 2, B, 5)),
    "state rank": lambda layer: layer(INPUT, 5)(x_of(), state_for(layer, B, 5)),
    "state unbatched": lambda layer: layer(INPUT, 5)(x_of(T, INPUT), state_for(layer, 1, 1, 5)),
    "state dtype": lambda layer: layer(INPUT, 5)(x_of(), state_for(layer, 1, B, 5, dtype=torch.float64)),
}


def state_for(layer: type, *shape: int, dtype: torch.dtype = torch.float32) -> Any:
    state = torch.zeros(shape, dtype=dtype)
    return (state, state) if "LSTM" in layer.__name__ else state


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
@pytest.mark.parametrize("case", AS_IN_TORCH)
def test_code_that_catches_torchs_exceptions_catches_ours(case: str, layer):
    with pytest.raises((ValueError, RuntimeError)) as theirs:
        AS_IN_TORCH[case](layer.twin)
    with pytest.raises(ArgumentError) as ours:
        AS_IN_TORCH[case](layer)
    assert isinstance(ours.value, type(theirs.value))


def test_a_batch_undoes_what_reading_did():
    x, like = x_of(), torch.empty(0)
    for given, batch_first in ((x, False), (x.transpose(0, 1), True), (x[:, 0], False), (x[:, 0], True)):
        batch = read_batch(given, None, None, batch_first, INPUT, like)
        assert batch.x.shape == (T, B if given.dim() == 3 else 1, INPUT)
        assert batch.lengths is None
        assert torch.equal(batch.output(batch.x), given)
    sequence = packed()
    batch = read_batch(sequence, None, None, True, INPUT, like)
    assert batch.lengths is not None and batch.lengths.tolist() == sorted(LENGTHS, reverse=True)
    again = batch.output(batch.x)
    assert isinstance(again, PackedSequence) and torch.equal(again.data, sequence.data)
    state = normal(2, 4, B, 5)
    assert torch.equal(batch.state_out(batch.state_in(state)), state)
    assert torch.equal(batch.state_in(state)[:, 0], state[:, 1])  # the longest of the unsorted rows comes first


def test_resets_in_the_padding_are_blanked():
    resets = torch.ones(T, B, dtype=torch.bool)
    batch = read_batch(x_of(), LENGTHS, resets, False, INPUT, None)
    assert batch.resets is not None
    for row, length in enumerate(LENGTHS):
        assert batch.resets[:, row].tolist() == [True] * length + [False] * (T - length)
    assert resets.all()


def test_lengths_do_not_change_the_input_tensor():
    x = x_of()
    before = x.clone()
    gru(x, lengths=LENGTHS)
    assert torch.equal(x, before)
