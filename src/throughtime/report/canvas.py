"""The common frame of all figures: colours, sizes, axes.

A page is read in light and in dark, so its figures are drawn in stand-in colours, for which `svg` writes the page's
CSS variables; a notebook gets the colours themselves. Series differ in line style as well as in colour.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from throughtime.errors import UnsupportedError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE, SQUARE, SMALL = (5.0, 3.0), (3.2, 3.3), (3.2, 2.1)
"""Sizes of a figure in inches of 72 units. They are about as many pixels on a telephone."""

STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
"""Line styles of series, in order; they tell series apart without colour."""
COLOUR_MAP = "cividis"
_LEFT, _RIGHT, _BOTTOM, _TOP, _KEY, _BAR = 0.85, 0.2, 0.56, 0.1, 0.25, 0.72
"""Margins in inches: four sides, a line of keys, a colour bar."""
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "throughtime",
    "text.parse_math": False,
    "font.size": 11.0,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.7,
    "path.simplify_threshold": 0.5,
}


@dataclass(frozen=True)
class Palette:
    """Colours of text and frames, secondary text, grids, the background, and each series."""

    ink: str
    muted: str
    grid: str
    ground: str
    series: tuple[str, ...]

    def line(self, index: int) -> dict[str, Any]:
        """Return colour and line style of a series."""
        return {"color": self.series[index % len(self.series)], "linestyle": STYLES[index % len(STYLES)]}


# Okabe and Ito's colours, the light ones darkened so far that a line shows on white.
NOTEBOOK = Palette(
    "#1b1f24", "#57606a", "#d0d7de", "#ffffff", ("#0072b2", "#d55e00", "#00805d", "#a8508a", "#9a6a00", "#2f7fb5")
)
PAGE = Palette("#010001", "#010002", "#010003", "#010004", tuple(f"#0100{10 + index}" for index in range(6)))
VARIABLES = {
    PAGE.ink: "--ink",
    PAGE.muted: "--muted",
    PAGE.grid: "--grid",
    PAGE.ground: "--ground",
    **{colour: f"--series-{index}" for index, colour in enumerate(PAGE.series)},
}
"""The variable of the page's CSS that replaces each stand-in colour."""


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with the report's settings, whatever the user's settings are.

    Raises:
        UnsupportedError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise missing_extra("matplotlib") from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def missing_extra(package: str) -> UnsupportedError:
    """Return the error for a missing package that only reports need."""
    return UnsupportedError(f"A report needs {package}, which is not installed: pip install 'throughtime[report]'.")


def one_axes(size: tuple[float, float], keys: int, bar: bool) -> "tuple[Figure, Any]":
    """Return a figure with axes, margins, and room for keys and a colour bar."""
    from matplotlib.figure import Figure

    width, height = size
    figure = Figure(figsize=size)
    figure.subplots_adjust(
        left=_LEFT / width,
        right=1 - (_RIGHT + (_BAR if bar else 0)) / width,
        bottom=_BOTTOM / height,
        top=1 - (_TOP + keys * _KEY) / height,
    )
    return figure, figure.subplots()


def dress(axes: Any, palette: Palette, across: str, up: str) -> None:
    """Set labels, frame, ticks and grid in the palette's colours."""
    axes.set_facecolor("none")
    axes.set_xlabel(across, color=palette.ink, labelpad=3)
    axes.set_ylabel(up, color=palette.ink, labelpad=3)
    axes.tick_params(which="both", color=palette.muted, labelcolor=palette.ink, length=3, labelsize=10)
    axes.grid(True, color=palette.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_color(palette.muted)
        spine.set_visible(side in ("left", "bottom"))


def legend(axes: Any, palette: Palette, columns: int = 4) -> None:
    """Draw the legend as a line above the axes, where nothing is covered.

    Without a named line there is none.
    """
    if not axes.get_legend_handles_labels()[0]:
        return
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=columns, frameon=False, fontsize=10, borderpad=0.2,
        labelcolor=palette.ink, handlelength=2.2, columnspacing=1.1, handletextpad=0.5,
    )  # fmt: skip


def level(axes: Any, palette: Palette, name: str, height: float, right: bool = True) -> None:
    """Draw a named horizontal line."""
    axes.axhline(height, color=palette.muted, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(
        name, (0.995 if right else 0.005, height), (0, 2), xycoords=axes.get_yaxis_transform(), fontsize=10,
        textcoords="offset points", ha="right" if right else "left", color=palette.ink,
    )  # fmt: skip


def log_up(axes: Any) -> None:
    """Make the vertical axis logarithmic, with a few labels at whole powers of ten."""
    axes.set_yscale("log")
    powers_of_ten(axes.yaxis)


def log_across(axes: Any) -> None:
    """Make the horizontal axis logarithmic, with a few labels at whole powers of ten."""
    axes.set_xscale("log")
    powers_of_ten(axes.xaxis)


def powers_of_ten(axis: Any) -> None:
    """Label a logarithmic axis, with powers of ten where plain numbers would be long."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    few, plain = low <= 0 or high / low < 100, low >= 1e-3 and high <= 1e5
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value) if few or plain else power(value)))
    axis.set_minor_formatter(NullFormatter())


def short(value: float) -> str:
    """Return a number in few letters, such as 0.05 or 4.5e−4."""
    if value == 0 or 1e-3 <= value < 1e5:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}".replace("-", "−")


def power(value: float) -> str:
    """Return a power of ten as text, such as 10⁻³."""
    exponent = f"{value:.0e}".partition("e")[2]
    return "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def points(values: Sequence[float]) -> str:
    """Return the marker of a series: dots if it is short. The line of a short series shows little."""
    return "o" if len(values) <= 12 else ""
