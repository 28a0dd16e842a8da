import json
import math
from dataclasses import replace

import pytest

from throughtime.errors import RunFolderError
from throughtime.records import (
    EXAMINATION,
    Band,
    CaseRow,
    Cases,
    ChanceBin,
    Confusion,
    ErrorsBy,
    Examination,
    Fan,
    Metric,
    Scatter,
    label_of,
    read_examination,
    write_examination,
)

WHOLE = Examination(
    [Metric("MSE", 0.5), Metric("R²", math.nan, "m", {"mean": -0.25, "previous": math.inf})],
    Confusion(["a", "b"], [[3, 0], [1, 2]]),
    [ChanceBin(0.0, 0.5, 0, math.nan, math.nan), ChanceBin(0.5, 1.0, 7, 0.75, 0.5)],
    Scatter([1.0, -2.5], [0.5, 3.0], 9),
    [ErrorsBy("series, worst first", "mean absolute error", ["M1", "7"], [0.5, 0.25], [3, 1], 4)],
    Cases(["series"], ["true", "loss"], [CaseRow(["M1"], [1.0, 2.0])]),
    [Fan("M1", "7", [math.nan], [1.0, math.nan], [1.5, 2.0], [Band(0.8, [1.0, 1.0], [2.0, 3.5])])],
    17,
)


def test_what_was_written_is_read(tmp_path):
    assert read_examination(tmp_path) is None
    write_examination(tmp_path, WHOLE)
    assert repr(read_examination(tmp_path)) == repr(WHOLE)


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (replace(WHOLE, confusion=Confusion(["a", "b"], [[3, 0], [1]])), r"confusion.counts\[1\] has 1 entries"),
        (replace(WHOLE, scatter=Scatter([1.0], [], 9)), "scatter.predicted has 0 entries"),
        (replace(WHOLE, errors=[ErrorsBy("a", "b", ["x"], [1.0], [], 1)]), r"errors\[0\].counts has 0 entries"),
        (replace(WHOLE, worst=Cases(["a"], [], [CaseRow([], [])])), r"worst.cases\[0\].words has 0 entries"),
        (replace(WHOLE, fans=[Fan("a", "b", [], [], [1.0])]), r"fans\[0\].came has 0 entries"),
        (
            replace(WHOLE, fans=[Fan("a", "b", [], [1.0], [1.0], [Band(0.5, [], [])])]),
            r"fans\[0\].bands\[0\].low has 0",
        ),
        (replace(WHOLE, metrics=[Metric("a\n", 1.0)]), r"metrics\[0\].name is .*printable"),
        (replace(WHOLE, update=-1), "update is -1"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(spoiled, said, tmp_path):
    write_examination(tmp_path, spoiled)
    with pytest.raises(RunFolderError, match=f"examination.json is damaged: examination.{said}.*; delete it, and "):
        read_examination(tmp_path)


def test_another_version_is_refused(tmp_path):
    (tmp_path / EXAMINATION).write_text(json.dumps({"format": 2, "examination": {}}))
    with pytest.raises(RunFolderError, match="has format 2 and this throughtime reads format 1: delete it"):
        read_examination(tmp_path)


def test_a_name_that_no_font_can_draw_is_spelled_out():
    assert [label_of(name) for name in (7, "ü b", "a\nb", 2.5)] == ["7", "ü b", r"'a\nb'", "2.5"]
