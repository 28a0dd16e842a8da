from dataclasses import replace

from report.drawn import axes_of, lines_of
from report.examined import fan

from throughtime.report.fans import fans
from throughtime.report.sentences import Absent


def test_a_forecast_goes_on_from_the_values_before_it():
    made = fan()
    exhibit = fans([made, fan("b", 3)])
    lines = lines_of(exhibit.panels[0])
    assert lines["median"] == ([1, 2, 3, 4, 5, 6], made.predicted)
    across, up = lines["came"]
    assert across == list(range(-9, 7)) and up[10] == made.came[0] and up[4] == made.past[4]
    assert exhibit.panels[0].title == "shop 7, from 2024-03-01" and "came from 2.3 to 4.3" in exhibit.panels[0].alt
    bands = [band.get_label() for band in axes_of(exhibit.panels[0]).collections]
    assert bands == ["80 %", "50 %"], "the widest first, so that the others lie on it"


def test_the_table_has_every_step_with_its_bands():
    table = fans([fan()]).tables[0]
    assert list(table.heads[3:]) == ["50 %: low", "50 %: high", "80 %: low", "80 %: high"]
    assert table.rows[1] == [2, 2.8, 2.5, 1.5, 3.0, 0.8999999999999999, 3.3]


def test_a_forecast_of_no_step_is_said():
    empty = replace(fan(), came=[], predicted=[], bands=[])
    assert fans([empty]).panels[0].instead == Absent.NO_VALUES.value
