"""Every step of every series comes once in a pass, in order, and begins anew where its series begins."""

import numpy as np
import pytest
import torch
from data.laid import LENGTHS, arrays_of, passes_of, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

import throughtime as tt
from throughtime.data.feeds import RunningRows, WholeRows
from throughtime.data.series_arrays import SeriesArrays
from throughtime.data.streams import ChunkLoader, Cut
from throughtime.errors import ArgumentError

SEEDS = st.none() | st.integers(0, 3)


@st.composite
def feeds(draw):
    """Lengths, breaks, a feed of either kind, and the length of chunks."""
    lengths = draw(LENGTHS)
    breaks = draw(st.lists(st.integers(0, sum(lengths) - 1), max_size=3))
    arrays, steps, rows, seed = (
        arrays_of(lengths, breaks),
        draw(st.integers(1, 12)),
        draw(st.integers(1, 15)),
        draw(SEEDS),
    )
    feed = WholeRows(arrays, steps, rows, seed) if draw(st.booleans()) else RunningRows(arrays, rows, seed)
    return lengths, breaks, feed, steps


@settings(max_examples=300, deadline=None)
@given(feeds())
def test_every_step_comes_once_in_a_pass_in_order_and_padding_is_empty(drawn):
    lengths, breaks, feed, steps = drawn
    starts = np.concatenate([[0], np.cumsum(lengths)])
    for chunks in passes_of(feed, steps, passes=2):
        assert all(chunk.inputs.shape[1] <= feed.rows for chunk in chunks)
        rows = rows_of(chunks)
        seen = [place[:2] for row in rows for place in row if place[0] >= 0]
        assert sorted(seen) == [(series, step) for series, length in enumerate(lengths) for step in range(length)]
        for row in rows:
            filled = [place for place in row if place[0] >= 0]
            assert row[: len(filled)] == filled, "padding stands at the end"
            assert all(place == (-1, -1, [0.0, 0.0], 0, 0.0, False, False) for place in row[len(filled) :])
            for place, (series, step, inputs, target, weight, counts, reset) in enumerate(filled):
                at = starts[series] + step
                assert (inputs, target, weight, counts) == ([at + 1, -at - 1], 3 * at + 1, at + 2, True)
                assert reset == (step == 0 or at in breaks)
                assert step == 0 or place == 0 or filled[place - 1][:2] == (series, step - 1)


@settings(max_examples=150, deadline=None)
@given(feeds(), st.data())
def test_a_loader_that_goes_on_at_any_chunk_has_the_same_chunks(drawn, data):
    *_, feed, steps = drawn
    loader = ChunkLoader(feed, steps, passes=3)
    whole = list(loader)
    position = data.draw(st.integers(0, len(whole)))
    loader.load_state_dict({"position": position})
    later = list(loader)
    assert len(later) == len(whole) - position
    for chunk, expected in zip(later, whole[position:], strict=True):
        assert _equal(chunk, expected)


def _equal(first, second):
    pairs = zip(first, second, strict=True)
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a is b for a, b in pairs)


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.integers(1, 12), st.integers(1, 15))
def test_held_out_series_are_whole(lengths, steps, rows):
    for feed in (RunningRows(arrays_of(lengths), rows), WholeRows(arrays_of(lengths), steps, rows)):
        (chunks,) = passes_of(feed, steps)
        assert all(row[0][1] == 0 for row in rows_of(chunks)), "no row begins inside a series"


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.integers(1, 12), st.integers(1, 15), st.integers(0, 3))
def test_running_rows_have_no_padding_but_in_the_last_step_and_split_a_series_at_most_once_a_row(
    lengths, steps, rows, seed
):
    feed = RunningRows(arrays_of(lengths), rows, seed)
    (chunks,) = passes_of(feed, steps)
    assert feed.rows == min(rows, sum(lengths))
    assert all(chunk.mask is None for chunk in chunks[:-1])
    assert all(place[0] >= 0 for row in rows_of(chunks) for place in row[:-1])
    assert feed.padding == pytest.approx(1 - sum(lengths) / sum(map(len, rows_of(chunks))))


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.integers(1, 12), st.integers(1, 15), st.integers(0, 3))
def test_a_chunk_of_whole_series_carries_no_state_and_has_as_many_series_as_any_other(lengths, steps, rows, seed):
    feed = WholeRows(arrays_of(lengths), steps, rows, seed)
    for chunks in passes_of(feed, steps, passes=2):
        assert all(chunk.first and chunk.last for chunk in chunks)
        counts = [len(set(chunk.origin[..., 0].flatten().tolist()) - {-1}) for chunk in chunks]
        assert max(counts) - min(counts) <= 1 and sum(counts) == len(lengths)
        for chunk in chunks:
            ends = [chunk.origin[chunk.origin[:, row, 0] >= 0][-1] for row in range(chunk.inputs.shape[1])]
            assert len(ends) == chunk.inputs.shape[1]


@pytest.mark.parametrize("kind", ["running", "whole"])
def test_the_order_differs_from_pass_to_pass_and_by_the_seed_alone(kind):
    def orders(seed):
        arrays = arrays_of([3, 5, 1, 4, 4, 7, 2, 6] * 4)
        feed = RunningRows(arrays, 3, seed) if kind == "running" else WholeRows(arrays, 9, 3, seed)
        return [[chunk.origin.tolist() for chunk in chunks] for chunks in passes_of(feed, 9, passes=3)]

    first, second, third = orders(5)
    assert first != second != third != first
    assert orders(5) == [first, second, third] and orders(6)[0] != first
    assert orders(None)[0] == orders(None)[1]


@pytest.mark.parametrize(("steps", "rows", "count"), [(100, 32, 3000), (50, 8, 500), (50, 50, 5000), (200, 16, 1000)])
@pytest.mark.parametrize("seed", [0, 1])
def test_there_is_little_padding_in_chunks_of_unequal_series(steps, rows, count, seed):
    lengths = np.random.default_rng(seed).integers(steps // 4, steps + 1, count)
    arrays = SeriesArrays(*[np.ones(lengths.sum(), dtype=np.float32)] * 2, np.concatenate([[0], np.cumsum(lengths)]))
    feed = WholeRows(arrays, steps, rows, seed)
    (chunks,) = passes_of(feed, steps)
    slots = sum(chunk.inputs.numel() for chunk in chunks)
    assert feed.padding(len(chunks)) == pytest.approx(1 - lengths.sum() / slots)
    assert feed.padding() < 0.05
    assert all(len(chunk.inputs) < 2.5 * steps for chunk in chunks)


def test_series_of_equal_length_have_no_padding_and_equal_chunks():
    arrays = arrays_of([7] * 25)
    (chunks,) = passes_of(WholeRows(arrays, 7, 8, seed=3), 7)
    assert sorted(tuple(chunk.inputs.shape[:2]) for chunk in chunks) == [(7, 6), (7, 6), (7, 6), (7, 7)]
    assert all(chunk.mask is None for chunk in chunks)


def test_a_mask_counts_targets_and_not_padding():
    mask = np.arange(49) % 3 > 0
    (chunks,) = passes_of(RunningRows(arrays_of([25, 24], mask=mask), 2), 30)
    assert chunks[0].origin[..., 1].t().tolist() == [list(range(25)), [*range(24), -1]]
    assert chunks[0].mask.t().tolist() == [mask[:25].tolist(), [*mask[25:].tolist(), False]]


def test_a_mask_in_the_shape_of_the_targets_keeps_its_shape():
    mask = np.arange(98).reshape(49, 2) % 3 > 0
    arrays = SeriesArrays(np.arange(49), np.zeros((49, 2)), np.array([0, 25, 49]), mask)
    (chunks,) = passes_of(RunningRows(arrays, 2), 30)
    assert torch.equal(chunks[0].mask[:, 0], torch.from_numpy(mask[:25]))
    assert torch.equal(chunks[0].mask[:24, 1], torch.from_numpy(mask[25:])) and not chunks[0].mask[24, 1].any()
    assert chunks[0].inputs.dtype == torch.int64 and chunks[0].targets.dtype == torch.float64


def test_a_burn_in_comes_with_the_first_chunk_and_is_in_none():
    feed = RunningRows(arrays_of([4, 9, 3, 8]), 2, seed=1)
    (without,) = passes_of(feed, 12)
    (chunks,) = passes_of(feed, 4, burn_in=3)
    assert [len(chunk.inputs) for chunk in chunks] == [4, 4, 1]
    assert [chunk.first for chunk in chunks] == [True, False, False]
    assert torch.equal(torch.cat((chunks[0].warm_up, *(chunk.inputs for chunk in chunks))), without[0].inputs)
    resets = (chunks[0].warm_up_resets, *(chunk.resets for chunk in chunks))
    assert [part is None or bool(part.any()) for part in resets]
    assert torch.equal(chunks[0].warm_up_resets, without[0].resets[:3])


def test_random_lengths_of_chunks_cover_the_rows():
    feed = RunningRows(arrays_of([40, 90, 30, 80]), 2, seed=1)
    chunks = passes_of(feed, 10, passes=2, jitter=4)
    for of_pass in chunks:
        assert sum(len(chunk.inputs) for chunk in of_pass) == 120
    assert [len(chunk.inputs) for chunk in chunks[0]] != [len(chunk.inputs) for chunk in chunks[1]]


def test_chunks_of_whole_series_have_no_steps_before_them_and_no_random_length():
    feed = WholeRows(arrays_of([4, 2]), 4, 2)
    with pytest.raises(ArgumentError, match="burn_in is 3; chunks of whole series have no steps before them"):
        feed.chunks_per_pass(Cut(4, burn_in=3))
    with pytest.raises(ArgumentError, match="chunk_jitter is True; chunks of whole series end where the series end"):
        feed.chunks_per_pass(Cut(4, jitter=0))


@pytest.mark.parametrize("whole", [True, False])
def test_a_layer_computes_for_each_series_what_it_computes_for_the_series_alone(whole):
    lengths = [5, 1, 11, 3, 8, 2, 7]
    chance = np.random.default_rng(4)
    inputs = chance.normal(size=(sum(lengths), 3))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    arrays = SeriesArrays(inputs, inputs[:, 0], starts)
    torch.manual_seed(1)
    layer = tt.GRU(3, 4, num_layers=2).double()
    feed = WholeRows(arrays, 11, 2, seed=1) if whole else RunningRows(arrays, 3)
    outputs, state = torch.full((sum(lengths), 4), torch.nan, dtype=torch.float64), None
    (chunks,) = passes_of(feed, 4)
    for chunk in chunks:
        hidden, state = layer(chunk.inputs, None if chunk.first else state, resets=chunk.resets)
        valid = chunk.origin[..., 0] >= 0
        series, step = chunk.origin[valid].T
        outputs[torch.from_numpy(starts)[series] + step] = hidden[valid]
    alone = [layer(torch.from_numpy(part)[:, None])[0][:, 0] for part in np.split(inputs, starts[1:-1])]
    torch.testing.assert_close(outputs, torch.cat(alone), rtol=0, atol=1e-12)
