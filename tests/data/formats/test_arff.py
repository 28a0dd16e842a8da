import numpy as np
import pytest
from data_files import assert_same, raw_of, series_lists, text_of
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.arff import read_arff
from throughtime.errors import InputFileError

FLAT = "% made\n@RELATION r\n@attribute t0 numeric\n@attribute 't 1' real\n@attribute class {b, 'a c'}\n@data\n"
RELATIONAL = "@relation r\n@attribute r relational\n@attribute t0 numeric\n@attribute t1 numeric\n@end r\n"


@given(series_lists(padded=True), st.data())
def test_relational_series_come_back_as_they_were_written(tmp_path_factory, tables, data):
    span = max(map(len, tables))
    labels = data.draw(st.lists(st.sampled_from(["b", "a"]), min_size=len(tables), max_size=len(tables)))
    lines = []
    for table, label in zip(tables, labels, strict=True):
        full = np.concatenate([table, np.full((span - len(table), table.shape[1]), np.nan)])
        lines.append("'" + "\\n".join(",".join(map(text_of, column)) for column in full.T) + f"',{label}")
    steps = "".join(f"@attribute t{t} numeric\n" for t in range(span))
    text = f"@relation r\n@attribute r relational\n{steps}@end r\n@attribute c {{b,a}}\n@data\n" + "\n".join(lines)
    series = read_arff(raw_of(tmp_path_factory.mktemp("arff"), "a.arff", text))
    assert_same(series, tables)
    assert isinstance(series.label, Words)
    assert [series.label.cell(i) for i in range(len(series))] == labels
    short = sum(len(table) < span for table in tables)
    assert len(series.notes) == (short > 0)


def test_attributes_are_the_steps_and_the_class_comes_last(tmp_path):
    series = read_arff(raw_of(tmp_path, "a.arff", FLAT + "1,2.5,b\n% between\n3,?,'a c'\n4, 5 ,?\n"))
    assert_same(series, [np.array([[1], [2.5]]), np.array([[3]]), np.array([[4], [5]])])
    assert isinstance(series.label, Words)
    assert series.label.levels == ("b", "a c")
    assert series.label.numbers.tolist() == [0, 1, -1]
    assert isinstance(series.columns["value"], Numbers)
    assert not series.columns["value"].whole
    assert series.notes == ["At the ends of 1 series, steps without any value were taken for padding and left out."]


def test_a_file_without_a_class(tmp_path):
    series = read_arff(
        raw_of(tmp_path, "a.arff", "@relation r\n@attribute a INTEGER\n@attribute b integer\n@data\n1,2\n")
    )
    assert series.label is None
    assert_same(series, [np.array([[1], [2]])])
    assert isinstance(series.columns["value"], Numbers)
    assert series.columns["value"].whole


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (FLAT + "1,2\n", 7, "the line has 2 fields, and the header declares 3"),
        (FLAT + "1,2,3,b\n", 7, "the line has 4 fields"),
        (FLAT + "1,2,c\n", 7, "the class is 'c'; it must be one that the header declares: b or a c"),
        (FLAT + "1,x,b\n", 7, "value 2 of the series is 'x'"),
        (FLAT + "{0 1, 1 2, 2 b}\n", 7, "the line is sparse"),
        (FLAT + "1,2,'b\n", 7, "the quotes do not fit together"),
        ("@relation r\n@attribute name string\n@data\n", 2, "the attribute name is string; a series has numeric steps"),
        ("@relation r\n@attribute c {a,b}\n@attribute t numeric\n@data\n", 3, "t stands behind the class"),
        ("@relation r\n@attribute c {a,b}\n@data\n", 3, "no numeric attribute"),
        ("@relation r\n@attribute c\n@data\n", 2, "declares no attribute"),
        ("@relation r\n1,2\n@data\n", 2, "'1,2' stands before @data"),
        (RELATIONAL.replace("@end r\n", "") + "@data\n", 5, "the relational attribute r has no @end"),
        (
            RELATIONAL + "@attribute c {a}\n@data\n'1,2\\n3',a\n",
            8,
            "dimension 2 has 1 value, and the header declares 2",
        ),
        (
            RELATIONAL + "@attribute c {a}\n@data\n'1,2\\n3,4',a\n'1,2',a\n",
            9,
            "the line has 1 dimension, and line 8 has 2",
        ),
    ],
)
def test_a_damaged_line_is_named(tmp_path, text, line, said):
    raw = raw_of(tmp_path, "a.arff", text)
    with pytest.raises(InputFileError) as caught:
        read_arff(raw)
    assert f"FILE {raw.path}, line {line}: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(("text", "said"), [("@relation r\n", "has no line @data"), (FLAT, "has no series")])
def test_a_file_without_series_is_refused(tmp_path, text, said):
    with pytest.raises(InputFileError, match=said):
        read_arff(raw_of(tmp_path, "a.arff", text))
