import pytest
from matplotlib.ticker import NullFormatter

from throughtime.report.canvas import NOTEBOOK, STYLES, drawing, one_axes, points, power, powers_of_ten, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.005, "0.005"),
        (0.001, "0.001"),
        (20000.0, "20000"),
        (4.5e-4, "4.5e−4"),
        (1e5, "1e5"),
        (3e7, "3e7"),
    ],
)
def test_a_number_in_few_letters(value, text):
    assert short(value) == text


@pytest.mark.parametrize(("value", "text"), [(1e-3, "10⁻³"), (1.0, "10⁰"), (1e12, "10¹²"), (1e-120, "10⁻¹²⁰")])
def test_a_power_of_ten(value, text):
    assert power(value) == text


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.9, 6.0, ["1", "2", "5"]),  # few powers of ten: some between them, too
        (0.5, 2e3, ["1", "10", "100", "1000"]),
        (1e-9, 1.0, ["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "10⁰"]),
    ],
)
def test_a_logarithmic_axis_has_a_few_labels(low, high, labels):
    with drawing():
        _, axes = one_axes((5, 3), 1, False)
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        powers_of_ten(axes.yaxis)
        seen = [place for place in axes.yaxis.get_major_locator()() if low <= place <= high]
        found = [axes.yaxis.get_major_formatter()(place) for place in seen]
    assert found == labels and isinstance(axes.yaxis.get_minor_formatter(), NullFormatter)


def test_series_that_share_a_colour_differ_in_style_as_do_all_others():
    lines = [NOTEBOOK.line(index) for index in range(len(STYLES))]
    assert len({line["color"] for line in lines}) == len({line["linestyle"] for line in lines}) == len(STYLES)


def test_a_short_series_has_dots():
    assert points([0.0] * 12) == "o" and points([0.0] * 13) == ""
