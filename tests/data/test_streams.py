import numpy as np
import pytest
import torch

from throughtime.data.streams import (
    ChunkLoader,
    Streams,
    held_out_streams,
    training_streams,
    windows,
    workable_batch_size,
)
from throughtime.errors import ArgumentError, InputFileError


def _codes(length):
    return np.arange(length, dtype=np.int32)


def _flat(loader):
    """Every (input, target) pair that counts, chunk by chunk."""
    pairs = []
    for chunk in loader:
        counts = torch.ones_like(chunk.targets, dtype=torch.bool) if chunk.mask is None else chunk.mask
        pairs += zip(chunk.inputs[counts].tolist(), chunk.targets[counts].tolist(), strict=True)
    return pairs


def test_training_streams_are_contiguous_and_targets_are_one_ahead():
    streams = training_streams(_codes(24), 3)
    assert streams.inputs.t().tolist() == [list(range(0, 7)), list(range(7, 14)), list(range(14, 21))]
    assert streams.targets.t().tolist() == [list(range(1, 8)), list(range(8, 15)), list(range(15, 22))]


def test_chunks_follow_each_other_and_the_last_of_a_pass_is_shorter():
    loader = ChunkLoader(training_streams(_codes(24), 3), steps=3, passes=2)
    chunks = list(loader)
    assert [chunk.inputs.shape[0] for chunk in chunks] == [3, 3, 1, 3, 3, 1]
    assert [chunk.first for chunk in chunks] == [True, False, False, True, False, False]
    assert torch.cat([chunk.inputs for chunk in chunks[:3]]).t().tolist()[1] == list(range(7, 14))
    assert len(loader) == 6 and loader.chunks_per_pass == 3
    assert chunks[0].inputs.dtype == torch.int64


@pytest.mark.parametrize("length", [2, 3, 1999, 4001, 4002, 9003])
def test_every_held_out_symbol_but_the_first_is_a_target_exactly_once(length):
    pairs = _flat(ChunkLoader(held_out_streams(_codes(length), 4), steps=7))
    assert sorted(pairs) == [(code, code + 1) for code in range(length - 1)]


def test_held_out_text_is_read_in_parallel_only_where_each_stream_is_long():
    widths = {length: held_out_streams(_codes(length)).inputs.shape[1] for length in (1900, 4100, 7000, 90000)}
    assert widths == {1900: 1, 4100: 2, 7000: 3, 90000: 20}


def test_a_mask_is_given_only_where_there_is_padding():
    chunks = list(ChunkLoader(held_out_streams(_codes(4002)), steps=1000))
    assert [chunk.mask is None for chunk in chunks] == [True, True, False]
    assert chunks[2].mask.tolist() == [[True, False]]


def test_a_loader_goes_on_where_another_stopped():
    def fresh():
        return ChunkLoader(training_streams(_codes(40), 3), steps=5, passes=2)

    whole = [chunk.inputs.tolist() for chunk in fresh()]
    first = fresh()
    iterator = iter(first)
    seen = [next(iterator).inputs.tolist() for _ in range(4)]
    second = fresh()
    second.load_state_dict(first.state_dict())
    assert seen + [chunk.inputs.tolist() for chunk in second] == whole
    assert [chunk.inputs.tolist() for chunk in second] == whole, "the next pass starts at the beginning again"


def test_an_iteration_that_was_left_early_does_not_shorten_the_next():
    loader = ChunkLoader(training_streams(_codes(40), 3), steps=5)
    iterator = iter(loader)
    next(iterator)
    assert len(list(loader)) == len(loader) == 3


def test_the_batch_size_is_chosen_by_the_length_of_the_text():
    assert workable_batch_size(1_000_000, 50, 0) == 50
    assert workable_batch_size(100_001, 50, 0) == 20
    assert workable_batch_size(60, 50, 0) == 1
    assert workable_batch_size(100_001, 50, 33) == 33


def test_a_chunk_longer_than_the_text_is_refused():
    with pytest.raises(ArgumentError, match="update_every is 50; it is longer than .* 50 steps: give at most 49"):
        workable_batch_size(50, 50, 0)


def test_too_many_streams_are_refused_with_the_largest_number_that_works():
    with pytest.raises(ArgumentError, match="batch_size is 9; .* give at most 8"):
        workable_batch_size(81, 10, 9)
    assert workable_batch_size(81, 10, 8) == 8


def test_the_steps_of_the_burn_in_come_with_the_first_chunk_of_each_pass_and_are_in_none():
    streams = training_streams(_codes(40), 3)
    loader = ChunkLoader(streams, steps=5, passes=2, burn_in=4)
    chunks = list(loader)
    assert [len(chunk.inputs) for chunk in chunks] == [5, 4, 5, 4] and loader.chunks_per_pass == 2
    assert [chunk.first for chunk in chunks] == [True, False, True, False]
    assert [chunk.warm_up is None for chunk in chunks] == [False, True, False, True]
    assert torch.equal(torch.cat((chunks[0].warm_up, chunks[0].inputs, chunks[1].inputs)), streams.inputs.long())
    assert torch.equal(chunks[2].warm_up, chunks[0].warm_up) and chunks[0].warm_up.dtype == torch.int64


def test_random_lengths_cover_each_pass_once_in_as_many_chunks_of_other_lengths():
    streams = training_streams(_codes(3001), 1)
    loader = ChunkLoader(streams, steps=30, passes=3, burn_in=7, jitter=5)
    chunks = list(loader)
    assert len(chunks) == len(loader) == 3 * 100
    lengths = [[len(chunk.inputs) for chunk in chunks[start : start + 100]] for start in (0, 100, 200)]
    for number, found in enumerate(lengths):
        of_pass = chunks[100 * number : 100 * number + 100]
        assert torch.equal(torch.cat([chunk.inputs for chunk in of_pass]), streams.inputs[7:].long())
        assert [chunk.first for chunk in of_pass] == [True] + [False] * 99
        assert sum(found) == 2993 and 3 < np.std(found) < 9 and min(found) < 20
    assert lengths[0] != lengths[1] != lengths[2]
    again = [len(chunk.inputs) for chunk in ChunkLoader(streams, 30, 3, 7, jitter=5)]
    assert again == sum(lengths, [])
    assert [len(chunk.inputs) for chunk in ChunkLoader(streams, 30, 3, 7, jitter=6)] != again


@pytest.mark.parametrize(("length", "steps"), [(12, 11), (40, 1), (40, 2), (41, 7)])
def test_random_lengths_are_at_least_one_step(length, steps):
    chunks = list(ChunkLoader(training_streams(_codes(length), 1), steps=steps, passes=4, jitter=1))
    assert all(len(chunk.inputs) for chunk in chunks) and len(chunks) == 4 * -(-(length - 1) // steps)


def test_a_loader_with_random_lengths_goes_on_where_another_stopped():
    def fresh():
        return ChunkLoader(training_streams(_codes(400), 3), steps=9, passes=2, burn_in=3, jitter=8)

    whole = [chunk.inputs.tolist() for chunk in fresh()]
    for stop in (1, 14, 15, 16, 29):
        first, second = fresh(), fresh()
        iterator = iter(first)
        seen = [next(iterator).inputs.tolist() for _ in range(stop)]
        second.load_state_dict(first.state_dict())
        assert seen + [chunk.inputs.tolist() for chunk in second] == whole


def test_a_burn_in_longer_than_the_streams_is_refused():
    with pytest.raises(
        ArgumentError, match="burn_in is 45 and `update_every` 5; together they are longer than .* 50 steps"
    ):
        workable_batch_size(50, 5, 0, burn_in=45)
    with pytest.raises(ArgumentError, match="batch_size is 5; .* after `burn_in` 15: give at most 4"):
        workable_batch_size(82, 5, 5, burn_in=15)
    assert workable_batch_size(50, 5, 0, burn_in=44) == 1


def test_windows_are_spread_over_the_text_and_targets_follow_their_inputs():
    chunk = windows(np.arange(100, dtype=np.int32), steps=10, rows=4)
    assert chunk.inputs[0].tolist() == [0, 29, 59, 89] and chunk.targets[-1].tolist() == [10, 39, 69, 99]
    assert torch.equal(chunk.targets[:-1], chunk.inputs[1:]) and chunk.first


def test_a_short_text_has_fewer_steps():
    chunk = windows(np.arange(5, dtype=np.int32), steps=10, rows=3)
    assert chunk.inputs.shape == (4, 3) and chunk.targets[-1].tolist() == [4, 4, 4]
    with pytest.raises(InputFileError, match="has 1 symbols; it takes 2"):
        windows(np.arange(1, dtype=np.int32), 10, 3)


def test_weights_come_with_their_targets():
    streams = training_streams(_codes(24), 3)
    weight = torch.rand(7, 3)
    chunks = list(ChunkLoader(Streams(streams.inputs, streams.targets, weight=weight), 3))
    assert torch.equal(torch.cat([chunk.weight for chunk in chunks]), weight)
    plain = list(ChunkLoader(streams, 3))
    assert all((chunk.weight, chunk.origin, chunk.last) == (None, None, False) for chunk in plain)
    assert streams.rows == 3


def test_numbers_stay_numbers_and_series_begin_where_they_begin():
    inputs, targets = torch.randn(9, 2, 3), torch.randn(9, 2, 4)
    resets, mask = torch.zeros(9, 2, dtype=torch.bool), torch.zeros(9, 2, dtype=torch.bool)
    resets[5, 1] = mask[4, 1] = True
    chunks = list(ChunkLoader(Streams(inputs, targets, mask, resets), 3))
    assert torch.equal(torch.cat([chunk.inputs for chunk in chunks]), inputs)
    assert torch.equal(torch.cat([chunk.targets for chunk in chunks]), targets)
    assert [chunk.resets is None for chunk in chunks] == [True, False, True]
    assert chunks[1].resets.nonzero().tolist() == [[2, 1]] and chunks[1].mask.nonzero().tolist() == [[1, 1]]
