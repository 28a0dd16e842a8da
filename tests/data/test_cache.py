"""Large files are read into files, and give what they give in memory, bit by bit."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data import cache, encoding, large
from throughtime.data.columns import Numbers, Words
from throughtime.data.encoding import Encoding
from throughtime.data.formats import separated
from throughtime.data.formats.base import Raw
from throughtime.data.formats.choice import read
from throughtime.data.large import GrowingArray, cache_folder, is_mapped
from throughtime.data.roles import Roles, series_of
from throughtime.errors import InputFileError
from throughtime.runs.tasks.answers import ClassAnswers, NumberAnswers
from throughtime.runs.tasks.reading import constant_of


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for the cache, in which every file is large."""
    monkeypatch.setenv("THROUGHTIME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "LARGE", 1)
    return tmp_path


def _everything(path, numeric):
    """All that training takes from a file, up to the arrays; numbers as bytes."""
    rows = read(path)
    series = series_of(rows, Roles(id="machine", time="at"))
    constant = constant_of(series, "mode")
    some = series.take(np.arange(len(series))[:: -2 if len(series) > 2 else 1])
    names = ["heat", "mode", "mode"]  # of two columns of words, the second draws after the first
    read_as = Encoding.fit(some.columns, names)
    inputs = read_as.read(some.columns, some.steps, np.random.default_rng(3))
    kind = NumberAnswers if numeric else ClassAnswers
    target = "heat" if numeric else "load"
    try:
        answers = kind.fit(target, some.columns[target])
        known = answers, answers.numbers(some.columns[target]).tobytes()
    except InputFileError as error:
        known = str(error), b""
    columns = [(name, column.codes.tobytes(), getattr(column, "levels", ())) for name, column in some.columns.items()]
    notes = [note for note in series.notes if "cache" not in note]
    assert some.times is not None and some.lines is not None
    told = some.ids, some.starts.tolist(), some.times.tobytes(), some.lines.tolist(), notes, columns
    return (*told, constant and constant.codes.tobytes(), read_as, inputs.tobytes(), known), is_mapped(rows.lines)


cells = st.tuples(
    st.sampled_from(["1", "", "-2.5", "0.125", "7"]), st.sampled_from(["low", "high", "", "mid"]), st.integers(0, 3)
)


@settings(deadline=None, max_examples=50)
@given(
    st.dictionaries(st.tuples(st.sampled_from(["b", "a", "10"]), st.integers(0, 9)), cells, min_size=1),
    st.sampled_from([int, str]),
    st.booleans(),
    st.booleans(),
    st.randoms(),
    st.booleans(),
)
def test_a_large_file_gives_what_a_small_one_gives(tmp_path_factory, rows, kind, dates, ordered, chance, numeric):
    """Ids and times of numbers and words; in order, or shuffled; a column that turns to words late among them."""
    lines = [
        f"{ord(name[0]) if kind is int else name},{f'2024-01-{at + 1:02}' if dates else at},{','.join(map(str, row))}"
        for (name, at), row in (sorted(rows.items()) if ordered else rows.items())
    ]
    if not ordered:
        chance.shuffle(lines)
    folder = tmp_path_factory.mktemp("large")
    path = folder / "t.csv"
    path.write_text("\n".join(["machine,at,heat,mode,load", *lines, ""]))
    if numeric and all(row[0] == "" for row in rows.values()):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THROUGHTIME_CACHE", str(folder / "cache"))
        patch.setattr(large, "BLOCK", 3)
        patch.setattr(encoding, "_UNKNOWN_SHARE", 0.4)
        small = _everything(path, numeric)
        patch.setattr(cache, "LARGE", 1)
        made, found = _everything(path, numeric), _everything(path, numeric)
    assert (small[1], made[1], found[1]) == (False, True, True)
    assert made[0] == small[0] and found[0] == small[0]


def test_mean_and_spread_by_blocks_are_those_of_all(monkeypatch):
    monkeypatch.setattr(large, "BLOCK", 7)
    values = np.random.default_rng(0).normal(3, 5, 100)
    values[[0, 1, 2, 3, 4, 5, 6, 50]] = np.nan  # a block of nothing comes first
    (feature,) = Encoding.fit({"x": Numbers(values)}, ["x"]).features
    assert (feature.mean, feature.spread) == (pytest.approx(np.nanmean(values)), pytest.approx(np.nanstd(values)))


def _table(path, rows=40, late=False):
    lines = [
        f"{'a' if row < 25 else 'b'},{row},{row / 8},{'word' if late and row == 30 else 0.5}" for row in range(rows)
    ]
    path.write_text("\n".join(["machine,at,heat,load", *lines, ""]))
    return path


def test_a_file_is_read_once_and_told_of(place, monkeypatch):
    path = _table(place / "t.csv", late=True)
    rows = read(path)
    assert isinstance(rows.columns["load"], Words) and is_mapped(rows.columns["heat"].codes)
    (folder,) = (place / "cache").iterdir()
    assert f"lie in the cache {folder}, which may be deleted at any time" in rows.notes[-1]
    assert "Column 'load' is read as words, because line 32 has 'word'." in rows.notes
    monkeypatch.setattr(separated, "_read", None)
    again = read(path.rename(place / "moved.csv"))
    assert again.notes == rows.notes and again.origin.name == str(place / "moved.csv")
    assert again.columns["load"].cell(30) == "word" and again.lines.tolist() == rows.lines.tolist()


def test_a_changed_file_has_a_cache_of_its_own(place):
    read(_table(place / "t.csv"))
    assert read(_table(place / "t.csv", rows=41)).rows == 41 and len([*(place / "cache").iterdir()]) == 2


@pytest.mark.parametrize("damage", ["byte", "cut", "gone", "index", "schema", "half"])
def test_a_damaged_cache_is_made_anew(place, damage):
    path = _table(place / "t.csv")
    before = [column.codes.tobytes() for column in read(path).columns.values()]
    (folder,) = (place / "cache").iterdir()
    numbers, index = folder / "2", folder / "index.json"
    content = bytearray(numbers.read_bytes())
    content[9] ^= 1
    told = json.loads(index.read_text())
    {
        "byte": lambda: numbers.write_bytes(content),
        "cut": lambda: numbers.write_bytes(content[:-8]),
        "gone": numbers.unlink,
        "index": lambda: index.write_text("{"),
        "schema": lambda: index.write_text(json.dumps({**told, "schema": 0})),
        "half": index.unlink,
    }[damage]()
    again = read(path)
    assert [column.codes.tobytes() for column in again.columns.values()] == before and is_mapped(again.lines)
    assert cache._loaded(folder, Raw(path)) is not None and [*(place / "cache").iterdir()] == [folder]


def test_of_two_processes_the_first_that_is_complete_stays(place, monkeypatch):
    path, once = _table(place / "t.csv"), cache._store
    stores = []

    def twice(folder, rows):
        once(folder, rows)
        stores.append(folder.stat().st_ino)

    def late(folder, rows):
        monkeypatch.setattr(cache.shutil, "rmtree", lambda *given, **options: None)  # the other is there already
        twice(folder, rows)

    monkeypatch.setattr(cache, "_store", twice)
    first = read(path)
    monkeypatch.setattr(
        cache, "_loaded", lambda folder, raw, known=cache._loaded: known(folder, raw) if len(stores) > 1 else None
    )
    monkeypatch.setattr(cache, "_store", late)
    second = read(path)
    assert stores[0] == stores[1] and len(stores) == 2
    assert second.columns["heat"].codes.tobytes() == first.columns["heat"].codes.tobytes()


def test_a_full_disk_is_said(place, monkeypatch):
    def full(*given, **options):
        raise OSError(28, "No space left on device")

    path = _table(place / "t.csv")
    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "fsync", full)
        with pytest.raises(InputFileError, match="cache.*cannot be written: No space left.*THROUGHTIME_CACHE"):
            read(path)
    assert not [*(place / "cache").iterdir()], "nothing is left behind"
    monkeypatch.setattr(large.tempfile, "TemporaryFile", full)
    with pytest.raises(InputFileError, match="No space left"):
        GrowingArray(np.int32, mapped=True)


def test_the_folder_is_that_of_the_system(monkeypatch, tmp_path):
    monkeypatch.delenv("THROUGHTIME_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "throughtime"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))
    (tmp_path / "a file").write_text("")
    with pytest.raises(InputFileError, match="a file/throughtime cannot be written"):
        cache_folder()


def test_progress_is_told_to_a_terminal(place, monkeypatch, capsys):
    monkeypatch.setattr(cache.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(cache.time, "monotonic", iter(range(0, 9000, 3)).__next__)
    read(_table(place / "t.csv"))
    told = capsys.readouterr().err
    assert f"Reading {place / 't.csv'} into the cache: 100%, 0 s left" in told and told.endswith("\r\033[K")
