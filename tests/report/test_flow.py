"""Pages and pictures of diagnoses alone, however poor they are."""

import json
import math
from dataclasses import replace

import pytest
from report.pages import read_page, section_of
from report.records_of import flow, layer, matrix

from throughtime.errors import ArgumentError
from throughtime.records import (
    Activation,
    Flow,
    GainMap,
    Horizon,
    LagCurve,
    LagShare,
    Lyapunov,
    Role,
    Spectrum,
    Units,
)
from throughtime.records.plain import from_plain
from throughtime.report import figure_of_flow, page_of_flow
from throughtime.report.sentences import Absent, Says

NAN, INF = math.nan, math.inf


def _page(made, tmp_path, **arguments):
    return read_page(page_of_flow(made, tmp_path / "page.html", **arguments).page.read_bytes())


def test_the_page_of_one_diagnosis(tmp_path):
    written = page_of_flow(
        flow(), tmp_path / "flow.html", "My model", {"Data": {"file": "x.npz"}}, "throughtime diagnose x.npz"
    )
    assert (written.page, written.numbers) == (tmp_path / "flow.html", tmp_path / "flow.json")
    assert written.verdict == flow().finding.sentence
    page = read_page(written.page.read_bytes())
    assert next(page.all("header")).text == (
        "My model How the gradient flows through time in LSTMCell (2 layers), after 900 updates; measured in 3.2 s."
    )
    assert [one.attributes["id"] for one in page.all("section")] == [
        *("verdict", "decided", "gradient", "spectra", "units", "particulars")
    ]
    assert "file x.npz" in section_of(page, "particulars").text
    assert "throughtime diagnose x.npz" in section_of(page, "particulars").text
    assert "first diagnosis" not in section_of(page, "gradient").text
    numbers = json.loads(written.numbers.read_text())
    assert repr(from_plain(list[Flow], numbers["diagnoses"])) == repr([flow()])


def test_of_several_diagnoses_the_last_is_drawn_beside_the_first(tmp_path):
    page = _page([flow(update=None, decay=0.5), flow(decay=0.3), flow()], tmp_path)
    assert "first diagnosis" in section_of(page, "gradient").text
    assert next(section_of(page, "spectra").all("svg")).text.endswith("first last")
    assert "1/e at lag 8.333" in section_of(page, "gradient").text


def test_layers_that_came_later_have_no_before(tmp_path):
    made = [replace(flow(1), layers=[layer("elsewhere")]), flow(1)]
    assert "first diagnosis" not in section_of(_page(made, tmp_path), "gradient").text


BARE = replace(
    layer(), by_lag=None, horizons=[], shares=[], gains=None, spectrum=None, lyapunov=None, activations=[], units=None
)
POOR = {
    "what was not asked for": (BARE, Absent.NOT_ASKED.value.format(layer="recurrent.l0")),
    "no gradient at all": (
        replace(
            BARE,
            by_step=[0.0] * 35,
            by_member={"h": [0.0] * 35, "c": [0.0] * 35},
            by_lag=LagCurve([NAN] * 3, {"0.5": [NAN] * 3}, [0, 0, 0], 0.0),
            horizons=[Horizon(0.01, NAN, NAN, NAN, 2)],
            shares=[LagShare(0, 1, 0.0), LagShare(1, 3, 0.0)],
        ),
        Absent.ALL_ZERO.value,
    ),
    "nothing finite": (
        replace(
            BARE,
            by_step=[NAN, INF, NAN],
            by_member={"h": [NAN, INF, NAN]},
            by_lag=LagCurve([INF, NAN], {"0.5": [NAN, INF]}, [3, 2], INF),
            shares=[LagShare(0, 1, NAN), LagShare(1, 2, 1.0)],
            gains=GainMap([0, 1], [0, 1], [[NAN, NAN], [INF, NAN]]),
            spectrum=Spectrum({"weight_hh": replace(matrix(0.5, 1), eigenvalues=[[NAN, 0.0]])}, [], [], [], NAN),
            lyapunov=Lyapunov([NAN, NAN], [NAN, NAN], 3, 1, 0),
            activations=[Activation("h", Role.CONTENT, -INF, INF, NAN, NAN, NAN, [NAN] * 2, [NAN] * 3)],
            units=Units(3, 0, [NAN, NAN, NAN]),
        ),
        Absent.NOT_FINITE.value,
    ),
    "empty lists": (
        replace(
            BARE,
            by_step=[],
            by_member={"h": [], "c": []},
            by_lag=LagCurve([], {}, [], NAN),
            gains=GainMap([], [], []),
            spectrum=Spectrum({"weight_hh": replace(matrix(0.5, 1), eigenvalues=[], power_norms=[])}, [], [], [], None),
            lyapunov=Lyapunov([], [], 0, 0, 0),
            activations=[Activation("h", Role.KEEP, 0.0, 1.0, NAN, NAN, NAN, [], [])],
            units=Units(3, 0, []),
        ),
        Absent.NO_VALUES.value,
    ),
    "not square": (
        replace(BARE, spectrum=Spectrum({"weight_hr": replace(matrix(0.5, 1), eigenvalues=[])}, [], [], [], None)),
        Absent.NOT_SQUARE.value.format(block="weight_hr"),
    ),
    "every direction lost": (
        replace(BARE, lyapunov=Lyapunov([-INF, -INF], [NAN, NAN], 9, 1, 2)),
        Says.MINUS_INFINITY.value.format(count=2, all=2),
    ),
}


@pytest.mark.parametrize(("poor", "sentence"), POOR.values(), ids=POOR)
def test_a_sentence_stands_where_there_is_nothing_to_draw(poor, sentence, tmp_path):
    made = replace(flow(1), layers=[poor], finding=None)
    page = _page([made, made], tmp_path)
    assert sentence in [one.text for one in page.all("p") if one.attributes.get("class") == "instead"]
    assert figure_of_flow(made).axes


SPARSE = {
    "one step": replace(
        layer(steps=1),
        by_lag=LagCurve([1.0], {"0.5": [1.0], "0.05": [1.0], "0.95": [1.0]}, [7], 0.5),
        horizons=[Horizon(math.exp(-1), INF, INF, INF, 0)],
        shares=[LagShare(0, 1, 2.0)],
        gains=GainMap([0], [0], [[1.0]]),
        lyapunov=Lyapunov([0.25], [NAN], 1, 1, 0),
        units=Units(3, 3, [0.0]),
    ),
    "zeros and infinities among numbers": replace(
        layer(),
        by_step=[0.0, INF, 1e-300, NAN, 1e300],
        by_member={"h": [0.0] * 5, "c": [0.0, 1.0, 2.0, 3.0, INF]},
        by_lag=LagCurve([1.0, 0.0, INF], {"0.5": [1.0, 0.0, 0.0], "0.05": [1.0, NAN, 0.0]}, [1, 1, 1], 1.0),
        horizons=[Horizon(0.01, 0.5, NAN, INF, 2), Horizon(0.5, NAN, NAN, NAN, 2)],
        shares=[LagShare(0, 1, 2.0), LagShare(1, 9, 0.0)],
        gains=GainMap([0, 1, 2], [0, 1], [[1.0, NAN], [0.0, 1.0], [INF, 1e-200]]),
        lyapunov=Lyapunov([INF, 0.5, -INF], [NAN, 0.1, NAN], 5, 1, 0),
        activations=[
            Activation("z", Role.KEEP, 0.0, 1.0, 0.5, 0.0, 0.0, [1.0], [0.5, 0.5], [0.0, NAN, 3.0, INF, INF]),
        ],
    ),
    "all the same": replace(
        layer(), by_step=[0.5] * 4, by_member={"h": [0.5] * 4}, gains=GainMap([0, 1], [0, 1], [[1.0, NAN], [1.0, 1.0]])
    ),
    "a bound that overflows": replace(
        layer(), spectrum=Spectrum({"weight_hh": matrix(3.0, 2)}, [[50.0, 0.0]], [9.0], [9.0], 1e30)
    ),
}


@pytest.mark.parametrize("sparse", SPARSE.values(), ids=SPARSE)
def test_few_or_strange_numbers_are_still_drawn(sparse, tmp_path, recwarn):
    page = _page(replace(flow(1), layers=[sparse]), tmp_path)
    instead = [one.text for one in page.all("p") if one.attributes.get("class") == "instead"]
    assert not instead and len(list(page.all("svg"))) >= 10
    assert "nan" not in " ".join(
        value for svg in page.all("svg") for one in svg.all() for value in [one.attributes.get("d", "")]
    )
    figure_of_flow(replace(flow(1), layers=[sparse])).canvas.draw()
    assert [str(one.message) for one in recwarn.list] == []


def test_a_model_without_recurrent_layers_is_told(tmp_path):
    page = _page(replace(flow(), layers=[], finding=None), tmp_path)
    assert Absent.NO_LAYERS.value in section_of(page, "gradient").text
    assert "no recurrent layer" in next(page.all("header")).text


def test_no_diagnosis_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="^flow is empty; it must be a diagnosis, or several"):
        page_of_flow([], tmp_path / "page.html")
    with pytest.raises(ArgumentError, match="^flow is empty; it must be a diagnosis, or several"):
        figure_of_flow([])
    assert not list(tmp_path.iterdir())


def test_a_notebook_gets_the_figures_of_the_page_in_real_colours(tmp_path):
    figure = figure_of_flow([flow(1, 1, 0.5), flow(1)])
    page = _page([flow(1, 1, 0.5), flow(1)], tmp_path)
    titled = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert len(titled) == len(list(page.all("svg")))
    assert titled[0] == "By step\nrecurrent.l0"
    assert {line.get_color() for line in figure.axes[0].get_lines()} == {"#0072b2", "#d55e00", "#00805d", "#57606a"}
    figure.savefig(tmp_path / "figure.png", dpi=30)
