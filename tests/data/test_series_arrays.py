import numpy as np
import pytest
import torch
from data.laid import arrays_of

from throughtime.data.packing import cut_evenly
from throughtime.data.series_arrays import SeriesArrays
from throughtime.errors import ArgumentError, InputFileError


def _arrays(**changed):
    values = {"inputs": np.ones((6, 2)), "targets": np.arange(6), "starts": np.array([0, 4, 6])} | changed
    return SeriesArrays(**values)


def test_the_series_are_known_by_their_lengths():
    arrays = _arrays()
    assert (len(arrays), arrays.steps, arrays.longest, arrays.lengths.tolist()) == (2, 6, 4, [4, 2])


@pytest.mark.parametrize("starts", [[], [0]])
def test_no_series_are_refused(starts):
    with pytest.raises(InputFileError, match="The data hold no series, so there is nothing to read: give at least one"):
        SeriesArrays(np.ones((0, 2)), np.ones(0), np.array(starts, dtype=np.int64))


def test_a_series_without_steps_is_refused():
    with pytest.raises(InputFileError, match=r"Series 1 \(counted from 0\) has no steps: leave it out"):
        _arrays(starts=np.array([0, 4, 4, 6]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"targets": np.arange(5)}, "targets has 5 steps; the inputs have 6"),
        ({"mask": np.ones(7, dtype=bool)}, "mask has 7 steps; the inputs have 6"),
        ({"weight": np.ones(7)}, "weight has 7 steps; the inputs have 6"),
        ({"starts": np.array([0, 4])}, "starts reach from 0 to 4; they must reach from 0 to 6, the number of steps"),
        ({"starts": np.array([1, 6])}, "starts reach from 1 to 6; they must reach from 0 to 6"),
        ({"weight": np.array([1, 1, -1.5, 1, 1, 1])}, "weight is -1.5 at step 2; it must be finite and at least 0"),
        ({"weight": np.array([1, np.nan, 1, 1, 1, 1])}, "weight is nan at step 1; it must be finite"),
        ({"breaks": np.array([3, 6])}, "breaks reach from 3 to 6; they must be steps from 0 to 5"),
        ({"breaks": np.array([-1, 2])}, "breaks reach from -1 to 2; they must be steps from 0 to 5"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(changed, message):
    with pytest.raises(ArgumentError, match=message):
        _arrays(**changed)


def test_a_memory_mapped_file_is_read_in_place(tmp_path):
    np.save(tmp_path / "values.npy", np.arange(12, dtype=np.float32).reshape(6, 2))
    arrays = _arrays(inputs=np.load(tmp_path / "values.npy", mmap_mode="r"))
    packing = cut_evenly(np.arange(2), arrays.lengths, 2)
    chunk = arrays.chunk(packing, 0, 3, first=True)
    assert torch.equal(chunk.inputs, torch.arange(12.0).view(2, 3, 2).transpose(0, 1))
    chunk.inputs.add_(1)
    assert np.load(tmp_path / "values.npy")[0, 0] == 0


def test_what_is_not_given_is_none():
    arrays = _arrays()
    chunk = arrays.chunk(cut_evenly(np.arange(2), arrays.lengths, 1), 1, 3, first=False)
    assert (chunk.mask, chunk.resets, chunk.weight, chunk.warm_up, chunk.last) == (None, None, None, None, False)


def test_windows_are_spread_over_the_series_and_begin_anew_with_them():
    chunk = arrays_of([5, 3, 9, 4]).windows(6, 4)
    assert chunk.first and chunk.inputs.shape == (6, 4, 2) and chunk.mask is None
    assert chunk.inputs[-1, :, 0].tolist() == [6, 11, 16, 21]
    assert chunk.origin[-1].tolist() == [[1, 0], [2, 2], [2, 7], [3, 3]]
    assert chunk.resets.t().nonzero().tolist() == [[0, 0], [0, 5], [1, 0], [1, 3], [3, 2]]


def test_windows_end_at_targets_that_count():
    lengths, mask = [5, 30, 3, 9, 4], np.zeros(51, dtype=bool)
    mask[np.cumsum(lengths) - 1] = True
    chunk = arrays_of(lengths, mask=mask).windows(8, 5)
    assert chunk.mask[-1].all() and chunk.origin[-1, :, 0].tolist() == [1, 1, 1, 3, 4]
    dense = np.arange(51) != 3
    chunks = [arrays_of(lengths, mask=flags).windows(8, 5) for flags in (dense, None)]
    assert torch.equal(chunks[0].origin, chunks[1].origin)
    mask[:] = False
    assert not arrays_of(lengths, mask=mask).windows(8, 5).mask.any()


def test_few_data_give_shorter_windows():
    assert arrays_of([2, 1]).windows(8, 5).inputs.shape == (3, 5, 2)
    mask = np.array([True, False, False])
    assert arrays_of([2, 1], mask=mask).windows(2, 3).mask.tolist() == [[True] * 3, [False] * 3]
