import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import ABSENT, Numbers, Words, column_of
from throughtime.data.encoding import Encoding, Feature
from throughtime.errors import InputFileError


def test_numbers_are_scaled_by_the_training_part_and_a_gap_is_0_with_a_place_that_tells():
    column = Numbers(np.array([1.0, np.nan, 5.0, 9.0]))
    feature = Feature.fit("level", column)
    assert (feature.mean, feature.spread, feature.width) == (5.0, pytest.approx(np.sqrt(32 / 3)), 2)
    places = feature.read(Numbers(np.array([5.0, np.nan, 5.0 + feature.spread])))
    np.testing.assert_allclose(places, [[0, 0], [0, 1], [1, 0]], atol=1e-6)


def test_a_constant_column_and_an_empty_one_give_no_division_by_zero():
    for values in ([3.0, 3.0], [np.nan, np.nan], []):
        places = Feature.fit("flat", Numbers(np.array(values))).read(Numbers(np.array(values)))
        assert np.isfinite(places).all() and not places[:, 0].any()


def test_a_word_has_a_place_and_an_unknown_word_the_last_one():
    feature = Feature.fit("kind", column_of(["red", "green", "red"]))
    places = feature.read(column_of(["green", "blue", None, "red"]))
    np.testing.assert_array_equal(places, [[0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]])


def test_the_place_of_unknown_words_is_seen_in_training():
    column = Words(np.zeros(5000, dtype=np.int32), ("red",))
    places = Feature.fit("kind", column).read(column, np.random.default_rng(0))
    assert 20 < places[:, 1].sum() < 90 and (places.sum(axis=1) == 1).all()
    missing = Words(np.full(5000, ABSENT, dtype=np.int32), ("red",))
    assert not Feature("kind", ("red",)).read(missing, np.random.default_rng(0)).any()


@given(st.permutations(["red", "green", "blue"]), st.integers(0, 5))
def test_the_order_of_levels_in_the_file_makes_no_difference(words, seed):
    feature = Feature.fit("kind", column_of(["blue", "green", "red"]))
    cells = [str(np.random.default_rng(seed).choice(words)) for _ in range(7)]
    np.testing.assert_array_equal(feature.read(column_of(words + cells))[3:], feature.read(column_of(cells)))


def test_columns_stand_side_by_side_by_name():
    columns = {"kind": column_of(["a", "b"]), "level": column_of([1, 3]), "other": column_of([0, 0])}
    encoding = Encoding.fit(columns, ["level", "kind"])
    assert encoding.width == 4
    np.testing.assert_allclose(
        encoding.read(dict(reversed(columns.items())), 2), [[-1, 1, 0, 0], [1, 0, 1, 0]], err_msg="reordered columns"
    )
    assert Encoding(()).read(columns, 2).shape == (2, 0)


def test_what_cannot_be_read_is_refused():
    encoding = Encoding.fit({"level": column_of([1, 3])}, ["level"])
    with pytest.raises(InputFileError, match=r"The column level is missing.*the columns are Level"):
        encoding.read({"Level": column_of([1])}, 1)
    with pytest.raises(InputFileError, match=r"level holds words; in training it held numbers"):
        encoding.read({"level": column_of(["x"])}, 1)
    with pytest.raises(InputFileError, match=r"The column level holds an infinite number"):
        Feature.fit("level", column_of([1.0, float("inf")]))
    with pytest.raises(InputFileError, match=r"The column note has 201 different words.*`ignore`.*`id`"):
        Feature.fit("note", column_of([f"word {i}" for i in range(201)]))


def test_columns_draw_their_unknown_words_one_after_the_other():
    columns = {name: Words(np.zeros(900, dtype=np.int32), ("red",)) for name in ("a", "b")} | {
        "x": column_of([1.5] * 900)
    }
    encoding = Encoding.fit(columns, ["a", "x", "b"])
    chance = np.random.default_rng(4)
    expected = [feature.read(columns[feature.name], chance) for feature in encoding.features]
    read = encoding.read(columns, 900, np.random.default_rng(4))
    np.testing.assert_array_equal(read, np.concatenate(expected, axis=1))
    assert read[:, 1].sum() and not np.array_equal(read[:, 0], read[:, 3])
