from throughtime.data.columns import column_of
from throughtime.data.notes import missing_notes, named, shortened, were


def test_the_first_few_are_named():
    assert named("ab") == "'a' and 'b'"
    assert named("abcdefg") == "'a', 'b', 'c', 'd', 'e' and 2 more"


def test_a_long_text_is_cut_off():
    assert shortened("x" * 40) == repr("x" * 40) and shortened("x" * 41) == f"'{'x' * 40}…'"


def test_missing_values_are_counted():
    columns = {"a": column_of([1, None]), "b": column_of(["x", "y"]), "c": column_of([None, None])}
    assert missing_notes(columns) == ["3 values missing, in 'a' and 'c'."]
    assert missing_notes({"b": columns["b"]}) == []


def test_was_and_were():
    assert (were(1, "line"), were(2_000, "line")) == ("1 line was", "2,000 lines were")
