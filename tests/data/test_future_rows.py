import numpy as np
import pytest

from throughtime.data.columns import column_of
from throughtime.data.future_rows import with_future
from throughtime.data.roles import Roles
from throughtime.data.series import Origin, Rows
from throughtime.errors import InputFileError

ROLES = Roles(id="shop", time="day", target=("sold",), known=("offer",), static=("town",))


def _rows(name, **columns):
    count = len(next(iter(columns.values())))
    made = {key: column_of(cells) for key, cells in columns.items()}
    return Rows(Origin(name, 1, ""), made, count, np.arange(2, 2 + count))


PAST = _rows(
    "a.csv", shop=["A", "B", "A"], day=[1, 1, 2], sold=[5, 6, 7], offer=["no", "yes", "no"], town=["X", "Y", "X"]
)


def test_steps_to_come_bring_what_is_known_ahead_and_the_rest_is_that_of_the_series():
    future = _rows("b.csv", offer=["yes", "no"], sold=[99, 98], shop=["B", "A"], day=[2, 3])
    rows = with_future(PAST, future, ROLES)
    cells = {name: [column.cell(row) for row in range(rows.rows)] for name, column in rows.columns.items()}
    assert cells["shop"] == ["A", "B", "A", "B", "A"] and cells["day"] == [1, 1, 2, 2, 3]
    assert cells["offer"] == ["no", "yes", "no", "yes", "no"] and cells["town"] == ["X", "Y", "X", "Y", "X"]
    assert cells["sold"] == [5, 6, 7, None, None], "what was sold is not known ahead"
    assert "b.csv tells of 2 steps to come" in rows.notes[0] and "'sold' are not known ahead" in rows.notes[1]


@pytest.mark.parametrize(
    ("left", "said"),
    [("shop", "which tells the series"), ("day", "the time of a step"), ("offer", "what is known ahead")],
)
def test_a_column_that_is_needed_is_named(left, said):
    columns = {"offer": ["yes"], "shop": ["B"], "day": [2]}
    del columns[left]
    with pytest.raises(InputFileError, match=f"FILE b.csv has no column '{left}', which tells .*{said.split()[-1]}"):
        with_future(PAST, _rows("b.csv", **columns), ROLES)
