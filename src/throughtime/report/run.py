"""The page of a run, from what stands in its folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime.errors import ArgumentError
from throughtime.records import (
    CONFIG,
    DIAGNOSES,
    METRICS,
    REPORT,
    STEP_NORMS,
    UPDATES,
    Flow,
    MetricsRow,
    Record,
    StepNormRow,
    UpdateRow,
    read_flows,
    read_metrics,
    read_record,
    read_samples,
    read_table,
    write_aside,
)
from throughtime.records.files import content
from throughtime.records.plain import to_plain
from throughtime.report.exhibit import Section
from throughtime.report.losses import OUTCOMES, plural, verdict_parts
from throughtime.report.maps import NormMap, norm_maps, over_training
from throughtime.report.page import Page, render
from throughtime.report.particulars import particulars
from throughtime.report.sections import decided, finding_of, flow_sections, history
from throughtime.report.sentences import Absent, Says
from throughtime.report.training_curves import clipping, clipping_figures, clipping_sentences, losses

NUMBERS_FORMAT = 1


@dataclass(frozen=True)
class Written:
    """A report that lies on the disk: the page, its numbers, and the verdict in words."""

    page: Path
    numbers: Path
    verdict: str


@dataclass(frozen=True)
class RunRecords:
    """What a run's folder holds; what is empty or None is not there."""

    folder: Path
    record: Record
    metrics: list[MetricsRow]
    updates: list[UpdateRow]
    step_norms: dict[str, NormMap]
    flows: list[Flow]
    config: str

    @property
    def stream(self) -> bool:
        """Whether it learned from a stream, of which nothing is held out."""
        return self.record.data.held_out_symbols == 0


def report_of_run(
    folder: Path | str,
    output: Path | str | None = None,
    samples: Mapping[str, str] | None = None,
    figures: "Callable[[RunRecords], Sequence[Section]] | None" = None,
) -> Written:
    """Write the page of a run, `report.html`, and its numbers, `report.json`.

    Args:
        folder: the run folder.
        output: where the page goes, its numbers beside it as .json; None: into the run folder.
        samples: heading → text that the model wrote, beside what stands in the folder; shown as it is.
        figures: from what the folder holds to sections of the page, such as those of a task; they come after the loss.

    Raises:
        RunFolderError: the run is missing, damaged or of another version, or the page cannot be written.
        ArgumentError: `output` is no path for a page.
        UnsupportedError: matplotlib or jinja2 is not installed.
    """
    run = read_run(Path(folder))
    page_path, numbers_path = page_paths(run.folder / REPORT if output is None else Path(output))
    page = page_of_run(run, read_samples(run.folder) | dict(samples or {}), figures(run) if figures else ())
    drawn = render(page)
    write_aside(numbers_path, numbers_of_run(run, page))
    write_aside(page_path, drawn)
    return Written(page_path, numbers_path, " ".join(page.verdict))


def page_paths(output: Path) -> tuple[Path, Path]:
    """The paths of a page and of its numbers; raises `ArgumentError` where no page can lie there."""
    came = f"is {output}"
    if output.is_dir():
        raise ArgumentError("output", came, "it is a folder", f"give the name of a file, such as {output / REPORT}")
    for path in (output, output.with_suffix(".json")):
        if path.exists() and not path.is_file():  # a rename would put a file in the place of a device
            raise ArgumentError("output", came, f"{path} is not an ordinary file", "give another name")
    if output.suffix == ".json":
        raise ArgumentError("output", came, "that is where the numbers go", "give a name that ends in .html")
    if not output.parent.is_dir():
        raise ArgumentError("output", came, f"there is no folder {output.parent}", "make it, or name another")
    return output, output.with_suffix(".json")


def read_run(folder: Path) -> RunRecords:
    """Read what a run's folder holds; raises `RunFolderError` where it is no run or something in it is damaged."""
    record = read_record(folder)

    def there(name: str) -> bool:
        return (folder / name).exists()

    return RunRecords(
        folder=folder,
        record=record,
        metrics=read_metrics(folder) if there(METRICS) else [],
        updates=read_table(folder, UPDATES, UpdateRow) if there(UPDATES) else [],
        step_norms=norm_maps(read_table(folder, STEP_NORMS, StepNormRow)) if there(STEP_NORMS) else {},
        flows=read_flows(folder) if there(DIAGNOSES) else [],
        config=content(folder, CONFIG).decode("utf-8", "replace") if there(CONFIG) else "",
    )


def page_of_run(run: RunRecords, samples: Mapping[str, str], figures: Sequence[Section] = ()) -> Page:
    """What the page of a run says."""
    finding = run.flows[-1].finding if run.flows else None
    learned = loss_sentence(run)
    return Page(
        title=run.folder.resolve().name,
        summary=summary(run.record),
        badge=finding.verdict.value if finding is not None else "",
        verdict=[*(finding_of(run.flows[-1]) if run.flows else []), learned],
        suggestions=finding.suggestions if finding is not None else [],
        decided=decided(run.flows[-1]) if run.flows else None,
        history=history(run.flows),
        missing=missing(run),
        sections=_sections(run, figures),
        texts=dict(samples),
        particulars=particulars(run.record),
        config=run.config,
        reproduce=run.record.reproduce,
    )


def summary(record: Record) -> str:
    """What was trained, on what, for how long."""
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


def loss_sentence(run: RunRecords) -> str:
    """What the loss says beside the baselines."""
    results = run.record.results
    loss = results.last_validation_loss if run.stream else results.best_validation_loss
    if loss is None:
        return Says.NO_RESULT.value
    figures, meaning = verdict_parts(loss, run.record.baselines, run.record.data.units)
    said = Says.STREAM if run.stream else Says.VALIDATION
    return said.value.format(figures=figures, meaning=meaning)


def missing(run: RunRecords) -> list[str]:
    """What the page cannot show, and how to make it."""
    again = run.record.reproduce
    tables = [(run.updates, Absent.NO_UPDATES, again), (run.step_norms, Absent.NO_STEP_NORMS, again)]
    ways = [
        (run.metrics, Absent.NO_VALIDATION, ""),
        (run.flows, Absent.NO_DIAGNOSIS, f"throughtime diagnose {run.folder}{' --text FILE' if run.stream else ''}"),
        *([([*run.updates, *run.step_norms], Absent.STREAM, "")] if run.stream else tables),
    ]
    return [absent.value.format(way=way) for records, absent, way in ways if not records]


def numbers_of_run(run: RunRecords, page: Page) -> bytes:
    """All numbers of the page as JSON; a table is a list of its lines, NaN and infinities are text."""
    numbers = {
        "format": NUMBERS_FORMAT,
        "run": page.title,
        "verdict": list(page.verdict),
        "record": run.record,
        "metrics": run.metrics,
        "clipping": clipping_figures(run.updates),
        "updates": run.updates,
        "step_norms": run.step_norms,
        "diagnoses": run.flows,
    }
    return json_bytes(numbers)


def json_bytes(numbers: Mapping[str, Any]) -> bytes:
    """Records as the bytes of a JSON file."""
    return (json.dumps(to_plain(numbers), allow_nan=False) + "\n").encode()


def _sections(run: RunRecords, figures: Sequence[Section]) -> list[Section]:
    curves = losses(run.metrics, run.updates, run.record.baselines, run.stream)
    sections = [Section("loss", "Loss", [], [curves]), *figures]
    heat = over_training(run.step_norms) if run.step_norms else None
    if run.flows:
        sections += flow_sections(run.flows, heat)
    elif heat is not None:
        sections.append(Section("gradient", "The gradient through time", [], [heat]))
    if run.updates:
        sentences = clipping_sentences(clipping_figures(run.updates))
        sections.append(Section("clipping", "Clipping", sentences, [clipping(run.updates)]))
    return sections
