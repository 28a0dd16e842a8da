import math
from dataclasses import replace

import pytest
from report.records_of import flow, layer

from throughtime.records import Context, Horizon, LagGain, Memory, NonFinite, Source
from throughtime.report.exhibit import Exhibit
from throughtime.report.sections import (
    as_sentence,
    decided,
    decided_section,
    finding_of,
    flow_sections,
    history,
    memory_tables,
    nonfinite_sentence,
)
from throughtime.report.sentences import Absent, Says


def test_the_exhibits_stand_in_their_order_and_the_heat_map_after_the_curves():
    heat = Exhibit("Over training", "", flow_sections([flow()])[0].exhibits[0].panels)
    through_time, spectra, units = flow_sections([flow(update=1), flow()], heat)
    assert [exhibit.heading for exhibit in through_time.exhibits] == [
        "By step", "By lag", "Over training", "From step to step", "By band of lags",
    ]  # fmt: skip
    assert [section.name for section in (through_time, spectra, units)] == ["gradient", "spectra", "units"]
    assert "Time constants" in [exhibit.heading for exhibit in units.exhibits]
    ungated = flow_sections([flow(cell="ElmanCell")])[2]
    assert "Time constants" not in [exhibit.heading for exhibit in ungated.exhibits]


def test_the_conditions_say_what_was_measured_and_what_was_clipped():
    one = replace(layer(), clipped=0.125)
    (section, *_) = flow_sections([replace(flow(), layers=[one])])
    assert section.sentences == [
        "Measured on one batch of 7 rows and 35 steps, with loss 2.125. The verdict asks whether the gradient still "
        "arrives 34 steps back.",
        "recurrent.l0: per-step clipping took hold at 12.5 % of the steps, so this is not the exact gradient.",
    ]


@pytest.mark.parametrize("reverse", [True, False])
def test_steps_of_a_reverse_layer_are_explained_by_its_direction_and_not_by_its_name(reverse):
    one = replace(layer("encoder_reverse.l0"), reverse=reverse)
    (section, *_) = flow_sections([replace(flow(), layers=[one])])
    assert (Says.REVERSE.value in section.sentences) == reverse


def test_without_layers_a_sentence_stands_for_all_exhibits():
    (section,) = flow_sections([replace(flow(), layers=[])])
    assert section.sentences == [Absent.NO_LAYERS.value] and not section.exhibits


def test_the_verdict_is_a_sentence_and_names_what_is_not_finite():
    (verdict,) = finding_of(flow())
    assert verdict.startswith("The gradient vanishes") and verdict.endswith("wanted.")
    first = NonFinite(Source.GRADIENT, "recurrent.l0", 3, 0)
    assert finding_of(replace(flow(), finding=None, nonfinite=first)) == [
        Absent.NO_FINDING.value,
        "The first value that is not finite is in the gradient: recurrent.l0, step 3, row 0.",
    ]
    assert nonfinite_sentence(NonFinite(Source.LOSS, "", -1, -1)).endswith("in the loss: the model.")
    assert (as_sentence("so"), as_sentence("Why?")) == ("So.", "Why?")


def test_the_figures_that_decided_have_labels_and_unknown_names_stay():
    table = decided(flow())
    assert table is not None and table.caption == "What decided it in recurrent.l0"
    assert [row[0] for row in table.rows] == [
        "lag at which 1 % of the gradient is left (steps)",
        "wanted lag, over which the gradient should last (steps)",
        "of tomorrow",
    ]
    assert decided(replace(flow(), finding=None)) is None


def test_the_use_of_the_past_stands_in_tables():
    contexts = [Context(1, 3.5, 0.25), Context(4, 2.25, 0.125)]
    bands = [LagGain(1, 1, 1, -0.5, math.nan), LagGain(2, 3, 2, 0.75, 0.25)]
    memory = Memory(99, 2.0, 4.0, 40, contexts, bands)
    used, unused = memory_tables(replace(flow(), memory=memory))
    assert used.rows[:2] == [[1, 3.5, 0.25], [4, 2.25, 0.125]] and used.rows[2][:2] == ["all", 2.0]
    assert [row[0] for row in unused.rows] == ["1", "2 to 3"] and unused.rows[1][1:] == [2, 0.75, 0.25]
    assert memory_tables(flow()) == [] and len(memory_tables(replace(flow(), memory=replace(memory, unused=[])))) == 1
    (section,) = decided_section(replace(flow(), memory=memory), [flow()])
    assert [made.caption[:16] for made in section.tables] == [
        "What decided it ",
        "Loss of predicti",
        "What inputs woul",
    ]


def test_the_history_has_the_shortest_horizons_whose_lag_is_known():
    lost = Horizon(0.01, math.nan, math.nan, math.nan, 34)
    last = replace(flow(layers=2), layers=[replace(layer(), horizons=[lost, lost]), layer("recurrent.l1", 0.12)])
    table = history([flow(layers=2), last])
    assert table is not None and [list(row[3:]) for row in table.rows] == [["5.556", "25.56"], ["8.333", "beyond 34"]]
    assert history([flow()]) is None
    assert [row[3] for row in history([replace(flow(), layers=[]), flow()]).rows] == ["–", "5.556"]
