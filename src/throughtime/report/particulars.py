"""List the particulars of a run: its model, data, result, machine and versions."""

from throughtime.records import Examination, Record
from throughtime.report.exhibit import shown
from throughtime.report.loss_sentences import OUTCOMES, loss_unit_of, metric_value

Entries = dict[str, str]


def particulars(record: Record, examination: Examination | None = None) -> dict[str, Entries]:
    """Return the particulars as heading → name → value."""
    metrics = examination.metrics if examination is not None else []
    return {
        "Model": _model(record),
        "Data": _data(record),
        "Result": _result(record) | {metric.name: metric_value(metric) for metric in metrics[1:]},
        "Machine and kernel": {name: str(value) for name, value in record.machine.items()},
        "Versions": dict(record.versions),
    }


def _model(record: Record) -> Entries:
    model = record.model
    return {
        "cell": model.cell,
        "nonlinearity": model.nonlinearity,
        "hidden units": shown(model.hidden_size),
        "layers": shown(model.num_layers),
        "embedding": shown(model.embedding_size),
        "dropout": shown(model.dropout),
        "parameters": shown(model.parameters),
    }


def _data(record: Record) -> Entries:
    data = record.data
    return {
        "file": "standard input" if data.file == "-" else data.file,
        "SHA-256": data.sha256 or "none: a stream has no end",
        "bytes": shown(data.bytes) if data.bytes else "–",
        "units": f"{data.units} ({data.encoding})" if data.encoding else data.units,
        "vocabulary": shown(len(data.vocabulary)),
        "trained on": shown(data.training_symbols),
        "held out": shown(data.held_out_symbols),
        ", ".join(record.levels) or "baselines": ", ".join(f"{loss:.3f}" for loss in record.levels.values()) or "none",
    }


def _result(record: Record) -> Entries:
    results = record.results
    best, last = _loss(record, results.best_validation_loss), _loss(record, results.last_validation_loss)
    return {
        "outcome": OUTCOMES[record.outcome],
        "updates": shown(results.updates),
        "epochs": f"{results.epochs:g}",
        "best loss": best,
        "at update": shown(results.best_update),
        "last loss": last,
        "speed": f"{results.tokens_per_second:,.0f} {record.data.units}/s",
        "time": f"{results.seconds:,.0f} s",
    }


def _loss(record: Record, loss: float | None) -> str:
    return "–" if loss is None else f"{loss:.4f} {loss_unit_of(record)}".rstrip()
