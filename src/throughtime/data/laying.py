"""Choice of how many series become a feed, with the reasons in sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from throughtime.data.feeds import RunningRows, WholeRows
from throughtime.data.series_arrays import SeriesArrays
from throughtime.data.streams import HELD_OUT_STEPS, MOST_CHOSEN_STREAMS, Cut, Feed, chosen_streams
from throughtime.errors import ArgumentError
from throughtime.wording import percent, plural

LONGEST_GRADIENT = 256
"""Longest series whose whole length a gradient is carried through, where no length of chunks is asked for."""

_STEPS_OF_LONG_SERIES = 100
"""Length of the chunks of longer series, where none is asked for."""

LEAST = 20, 8
"""Chunks of whole series in a pass, and rows, where no number of rows is asked for; the rows come first."""

_MOST_STEPS = 50_000
"""Steps of the largest chunk of whole series, where no number of rows is asked for; memory grows with them."""


@dataclass(frozen=True)
class Laid:
    """Series laid out for training or evaluation.

    Attributes:
        feed: the series, for a `ChunkLoader`.
        steps: the length T of a chunk, as asked for or as chosen; chunks of whole series have about as many.
        rows: the number of rows, as asked for or as chosen.
        whole: whether chunks are made of whole series.
        notes: sentences for the user: what was chosen, and why.
    """

    feed: Feed
    steps: int
    rows: int
    whole: bool
    notes: Sequence[str]


def training_feed(
    arrays: SeriesArrays,
    seed: int,
    steps: int = 0,
    rows: int = 0,
    burn_in: int = 0,
    *,
    per_series: bool = False,
    least: tuple[int, int] = LEAST,
) -> Laid:
    """Lay series out for training.

    Short series make chunks of whole series, long ones make rows that run on across chunks (`is_whole`).

    Args:
        arrays: the series.
        seed: seed of the order, which differs from pass to pass.
        steps: the length T of a chunk; 0 chooses it.
        rows: the number of rows B; 0 chooses it.
        burn_in: steps before the first chunk of a pass, see `Cut`.
        per_series: whether a series has a single target, which needs the whole series.
        least: chunks of whole series in a pass, and rows, of which there are to be so many at least where no number of
            rows is asked for; where both cannot be, the rows count.

    Raises:
        ArgumentError: the series cannot fill so many rows of chunks.
    """
    length = steps or _chosen_length(arrays.longest)
    if is_whole(arrays, length, per_series=per_series):
        batch = rows or _chosen_rows(arrays, length, least)
        feed = WholeRows(arrays, length, batch, seed)
        laying = [_whole_sentence(arrays, length), f"{percent(feed.padding())} of the steps of chunks are padding."]
    else:
        batch = _running_rows(arrays, length, rows, burn_in)
        feed = RunningRows(arrays, batch, seed)
        laying = [_running_sentence(arrays, length), *_split_sentence(batch)]
    updates = feed.chunks_per_pass(Cut(length, burn_in))
    chosen = [] if steps else [_length_sentence(arrays.longest, length)]
    chosen += [] if rows else [f"The batch has {plural(batch, 'row')}, which gives {plural(updates, 'update')} a pass."]
    return Laid(feed, length, batch, isinstance(feed, WholeRows), [*chosen, *laying])


def held_out_feed(arrays: SeriesArrays, steps: int, *, per_series: bool = False) -> Laid:
    """Lay series out for evaluation.

    Each series is whole, and every target counts exactly once.

    Args:
        arrays: the series.
        steps: the length T of a chunk in training; it decides whether chunks are made of whole series.
        per_series: see `training_feed`.
    """
    if is_whole(arrays, steps, per_series=per_series):
        length = max(HELD_OUT_STEPS, arrays.longest)
        rows = max(1, min(MOST_CHOSEN_STREAMS, _MOST_STEPS // length, len(arrays)))
        feed = WholeRows(arrays, length, rows)
        return Laid(feed, length, rows, True, [f"{percent(feed.padding())} of the steps of chunks are padding."])
    feed = RunningRows(arrays, MOST_CHOSEN_STREAMS)
    note = f"{percent(feed.padding)} of the steps of {plural(feed.rows, 'row')} are padding."
    return Laid(feed, HELD_OUT_STEPS, feed.rows, False, [note])


def is_whole(arrays: SeriesArrays, steps: int, *, per_series: bool = False) -> bool:
    """Return whether chunks of about `steps` steps are made of whole series.

    Args: see `training_feed`.
    """
    return per_series or arrays.longest <= steps


def _chosen_length(longest: int) -> int:
    return longest if longest <= LONGEST_GRADIENT else _STEPS_OF_LONG_SERIES


def _length_sentence(longest: int, length: int) -> str:
    if longest == length:
        return f"Chunks have {plural(length, 'step')}, as many as the longest series, so that no gradient is cut."
    return (
        f"Chunks have {plural(length, 'step')}, because the longest series has {longest:,}, and beyond "
        f"{LONGEST_GRADIENT} a gradient costs more memory than it is worth."
    )


def _chosen_rows(arrays: SeriesArrays, length: int, least: tuple[int, int]) -> int:
    """Return so many rows of whole series that a pass has enough updates, in chunks that memory holds."""
    steps = max(length, arrays.longest)
    updates, rows = least
    wanted = max(rows, arrays.steps // steps // updates)
    return max(1, min(wanted, MOST_CHOSEN_STREAMS, _MOST_STEPS // steps, len(arrays)))


def _running_rows(arrays: SeriesArrays, length: int, rows: int, burn_in: int) -> int:
    largest = arrays.steps // (burn_in + length)
    after = f" after `burn_in` {burn_in}" if burn_in else ""
    if largest < 1:
        raise ArgumentError(
            "burn_in",
            f"is {burn_in} and `update_every` {length}",
            f"together they are longer than the training part, which has {plural(arrays.steps, 'step')}",
            "give a smaller `burn_in`, or more data",
        )
    if rows > largest:
        raise ArgumentError(
            "batch_size",
            f"is {rows}",
            f"{plural(arrays.steps, 'step')} of training data hold {plural(largest, 'row')} of `update_every` {length} "
            f"steps{after}",
            f"give at most {largest}, or more data",
        )
    return rows or chosen_streams(arrays.steps, length, largest)


def _whole_sentence(arrays: SeriesArrays, length: int) -> str:
    if arrays.longest <= length:
        return f"Chunks are made of whole series, the longest of which has {plural(arrays.longest, 'step')}."
    return (
        f"Chunks are made of whole series, {arrays.longest:,} steps long where the longest is, because each series has "
        "a single target."
    )


def _running_sentence(arrays: SeriesArrays, length: int) -> str:
    return (
        f"Series run on across chunks with the state carried on; gradients reach {plural(length, 'step')} back at "
        f"most, and the longest series has {arrays.longest:,}."
    )


def _split_sentence(rows: int) -> list[str]:
    if rows == 1:
        return []
    return [
        f"Where a row ends inside a series, up to {plural(rows - 1, 'time')} in a pass, the later part of the series "
        "begins without its past."
    ]
