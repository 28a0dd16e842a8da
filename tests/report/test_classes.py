from dataclasses import replace

import pytest
from report.drawn import axes_of, lines_of
from report.examined import chances, confusion

from throughtime.records import Confusion
from throughtime.report.classes import calibration
from throughtime.report.classes import confusion as confusion_exhibit
from throughtime.report.sentences import Absent


def test_the_matrix_has_true_classes_down_and_shares_of_the_row_as_colours():
    exhibit = confusion_exhibit(confusion())
    axes = axes_of(exhibit.panels[0])
    shares = axes.images[0].get_array()
    assert shares[0].tolist() == pytest.approx([20 / 22, 2 / 22, 0]) and shares[1].tolist() == [0, 0, 0]
    assert {(text.get_position(), text.get_text()) for text in axes.texts[1:]} == {
        ((0, 0), "20"), ((1, 0), "2"), ((0, 2), "2"), ((2, 2), "22")
    }  # fmt: skip
    assert [text.get_text() for text in axes.get_yticklabels()] == ["fine", "<worn> …", "broken …"]
    table = exhibit.tables[0]
    assert list(table.heads) == ["", "fine", "<worn> & torn", "broken for good", "in all", "share right"]
    assert table.rows[2][:5] == ["broken for good", 2, 0, 22, 24] and str(table.rows[1][-1]) == "nan"
    assert "42 of 46 on the diagonal" in exhibit.panels[0].alt


def test_many_classes_are_coloured_without_counts_and_few_names():
    axes = axes_of(confusion_exhibit(confusion(20)).panels[0])
    assert axes.images[0].get_array().shape == (20, 20) and len(axes.texts) == 1
    assert len(axes.get_xticks()) == 6 and axes.get_yticklabels()[-1].get_text() == "class 19"
    assert axes.get_xticklabels()[-1].get_text() == "clas…"


def test_counts_that_do_not_fit_are_left_to_the_table():
    made = confusion(12)
    assert len(axes_of(confusion_exhibit(made).panels[0]).texts) > 12
    wide = replace(made, counts=[[1000 * count for count in row] for row in made.counts])
    assert len(axes_of(confusion_exhibit(wide).panels[0]).texts) == 1


def test_a_folded_class_is_explained_and_nothing_to_draw_is_said():
    folded = replace(confusion(), folded=7)
    assert "'broken for good' stands for 7 classes" in confusion_exhibit(folded).tables[0].caption
    empty = confusion_exhibit(Confusion(["a"], [[0]]))
    assert empty.panels[0].draw is None and empty.panels[0].instead == Absent.NO_VALUES.value


def test_calibration_shows_the_share_right_of_each_probability():
    exhibit = calibration(chances())
    (line,) = lines_of(exhibit.panels[0]).values()
    assert line == ([0.45, 0.66, 0.74, 0.97], [0.5, 0.5, 5 / 9, 0.9])
    bars = [bar.get_height() for bar in axes_of(exhibit.panels[0]).patches]
    assert bars[9] == max(bars) and bars[6] == pytest.approx(bars[9] * 12 / 61) and bars[0] == 0
    gap = (7 * 0.05 + 12 * 0.16 + 9 * abs(0.74 - 5 / 9) + 61 * 0.07) / 89
    assert f"mean distance from the diagonal {gap:.4g}" in exhibit.tables[0].caption
    assert exhibit.tables[0].rows[6][1:] == [12, 0.66, 0.5]


def test_an_interval_holds_the_share_and_narrows_with_the_count():
    lines = axes_of(calibration(chances()).panels[0]).collections[0].get_segments()
    ends = [(low[1], high[1]) for low, high in lines]
    assert all(low < share < high for (low, high), share in zip(ends, [0.5, 0.5, 5 / 9, 0.9], strict=True))
    for end in ends[0]:
        assert abs(end - 0.5) == pytest.approx(1.96 * (end * (1 - end) / 7) ** 0.5), "a share 1.96 deviations away"
    assert ends[3][1] - ends[3][0] < 0.2 and ends[3][1] < 1


def test_empty_bins_alone_are_said():
    assert calibration(chances()[:3]).panels[0].instead == Absent.NO_VALUES.value
