"""Predictions as a table: each belongs to the id and the time of its row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import Numbers, column_of
from throughtime.data.laying import held_out_feed
from throughtime.data.roles import Roles, series_of
from throughtime.data.series import Origin, Rows
from throughtime.data.series_arrays import SeriesArrays
from throughtime.data.streams import Cut
from throughtime.data.writing import _cells
from throughtime.runs.predictions import table_of
from throughtime.runs.tasks.base import Task


class _Echo(Task):
    """Predicts what it reads, of every other step."""

    name = "echo"
    fit = from_record = read = input_size = readout = loss = None

    def rows(self, outputs, chunk):
        for place in (chunk.origin[..., 0] >= 0).nonzero().tolist():
            series, step = chunk.origin[*place].tolist()
            if step % 2 == 0:
                yield {"series": series, "step": step, "seen": outputs[*place, 0].item()}


def _table(cells, names, longest):
    columns = {name: column_of(values) for name, values in zip(names, zip(*cells, strict=True), strict=True)}
    rows = Rows(Origin("t.csv", 1, ""), columns, len(cells), np.arange(2, len(cells) + 2))
    series = series_of(rows, Roles(id=names[0], time=names[1]))
    values = series.columns["x"]
    assert isinstance(values, Numbers)
    arrays = SeriesArrays(values.values[:, None].astype(np.float32), np.zeros(series.steps), series.starts)
    chunks = held_out_feed(arrays, longest).feed.chunks(0, Cut(2))
    table = table_of(_Echo(), ((chunk.inputs, chunk) for chunk in chunks), series)
    return list(table), list(zip(*(_cells(column, slice(None)) for column in table.values()), strict=True))


@given(
    st.sampled_from([int, str]),
    st.dictionaries(st.tuples(st.integers(-3, 11), st.integers(0, 40)), st.integers(-99, 99), min_size=1),
    st.randoms(),
    st.sampled_from([1, 100]),
    st.booleans(),
)
def test_each_prediction_has_id_and_time_of_its_row_however_rows_are_shuffled(kind, drawn, chance, longest, dates):
    """Chunks of whole series and rows that run on; ids and times of several types."""
    days = {day: f"2024-02-{day + 1:02}" if day < 29 else f"2024-03-{day - 28:02}" for day in range(41)}
    cells = [(kind(machine), days[at] if dates else at, seen) for (machine, at), seen in drawn.items()]
    expected = []
    for machine in sorted({cell[0] for cell in cells}):
        steps = sorted(cell for cell in cells if cell[0] == machine)
        expected += [(*cell[:2], step, cell[2]) for step, cell in enumerate(steps) if step % 2 == 0]
    chance.shuffle(cells)
    names, rows = _table(cells, ["machine", "ds", "x"], longest)
    assert names == ["machine", "ds", "step", "seen"] and rows == expected


def test_the_number_of_the_step_makes_way_for_a_column_of_that_name():
    names, rows = _table([("a", 5, 1), ("a", 3, 2)], ["seen_", "step", "x"], 100)
    assert names == ["seen_", "step", "step_", "seen"] and rows == [("a", 3, 0, 2)]


def test_a_single_series_has_no_id():
    columns = {"x": Numbers(np.array([3.0, 1.0, 2.0]))}
    series = series_of(Rows(Origin("t.csv", 1, ""), columns, 3, np.arange(3)), Roles())
    arrays = SeriesArrays(np.ones((3, 1), np.float32), np.zeros(3), series.starts)
    chunk = next(iter(held_out_feed(arrays, 3).feed.chunks(0, Cut(2))))
    assert list(table_of(_Echo(), [(chunk.inputs, chunk)], series)) == ["step", "seen"]
