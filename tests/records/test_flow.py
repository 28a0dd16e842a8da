import json
import math
from dataclasses import replace

import pytest

from throughtime.errors import RunFolderError
from throughtime.records import (
    DIAGNOSES,
    Activation,
    CellTraits,
    Finding,
    Flow,
    GainMap,
    Horizon,
    KeepGate,
    LagCurve,
    LagShare,
    LayerFlow,
    Lyapunov,
    MatrixSpectrum,
    NonFinite,
    Role,
    Source,
    Spectrum,
    Units,
    Verdict,
    read_flows,
    write_flows,
)

QUANTILES = {"0.05": [1.0, 0.25], "0.5": [1.0, 0.5]}
LAYER = LayerFlow(
    name="recurrent.l0",
    cell="LSTMCell",
    linear=False,
    size=6,
    by_step=[0.5, 0.25, 0.125],
    by_member={"h": [0.5, 0.25, 0.0], "c": [0.0, 0.0, 0.125]},
    clipped=0.25,
    by_lag=LagCurve([1.0, 0.5], QUANTILES, [7, 5], 0.125),
    horizons=[Horizon(0.01, math.inf, 3.5, math.inf, 2)],
    shares=[LagShare(0, 1, 2.5), LagShare(1, 3, 0.5)],
    gains=GainMap([0, 2], [0, 1], [[1.0, math.nan], [0.5, 0.75]]),
    spectrum=Spectrum(
        {"forget gate": MatrixSpectrum([[0.5, -0.25]], [1.5, 0.5], 0.56, 0.3, [1.0, 1.5])},
        [[0.1, 0.2]],
        [1.2],
        [0.9],
        None,
    ),
    lyapunov=Lyapunov([0.25, -math.inf], [0.01, math.nan], 40, 2, 5),
    activations=[
        Activation("forget gate", Role.KEEP, 0.0, 1.0, 0.5, 0.0, 0.25, [0.5, 0.5], [0.0, 0.5, 1.0], [1.5, 2.5])
    ],
    units=Units(3, 1, [0.5, 0.5, 0.25]),
    depth=2,
    reverse=True,
    traits=CellTraits(True, True, 0.5, KeepGate("forget gate", 1, 4, -1, 0)),
)
FLOW = Flow(
    update=None,
    steps=3,
    rows=7,
    loss=1.5,
    wanted_lag=2,
    layers=[LAYER],
    nonfinite=NonFinite(Source.STATE, "recurrent.l0", 2, 4),
    finding=Finding(Verdict.TRANSIENT, "recurrent.l0", {"peak": 12.5}, "It grows 12.5-fold first.", ["Try less."]),
    seconds=0.5,
)


def test_what_is_written_is_read_again(tmp_path):
    write_flows(tmp_path, [FLOW, FLOW])
    text = (tmp_path / DIAGNOSES).read_text()
    assert "Infinity" not in text and "NaN" not in text
    first, second = read_flows(tmp_path)
    assert repr(first) == repr(FLOW) == repr(second)  # by their spelling: NaN equals nothing, not even itself
    assert first.finding is not None and first.finding.verdict is Verdict.TRANSIENT
    assert first.layers[0].activations[0].role is Role.KEEP


def test_a_file_from_before_places_and_traits_were_recorded_is_read(tmp_path):
    """Depth and direction are then those of the names; of the cell nothing is known that advice asks for."""
    names = {"recurrent.l0": (0, False), "l12_reverse": (12, True), "l1_reverse.cell": (0, False)}
    write_flows(tmp_path, [replace(FLOW, layers=[replace(LAYER, name=name) for name in names])])
    path = tmp_path / DIAGNOSES
    plain = json.loads(path.read_text())
    for layer in plain["diagnoses"][0]["layers"]:
        del layer["depth"], layer["reverse"], layer["traits"]
    path.write_text(json.dumps(plain))
    (flow,) = read_flows(tmp_path)
    assert {layer.name: (layer.depth, layer.reverse) for layer in flow.layers} == names
    assert all(layer.traits == CellTraits() for layer in flow.layers)


def test_recorded_places_count_and_not_the_names(tmp_path):
    odd = replace(LAYER, name="l3_reverse", depth=1, reverse=False)
    write_flows(tmp_path, [replace(FLOW, layers=[odd])])
    assert (read_flows(tmp_path)[0].layers[0].depth, read_flows(tmp_path)[0].layers[0].reverse) == (1, False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"rows": 7', '"rows": "many"'),
        lambda text: text.replace('"seconds"', '"minutes"'),
        lambda text: text.replace("transient growth, then decay", "unheard of"),
        lambda text: text.replace('"layers": [', '"layers": 3, "more": ['),
        lambda text: "[]",
    ],
)
def test_a_damaged_file_is_refused(tmp_path, spoil):
    write_flows(tmp_path, [FLOW])
    path = tmp_path / DIAGNOSES
    before = path.read_text()
    path.write_text(spoil(before))
    assert path.read_text() != before
    with pytest.raises(RunFolderError, match="damaged"):
        read_flows(tmp_path)


def test_another_version_is_refused(tmp_path):
    write_flows(tmp_path, [FLOW])
    path = tmp_path / DIAGNOSES
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(RunFolderError, match="has format 2 .* throughtime diagnose"):
        read_flows(tmp_path)


def test_a_damaged_diagnosis_can_be_made_anew(tmp_path):
    (tmp_path / DIAGNOSES).write_text("{")
    with pytest.raises(RunFolderError, match=f"make it anew, with throughtime diagnose {tmp_path}"):
        read_flows(tmp_path)


def test_exponents_are_printed_in_a_line():
    assert repr(Lyapunov([0.25, -math.inf], [0.012345, math.nan], 40, 2, 5)) == (
        "Lyapunov(0.25 ± 0.01, -inf ± nan; steps=40, rows=2, discarded=5)"
    )
    many = repr(Lyapunov([-0.1234567 * i for i in range(60)], [0.5] * 60, 40, 3, 5))
    assert "-0.1235 ± 0.5" in many and "… 52 more" in many and len(many) < 200
