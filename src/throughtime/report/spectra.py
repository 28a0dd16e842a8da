"""Exhibits of spectra: eigenvalues and the unit circle, norms of powers, Lyapunov exponents."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from throughtime.records import LayerFlow, Lyapunov, MatrixSpectrum, Spectrum
from throughtime.report.canvas import SQUARE, Palette, dress, legend, log_up, points
from throughtime.report.exhibit import (
    Exhibit,
    Panel,
    Table,
    finite,
    of_all,
    picked,
    positive,
    shown,
    table,
    without_picture,
)
from throughtime.report.sentences import Absent, LookFor, Says, why_empty

Plane = list[list[float]]
"""Complex numbers, [real, imaginary] each."""
_BARS = 48
"""Largest number of exponents that are drawn with error bars. More are a line with a band."""
_DOTS = 300
"""The number of eigenvalues in a plane, at most."""


def eigenvalues(first: Sequence[LayerFlow], last: Sequence[LayerFlow]) -> Exhibit:
    """Show the eigenvalues of the recurrent weights and the state Jacobians.

    The last and the first diagnosis are shown.
    """
    before = {layer.name: layer.spectrum for layer in first if first is not last}
    panels: list[Panel] = []
    tables: list[Table] = []
    for layer in last:
        if (spectrum := layer.spectrum) is None:
            panels.append(without_picture(layer.name, Absent.NOT_ASKED.value.format(layer=layer.name)))
            continue
        old = before.get(layer.name)
        for name, block in spectrum.weights.items():
            earlier = old.weights[name].eigenvalues if old is not None and name in old.weights else []
            panels.append(_plane(f"{layer.name} {name}", block.eigenvalues, earlier, name))
        earlier = [] if old is None else old.jacobian_eigenvalues
        panels.append(_plane(f"{layer.name} ∂sₜ/∂sₜ₋₁", spectrum.jacobian_eigenvalues, earlier, "Jacobian"))
        tables += _spectrum_tables(layer.name, spectrum.weights)
        tables += _jacobian_tables(layer, spectrum)
    return Exhibit("Eigenvalues and the unit circle", LookFor.EIGENVALUES.value, panels, tables)


def powers(last: Sequence[LayerFlow]) -> Exhibit:
    """Show the norms of the powers of the blocks of recurrent weights."""
    layers = [(layer.name, layer.spectrum.weights) for layer in last if layer.spectrum is not None]
    tables = []
    for name, weights in layers:
        norms = {block: matrix.power_norms for block, matrix in weights.items() if matrix.power_norms}
        longest = max(map(len, norms.values()), default=0)
        rows = [[k, *(values[k] if k < len(values) else math.nan for values in norms.values())] for k in range(longest)]
        tables.append(table(f"{name}: norms of the powers", ["k", *norms], rows))
    return Exhibit("Powers of the weights", LookFor.POWERS.value, [_powers_panel(*layer) for layer in layers], tables)


def lyapunov(first: Sequence[LayerFlow], last: Sequence[LayerFlow]) -> Exhibit:
    """Show the Lyapunov spectrum of each layer, with standard errors. The last and the first diagnosis are shown."""
    before = {layer.name: layer.lyapunov for layer in first if first is not last}
    panels = [_lyapunov_panel(layer, before.get(layer.name)) for layer in last]
    tables = []
    for layer in last:
        if (known := layer.lyapunov) is not None:
            caption = (
                f"{layer.name}: Lyapunov exponents per step, over {known.steps:,} steps of {known.rows:,} rows after "
                f"{known.discarded:,} discarded"
            )
            rows = [[index + 1, *pair] for index, pair in enumerate(zip(known.exponents, known.errors, strict=True))]
            tables.append(table(caption, ["", "exponent", "standard error"], rows))
    return Exhibit("Lyapunov exponents", LookFor.LYAPUNOV.value, panels, tables)


def _plane(title: str, after: Plane, before: Plane, name: str) -> Panel:
    dots, old = _by_size(after), _by_size(before)
    if not dots:
        why = Absent.NOT_SQUARE.value.format(block=name) if not after else Absent.NOT_FINITE.value
        return without_picture(title, why)
    outside = sum(math.hypot(*dot) > 1 for dot in dots)
    largest = shown(math.hypot(*dots[0]))
    alt = f"Eigenvalues of {title}: {len(dots):,}, the largest of size {largest}, {outside:,} outside the circle."

    def draw(axes: Any, palette: Palette) -> None:
        _draw_plane(axes, palette, picked(dots, _DOTS), picked(old, _DOTS))

    return Panel(title + of_all(len(dots), _DOTS, "dots"), alt, draw, size=SQUARE, keys=1 if old else 0)


def _by_size(dots: Plane) -> Plane:
    """Return the finite dots, the largest first."""
    return sorted((dot for dot in dots if all(map(math.isfinite, dot))), key=lambda dot: -math.hypot(*dot))


def _draw_plane(axes: Any, palette: Palette, after: Plane, before: Plane) -> None:
    from matplotlib.patches import Circle

    dress(axes, palette, "real part", "imaginary part")
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=palette.ink, linewidth=1.1))
    style = {"linestyle": "none", "markersize": 4}
    if before:
        hollow = {"markerfacecolor": "none", "markeredgecolor": palette.series[1], "markeredgewidth": 0.9}
        axes.plot(*zip(*before, strict=True), marker="o", label="first", **style, **hollow)
    axes.plot(*zip(*after, strict=True), marker="o", label="last", color=palette.series[0], **style, alpha=0.8)
    reach = 1.08 * max(1.0, *(math.hypot(*dot) for dot in [*after, *before]))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_box_aspect(1)
    axes.locator_params(nbins=5)
    if before:
        legend(axes, palette)


def _spectrum_tables(name: str, weights: Mapping[str, MatrixSpectrum]) -> list[Table]:
    rows = []
    for block, matrix in weights.items():
        sigma_max = max(matrix.singular_values, default=math.nan)
        largest_power = max(matrix.power_norms, default=math.nan)
        rows.append([block, matrix.radius, sigma_max, matrix.departure, largest_power])
    heads = ["block", "largest |eigenvalue|", "σ max", "departure from normality", "largest ‖Wᵏ‖"]
    values = [
        table(
            f"{name}, {block}: eigenvalues and singular values",
            ["", "real", "imaginary", "singular value"],
            [
                [index + 1, *pair]
                for index, pair in enumerate(_beside(_by_size(matrix.eigenvalues), matrix.singular_values))
            ],
            20,
        )
        for block, matrix in weights.items()
    ]
    return [table(f"{name}: recurrent weights", heads, rows), *values]


def _beside(eigenvalues: Plane, singular: list[float]) -> list[list[float]]:
    """Return lines of [real, imaginary, singular value]; nan where either list has ended."""
    none = [math.nan, math.nan]
    count = max(len(eigenvalues), len(singular))
    return [
        [*(eigenvalues[i] if i < len(eigenvalues) else none), singular[i] if i < len(singular) else math.nan]
        for i in range(count)
    ]


def _jacobian_tables(layer: LayerFlow, spectrum: Spectrum) -> list[Table]:
    pairs = zip(spectrum.jacobian_norms, spectrum.jacobian_radii, strict=True)
    rows = [[index + 1, *pair] for index, pair in enumerate(pairs)]
    dots = [[index + 1, *dot] for index, dot in enumerate(_by_size(spectrum.jacobian_eigenvalues))]
    bound = "" if spectrum.bound is None else f"; a step grows at most by γσ = {shown(spectrum.bound)}"
    return [
        table(f"{layer.name}: sampled state Jacobians{bound}", ["sample", "σ max", "largest |eigenvalue|"], rows, 20),
        table(f"{layer.name}: eigenvalues of all of them, largest first", ["", "real", "imaginary"], dots, 20),
    ]


def _powers_panel(name: str, weights: Mapping[str, MatrixSpectrum]) -> Panel:
    norms = {block: matrix.power_norms for block, matrix in weights.items() if finite(positive(matrix.power_norms))}
    if not norms:
        return without_picture(name, why_empty([value for matrix in weights.values() for value in matrix.power_norms]))
    peaks = "; ".join(f"{block} up to {shown(max(finite(values)))}" for block, values in norms.items())

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "power k", "‖Wᵏ‖")
        for index, (block, values) in enumerate(norms.items()):
            axes.plot(positive(values), label=block, marker=points(values), markersize=4, **palette.line(index))
        axes.axhline(1, color=palette.ink, linewidth=0.8)
        log_up(axes)
        legend(axes, palette, 2 if len(norms) > 3 else 4)

    return Panel(name, f"Norms of powers of {name}: {peaks}.", draw, keys=-(-len(norms) // 2) if len(norms) > 3 else 1)


def _lyapunov_panel(layer: LayerFlow, before: Lyapunov | None) -> Panel:
    spectrum = layer.lyapunov
    if spectrum is None:
        return without_picture(layer.name, Absent.NOT_ASKED.value.format(layer=layer.name))
    lost = sum(value == -math.inf for value in spectrum.exponents)
    said = Says.MINUS_INFINITY.value.format(count=lost, all=len(spectrum.exponents)) if lost else ""
    if not finite(spectrum.exponents):
        return without_picture(layer.name, said or why_empty(spectrum.exponents))
    alt = f"Lyapunov exponents of {layer.name}: the largest is {shown(finite(spectrum.exponents)[0])}. {said}".strip()

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "exponent, largest first", "growth per step λ")
        axes.axhline(0, color=palette.ink, linewidth=0.8)
        if before is not None and finite(before.exponents):
            _draw_exponents(axes, before, "first", {"color": palette.series[1], "marker": "o", "fillstyle": "none"})
        _draw_exponents(axes, spectrum, "last", {"color": palette.series[0], "marker": "o"})
        axes.xaxis.get_major_locator().set_params(integer=True)
        if before is not None:
            legend(axes, palette)
        if lost:
            axes.text(
                0.98,
                0.95,
                f"−∞: {lost} of {len(spectrum.exponents)}",
                transform=axes.transAxes,
                ha="right",
                va="top",
                color=palette.ink,
            )

    return Panel(layer.name, alt, draw, keys=1 if before is not None else 0)


def _draw_exponents(axes: Any, spectrum: Lyapunov, label: str, style: dict[str, Any]) -> None:
    places = [index for index, value in enumerate(spectrum.exponents) if math.isfinite(value)]
    across, up = [index + 1 for index in places], [spectrum.exponents[index] for index in places]
    errors = [spectrum.errors[index] if math.isfinite(spectrum.errors[index]) else 0.0 for index in places]
    if len(places) > _BARS:
        low, high = zip(*((value - error, value + error) for value, error in zip(up, errors, strict=True)), strict=True)
        axes.fill_between(across, low, high, color=style["color"], alpha=0.3, linewidth=0)
        axes.plot(across, up, label=label, color=style["color"], linestyle="--" if "fillstyle" in style else "-")
        return
    axes.errorbar(across, up, errors, label=label, linestyle="none", markersize=4, capsize=2, elinewidth=1, **style)
