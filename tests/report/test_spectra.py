import math
from dataclasses import replace

from report.drawn import axes_of, lines_of
from report.records_of import layer, matrix

from throughtime.records import Lyapunov, Spectrum
from throughtime.report.spectra import eigenvalues, lyapunov, powers


def _spectrum(*dots):
    return Spectrum({"weight_hh": replace(matrix(0.5, 1), eigenvalues=[list(dot) for dot in dots])}, [], [], [], None)


def test_eigenvalues_before_and_after_stand_around_the_circle():
    first = replace(layer(), spectrum=_spectrum((0.5, 0.0)))
    last = replace(layer(), spectrum=_spectrum((0.3, 0.4), (-3.0, 0.0), (0.3, -0.4)))
    panel = eigenvalues([first], [last]).panels[0]
    axes = axes_of(panel)
    assert lines_of(panel) == {
        "first": ([0.5], [0.0]),
        "last": ([-3.0, 0.3, 0.3], [0.0, 0.4, -0.4]),  # the largest first
    }
    assert axes.patches[0].get_radius() == 1 and axes.get_xlim() == (-3.24, 3.24) == axes.get_ylim()
    assert "3, the largest of size 3, 1 outside the circle." in panel.alt


def test_of_many_eigenvalues_the_largest_is_always_drawn():
    dots = [(0.001 * i, 0.0) for i in range(999)]
    made = replace(layer(), spectrum=_spectrum(*dots))
    panel = eigenvalues([made], [made]).panels[0]
    across = lines_of(panel)["last"][0]
    assert len(across) == 300 and max(across) == 0.998 and panel.title.endswith(", 300 of 999 dots")


def test_each_block_and_the_jacobians_have_a_plane():
    exhibit = eigenvalues([layer()], [layer()])
    assert [panel.title.removeprefix("recurrent.l0 ") for panel in exhibit.panels] == [
        *("input gate", "forget gate", "candidate", "output gate", "∂sₜ/∂sₜ₋₁")
    ]
    rows = exhibit.tables[0].rows
    assert [row[0] for row in rows] == ["input gate", "forget gate", "candidate", "output gate"]
    assert rows[0][1:4] == [0.5, 1.0, 0.375]


def test_norms_of_powers_are_lines_by_block():
    panel = powers([layer()]).panels[0]
    assert lines_of(panel)["candidate"][1] == layer().spectrum.weights["candidate"].power_norms
    assert panel.keys == 2


def test_exponents_have_error_bars_and_lost_directions_are_counted():
    made = replace(layer(), lyapunov=Lyapunov([0.5, -0.25, -math.inf], [0.125, math.nan, math.nan], 40, 3, 5))
    exhibit = lyapunov([made], [made])
    axes = axes_of(exhibit.panels[0])
    assert [text.get_text() for text in axes.texts] == ["−∞: 1 of 3"]
    segments = axes.containers[0].lines[2][0].get_segments()
    assert [(one[0][1], one[1][1]) for one in segments] == [(0.375, 0.625), (-0.25, -0.25)]
    assert "the largest is 0.5. Lost at once, with an exponent of −∞: 1 of 3 directions." in exhibit.panels[0].alt
    assert exhibit.tables[0].rows[2] == [3, -math.inf, exhibit.tables[0].rows[2][2]]


def test_many_exponents_are_a_line_with_a_band():
    made = replace(layer(), lyapunov=Lyapunov([-0.1 * i for i in range(60)], [0.5] * 60, 40, 3, 5))
    panel = lyapunov([made], [made]).panels[0]
    assert lines_of(panel)["last"][1] == made.lyapunov.exponents and not axes_of(panel).containers
    axes = axes_of(panel)
    band = axes.collections[0].get_datalim(axes.transData)
    assert (band.y0, band.y1) == (-0.1 * 59 - 0.5, 0.5)


def test_before_is_drawn_beside_after():
    before = replace(layer(), lyapunov=Lyapunov([0.1], [0.1], 40, 3, 5))
    panel = lyapunov([before], [layer()]).panels[0]
    assert [one.get_label() for one in axes_of(panel).containers] == ["first", "last"] and panel.keys == 1
