"""Task `rows`: predict a number in each row of a stream, before it is read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from throughtime.data.running import RunningScale, within
from throughtime.errors import ArgumentError, InputFileError
from throughtime.records.plain import from_plain
from throughtime.records.ranges import Consistent, Count, FieldError, Finite, NotNegative
from throughtime.runs.settings import ModelSettings, RunSettings, TaskSettings
from throughtime.runs.tasks.base import Data
from throughtime.runs.tasks.series_settings import SeriesSettings, names_in
from throughtime.runs.tasks.streaming import Event, StreamTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from throughtime.data.columns import Cell
    from throughtime.data.rowstream import RowStream, StreamRow
    from throughtime.data.streams import Chunk
    from throughtime.online.learner import OnlineStep
    from throughtime.records import BaselinesOf, Record

WORD_PLACES = 16
"""Places of a column of words, one of which a word gets by its checksum: the words of a stream are not known ahead."""

_TARGETS = ("target", "y")
"""Columns that are the target where none is named."""


@dataclass(frozen=True)
class _Scale:
    """A `RunningScale` as records keep it."""

    count: Count = 0
    mean: Finite = 0.0
    squares: NotNegative = 0.0


@dataclass(frozen=True)
class Reading(Consistent):
    """How rows are read, and what is known of the rows so far.

    Attributes:
        target: the column that is predicted.
        id: the column whose change begins a new series; empty for none.
        columns: the columns that the model reads, each a number or a word.
        names, separator: as the first line of a CSV has them.
        scales: of the columns of numbers, and of the target.
        misses: of the errors of both naive guesses, in the order of `OnlineRows.guesses`.
        last: the last target that was not missing; None before the first.
        series: the id of the latest row.
        rows, bytes: how much was read.
    """

    target: str
    id: str
    columns: dict[str, Literal["number", "word"]]
    names: tuple[str, ...] = ()
    separator: str = ""
    scales: dict[str, _Scale] = field(default_factory=dict)
    misses: tuple[_Scale, _Scale] = (_Scale(), _Scale())
    last: Finite | None = None
    series: str | None = None
    rows: Count = 0
    bytes: Count = 0

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        wanted = {name for name, kind in self.columns.items() if kind == "number"} | {self.target}
        if self.scales.keys() != wanted:
            raise FieldError("is not of the columns", "of the target and each column of numbers", ".scales")


class OnlineRows(StreamTask):
    """Prediction of a number in each row of a stream.

    It is predicted from the other columns of its row, the rows before, and the number before. Numbers are scaled by
    the mean and the spread of those that came before. The model corrects the better of two naive guesses, the mean so
    far and the number before: what is learned is the squared error of the correction, scaled by the size of that
    guess's errors so far. What is told and recorded is the absolute error in the unit of the target.

    Args:
        given: the settings of the task.
        reading: how rows are read; None before the first row.
    """

    name: ClassVar[str] = "rows"
    settings: ClassVar[type[TaskSettings]] = SeriesSettings
    loss_name: ClassVar[str] = "absolute error"
    guesses: ClassVar[tuple[str, ...]] = ("mean so far", "number before")

    def __init__(self, given: SeriesSettings, reading: Reading | None = None) -> None:
        self.given = given
        self._reading = reading
        kept = {} if reading is None else reading.scales
        self._scales = {name: RunningScale(**asdict(scale)) for name, scale in kept.items()}
        misses = (_Scale(), _Scale()) if reading is None else reading.misses
        self._misses = [RunningScale(**asdict(scale)) for scale in misses]
        self._last = None if reading is None else reading.last
        self._series = None if reading is None else reading.series
        self._rows, self._bytes = (0, 0) if reading is None else (reading.rows, reading.bytes)

    @property
    def unit(self) -> str:
        """A row."""
        return "row"

    # Data.

    @classmethod
    def fit(cls, settings: RunSettings) -> Self:
        """Return the task, which knows the columns when the stream is open."""
        return cls(settings.task if isinstance(settings.task, SeriesSettings) else SeriesSettings())

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Return the task of a run, with what it knows of the rows so far."""
        return cls(from_plain(SeriesSettings, record.facts["settings"]), from_plain(Reading, record.facts["reading"]))

    def recorded(self, record: Record) -> Record:
        """Add columns and scales to the record."""
        return replace(record, facts={"settings": asdict(self.given), "reading": asdict(self.reading)})

    def settled(self, settings: RunSettings) -> RunSettings:
        """Return the settings with the full path of the file."""
        from throughtime.data.bytestream import STANDARD_INPUT
        from throughtime.data.names import full_path

        file = settings.file if settings.file == STANDARD_INPUT else full_path(settings.file)
        return replace(settings, file=file, task=self.given)

    @property
    def reading(self) -> Reading:
        """How rows are read, with all that is known of the rows so far."""
        assert self._reading is not None, "the stream was not opened"
        scales = {name: _Scale(**asdict(scale)) for name, scale in self._scales.items()}
        return replace(
            self._reading,
            scales=scales,
            misses=(_Scale(**asdict(self._misses[0])), _Scale(**asdict(self._misses[1]))),
            last=self._last,
            series=self._series,
            rows=self._rows,
            bytes=self._bytes,
        )

    def open(self, file: str, follow: bool) -> Iterator[list[StreamRow]]:
        """Return the rows of a source, from the current position. Standard input goes on with what comes next.

        Without a position it waits for the first row, which tells the columns.
        """
        from throughtime.data.bytestream import STANDARD_INPUT
        from throughtime.data.rowstream import RowStream

        before = self._reading
        if before is not None:
            offset = 0 if file == STANDARD_INPUT else self._bytes
            return RowStream(file, follow, offset, before.names, before.separator).pieces()
        stream = RowStream(file, follow)
        self._begin(stream, stream.first(), file)
        return stream.pieces()

    def _begin(self, stream: RowStream, row: StreamRow, source: str) -> None:
        """Learn the columns from the first row."""
        from throughtime.data.formats.assembly import words_of
        from throughtime.data.times import are_times

        target = self.given.target or next((name for name in _TARGETS if name in row.cells), "")
        ignored = names_in(self.given.ignore)
        for role, name in (("target", target), ("id", self.given.id), ("time", self.given.time)):
            self._check_column(role, name, row.cells, source, needed=role == "target")
        for name in ignored:
            self._check_column("ignore", name, row.cells, source)
        times = [name for name, cell in row.cells.items() if isinstance(cell, str) and are_times(words_of([cell]))]
        left_out = {target, self.given.id, self.given.time, *ignored, *times}
        kinds: dict[str, Literal["number", "word"]] = {
            name: "word" if isinstance(cell, str) else "number"
            for name, cell in row.cells.items()
            if name not in left_out
        }
        names = stream.names if stream.separator else ()
        self._reading = Reading(target, self.given.id, kinds, names, stream.separator)
        numbers = [name for name, kind in kinds.items() if kind == "number"]
        self._scales = {name: RunningScale() for name in (*numbers, target)}

    @staticmethod
    def _check_column(role: str, name: str, cells: Mapping[str, Cell], source: str, needed: bool = False) -> None:
        if (name or needed) and name not in cells:
            came = f"is {name!r}" if name else "is missing"
            raise ArgumentError(role, came, f"the columns of {source} are {', '.join(cells)}", "name one of these")

    # OnlineRows.

    def example(self) -> Tensor:
        """Return the inputs of a row that misses everything."""
        import torch

        return torch.zeros(1, self.input_size(ModelSettings()))

    def take(self, raw: StreamRow) -> Event:
        """Take the next row as an event. A row without its number is predicted, and nothing is learned from it."""
        import torch

        reading = self._reading
        assert reading is not None
        series = None if not reading.id else str(raw.cells.get(reading.id))
        reset = self._rows > 0 and series != self._series
        if reset:
            self._last = None
        inputs = torch.tensor([self._inputs(raw)])
        number = self._number(raw, reading.target)
        target, guesses = None, ()
        if number is not None:
            base, size = self._guessed()
            target = torch.tensor([[within((number - base) / size), number, base, size]], dtype=torch.float64)
            guesses = tuple(abs(number - guess) for guess in self._both())
        self._learn_scales(raw, number)
        self._series, self._rows, self._bytes = series, self._rows + 1, self._bytes + raw.size
        return Event(inputs, target, guesses, reset=reset)

    def _both(self) -> tuple[float, float]:
        """Return the naive guesses: the mean so far, and the number before."""
        mean = self._scales[self.reading.target].mean
        return mean, mean if self._last is None else self._last

    def _guessed(self) -> tuple[float, float]:
        """Return the guess that was better so far, and the size of its errors."""
        return self._both()[self._better], self._misses[self._better].size

    @property
    def _better(self) -> int:
        """Number of the naive guess whose errors were smaller so far."""
        return 0 if self._misses[0].size <= self._misses[1].size else 1

    def _learn_scales(self, raw: StreamRow, number: float | None) -> None:
        """Count the numbers of a row, after the row was read by those before it."""
        if number is not None and self._scales[self.reading.target].count:
            for guess, misses in zip(self._both(), self._misses, strict=True):
                misses.add(number - guess)
        for name, scale in self._scales.items():
            value = self._number(raw, name)
            if value is not None:
                scale.add(value)
        if number is not None:
            self._last = number

    def _inputs(self, raw: StreamRow) -> list[float]:
        """Return the places of a row: of each column, and of the number before."""
        reading = self._reading
        assert reading is not None
        places: list[float] = []
        for name, kind in reading.columns.items():
            if kind == "number":
                places += self._places(name, self._number(raw, name))
            else:
                word = raw.cells.get(name)
                of_word = [0.0] * WORD_PLACES
                if word is not None:
                    of_word[zlib.crc32(str(word).encode("utf-8", "surrogatepass")) % WORD_PLACES] = 1.0
                places += of_word
        return places + self._places(reading.target, self._last)

    def _places(self, name: str, number: float | None) -> list[float]:
        """Return a scaled number, and whether it is missing."""
        return [0.0, 1.0] if number is None else [self._scales[name].scaled(number), 0.0]

    def _number(self, raw: StreamRow, name: str) -> float | None:
        cell = raw.cells.get(name)
        if cell is None:
            return None
        if isinstance(cell, str) or abs(cell) > 1e100:
            raise InputFileError(
                f"Line {raw.line} of the stream, column {name!r}: is {cell!r}, and it must be a finite number, as in "
                "the first row; leave the field empty where it is missing."
            )
        return cell

    @property
    def taken(self) -> int:
        """Number of rows read so far."""
        return self._rows

    @property
    def bytes_taken(self) -> int:
        """Number of bytes read so far."""
        return self._bytes

    def stream_state(self) -> dict[str, Any]:
        """Return how rows are read, and the position."""
        return {"reading": asdict(self.reading)}

    def load_stream_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `stream_state` returned.

        Raises:
            FieldError: the state is damaged.
        """
        self.__init__(self.given, from_plain(Reading, state.get("reading")))

    # The model.

    def input_size(self, model: ModelSettings) -> int:
        """Return the number of places of all columns, and of the number before."""
        reading = self._reading
        assert reading is not None
        return sum(2 if kind == "number" else WORD_PLACES for kind in reading.columns.values()) + 2

    def readout(self, model: ModelSettings) -> nn.Module:
        """Return the linear layer to a scaled number."""
        from torch import nn

        return nn.Linear(model.hidden_size, 1)

    def step_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the squared error of the scaled number."""
        return (output[:, 0] - target[:, 0]).square().mean()

    def recorded_loss(self, step: OnlineStep, event: Event) -> float:
        """Return the absolute error in the unit of the target."""
        assert event.target is not None
        _, number, base, size = event.target[0].tolist()
        return abs(float(step.prediction) * size + base - number)

    def loss(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean absolute error in the unit of the target.

        The targets hold the number and the naive guess.
        """
        number, base = chunk.targets.unbind(-1)
        errors = (outputs[..., 0] * self._guessed()[1] + base - number).abs()
        counted = errors.flatten() if chunk.mask is None else errors[chunk.mask]
        return counted.mean() if len(counted) else (outputs * 0).sum()

    def count(self, chunk: Chunk) -> int:
        """Return the number of rows whose number is known."""
        return chunk.targets[..., 0].numel() if chunk.mask is None else int(chunk.mask.sum())

    def read(
        self, file: str, *, skip_unknown: bool = False, held_out_of: RunSettings | None = None, part: str = ""
    ) -> Data:
        """Read rows for a trained model, with the scales of the stream it learned from."""
        import hashlib
        from pathlib import Path

        from throughtime.data.laying import LONGEST_GRADIENT, held_out_feed
        from throughtime.data.rowstream import RowStream

        if part:
            raise ArgumentError("part", f"is {part!r}", "a stream of rows has no parts", "leave it out")
        stream = RowStream(file)
        if missing := [name for name in self.reading.columns if name not in stream.first().cells]:
            raise InputFileError(f"FILE {file} has no column {missing[0]}, which the model was trained with.")
        arrays, guesses = self._arrays([row for piece in stream.pieces() for row in piece])
        content = Path(file).read_bytes()
        laid = held_out_feed(arrays, LONGEST_GRADIENT)
        digest = hashlib.sha256(content).hexdigest()
        return Data(file, digest, len(content), laid.feed, arrays.windows, guesses)

    def _arrays(self, rows: Sequence[StreamRow]) -> tuple[Any, dict[str, float]]:
        """Return the rows of a file as arrays, and the losses of naive guesses."""
        import numpy as np

        from throughtime.data.series_arrays import SeriesArrays

        kept, self._last = self._last, None
        best = self._better
        inputs: list[list[float]] = []
        numbers: list[float | None] = []
        guesses: list[tuple[float, float]] = []
        starts, series = [], None
        for at, row in enumerate(rows):
            came = str(row.cells.get(self.reading.id)) if self.reading.id else ""
            if came != series:
                starts.append(at)
                self._last, series = None, came
            inputs.append(self._inputs(row))
            guesses.append(self._both())
            numbers.append(self._number(row, self.reading.target))
            self._last = self._last if numbers[-1] is None else numbers[-1]
        self._last = kept
        came_numbers: NDArray[np.float64] = np.array(numbers, dtype=np.float64)
        mask = ~np.isnan(came_numbers)
        naive = np.array(guesses)
        errors = np.abs(naive - came_numbers[:, None])[mask].mean(axis=0).tolist() if mask.any() else ()
        losses = sorted(zip(self.guesses, errors, strict=False), key=lambda item: -item[1])
        targets = np.stack([np.where(mask, came_numbers, 0), naive[:, best]], axis=1).astype(np.float32)
        ends = np.array([*starts, len(rows)])
        return SeriesArrays(np.array(inputs, dtype=np.float32), targets, ends, mask=mask), dict(losses)

    # Words.

    def stream_opening_lines(self, record: Record, run: str, update_every: int) -> list[str]:
        """Return the first lines of a run, with the columns that are read."""
        first, *more = super().stream_opening_lines(record, run, update_every)
        read = ", ".join([*self.reading.columns, "the number before"])
        return [first, f"Columns {read} → {self.reading.target}", *more]

    def event_line(self, step: OnlineStep, event: Event) -> str:
        """Return the prediction of a row, for rows that come one by one."""
        base, size = self._guessed()
        came = ""
        if event.target is not None:
            _, number, base, size = event.target[0].tolist()
            came = f", came {number:.6g}"
        return f"{self._rows:>12,} row    {self.reading.target} {float(step.prediction) * size + base:.6g}{came}"

    def milestone_line(self, events: int, loss: float, baselines: BaselinesOf) -> str:
        """Return the mean absolute error of all rows so far, beside the naive guesses."""
        return f"{events:>12,} rows   mean absolute error so far {loss:.4g}   {self.said_beside(baselines)}"
