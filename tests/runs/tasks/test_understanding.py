import numpy as np

from throughtime.data.columns import Numbers, column_of
from throughtime.data.formats.choice import read
from throughtime.data.series import Origin, SeriesSet
from throughtime.runs.tasks.reading import opened
from throughtime.runs.tasks.series_settings import SeriesSettings
from throughtime.runs.tasks.understanding import column_lines, spacing_lines


def test_every_column_is_told_with_its_type_role_and_missing_share(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "who,when,heat,mode,place,w,old,y\n"
        "1,2024-01-01,2.5,low,x,1,0,7\n1,2024-01-02,,low,x,1,0,8\n"
        "2,2024-01-01,2.5,high,y,2,0,\n2,2024-01-04,2.5,low,y,2,0,9\n"
    )
    given = SeriesSettings(id="who", target="y", static="place", weight="w", ignore="old")
    series, given = opened(str(path), given)
    assert column_lines(series, given) == [
        "who    2 numbers      the id",
        "when   times          the time",
        "heat   numbers        an input, 25 % missing",
        "mode   2 words        an input",
        "y      whole numbers  the target, 25 % missing",
        "place  2 words        an input per series",
        "w      numbers        the weight",
        "old                   ignored",
    ]
    assert spacing_lines(series) == ["A step is a day; 2 steps are missing in 1 gap."]


def test_many_columns_are_counted_and_labels_told():
    columns = {f"x{i}": Numbers(np.zeros(3)) for i in range(40)}
    series = SeriesSet(Origin("a", 1, ""), [0], np.array([0, 3]), columns, label=column_of(["b"]))
    lines = column_lines(series, SeriesSettings())
    assert lines[0] == "label  1 word   the target" and len(lines) == 31 and lines[-1] == "… and 11 columns more"
    assert spacing_lines(series) == []


def test_what_was_read_is_taken_as_it_is(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("unique_id,ds,y\na,2024-01-01,1\na,2024-01-02,2\n")
    rows = read(path)
    path.unlink()
    series, given = opened(rows, SeriesSettings())
    assert (given.id, given.time, given.target) == ("unique_id", "ds", "y")
    again, _ = opened(rows, given)
    assert again.lengths.tolist() == series.lengths.tolist() == [2]
