import json
import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from throughtime.records.plain import from_plain, to_plain
from throughtime.records.ranges import Consistent, Count, FieldError, Finite, Label, Norm, Share, same_lengths, shown


class Kind(Enum):
    ODD = "odd"


@dataclass(frozen=True)
class Inner:
    kind: Kind
    values: list[float]


@dataclass(frozen=True)
class Outer:
    name: str
    count: int
    inner: Inner | None
    table: dict[str, list[Inner]]


OUTER = Outer("é", 3, None, {"a": [Inner(Kind.ODD, [1.5, math.inf, -math.inf])], "b": []})


def test_nested_records_come_back_from_json():
    text = json.dumps(to_plain(OUTER), allow_nan=False)
    assert '"kind": "odd"' in text and '[1.5, "inf", "-inf"]' in text
    assert from_plain(Outer, json.loads(text)) == OUTER
    assert from_plain(list[Outer], [json.loads(text)] * 2) == [OUTER, OUTER]


def test_what_is_no_number_comes_back_too():
    assert to_plain(math.nan) == "nan" and math.isnan(from_plain(float, "nan"))


def test_an_optional_record_that_is_there_comes_back():
    inner = Inner(Kind.ODD, [2.0])
    assert from_plain(Inner | None, to_plain(inner)) == inner and from_plain(Inner | None, None) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind, "even"), (list[float], {"0": 1.0}), (dict[str, float], [1.0]), (Inner, {"kind": "odd"}),
        (Inner, {"kind": "odd", "values": [], "more": 1}), (float, "x"), (int, None),
    ],
)  # fmt: skip
def test_what_is_of_another_form_is_refused(kind, value):
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_plain(kind, value)


@dataclass(frozen=True)
class Ranged(Consistent):
    """Numbers with ranges, and two lists of one length."""

    count: Count
    share: Share = 0.5
    norm: Norm = 1.0
    finite: Finite | None = None
    first: list[float] = field(default_factory=list)
    second: list[str | int] = field(default_factory=list)

    def check(self):
        same_lengths(self, "first", "second")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"count": -1}, "count is -1; it must be at least 0"),
        ({"count": True}, "count is True; it must be a whole number"),
        ({"count": 2.0}, "count is 2.0; it must be a whole number"),
        ({"count": 2**63}, "count is 9223372036854775808; it must be a whole number of at most 64 bits"),
        ({"share": 0.5}, "count is missing; it must be present"),
        ({"count": 1, "share": 1.5}, "share is 1.5; it must be from 0 to 1"),
        ({"count": 1, "share": "nan"}, "share is nan; it must be from 0 to 1"),
        ({"count": 1, "norm": "-inf"}, "norm is -inf; it must be at least 0"),
        ({"count": 1, "norm": 1e301}, "norm is 1e.301; it must be a number of a size up to 1e.300"),
        ({"count": 1, "finite": "inf"}, "finite is inf; it must be finite or nothing"),
        ({"count": 1, "finite": "x\ny"}, r"finite is 'x\\ny'; it must be a number or nothing"),
        ({"count": 1, "first": [1, None]}, r"first\[1\] is None; it must be a number"),
        ({"count": 1, "first": [1.0], "second": []}, "second has 0 entries; it must be a list of 1"),
        ({"count": 1, "first": [1.0], "second": [1.5]}, r"second\[0\] is 1.5; it must be text or a whole number"),
        ({"count": 1, "x" * 100: 1}, "'x{50,60}… is not known"),
        ([], r"its content is \[\]; it must be a dictionary"),
    ],
)
def test_a_misfit_names_its_place_and_what_it_must_be(values, said):
    with pytest.raises(FieldError, match=f"^{said}"):
        from_plain(Ranged, values)


def test_what_is_in_range_is_read_as_it_is():
    read = from_plain(Ranged, {"count": 0, "share": 1, "norm": "inf", "first": [1], "second": ["a"]})
    assert read == Ranged(0, 1.0, math.inf, None, [1.0], ["a"]) and isinstance(read.share, float)
    assert math.isnan(from_plain(Norm, "nan")), "an infinite norm, or none, is what was measured"


def test_a_value_of_any_form_is_not_nested_without_end():
    nest = []
    for _ in range(60):
        nest = [nest]
    with pytest.raises(FieldError, match="nested too deeply"):
        from_plain(dict[str, Any], {"facts": nest})


def test_a_message_shows_a_huge_number_without_its_digits():
    assert shown(16**20000) == "a huge int"
    assert len(shown("x" * 1000)) < 70 and "\n" not in shown("a\nb")


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "a\nb"])
def test_a_label_that_no_figure_can_show_is_refused(text):
    with pytest.raises(FieldError, match="^a is .* it must be printable text"):
        from_plain(dict[str, Label], {"a": text})
    assert from_plain(Label, "nats²") == "nats²"
