import math
from dataclasses import replace

import pytest
from report.drawn import axes_of, lines_of
from report.records_of import layer

from throughtime.records import Activation, Role, Units
from throughtime.report.activations import dead_units, histograms, saturation, states, time_constants, units_table


def _gate(**changes):
    made = Activation("z", Role.KEEP, 0.0, 1.0, 0.4, 0.25, 0.5, [0.5, 0.2, 0.3], [0.0, 0.3, 0.6, 1.0], [1, 2, 4, 8, 16])
    return replace(layer(), activations=[replace(made, **changes)])


def test_saturation_is_three_parts_of_a_hundred():
    exhibit = saturation([_gate()])
    axes = axes_of(exhibit.panels[0])
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 25), (25, 25), (50, 50)]
    assert [text.get_text() for text in axes.texts] == ["z"]
    assert exhibit.tables[0].rows == [["z", "keeps the state", 0.4, 25.0, 50.0]]


def test_a_figure_of_many_rows_is_taller():
    many = replace(layer(), activations=3 * layer().activations)
    assert saturation([many]).panels[0].size[1] > saturation([layer()]).panels[0].size[1]


def test_a_histogram_is_in_per_cent_with_its_mean():
    exhibit = histograms([_gate()])
    axes = axes_of(exhibit.panels[0])
    assert list(axes.patches[0].get_data().values) == [50, 20, 30]
    assert list(axes.patches[0].get_data().edges) == [0.0, 0.3, 0.6, 1.0]
    assert axes.get_lines()[0].get_xdata()[0] == 0.4
    assert "the fullest bin, 0 to 0.3, holds 50 %." in exhibit.panels[0].alt
    assert exhibit.tables[0].rows[2] == ["0.6 to 1", 30.0]


@pytest.mark.parametrize("longest", [16.0, math.inf])
def test_time_constants_are_quantiles_in_steps(longest):
    exhibit = time_constants([_gate(time_constants=[1.0, 2.0, 4.0, 8.0, longest])])
    axes = axes_of(exhibit.panels[0])
    drawn = [list(line.get_xdata()) for line in axes.get_lines()]
    assert drawn[:3] == [[1, 16], [2, 8], [4]]
    assert len(drawn) == (4 if math.isinf(longest) else 3)
    assert axes.get_xscale() == "log" and exhibit.tables[0].rows == [["recurrent.l0 z", 1.0, 2.0, 4.0, 8.0, longest]]


def test_without_a_keeping_gate_there_are_no_time_constants():
    exhibit = time_constants([_gate(time_constants=[])])
    assert not exhibit.panels and not exhibit.tables


def test_dead_units_are_named_or_denied():
    alive = replace(layer("l1"), units=Units(13, 0, [0.5]))
    assert dead_units([layer(), alive]) == ["recurrent.l0: 2 of 13 units never change."]
    assert dead_units([alive]) == ["Every unit changes; none is dead."]
    assert dead_units([replace(alive, units=None)]) == []
    assert units_table([layer()]).rows == [["recurrent.l0", "LSTMCell", 26, 13, 2, 0.8]]


def test_the_size_of_the_state_of_every_layer():
    exhibit = states([layer("a"), layer("b")])
    lines = lines_of(exhibit.panels[0])
    assert {name: high for name, (_, high) in lines.items()} == {name: layer().units.state_norms for name in ("a", "b")}
