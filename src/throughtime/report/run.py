"""Write the page of a run from the records in its folder."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime.records import (
    CONFIG,
    DIAGNOSES,
    METRICS,
    REPORT,
    STEP_NORMS,
    UPDATES,
    Examination,
    Flow,
    MetricsRow,
    Record,
    StepNormRow,
    UpdateRow,
    read_examination,
    read_flows,
    read_record,
    read_rows,
    read_samples,
)
from throughtime.records.files import content
from throughtime.report.clipping import clipping, clipping_figures, clipping_sentences
from throughtime.report.exhibit import Section
from throughtime.report.loss_sentences import OUTCOMES, measure_of
from throughtime.report.losses import losses
from throughtime.report.maps import NormMap, norm_maps, over_training
from throughtime.report.page import Page, Reply
from throughtime.report.particulars import particulars
from throughtime.report.predictions import is_outdated, predictions
from throughtime.report.sections import decided_section, finding_of, flow_sections
from throughtime.report.sentences import Absent, Says
from throughtime.report.standing import Standing, kept_flow, loss_sentence, standing
from throughtime.report.written import Written, page_paths, write_report
from throughtime.wording import plural


@dataclass(frozen=True)
class RunRecords:
    """The records in a run's folder; a record that is missing is empty."""

    folder: Path
    record: Record
    metrics: list[MetricsRow]
    updates: list[UpdateRow]
    step_norms: dict[str, NormMap]
    flows: list[Flow]
    config: str
    examination: Examination | None = None


def report_of_run(
    folder: Path | str,
    output: Path | str | None = None,
    samples: Mapping[str, str] | None = None,
    figures: Callable[[RunRecords], Sequence[Section]] | None = None,
) -> Written:
    """Write the page of a run, `report.html`, and its numbers, `report.json`.

    Args:
        folder: the run folder.
        output: the path of the page, with its numbers beside it as .json; None: into the run folder.
        samples: heading → text that the model wrote, in addition to the samples in the folder.
        figures: from what the folder holds to sections of the page, such as those of a task; they come after the loss.

    Raises:
        RunFolderError: the run is missing, damaged or of another version, or the page cannot be written.
        ArgumentError: `output` is a folder, a device or a .json file, or its folder is missing.
        UnsupportedError: matplotlib or jinja2 is not installed.
    """
    run = read_run(Path(folder))
    paths = page_paths(run.folder / REPORT if output is None else Path(output))
    page = page_of_run(run, read_samples(run.folder) | dict(samples or {}), figures(run) if figures else ())
    return write_report(page, numbers_of_run(run, page), paths)


def read_run(folder: Path) -> RunRecords:
    """Read the records in a run's folder. Raise `RunFolderError` where it is not a run or a record is damaged."""
    record = read_record(folder)

    def exists(name: str) -> bool:
        return (folder / name).exists()

    return RunRecords(
        folder=folder,
        record=record,
        metrics=read_rows(folder, record, METRICS, MetricsRow),
        updates=read_rows(folder, record, UPDATES, UpdateRow),
        step_norms=norm_maps(read_rows(folder, record, STEP_NORMS, StepNormRow)),
        flows=read_flows(folder) if exists(DIAGNOSES) else [],
        config=content(folder, CONFIG).decode("utf-8", "replace") if exists(CONFIG) else "",
        examination=read_examination(folder),
    )


def page_of_run(run: RunRecords, samples: Mapping[str, str], figures: Sequence[Section] = ()) -> Page:
    """Return the content of the page of a run."""
    stands = standing(run.folder, run.record, run.metrics, run.updates, run.flows)
    flow = kept_flow(run.record, run.flows)
    return Page(
        title=run.folder.resolve().name,
        summary=summary(run.record),
        badge=stands.badge,
        verdict=[*(finding_of(flow) if flow is not None else []), loss_sentence(run.record)],
        replies=replies(stands),
        missing=missing(run),
        sections=_sections(run, figures),
        texts=dict(samples),
        particulars=particulars(run.record, _current(run)),
        config=run.config,
        reproduce=run.record.reproduce,
    )


def summary(record: Record) -> str:
    """Return a sentence on the model, its data, and the duration of the training."""
    model, results = record.model, record.results
    return Says.RUN.value.format(
        cell=model.cell.upper(),
        layers=plural(model.num_layers, "layer"),
        hidden=plural(model.hidden_size, "unit"),
        parameters=f"{model.parameters:,}",
        updates=plural(results.updates, "update"),
        file="standard input" if record.data.file == "-" else record.data.file,
        outcome=OUTCOMES[record.outcome],
        seconds=results.seconds,
    )


def replies(stands: Standing) -> list[Reply]:
    """Return the first screen of a run's page."""
    made = [
        Reply("Is it good?", stands.good),
        Reply("What limits it?", stands.limits),
        Reply("What to do", (), stands.advice),
    ]
    return [reply for reply in made if reply.sentences or reply.steps]


def missing(run: RunRecords) -> list[str]:
    """Return sentences on missing records, with the commands that write such records."""
    again = run.record.reproduce
    diagnose = f"throughtime diagnose {run.folder}{' --data FILE' if run.record.online else ''}"
    ways: list[tuple[Collection[object], Absent, str]]
    ways = [(run.metrics, Absent.NO_VALIDATION, ""), (run.flows, Absent.NO_DIAGNOSIS, diagnose)]
    if run.record.online:
        ways += [([*run.updates, *run.step_norms], Absent.STREAM, "")]
    else:
        ways += [(run.updates, Absent.NO_UPDATES, again), (run.step_norms, Absent.NO_STEP_NORMS, again)]
    outdated = run.examination is not None and _current(run) is None
    ways += [([], Absent.OUTDATED, f"throughtime train --resume {run.folder}")] if outdated else []
    return [absent.value.format(way=way) for records, absent, way in ways if not records]


def _current(run: RunRecords) -> Examination | None:
    """Return the examination of the weights that are kept; None where it is of others, or missing."""
    examined = run.examination
    return None if examined is None or is_outdated(examined, run.record) else examined


def numbers_of_run(run: RunRecords, page: Page) -> dict[str, Any]:
    """Return all numbers of the page. A table is a list of its lines."""
    return {
        "run": page.title,
        "verdict": list(page.verdict),
        "record": run.record,
        "metrics": run.metrics,
        "clipping": clipping_figures(run.updates),
        "updates": run.updates,
        "step_norms": run.step_norms,
        "diagnoses": run.flows,
        "examination": run.examination,
    }


def _sections(run: RunRecords, figures: Sequence[Section]) -> list[Section]:
    measure, units = measure_of(run.record), run.record.data.units
    curves = losses(run.metrics, run.updates, run.record.baselines, run.record.online, measure, units)
    sections = [Section("loss", "Loss", [], [curves]), *predictions(_current(run), run.record), *figures]
    heat = over_training(run.step_norms) if run.step_norms else None
    flow = kept_flow(run.record, run.flows)
    if flow is not None:
        earlier = run.flows[:1] if run.flows[0] is not flow else []
        sections += [*decided_section(flow, run.flows), *flow_sections([*earlier, flow], heat)]
    elif heat is not None:
        sections.append(Section("gradient", "The gradient through time", [], [heat]))
    if run.updates:
        sentences = clipping_sentences(clipping_figures(run.updates))
        sections.append(Section("clipping", "Clipping", sentences, [clipping(run.updates)]))
    return sections
