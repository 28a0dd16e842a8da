import json
import math
from dataclasses import dataclass
from enum import Enum

import pytest

from throughtime.records.plain import from_plain, to_plain


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
