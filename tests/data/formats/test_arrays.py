import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from data_files import assert_same, raw_of, series_lists
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_arrays

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.arrays import read_arrays
from throughtime.data.formats.base import Raw
from throughtime.errors import InputFileError

GRID = np.arange(24.0).reshape(2, 3, 4) / 10


def npy(array: np.ndarray) -> bytes:
    handle = io.BytesIO()
    np.save(handle, array)
    return handle.getvalue()


def npz(save=np.savez, **arrays) -> bytes:
    handle = io.BytesIO()
    save(handle, **arrays)
    return handle.getvalue()


def refused(tmp_path, name: str, content: bytes, layout: str = "") -> str:
    with pytest.raises(InputFileError) as caught:
        read_arrays(raw_of(tmp_path, name, content), layout)
    assert str(tmp_path / name) in str(caught.value)
    return str(caught.value).replace(str(tmp_path / name), name)


@given(
    numpy_arrays.arrays(
        st.sampled_from(["<f8", ">f4", "<f2", "<i2", ">u4", "|b1"]),
        st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
        elements={"allow_infinity": False, "allow_nan": False},
    ),
    st.booleans(),
)
@settings(deadline=None)
def test_an_array_comes_back_as_it_was_saved(tmp_path_factory, array, by_column):
    saved = np.asfortranarray(array) if by_column else array
    series = read_arrays(raw_of(tmp_path_factory.mktemp("npy"), "a.npy", npy(saved)))
    expected = {1: lambda: [array[:, None]], 2: lambda: [array], 3: lambda: list(array)}[array.ndim]()
    assert_same(series, [table.astype(float) for table in expected])
    column = next(iter(series.columns.values()))
    assert isinstance(column, Numbers)
    assert column.whole == (array.dtype.kind in "biu")


@given(series_lists(), st.sampled_from([np.savez, np.savez_compressed]))
@settings(deadline=None)
def test_an_array_per_series_comes_back_as_it_was_saved(tmp_path_factory, tables, save):
    handle = io.BytesIO()
    save(handle, *tables)
    series = read_arrays(raw_of(tmp_path_factory.mktemp("npz"), "a.npz", handle.getvalue()))
    if len(tables) == 1:
        assert_same(series, tables)
        assert series.ids == [0]
    else:
        assert_same(series, tables)
        assert series.ids == [f"arr_{n}" for n in range(len(tables))]


@given(series_lists(least_steps=0))
@settings(deadline=None)
def test_series_end_to_end_come_back_as_they_were_saved(tmp_path_factory, tables):
    lengths = np.array([len(table) for table in tables])
    if not lengths.sum():
        return
    values = np.concatenate(tables)
    folder = tmp_path_factory.mktemp("npz")
    assert_same(read_arrays(raw_of(folder, "a.npz", npz(values=values, lengths=lengths))), tables)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    assert_same(read_arrays(raw_of(folder, "b.npz", npz(values=values, starts=starts))), tables)


def test_names_tell_what_arrays_hold(tmp_path):
    content = npz(X=GRID, labels=np.array(["b", "a"]), lengths=np.array([3, 1]), ids=np.array([7, 5]), other=np.ones(3))
    series = read_arrays(raw_of(tmp_path, "a.npz", content))
    assert_same(series, [GRID[0], GRID[1, :1]])
    assert series.ids == [7, 5]
    assert isinstance(series.label, Words)
    assert series.label.levels == ("b", "a")
    assert list(series.columns) == ["x0", "x1", "x2", "x3"]
    assert series.notes == ["Arrays whose names tell no role were left out: other with the shape (3,)."]


def test_parts_by_name(tmp_path):
    content = npz(x_train=GRID, y_train=np.array([1, 0]), x_test=GRID[:1, :2] + 1, y_test=np.array([1]))
    series = read_arrays(raw_of(tmp_path, "a.npz", content))
    assert_same(series, [GRID[0], GRID[1], GRID[0, :2] + 1])
    assert series.parts == ["train", "train", "test"]
    assert series.ids == ["train/0", "train/1", "test/0"]
    assert isinstance(series.label, Numbers)
    assert (series.label.values.tolist(), series.label.whole) == ([1, 0, 1], True)


def test_compressed_by_gzip(tmp_path):
    import gzip

    assert_same(read_arrays(raw_of(tmp_path, "a.npy.gz", gzip.compress(npy(GRID)))), list(GRID))


def test_two_axes_are_a_series_and_a_note_tells_the_other_reading(tmp_path):
    series = read_arrays(raw_of(tmp_path, "a.npy", npy(GRID[0])))
    assert series.notes == [
        f"The array of FILE {tmp_path / 'a.npy'} has the shape (3, 4), and was read as a series of 3 steps and 4 "
        "columns; the layout NT reads 3 series of 4 steps."
    ]
    assert_same(read_arrays(raw_of(tmp_path, "b.npy", npy(GRID[0])), "NT"), [row[:, None] for row in GRID[0]])


@pytest.mark.parametrize("layout", ["NTC", "NCT", "TNC", "TCN", "CNT", "CTN"])
def test_a_layout_names_the_axes(tmp_path, layout):
    array = np.transpose(GRID, ["NTC".index(axis) for axis in layout])
    assert_same(read_arrays(raw_of(tmp_path, "a.npy", npy(array)), layout), list(GRID))


@pytest.mark.parametrize("layout", ["TC", "CT"])
def test_a_layout_of_a_single_series(tmp_path, layout):
    array = GRID[0] if layout == "TC" else GRID[0].T
    series = read_arrays(raw_of(tmp_path, "a.npy", npy(array)), layout)
    assert_same(series, [GRID[0]])
    assert series.notes == []


def test_steps_without_a_value_at_the_end_are_padding_and_others_are_missing(tmp_path):
    array = GRID.copy()
    array[1, 1:] = array[0, 0] = array[0, 2, 1:] = np.nan
    series = read_arrays(raw_of(tmp_path, "a.npy", npy(array)))
    assert_same(series, [array[0], array[1, :1]])
    assert series.notes == ["At the ends of 1 series, steps without any value were taken for padding and left out."]


class Trap:
    """What runs code where it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_objects_are_never_unpickled(tmp_path, name):
    array = np.array([Trap(), Trap()], dtype=object)
    handle = io.BytesIO()
    if name == "a.npy":
        np.lib.format.write_array(handle, array, allow_pickle=True)
    else:
        np.savez(handle, x=array)
    said = refused(tmp_path, name, handle.getvalue())
    assert f"of FILE {name} holds Python objects, which only unpickling reads" in said
    assert "save numbers, a ragged list as an array per series" in said


def test_a_pickle_called_npy_is_refused(tmp_path):
    assert "has no header that can be read" in refused(tmp_path, "a.npy", pickle.dumps(Trap()))


def test_more_kinds_that_are_refused(tmp_path):
    assert "holds complex numbers" in refused(tmp_path, "a.npy", npy(np.ones(3, dtype=complex)))
    assert "holds text; steps must be numbers" in refused(tmp_path, "a.npy", npy(np.array(["a", "b"])))
    assert "holds dates" in refused(tmp_path, "a.npy", npy(np.array(["2020-01-01"], dtype="M8[D]")))
    assert "holds records" in refused(tmp_path, "a.npy", npy(np.zeros(3, dtype=[("a", "f8")])))
    with pytest.warns(UserWarning, match="Stored array in format 3.0"):
        unicode = npy(np.zeros(3, dtype=[("日", "f8")]))
    assert "holds records" in refused(tmp_path, "a.npy", unicode)


def test_an_infinity_and_a_number_that_floats_cannot_hold_are_named_with_their_place(tmp_path):
    array = GRID.copy()
    array[1, 2, 3] = -np.inf
    assert "The array x of FILE a.npz is -inf at [1, 2, 3], counted from 0; it must be finite" in refused(
        tmp_path, "a.npz", npz(x=array)
    )
    large = np.array([1, 2**53 + 1])
    assert "The array of FILE a.npy is 9007199254740993 at [1]" in refused(tmp_path, "a.npy", npy(large))
    assert_same(read_arrays(raw_of(tmp_path, "b.npy", npy(large - 1))), [np.array([[0], [2.0**53]])])


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_truncated_array_is_refused(tmp_path, cut):
    said = refused(tmp_path, "a.npy", npy(GRID)[:-cut])
    assert "has the shape (2, 3, 4) of float64, which takes 192 bytes" in said
    assert said.endswith("are there: it was cut off.")


@pytest.mark.parametrize("length", [3, 7, 20, 80])
def test_a_truncated_header_is_refused(tmp_path, length):
    assert "has no header that can be read" in refused(tmp_path, "a.npy", npy(GRID)[:length])


def test_more_than_an_array_is_refused(tmp_path):
    assert "it holds more than an array" in refused(tmp_path, "a.npy", npy(GRID) * 2)


def test_a_header_that_promises_more_than_memory_has_is_refused(tmp_path):
    content = npy(GRID).replace(b"(2, 3, 4), }         ", b"(2, 3, 40000000000), }")[: len(npy(GRID))]
    assert b"40000000000" in content
    assert "it was cut off" in refused(tmp_path, "a.npy", content)


@pytest.mark.parametrize("shape", [b"(-2, -3, 4), }", b"(2, 3, -4), } "])
def test_a_header_with_negative_sizes_is_refused(tmp_path, shape):
    content = npy(GRID).replace(b"(2, 3, 4), }  ", shape)
    assert len(content) == len(npy(GRID))
    assert "has the shape (" in refused(tmp_path, "a.npy", content)


def test_text_without_a_character_is_refused_like_any_text(tmp_path):
    content = npy(np.array(["a"])).replace(b"<U1", b"<U0")[:-4]
    assert "holds text; steps must be numbers" in refused(tmp_path, "a.npy", content)


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_truncated_archive_is_refused(tmp_path, kept):
    content = npz(x=GRID, y=np.arange(2))
    assert "is a damaged or foreign archive" in refused(tmp_path, "a.npz", content[: int(kept * len(content))])


def test_a_damaged_member_is_refused(tmp_path):
    content = bytearray(npz(x=GRID))
    content[content.index(b"NUMPY") + 200] ^= 1
    assert "is a damaged or foreign archive: Bad CRC-32" in refused(tmp_path, "a.npz", bytes(content))


def test_another_archive_is_refused(tmp_path):
    handle = io.BytesIO()
    with zipfile.ZipFile(handle, "w") as archive:
        archive.writestr("table.csv", "a,b\n1,2\n")
    said = refused(tmp_path, "a.npz", handle.getvalue())
    assert "is an archive with table.csv in it, and an .npz file holds arrays alone: unpack it" in said


def test_a_member_that_unfolds_beyond_reason_is_refused_before_it_is_unfolded(tmp_path):
    content = bytearray(npz(np.savez_compressed, x=np.zeros(1000), y=np.zeros(2)))
    # The declared size in the directory, of which a reader reserves memory; a real bomb would take the disk.
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 2**31)
    said = refused(tmp_path, "a.npz", bytes(content))
    assert "unfolds to 2,147,48" in said
    assert "most of them in x.npy, which no data do" in said


def test_arrays_of_the_same_name_are_refused(tmp_path):
    handle = io.BytesIO()
    with zipfile.ZipFile(handle, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x.npy", npy(GRID))
        archive.writestr("x.npy", npy(GRID))
    assert "holds x twice" in refused(tmp_path, "a.npz", handle.getvalue())


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 4)])
def test_an_array_without_values_is_refused(tmp_path, shape):
    assert f"has the shape {shape}, and so no values" in refused(tmp_path, "a.npy", npy(np.zeros(shape)))


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4)])
def test_other_axes_are_refused(tmp_path, shape):
    said = refused(tmp_path, "a.npy", npy(np.zeros(shape)))
    assert f"has the shape {shape}; it must have the axes of steps" in said


def test_a_layout_of_other_axes_is_refused(tmp_path):
    said = refused(tmp_path, "a.npy", npy(GRID), "TC")
    assert said == "The array of FILE a.npy has the shape (2, 3, 4); it must have the axes that the layout TC has."


def test_the_origin_is_that_of_the_file(tmp_path):
    raw = raw_of(tmp_path, "a.npy", npy(GRID))
    assert read_arrays(raw).origin == Raw(tmp_path / "a.npy").origin
