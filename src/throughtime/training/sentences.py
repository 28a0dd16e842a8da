"""What a run tells its reader, as sentences and lines made from numbers."""

import math

from throughtime.records import Baselines, MetricsRow, Record
from throughtime.report.losses import OUTCOMES, bits, both, unit, verdict_parts
from throughtime.training.settings import OptimizationSettings
from throughtime.wording import plural


def update_phrase(settings: OptimizationSettings, streams: int) -> str:
    """Return what one update covers, such as "50 steps of 20 streams"."""
    about = "about " if settings.chunk_jitter else ""
    reach = f", each loss reaching back {plural(settings.horizon, 'step')}" if settings.horizon else ""
    return f"{about}{plural(settings.update_every, 'step')} of {plural(streams, 'stream')}{reach}"


def data_lines(record: Record) -> list[str]:
    """Return the lines that say what was read and what guessing without a memory costs on it."""
    data, one = record.data, unit(record.data.units)
    return [
        f"Text    {data.file}: {data.bytes:,} bytes, vocabulary of {plural(len(data.vocabulary), one)}; "
        f"{data.training_symbols:,} to train on, {data.held_out_symbols:,} held out",
        *baseline_lines(record.baselines, data.units),
    ]


def baseline_lines(baselines: Baselines, units: str) -> list[str]:
    """Return the lines that say what the best guess without a memory costs."""
    one = unit(units)
    rows = [
        ("from frequencies alone (unigram entropy)", baselines.unigram),
        (f"from the last {one} alone (bigram entropy)", baselines.bigram),
    ]
    heads = ["Guess   ", "        "]
    return [f"{head}{name:<52}{both(loss)} per {one}" for head, (name, loss) in zip(heads, rows, strict=True)]


def validation_line(row: MetricsRow, epochs: int, baselines: Baselines) -> str:
    """Return the line printed after a validation."""
    return (
        f"epoch {row.epoch:5.2f}/{epochs}  train {row.train_loss:.3f}  validation {row.validation_loss:.3f} nats "
        f"({bits(row.validation_loss):.3f} bits)  bigram {baselines.bigram:.3f}  unigram {baselines.unigram:.3f}  "
        f"{row.tokens_per_second / 1000:5.1f}k tokens/s  {row.seconds:4.0f} s"
    )


def verdict_sentence(loss: float, baselines: Baselines, units: str) -> str:
    """Return the sentence on a loss in nats: how far it is from the nearer entropy, and what that shows."""
    figures, meaning = verdict_parts(loss, baselines, units)
    return f"Result  {figures}:\n        {meaning}."


def opening_lines(record: Record, run: str, epochs: int, updates_per_epoch: int, update: str) -> list[str]:
    """Return the lines printed before training: `run` names the folder, `update` says what one update covers."""
    shape = record.model
    return [
        *data_lines(record),
        f"Model   {shape.cell.upper()}, {plural(shape.num_layers, 'layer')} of {shape.hidden_size}, "
        f"{shape.parameters:,} parameters",
        f"Run     {run}: {plural(epochs, 'epoch')} of {plural(updates_per_epoch, 'update')}, each over {update}",
        "",
    ]


def divergence_lines(rows: list[MetricsRow], baselines: Baselines) -> list[str]:
    """Return the line that names a divergence: the training loss above that of even chances for a whole last epoch."""
    slack = 1e-6  # of an epoch: the epochs are quotients
    last = [row for row in rows if row.epoch > rows[-1].epoch - 1 + slack]
    began = rows[-len(last) - 1].epoch if len(rows) > len(last) else 0.0
    if not last or last[-1].epoch - began < 1 - slack or min(row.train_loss for row in last) <= baselines.uniform:
        return []
    return [
        f"Warning The training has diverged: for a whole epoch its loss was at least "
        f"{both(min(row.train_loss for row in last))}, and giving every symbol the same chance costs "
        f"{both(baselines.uniform)}.",
        "        A smaller --learning-rate, a longer --warm-up or a smaller --clip-norm keeps it in range.",
    ]


def closing_lines(record: Record, epochs: int, rows: list[MetricsRow]) -> list[str]:
    """Return the lines that end a run: why it ended, what was learned, and from its metrics whether it diverged."""
    results = record.results
    best = math.inf if results.best_validation_loss is None else results.best_validation_loss
    return [
        "",
        f"Done    {results.epochs:g} of {plural(epochs, 'epoch')} in {results.seconds:.0f} s, "
        f"{OUTCOMES[record.outcome]}; kept are the weights after update {results.best_update}, the best validation",
        verdict_sentence(best, record.baselines, record.data.units),
        *divergence_lines(rows, record.baselines),
        "",
    ]


def online_opening_lines(record: Record, run: str, settings: OptimizationSettings) -> list[str]:
    """Return the lines that an online run begins with."""
    source = "standard input" if record.data.file == "-" else record.data.file
    return [
        f"Stream  {source}, byte by byte; each is predicted before it is learned, so no text is held out",
        f"Model   {record.model.parameters:,} parameters, {record.machine['gradient']}, an update every "
        f"{plural(settings.update_every, 'byte')}",
        f"Run     {run}; Ctrl-C saves and stops, throughtime train --resume {run} goes on",
        "",
    ]


def online_line(read: int, loss: float, baselines: Baselines, rate: float) -> str:
    """Return the line about the latest bytes of a stream."""
    return (
        f"{read:>12,} bytes   {loss:.3f} nats a byte   counting bytes {baselines.unigram:.3f}, pairs "
        f"{baselines.bigram:.3f}   {rate:,.0f} bytes/s"
    )


def online_closing_lines(record: Record, run: str) -> list[str]:
    """Return the lines that an online run ends with."""
    results, ended = record.results, OUTCOMES[record.outcome]
    lines = ["", f"Done    {plural(record.data.bytes, 'byte')} in {results.seconds:.0f} s, {ended}"]
    if results.last_validation_loss is not None:
        loss, baselines = results.last_validation_loss, record.baselines
        better = "better" if loss < baselines.bigram else "not better"
        lines.append(
            f"Result  {both(loss)} a byte on the last of them: {better} than counting pairs ({baselines.bigram:.3f} "
            f"nats); single bytes {baselines.unigram:.3f}, chance {baselines.uniform:.3f}"
        )
    return [
        *lines,
        f"The run lies in {run}.",
        f"  throughtime sample {run} --length 1000",
        f"  throughtime train --resume {run}",
    ]
