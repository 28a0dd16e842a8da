"""Arrange the exhibits of a page in sections."""

import math
from collections.abc import Sequence

from throughtime.records import Flow, LayerFlow, NonFinite
from throughtime.report import activations, flow_curves, maps, spectra
from throughtime.report.exhibit import Cell, Exhibit, Section, Table, shown, table
from throughtime.report.flow_curves import horizon_phrase
from throughtime.report.sentences import Absent, FigureName, Says
from throughtime.wording import percent, plural


def flow_sections(flows: Sequence[Flow], over_training: Exhibit | None = None) -> list[Section]:
    """Return the sections of diagnoses, the last beside the first; `over_training` goes after the curves."""
    # A single diagnosis has no earlier one to show: the exhibits leave `first` out where it is `last` itself.
    first, last = flows[0].layers, flows[-1].layers
    if not last:
        return [Section("gradient", "The gradient through time", [Absent.NO_LAYERS.value])]
    through_time = [flow_curves.by_step(first, last), flow_curves.by_lag(last)]
    through_time += [over_training] if over_training is not None else []
    through_time += [maps.gains(last), flow_curves.shares(last)]
    directions = [spectra.eigenvalues(first, last), spectra.powers(last), spectra.lyapunov(first, last)]
    inside = [
        activations.saturation(last), activations.histograms(last), activations.time_constants(last),
        activations.states(last),
    ]  # fmt: skip
    return [
        Section("gradient", "The gradient through time", _conditions(flows[-1]), _present(through_time)),
        Section("spectra", "Eigenvalues and Lyapunov exponents", [], _present(directions)),
        Section(
            "units", "Gates and units", activations.dead_units(last), _present(inside), [activations.units_table(last)]
        ),
    ]


def finding_of(flow: Flow) -> list[str]:
    """Return the sentences of a diagnosis's verdict, with the first value that is not finite."""
    said = [as_sentence(flow.finding.sentence) if flow.finding is not None else Absent.NO_FINDING.value]
    return said + ([nonfinite_sentence(flow.nonfinite)] if flow.nonfinite is not None else [])


def as_sentence(text: str) -> str:
    """Return the text with a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def nonfinite_sentence(first: NonFinite) -> str:
    """Return a sentence on the first NaN or infinity."""
    places = [
        first.layer,
        f"step {first.step}" if first.step >= 0 else "",
        f"row {first.row}" if first.row >= 0 else "",
    ]
    return Says.NON_FINITE.value.format(source=first.source.value, place=", ".join(filter(None, places)) or "the model")


def decided_section(flow: Flow, flows: Sequence[Flow]) -> list[Section]:
    """Return the section of the figures behind the verdict, if any.

    The verdicts of all diagnoses stand beside it.
    """
    tables = [made for made in (decided(flow), *memory_tables(flow), history(flows)) if made is not None]
    return [Section("decided", "What decided the verdict", finding_of(flow), [], tables)] if tables else []


def decided(flow: Flow) -> Table | None:
    """Return the table of the figures that decided the verdict."""
    finding = flow.finding
    if finding is None or not finding.numbers:
        return None
    about = f" in {finding.layer}" if finding.layer else ""
    rows = [[_label(name), value] for name, value in finding.numbers.items()]
    return table(f"What decided it{about}", ["figure", "value"], rows)


def memory_tables(flow: Flow) -> list[Table]:
    """Return the tables of the past that a model uses, and leaves unused."""
    memory = flow.memory
    if memory is None:
        return []
    pasts: list[list[Cell]] = [[context.steps, context.loss, context.error] for context in memory.contexts]
    gains: list[list[Cell]] = [
        [f"{band.low} to {band.high}" if band.low < band.high else f"{band.low}", band.lag, band.gain, band.error]
        for band in memory.unused
    ]
    used = table(
        "Loss of predictions that are made with a shorter past",
        ["steps of the past", "loss", "standard error of the rise"],
        [*pasts, ["all", memory.whole, math.nan]],
    )
    unused = table("What inputs would lower the loss by", ["steps back", "best", "gain", "standard error"], gains)
    return [used, unused] if gains else [used]


def _label(name: str) -> str:
    """Return the label of a verdict's figure; a figure of another version keeps its name."""
    return FigureName[name.upper()].value if name.upper() in FigureName.__members__ else name.replace("_", " ")


def history(flows: Sequence[Flow]) -> Table | None:
    """Return the table of all verdicts in order; None for a single diagnosis."""
    heads = ["update", "loss", "verdict", "1/e", "1 %"]
    caption = "All diagnoses, with the shortest horizons at 1/e and 1 % in steps"
    return table(caption, heads, [_history(flow) for flow in flows]) if flows[1:] else None


def _history(flow: Flow) -> list[str | int | float]:
    update = "–" if flow.update is None else f"{flow.update:,}"
    verdict = "–" if flow.finding is None else flow.finding.verdict.value
    return [update, flow.loss, verdict, *(_shortest(flow.layers, place) for place in (0, 1))]


def _shortest(layers: Sequence[LayerFlow], place: int) -> str:
    """Return the shortest horizon of the layers at the larger (0) or smaller (1) level."""
    by_level = [sorted(layer.horizons, key=lambda horizon: -horizon.level) for layer in layers]
    known = [horizons[place] for horizons in by_level if len(horizons) > place and not math.isnan(horizons[place].lag)]
    return horizon_phrase(min(known, key=lambda horizon: horizon.lag)) if known else "–"


def _conditions(flow: Flow) -> list[str]:
    """Return sentences on the batch, the clipping and the directions of a diagnosis."""
    batch = Says.FLOW.value.format(
        rows=plural(flow.rows, "row"), steps=plural(flow.steps, "step"), loss=shown(flow.loss),
        wanted=plural(flow.wanted_lag, "step"),
    )  # fmt: skip
    clipped = [
        Says.HELD.value.format(layer=layer.name, share=percent(layer.clipped, 3))
        for layer in flow.layers
        if layer.clipped
    ]
    reverse = any(layer.reverse for layer in flow.layers)
    return [batch, *clipped, *([Says.REVERSE.value] if reverse else [])]


def _present(exhibits: Sequence[Exhibit]) -> list[Exhibit]:
    """Return the exhibits that have panels: layers without gates have no time constants."""
    return [exhibit for exhibit in exhibits if exhibit.panels]
