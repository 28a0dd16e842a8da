"""Series of a data set, laid end to end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from throughtime.data.clock import Clock
from throughtime.data.columns import Cell, Column
from throughtime.data.large import computed, is_mapped, taken
from throughtime.errors import InputFileError


@dataclass(frozen=True)
class Origin:
    """File or folder that data came from.

    Attributes:
        name: as the caller wrote it.
        bytes: the size of all its files together.
        sha256: of all their bytes, in hexadecimal; of several files, that of their digests in the order of the names.
        counts: what `lines` of its rows count: "line" of a text, "row" of a table without lines.
    """

    name: str
    bytes: int
    sha256: str
    counts: str = "line"


@dataclass(frozen=True)
class Rows:
    """Rows as a file has them.

    Which of them make a series is not known here.

    Attributes:
        origin: where they came from.
        columns: name → column, in the order of the file.
        rows: how many.
        lines: [rows] the line of each row in its file, counted from 1, for messages.
        notes: sentences on what was read and what was left out, for the user.
        file_column: the column that was added to tell the file of each row, where several were read; "" for none.
    """

    origin: Origin
    columns: Mapping[str, Column]
    rows: int
    lines: NDArray[np.int64]
    notes: Sequence[str] = ()
    file_column: str = ""

    def wrong(self, row: int, column: str, what: str) -> InputFileError:
        """Return the error for a value, with its file, line and column."""
        place = f"{self.origin.counts} {self.lines[row]}"
        return InputFileError(f"FILE {self.origin.name}, {place}, column {column!r}: {what}.")


@dataclass(frozen=True)
class SeriesSet:
    """Series laid end to end: series i has the steps `starts[i]` to `starts[i + 1]`.

    Attributes:
        origin: where they came from.
        ids: the id of each series, in the type that came.
        starts: [series + 1] the first step of each series, and the number of all steps.
        columns: name → column [steps] of all series end to end.
        statics: name → column [series], a value per series.
        label: the column [series] of a class or a number per series; None without one.
        times: [steps] the time of each step; None where the file has none.
        notes: sentences on what was read and what was left out, for the user.
        lines: [steps] the line of each step in its file, by which predictions return to the order of the file; None
            where a step has no line of its own.
        clock: how the times are printed; None without times.
        parts: [series] the part that the file puts each series in, "train", "valid" or "test", "" where it puts it in
            none; empty where it knows no parts.
        files: [series] the name of the file that each series is from, "" for a series from several; empty where a
            single file was read.
        weight: [steps] the weight of each step's target, finite and at least 0; None: all weigh the same.
        names: the columns that the ids and the times came from, "" for no column.
        scored_from: [series] the first step of each series whose target counts, where earlier steps are only its past;
            None: all count.
    """

    origin: Origin
    ids: Sequence[Cell]
    starts: NDArray[np.int64]
    columns: Mapping[str, Column]
    statics: Mapping[str, Column] = field(default_factory=dict)
    label: Column | None = None
    times: NDArray[np.datetime64] | None = None
    notes: Sequence[str] = ()
    lines: NDArray[np.int64] | None = None
    clock: Clock | None = None
    parts: Sequence[str] = ()
    scored_from: NDArray[np.int64] | None = None
    files: Sequence[str] = ()
    weight: NDArray[np.float64] | None = None
    names: tuple[str, str] = ("id", "time")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of steps of each series [series]."""
        return np.diff(self.starts)

    @property
    def of_step(self) -> NDArray[np.int64]:
        """Number of the series that each step belongs to [steps]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Whether the target of each step counts [steps], by `scored_from`."""
        if self.scored_from is None:
            return np.ones(self.steps, dtype=np.bool_)
        return np.arange(self.steps) >= np.repeat(self.starts[:-1] + self.scored_from, self.lengths)

    @property
    def steps(self) -> int:
        """Number of steps of all series."""
        return int(self.starts[-1])

    def take(self, series: NDArray[np.int64]) -> "SeriesSet":
        """Return some of the series, in the order given."""
        return replace(
            self._of_steps(self.starts[series], self.lengths[series]),
            ids=[self.ids[i] for i in series],
            statics={name: column.take(series) for name, column in self.statics.items()},
            label=None if self.label is None else self.label.take(series),
            parts=[self.parts[i] for i in map(int, series)] if self.parts else (),
            scored_from=None if self.scored_from is None else self.scored_from[series],
            files=[self.files[i] for i in map(int, series)] if self.files else (),
        )

    def until(self, lengths: NDArray[np.int64]) -> "SeriesSet":
        """Return the first steps of every series.

        Args:
            lengths: [series] how many, at most as many as there are.
        """
        return self._of_steps(self.starts[:-1], lengths)

    def _of_steps(self, firsts: NDArray[np.int64], lengths: NDArray[np.int64]) -> "SeriesSet":
        """Return the set with some steps alone, which make series of other lengths.

        Args:
            firsts: [series] the first step of each.
            lengths: [series] how many steps each has.
        """
        starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        shift = firsts - starts[:-1]

        def places(rows: slice) -> NDArray[np.int64]:
            at = np.arange(rows.start, rows.stop)
            return at + shift[np.searchsorted(starts, at, side="right") - 1]

        mapped = self.lines is not None and is_mapped(self.lines)
        steps = computed(places, int(starts[-1]), mapped=mapped)
        return replace(
            self,
            starts=starts,
            columns={name: column.take(steps) for name, column in self.columns.items()},
            times=None if self.times is None else taken(self.times, steps),
            lines=None if self.lines is None else taken(self.lines, steps),
            weight=None if self.weight is None else taken(self.weight, steps),
        )
