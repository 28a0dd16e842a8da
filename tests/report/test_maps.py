import math
from dataclasses import replace

import numpy as np
from report.drawn import axes_of
from report.records_of import gains, layer

from throughtime.records import GainMap, StepNormRow
from throughtime.report.maps import gains as gain_exhibit
from throughtime.report.maps import norm_maps, over_training


def _rows(updates, steps, layer="l0"):
    return [StepNormRow(u, layer, t, 1.0 + u + t / 10) for u in updates for t in range(steps)]


def test_the_lines_of_a_table_become_a_map_of_each_layer():
    rows = [*_rows([3, 1], 2), StepNormRow(1, "l0", 2, 0.5), StepNormRow(7, "l1", 0, 2.0)]
    maps = norm_maps(rows)
    assert maps["l0"].updates == [1, 3] and maps["l0"].steps == [0, 1, 2]
    assert repr(maps["l0"].norms) == repr([[2.0, 4.0], [2.1, 4.1], [0.5, math.nan]])
    assert maps["l1"].norms == [[2.0]]


def test_the_map_over_training_has_updates_across_and_steps_up():
    exhibit = over_training(norm_maps(_rows([1, 5, 9], 4)))
    axes = axes_of(exhibit.panels[0])
    image = axes.images[0].get_array()
    assert image.shape == (4, 3) and image[3, 0] == 2.3 and image[0, 2] == 10.0
    assert axes.images[0].origin == "lower"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "5", "9"]
    table = exhibit.tables[0]
    assert list(table.heads) == ["", "1", "5", "9"] and table.rows[3] == [3, 2.3, 6.3, 10.3]


def test_what_is_too_much_to_draw_is_thinned_and_said():
    exhibit = over_training(norm_maps(_rows(range(500), 3)))
    assert exhibit.panels[0].title == "l0, 160 of 500 updates"
    image = axes_of(exhibit.panels[0]).images[0].get_array()
    assert image.shape == (3, 160) and image[0, 0] == 1.0 and image[0, -1] == 500.0
    assert exhibit.tables[0].caption.endswith("(3 of 3 rows and 12 of 500 columns, evenly spread)")


def test_the_gain_map_is_blank_before_the_diagonal():
    panel = gain_exhibit([layer()]).panels[0]
    image = axes_of(panel).images[0].get_array()
    assert np.array_equal(np.ma.getmaskarray(image), ~np.tri(18, dtype=bool))
    assert image[17, 0] == gains(0.12).gain[17][0] and image[4, 4] == 1.0


def test_a_gain_of_nothing_is_as_dark_as_the_least():
    made = replace(layer(), gains=GainMap([0, 1], [0, 1], [[1.0, math.nan], [0.0, 1e-3]]))
    image = axes_of(gain_exhibit([made]).panels[0]).images[0]
    assert image.get_array()[1, 0] == 1e-3 == image.norm.vmin and image.norm.vmax == 1.0


def test_the_spectral_gain_has_a_table_of_its_own():
    tables = gain_exhibit([layer()]).tables
    assert len(tables) == 2 and tables[1].rows[0][1] == 2 * tables[0].rows[0][1]
