from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data.columns import Numbers, Words, column_of
from throughtime.data.formats import separated
from throughtime.data.formats.base import Raw
from throughtime.data.roles import Roles, completed, series_of
from throughtime.data.series import Origin, Rows
from throughtime.errors import ArgumentError, InputFileError

ORIGIN = Origin("a.csv", 1, "")


def rows_of(text, notes=()):
    """Rows of words between spaces; whole numbers and "-" for a missing value are known."""
    names, *lines = [line.split() for line in text.strip().splitlines()]
    columns = {name: column_of([cell_of(line[place]) for line in lines]) for place, name in enumerate(names)}
    return Rows(ORIGIN, columns, len(lines), np.arange(2, 2 + len(lines)), notes)


def cell_of(text):
    try:
        return None if text == "-" else float(text) if "." in text or text == "inf" else int(text)
    except ValueError:
        return text


def cells(column):
    return [column.cell(row) for row in range(len(column))]


TABLE = """
shop  day         sold place  price
b     2020-01-02  7    north  1.5
b     2020-01-01  5    north  2.5
a     2020-01-03  -    south  1.5
a     2020-01-01  4    south  0.5
b     2020-01-04  8    north  1.5
"""


def test_rows_become_series():
    series = series_of(rows_of(TABLE, ["Read."]), Roles(id="shop", time="day", target=("sold",), static=("place",)))
    assert list(series.ids) == ["a", "b"] and series.starts.tolist() == [0, 2, 5]
    assert cells(series.columns["sold"]) == [4, None, 5, 7, 8]
    assert cells(series.columns["price"]) == [0.5, 1.5, 2.5, 1.5, 1.5] and set(series.columns) == {"sold", "price"}
    assert cells(series.statics["place"]) == ["south", "north"] and series.label is None
    assert series.lines is not None and series.lines.tolist() == [5, 4, 3, 2, 6]
    assert series.clock is not None and series.times is not None
    assert series.clock.printed(series.times) == [f"2020-01-0{day}" for day in (1, 3, 1, 2, 4)]
    assert series.notes == [
        "Read.",
        "5 rows in, 5 used, 0 left out: 2 series of 2 to 3 steps.",
        "Times were not in order; 2 rows stood after a later time of the series. Sorted.",
    ]


def test_rows_in_the_order_of_the_series_are_in_order():
    text = "u t v\na 1 5\nb 1 6\na 2 7\nb 2 8\n"
    series = series_of(rows_of(text), Roles(id="u", time="t"))
    assert cells(series.columns["v"]) == [5, 7, 6, 8]
    assert not any("in order" in note for note in series.notes)
    series = series_of(rows_of("u t v\na 2 5\nb 1 6\na 1 7\nb 2 8\n"), Roles(id="u", time="t"))
    assert "Times were not in order; 1 row stood after a later time of the series. Sorted." in series.notes


def test_without_an_id_there_is_one_series_and_without_a_time_the_order_of_rows():
    series = series_of(rows_of("v w\n3 1\n1 2\n2 3\n"), Roles(ignore=("w",)))
    assert list(series.ids) == [None] and series.starts.tolist() == [0, 3] and series.times is None
    assert cells(series.columns["v"]) == [3, 1, 2] and list(series.columns) == ["v"]
    assert series.notes == [
        "3 rows in, 3 used, 0 left out: 1 series of 3 steps.",
        "Columns left out, since they are to be ignored: 'w'.",
        "Without a column of times, steps are in the order of the rows.",
    ]


@pytest.mark.parametrize(
    ("cells_of_ids", "ids"),
    [
        ([10, 9, 10], [9, 10]),
        (["10", "9", "10"], ["10", "9"]),
        ([2.5, -1.0, 2.5], [-1.0, 2.5]),
        (["007", "x", "007"], ["007", "x"]),
    ],
)
def test_ids_keep_their_type_and_their_order_is_theirs(cells_of_ids, ids):
    rows = Rows(ORIGIN, {"i": column_of(cells_of_ids), "v": column_of([1, 2, 3])}, 3, np.arange(1, 4))
    series = series_of(rows, Roles(id="i"))
    assert list(series.ids) == ids and [type(key) for key in series.ids] == [type(key) for key in ids]


def test_a_target_of_the_series_is_its_label():
    text = "case_id t kind x\n2 1 walk 0.5\n2 2 walk 0.25\n1 1 run 3.5\n"
    series = series_of(rows_of(text), Roles(time="t", target=("kind",), static=("kind",)))
    assert series.label is not None and cells(series.label) == ["run", "walk"]
    assert series.statics == {} and list(series.columns) == ["x"]


@pytest.mark.parametrize(
    ("header", "roles"),
    [
        ("unique_id ds y x", Roles("unique_id", "ds", ("y",))),
        ("item_id timestamp target x", Roles("item_id", "timestamp", ("target",))),
        ("Case_ID t TARGET x", Roles("Case_ID", None, ("TARGET",))),
        ("a DS Y x", Roles(None, "DS", ("Y",))),
        ("a x y z", Roles()),
        ("a ds Ds x", Roles(None, "ds")),
        ("a Ds DS x", Roles()),
    ],
)
def test_names_that_are_known(header, roles):
    completed_roles, notes = completed(rows_of(f"{header}\n1 1 2 3\n1 2 3 4\n"), Roles())
    assert completed_roles == roles
    named = [name for names in roles.named().values() for name in names]
    assert [note.split("'")[1] for note in notes] == named
    assert completed(rows_of(f"{header}\n1 1 2 3\n1 2 3 4\n"), roles)[0] == roles


def test_what_the_user_says_comes_first():
    rows = rows_of("unique_id ds y sold\n1 1 2 3\n")
    assert completed(rows, Roles(target=("sold",)))[0] == Roles("unique_id", "ds", ("sold",))
    assert completed(rows, Roles(id="ds", ignore=("unique_id", "y")))[0] == Roles("ds", ignore=("unique_id", "y"))


def test_the_only_column_of_times_is_the_time():
    rows = rows_of("Month y\n1949-01 1\n1949-02 2\n")
    roles, notes = completed(rows, Roles())
    assert roles == Roles(time="Month", target=("y",))
    assert notes == ["Column 'Month' is the time, since it holds times.", "Column 'y' is the target, by its name."]
    roles, notes = completed(rows_of("a b x\n1949-01 1949-02 1\n"), Roles())
    assert roles == Roles() and notes == ["Columns 'a' and 'b' hold times; without `time`, the rows count as in order."]


def test_a_date_of_birth_is_no_time():
    text = "case_id born x\n1 1999-01-02 5\n1 1999-01-02 6\n2 1980-05-06 7\n2 1980-05-06 8\n"
    roles, notes = completed(rows_of(text), Roles())
    assert roles == Roles(id="case_id")
    assert notes[1] == "Columns 'born' hold times that most rows of a series share, so none is the time."
    # A time with a row too many is refused, not passed over, and so is one of several series that no id tells apart.
    with pytest.raises(InputFileError, match="line 3, column 'born': is '1999-01-02', as in line 2"):
        series_of(rows_of(text.replace("case_id", "person")), Roles())
    with pytest.raises(InputFileError, match="line 3, column 'at': is '1999-01-02' for case_id 1, as in line 2"):
        series_of(rows_of("case_id at\n1 1999-01-02\n1 1999-01-02\n1 1999-01-03\n"), Roles())


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (Roles(id="shopp"), "^id is 'shopp'; the columns of FILE a.csv are 'shop', .*: did you mean 'shop'[?]$"),
        (Roles(target=("sold", "Prize")), "^target is 'Prize'; .*: did you mean 'price'[?]$"),
        (Roles(known=("zzz",)), "^known is 'zzz'; .*: name one of these$"),
        (Roles(id="shop", static=("shop",)), "^static is 'shop', which is given as id too; a column has a single role"),
        (Roles(target=("sold",), known=("sold",)), "^known is 'sold', which is given as target too"),
        (Roles(past=("sold", "sold")), "^past is 'sold', which is given as past too"),
    ],
)
def test_names_that_are_no_columns_and_columns_with_two_roles_are_refused(roles, message):
    with pytest.raises(ArgumentError, match=message):
        series_of(rows_of(TABLE), roles)


@pytest.mark.parametrize(
    ("text", "roles", "message"),
    [
        ("i t v\n1 1 2\n- 2 3\n", Roles(id="i"), "line 3, column 'i': is missing: every row needs an id"),
        ("i t v\na 1 2\n- 2 3\n", Roles(id="i"), "line 3, column 'i': is missing: every row needs an id"),
        ("i t v\n1 1 2\n1 - 3\n", Roles(id="i", time="t"), "line 3, column 't': is missing: every row needs a time"),
        (
            "i t v\n1 5 2\n2 5 2\n1 4 3\n1 5 4\n2 5 7\n1 4 9\n",
            Roles(id="i", time="t"),
            "^FILE a.csv, line 5, column 't': is 5 for i 1, as in line 2: leave one out.$",
        ),
        (
            "t v\n2020-01-01T02:00 2\n2020-01-01T02:00 2\n",
            Roles(),
            "line 3, column 't': is '2020-01-01T02:00', as in line 2: leave one out, or give the `id` that "
            "tells series apart; an hour that clocks show twice needs offsets",
        ),
        (
            "i v s\n1 1 2\n2 5 1\n1 2 3\n",
            Roles(id="i", static=("s",)),
            "line 4, column 's': is '3', and line 2 of the same series has '2': a static column has a value per series",
        ),
        (
            "i v s\n1 1 x\n1 5 -\n",
            Roles(id="i", static=("s",)),
            "line 3, column 's': is 'None', and line 2 of the same",
        ),
        ("v w\n1 2\ninf 3\n", Roles(), "line 3, column 'v': is infinite: leave the field empty"),
        ("v w\n1 2\n2 -1\n", Roles(weight="w"), "line 3, column 'w': is -1: a weight must be a number of at least 0"),
        ("v w\n1 2\n2 -\n", Roles(weight="w"), "line 3, column 'w': is missing: a weight must be"),
        ("v w\n1 x\n", Roles(weight="w"), "line 2, column 'w': is 'x': a weight must be a number of at least 0"),
    ],
)
def test_rows_that_make_no_series_are_refused(text, roles, message):
    with pytest.raises(InputFileError, match=message):
        series_of(rows_of(text), roles)


def test_what_is_ignored_may_be_anything():
    series = series_of(rows_of("v w\n1 inf\n2 3\n"), Roles(ignore=("w",)))
    assert list(series.columns) == ["v"]


def test_a_missing_static_value_may_be_missing_in_every_row():
    series = series_of(rows_of("i s n\n1 - -\n1 - -\n2 x 5\n"), Roles(id="i", static=("s", "n")))
    assert [cells(column) for column in series.statics.values()] == [[None, "x"], [None, 5]]


def test_columns_that_tell_nothing_are_noted():
    notes = series_of(rows_of("a b c\n1 x -\n1 y -\n1 x -\n"), Roles()).notes
    assert notes[-2:] == ["Columns with the same value in every row: 'a'.", "Columns without any value: 'c'."]


def test_a_column_that_is_the_same_where_it_is_known_is_not_constant():
    assert not any("same value" in note for note in series_of(rows_of("a b\n1 2\n- 3\n"), Roles()).notes)


tables = st.lists(
    st.tuples(
        st.integers(8, 11), st.integers(0, 9), st.sampled_from(["x", "y", "", "007"]), st.none() | st.integers(0, 3)
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[:2],
)


def written(path, table):
    lines = [
        f"{key},2020-01-{1 + day:02},{word},{'' if number is None else number},s{key}"
        for key, day, word, number in table
    ]
    path.write_text("\n".join(["key,day,word,number,kind", *lines]))
    return separated.read(Raw(path))


@settings(deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_of_a_file_changes_nothing_but_their_lines(tmp_path_factory, table, shuffle):
    folder = tmp_path_factory.mktemp("roles")
    places = list(range(len(table)))
    shuffle.shuffle(places)
    roles = Roles(id="key", time="day", static=("kind",))
    series = series_of(written(folder / "a.csv", table), roles)
    other = series_of(written(folder / "b.csv", [table[place] for place in places]), roles)
    assert same(series) == same(other)
    assert series.lines is not None and other.lines is not None
    assert [places[line - 2] + 2 for line in other.lines] == series.lines.tolist()


def same(series):
    """All that a set of series holds, beside where its rows stood."""
    plain = replace(series, origin=ORIGIN, notes=(), lines=None)
    columns = [*plain.columns.items(), *plain.statics.items()]
    contents = [
        (name, cells(column), column.levels if isinstance(column, Words) else column.whole) for name, column in columns
    ]
    return repr((plain.ids, plain.starts, plain.times, contents))


@settings(deadline=None)
@given(tables, st.booleans(), st.booleans())
def test_every_row_of_a_file_is_a_step(tmp_path_factory, table, with_id, blank):
    """Rows in are rows used, each with its line: none is invented, none dropped."""
    path = tmp_path_factory.mktemp("roles") / "a.csv"
    written(path, table)
    if blank:
        path.write_text(path.read_text().replace("\n", "\n\n"))
    rows = separated.read(Raw(path))
    series = series_of(rows, Roles(id="key", time="day") if with_id else Roles(ignore=("day",)))
    assert series.lines is not None
    assert series.steps == rows.rows == len(table) and sorted(series.lines) == rows.lines.tolist()
    keys = np.repeat(np.array(series.ids, dtype=object), series.lengths).tolist()
    text = path.read_text().splitlines()
    for step, line in enumerate(series.lines.tolist()):
        key, day, word, number, kind = text[line - 1].split(",")
        assert series.columns["word"].cell(step) == (word or None)
        assert series.columns["number"].cell(step) == (int(number) if number else None)
        assert series.columns["kind"].cell(step) == kind
        assert keys[step] == (int(key) if with_id else None)
    assert f"{len(table):,} row{'s' * (len(table) > 1)} in, {len(table):,} used, 0 left out" in "".join(series.notes)
    if blank:
        assert any("empty line" in note for note in series.notes)


def test_some_of_the_series_keep_their_lines_and_times():
    series = series_of(rows_of(TABLE), Roles(id="shop", time="day"))
    taken = series.take(np.array([1]))
    assert taken.lines is not None and taken.lines.tolist() == [3, 2, 6] and taken.clock == series.clock


def test_the_air_passengers_of_the_past(tmp_path):
    path = tmp_path / "passengers.csv"
    path.write_text("Month,#Passengers\n1949-02,118\n1949-01,112\n1949-04,129\n")
    series = series_of(separated.read(Raw(path)), Roles(target=("#Passengers",)))
    assert cells(series.columns["#Passengers"]) == [112, 118, 129]
    assert isinstance(series.columns["#Passengers"], Numbers)
