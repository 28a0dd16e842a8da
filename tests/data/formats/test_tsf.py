import numpy as np
import pytest
from data_files import assert_same, raw_of, series_lists, text_of
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.tsf import read_tsf
from throughtime.errors import InputFileError

HEADER = "@relation r\n@attribute series_name string\n@attribute start_timestamp date\n"


def days(series) -> list[str]:
    assert series.times is not None
    return series.times.astype("datetime64[D]").astype(str).tolist()


@given(series_lists(most_columns=1), st.sampled_from(["daily", "hourly", "10_minutes", "monthly", "yearly"]))
def test_series_come_back_as_they_were_written(tmp_path_factory, tables, frequency):
    lines = [f"T{n}:1980-01-31 00-00-00:" + ",".join(map(text_of, t[:, 0])) for n, t in enumerate(tables)]
    text = f"# made\n{HEADER}@frequency {frequency}\n@missing true\n@equallength false\n@data\n" + "\n".join(lines)
    series = read_tsf(raw_of(tmp_path_factory.mktemp("tsf"), "a.tsf", text))
    assert_same(series, tables)
    assert series.ids == [f"T{n}" for n in range(len(tables))]
    assert series.times is not None
    starts = series.times[series.starts[:-1]]
    assert (starts == np.datetime64("1980-01-31", "ns")).all()
    assert series.notes == []


@pytest.mark.parametrize(
    ("frequency", "start", "expected"),
    [
        ("monthly", "2019-12-31 00-00-00", ["2019-12-31", "2020-01-31", "2020-02-29", "2020-03-31"]),
        ("quarterly", "2019-11-30", ["2019-11-30", "2020-02-29", "2020-05-30", "2020-08-30"]),
        ("yearly", "2020-02-29 00-00-00", ["2020-02-29", "2021-02-28", "2022-02-28", "2023-02-28"]),
        ("weekly", "2020-02-24 00-00-00", ["2020-02-24", "2020-03-02", "2020-03-09", "2020-03-16"]),
        ("daily", "2020-02-28 00-00-00", ["2020-02-28", "2020-02-29", "2020-03-01", "2020-03-02"]),
    ],
)
def test_steps_of_the_calendar(tmp_path, frequency, start, expected):
    text = f"{HEADER}@frequency {frequency}\n@horizon 8\n@data\nT1:{start}:1,2,3,4\n"
    series = read_tsf(raw_of(tmp_path, "a.tsf", text))
    assert days(series) == expected
    assert series.notes == ["The header asks for forecasts of 8 steps."]


@pytest.mark.parametrize(
    ("frequency", "seconds"),
    [
        ("half_hourly", 1800),
        ("hourly", 3600),
        ("minutely", 60),
        ("10_minutes", 600),
        ("4_seconds", 4),
        ("3_days", 259200),
        ("weekly", 604800),
    ],
)
def test_steps_of_equal_length(tmp_path, frequency, seconds):
    text = f"{HEADER}@frequency {frequency}\n@data\nT1:2020-03-28 23-45-10:1,2,3\n"
    series = read_tsf(raw_of(tmp_path, "a.tsf", text))
    assert series.times is not None
    assert (series.times[0], np.diff(series.times).tolist()) == (
        np.datetime64("2020-03-28T23:45:10"),
        [seconds * 10**9] * 2,
    )


def test_other_attributes_are_values_per_series(tmp_path):
    text = (
        "@attribute series_name string\n@attribute state string\n@attribute size numeric\n@frequency daily\n@data\n"
        "A:NSW:3:1,2\nB:?:?:3\nC:VIC:4:5.5\n"
    )
    series = read_tsf(raw_of(tmp_path, "a.tsf", text))
    state, size = series.statics["state"], series.statics["size"]
    assert isinstance(state, Words) and isinstance(size, Numbers)
    assert [state.cell(i) for i in range(3)] == ["NSW", None, "VIC"]
    assert [size.cell(i) for i in range(3)] == [3, None, 4]
    assert series.times is None
    assert series.notes == ["There is no attribute start_timestamp, so the steps have no times."]


def test_a_start_without_a_frequency_stays_a_value_per_series(tmp_path):
    series = read_tsf(raw_of(tmp_path, "a.tsf", "@attribute start_timestamp date\n@data\n2020-01-01 00-00-00:1,2\n"))
    assert series.statics["start_timestamp"].cell(0) == "2020-01-01 00-00-00"
    assert series.ids == [0]
    assert sorted(series.notes) == [
        "There is no @frequency, so the steps have no times.",
        "There is no attribute series_name, so the ids are the numbers of the series, counted from 0.",
    ]


def test_times_beyond_the_calendar_that_can_be_kept_are_noted(tmp_path):
    values = ",".join(map(str, range(300)))
    text = f"{HEADER}@frequency yearly\n@equallength true\n@data\nA:1990-01-01:1,2\nB:1979-01-01 12-00-00:{values}\n"
    series = read_tsf(raw_of(tmp_path, "a.tsf", text))
    assert series.times is None
    assert series.statics["start_timestamp"].cell(1) == "1979-01-01 12-00-00"
    assert series.notes == [
        "The header says equal lengths; the series have 2 to 300 steps.",
        "The steps have no times: the series of line 8, yearly from 1979-01-01 12-00-00, leaves the years 1678 to "
        "2261, for which times can be kept.",
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            HEADER + "@frequency daily\n@data\nA:2020-01-01 00-00-00:1,2\nA:2020-01-01 00-00-00:3\n",
            7,
            "called 'A', as that",
        ),
        (
            HEADER + "@frequency daily\n@data\nA:2020-01-01 00:00:00:1,2\n",
            6,
            "the line has 4 attributes before the values",
        ),
        (HEADER + "@frequency daily\n@data\nA:1,2\n", 6, "the line has 1 attribute before"),
        (
            HEADER + "@frequency daily\n@data\nA:2020-02-30 00-00-00:1,2\n",
            6,
            "start_timestamp is '2020-02-30 00-00-00'",
        ),
        (HEADER + "@frequency daily\n@data\nA:2020-02-03 00-00-00:1,x\n", 6, "value 2 of the series is 'x'"),
        (HEADER + "@frequency daily\n@data\nA:2020-02-03 00-00-00:1,-inf\n", 6, "value 2 of the series is -inf"),
        (HEADER + "@frequency sometimes\n@data\n", 4, "@frequency is sometimes; it must be yearly"),
        (HEADER + "@frequency 0_minutes\n@data\n", 4, "@frequency is 0_minutes"),
        ("@attribute a colour\n@data\n", 1, "it must be @attribute, a name of its own, and string, numeric or date"),
        ("@attribute a string\n@attribute a string\n@data\n", 2, "a name of its own"),
        ("@attribute n numeric\n@data\nx:1\n", 3, "the attribute n is 'x'; it must be a number"),
        ("1,2\n@data\n", 1, "'1,2' stands before @data"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, text, line, said):
    raw = raw_of(tmp_path, "a.tsf", text)
    with pytest.raises(InputFileError) as caught:
        read_tsf(raw)
    assert f"FILE {raw.path}, line {line}: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(("text", "said"), [(HEADER, "has no line @data"), (HEADER + "@data\n\n", "has no series")])
def test_a_file_without_series_is_refused(tmp_path, text, said):
    with pytest.raises(InputFileError, match=said):
        read_tsf(raw_of(tmp_path, "a.tsf", text))


def test_lines_of_the_header_that_are_not_understood_are_noted(tmp_path):
    text = "@attribute series_name string\n@colour red\n@data\nA:1\n"
    notes = read_tsf(raw_of(tmp_path, "a.tsf", text)).notes
    assert notes[0] == "Line 2: @colour red is not understood and was left out."
