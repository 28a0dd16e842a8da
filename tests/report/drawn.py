"""The first panel of an exhibit, drawn for a look at its axes."""

from throughtime.report.canvas import PAGE, drawing, one_axes


def drawn(exhibit):
    with drawing():
        _, axes = one_axes((5, 3), 1, False)
        exhibit.panels[0].draw(axes, PAGE)
    return axes
