"""Which exhibits stand on a page, in which order."""

from collections.abc import Sequence

from throughtime.records import Finding, Flow, LayerFlow, NonFinite
from throughtime.report import activations, flow_curves, maps, spectra
from throughtime.report.exhibit import Exhibit, Section, Table, shown, table
from throughtime.report.flow_curves import horizon_phrase
from throughtime.report.sentences import Absent, FigureName, Says
from throughtime.wording import percent, plural


def flow_sections(flows: Sequence[Flow], over_training: Exhibit | None = None) -> list[Section]:
    """The sections of diagnoses, the last one beside the first; `over_training` goes after the curves."""
    first, last = flows[0].layers, flows[-1].layers
    first = last if len(flows) == 1 else first
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
    """The sentences of a diagnosis's verdict: the verdict itself, and what was not finite."""
    said = [as_sentence(flow.finding.sentence) if flow.finding is not None else Absent.NO_FINDING.value]
    return said + ([nonfinite_sentence(flow.nonfinite)] if flow.nonfinite is not None else [])


def as_sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def nonfinite_sentence(found: NonFinite) -> str:
    """Where the first NaN or infinity was met."""
    places = [
        found.layer,
        f"step {found.step}" if found.step >= 0 else "",
        f"row {found.row}" if found.row >= 0 else "",
    ]
    return Says.NON_FINITE.value.format(source=found.source.value, place=", ".join(filter(None, places)) or "the model")


def decided(flow: Flow) -> Table | None:
    """The figures that decided the verdict."""
    finding = flow.finding
    if finding is None or not finding.numbers:
        return None
    about = f" in {finding.layer}" if finding.layer else ""
    rows = [[_label(name), value] for name, value in finding.numbers.items()]
    return table(f"What decided it{about}", ["figure", "value"], rows)


def _label(name: str) -> str:
    """What a figure of a verdict is; the name of one that another version knows."""
    return FigureName[name.upper()].value if name.upper() in FigureName.__members__ else name.replace("_", " ")


def history(flows: Sequence[Flow]) -> Table | None:
    """The verdicts in the order of the diagnoses, where there are several."""
    heads = ["update", "loss", "verdict", "1/e", "1 %"]
    caption = "The diagnoses, one after the other; last, the shortest horizons in steps"
    return table(caption, heads, [_history(one) for one in flows]) if flows[1:] else None


def _history(flow: Flow) -> list[str | int | float]:
    update = "–" if flow.update is None else f"{flow.update:,}"
    finding: Finding | None = flow.finding
    verdict = "–" if finding is None else finding.verdict.value
    return [update, flow.loss, verdict, *(_shortest(flow.layers, place) for place in (0, 1))]


def _shortest(layers: Sequence[LayerFlow], place: int) -> str:
    """The shortest horizon of the layers at the larger (0) or smaller (1) level."""
    found = [
        sorted(layer.horizons, key=lambda one: -one.level)[place] for layer in layers if len(layer.horizons) > place
    ]
    known = [one for one in found if one.lag == one.lag]
    return horizon_phrase(min(known, key=lambda one: one.lag)) if known else "–"


def _conditions(flow: Flow) -> list[str]:
    batch = Says.FLOW.value.format(
        rows=plural(flow.rows, "row"), steps=plural(flow.steps, "step"), loss=shown(flow.loss),
        wanted=plural(flow.wanted_lag, "step"),
    )  # fmt: skip
    held = [
        Says.HELD.value.format(layer=layer.name, share=percent(layer.clipped, 3))
        for layer in flow.layers
        if layer.clipped
    ]
    reverse = any(layer.reverse for layer in flow.layers)
    return [batch, *held, *([Says.REVERSE.value] if reverse else [])]


def _present(exhibits: Sequence[Exhibit]) -> list[Exhibit]:
    """The exhibits that have panels: a layer without gates has no time constants to speak of."""
    return [one for one in exhibits if one.panels]
