import tracemalloc

import numpy as np
import pytest
from data.laid import arrays_of, passes_of

from throughtime.data.feeds import RunningRows, WholeRows
from throughtime.data.laying import held_out_feed, is_whole, training_feed
from throughtime.data.series_arrays import SeriesArrays
from throughtime.data.streams import HELD_OUT_STEPS, ChunkLoader
from throughtime.errors import ArgumentError


def _arrays(lengths, features=2):
    steps = int(np.sum(lengths))
    inputs = np.ones((steps, features), dtype=np.float32)
    return SeriesArrays(inputs, inputs[:, 0], np.concatenate([[0], np.cumsum(lengths)]))


def test_short_series_make_chunks_of_whole_series():
    laid = training_feed(arrays_of([5, 12, 7, 9] * 10), seed=1, steps=12, rows=4)
    assert isinstance(laid.feed, WholeRows) and (laid.steps, laid.rows, laid.whole) == (12, 4, True)
    assert laid.notes[0] == "Chunks are made of whole series, the longest of which has 12 steps."
    assert laid.notes[1].endswith(" % of the steps of chunks are padding.") and len(laid.notes) == 2


def test_long_series_run_on_across_chunks():
    laid = training_feed(arrays_of([5, 13, 7, 9] * 10), seed=1, steps=12, rows=4)
    assert isinstance(laid.feed, RunningRows) and (laid.steps, laid.rows, laid.whole) == (12, 4, False)
    assert laid.notes == [
        "Series run on across chunks with the state carried on; gradients reach 12 steps back at most, and the longest "
        "series has 13.",
        "Where a row ends inside a series, up to 3 times in a pass, the later part of the series begins without its "
        "past.",
    ]
    assert len(training_feed(arrays_of([5, 13, 7]), seed=1, steps=12, rows=1).notes) == 1


def test_a_target_per_series_needs_the_whole_series():
    laid = training_feed(arrays_of([50, 400, 70, 90]), seed=1, steps=12, rows=2, per_series=True)
    assert laid.whole and laid.notes[0] == (
        "Chunks are made of whole series, 400 steps long where the longest is, because each series has a single target."
    )
    assert held_out_feed(arrays_of([50, 400]), 12, per_series=True).whole
    assert is_whole(arrays_of([13]), 13) and not is_whole(arrays_of([13]), 12)


def test_the_length_of_chunks_is_that_of_the_longest_series_where_a_gradient_can_reach_so_far():
    laid = training_feed(_arrays([7, 256, 30]), seed=0)
    assert laid.steps == 256 and laid.whole
    assert laid.notes[0] == "Chunks have 256 steps, as many as the longest series, so that no gradient is cut."
    laid = training_feed(_arrays([7, 257, 3000]), seed=0)
    assert laid.steps == 100 and not laid.whole
    assert laid.notes[0] == (
        "Chunks have 100 steps, because the longest series has 3,000, and beyond 256 a gradient costs more memory than "
        "it is worth."
    )


@pytest.mark.parametrize(
    ("lengths", "rows"),
    [([20] * 3, 3), ([20] * 100, 8), ([20] * 400, 20), ([20] * 5000, 50), ([20000] * 300, 2), ([60000] * 9, 1)],
)
def test_rows_of_whole_series_are_chosen_by_updates_and_memory(lengths, rows):
    laid = training_feed(_arrays(lengths, 1), seed=0, steps=20, per_series=True)
    assert laid.rows == rows
    (chunks,) = passes_of(laid.feed, laid.steps)
    said = f"The batch has {rows} rows, which gives {len(chunks)} updates a pass."
    assert laid.notes[0].replace("row,", "rows,").replace("update a", "updates a") == said


def test_running_rows_are_chosen_as_for_a_text():
    assert [training_feed(_arrays([steps]), 0, 100).rows for steps in (144, 9_000, 70_000, 900_000)] == [1, 1, 7, 50]


def test_more_running_rows_than_the_data_fill_are_refused():
    with pytest.raises(ArgumentError) as error:
        training_feed(_arrays([50, 60]), 0, 30, rows=4)
    assert str(error.value) == (
        "batch_size is 4; 110 steps of training data hold 3 rows of `update_every` 30 steps: give at most 3, or more "
        "data"
    )
    with pytest.raises(
        ArgumentError, match="hold 2 rows of `update_every` 30 steps after `burn_in` 10: give at most 2"
    ):
        training_feed(_arrays([50, 60]), 0, 30, rows=3, burn_in=10)
    with pytest.raises(ArgumentError, match="burn_in is 90 and `update_every` 30; together they are longer than the"):
        training_feed(_arrays([50, 60]), 0, 30, burn_in=90)
    assert training_feed(_arrays([50, 60]), 0, 30, rows=3).feed.rows == 3


def test_whole_series_take_no_burn_in():
    with pytest.raises(ArgumentError, match="burn_in is 5"):
        training_feed(_arrays([10, 20]), 0, 30, burn_in=5)


def test_more_rows_than_whole_series_are_not_filled():
    laid = training_feed(arrays_of([10, 10, 10]), 0, 10, rows=64)
    (chunks,) = passes_of(laid.feed, 10)
    assert [chunk.inputs.shape[:2] for chunk in chunks] == [(10, 3)]


@pytest.mark.parametrize("steps", [40, 12])
def test_each_held_out_series_is_whole_and_every_target_counts_once(steps):
    lengths = [5, 40, 7, 9, 33]
    laid = held_out_feed(arrays_of(lengths), steps)
    assert laid.whole == (steps == 40) and laid.steps >= HELD_OUT_STEPS
    (chunks,) = passes_of(laid.feed, laid.steps)
    targets = [
        target
        for chunk in chunks
        for target in (chunk.targets if chunk.mask is None else chunk.targets[chunk.mask]).flatten().tolist()
    ]
    assert sorted(targets) == [3 * step + 1 for step in range(sum(lengths))]
    assert laid.notes == [laid.notes[0]] and "padding" in laid.notes[0]


@pytest.mark.parametrize("lengths", [[20] * 4000, [4000] * 20])
def test_a_pass_takes_less_memory_than_the_data(lengths):
    arrays = _arrays(lengths, features=20)
    tracemalloc.start()
    try:
        laid = training_feed(arrays, seed=0, steps=20)
        count = sum(1 for _ in ChunkLoader(laid.feed, laid.steps))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count > 10 and peak < arrays.inputs.nbytes


def test_the_rows_of_whole_series_go_by_the_updates_wanted():
    arrays = _arrays([100] * 240)
    assert [training_feed(arrays, 0, least=least).rows for least in ((20, 8), (40, 4), (40, 7), (10, 3))] == [
        12,
        6,
        7,
        24,
    ]
    assert training_feed(arrays, 0).rows == 12
