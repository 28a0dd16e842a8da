"""Series for tests of feeds, in which every step is told from every other."""

import numpy as np
from hypothesis import strategies as st

from throughtime.data.series_arrays import SeriesArrays
from throughtime.data.streams import ChunkLoader

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def arrays_of(lengths, breaks=None, mask=None):
    """Step s has the inputs s + 1 and -(s + 1), the target 3s + 1 and the weight s + 2, none of which is 0."""
    steps = np.arange(sum(lengths))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    inputs = np.stack([steps + 1, -steps - 1], axis=1).astype(np.float32)
    weight = (steps + 2).astype(np.float32)
    breaks = None if breaks is None else np.array(breaks, dtype=np.int64)
    return SeriesArrays(inputs, 3 * steps + 1, starts, mask, weight, breaks)


def rows_of(chunks):
    """The rows of chunks, each a list of its places from top to bottom: series, step, input, target, counts, reset."""
    rows = []
    for chunk in chunks:
        if chunk.first:
            current = [[] for _ in range(chunk.inputs.shape[1])]
            rows += current
        for step in range(len(chunk.inputs)):
            for row, places in enumerate(current):
                places.append(_place(chunk, step, row))
    return rows


def _place(chunk, step, row):
    counts = chunk.mask is None or bool(chunk.mask[step, row])
    reset = chunk.resets is not None and bool(chunk.resets[step, row])
    series, at = chunk.origin[step, row].tolist()
    inputs, target, weight = chunk.inputs[step, row], chunk.targets[step, row], chunk.weight[step, row]
    return series, at, inputs.tolist(), target.item(), weight.item(), counts, reset


def passes_of(feed, steps, passes=1, **cut):
    """The chunks of each pass."""
    loader = ChunkLoader(feed, steps, passes, **cut)
    chunks, count = list(loader), loader.chunks_per_pass
    assert len(chunks) == len(loader) == passes * count
    return [chunks[number * count : (number + 1) * count] for number in range(passes)]
