"""Samples of series, step by step, as lines of a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.runs.tasks.distributions import Distribution, drawn

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from throughtime.data.columns import Cell, Column
    from throughtime.data.encoding import Encoding, Feature

Row = dict[str, "Cell"]


def draw(
    encoding: Encoding,
    distributions: Sequence[Distribution],
    model: nn.Module,
    prompt: str,
    length: int,
    temperature: float,
    generator: torch.Generator,
) -> Iterator[str]:
    """Yield the lines of a table: names, the prompt, and rows that are drawn.

    Args:
        encoding: how the columns are read.
        distributions: of the columns of the next step.
        model, length, temperature, generator: see `Task.samples`.
        prompt: rows with commas, in the order of the columns, with or without a line of their names; "" for a first
            row by the marginal distributions, as no model predicts the first step.

    Raises:
        ArgumentError: an argument is out of range, or the prompt has a row that is none.
        UnsupportedError: the model reads a column that it does not predict.
    """
    if not temperature >= 0:
        raise ArgumentError("temperature", f"is {temperature}", "it must be 0 (always the likeliest step) or above")
    if length < 0:
        raise ArgumentError("length", f"is {length}", "it must be 0 or above")
    predicted = {name for entry in distributions for name in entry.columns}
    for feature in encoding.features:
        if feature.name not in predicted:
            raise UnsupportedError(
                f"The model reads the column {feature.name}, which it does not predict, so it cannot go on by itself: "
                "train one that predicts all columns, without `target` and `static`."
            )
    rows = _rows_of(encoding, prompt)
    return _lines(encoding, distributions, model, rows, length, temperature, generator)


def _lines(
    encoding: Encoding,
    distributions: Sequence[Distribution],
    model: nn.Module,
    rows: list[Row],
    length: int,
    temperature: float,
    generator: torch.Generator,
) -> Iterator[str]:
    import torch

    names = [feature.name for feature in encoding.features]
    yield _line(names)
    if not rows and length:
        laws = [entry.marginal() for entry in distributions]
        first = [drawn(law, temperature, generator).flatten() for law in laws]
        rows, length = [_row(distributions, first)], length - 1
    for row in rows:
        yield _line([row[name] for name in names])
    state = None
    for _ in range(length):
        read = torch.from_numpy(encoding.read(_columns(encoding, rows), len(rows)))[:, None]
        with torch.no_grad():
            outputs, state = model(read, state)
        rows = [_next(encoding, distributions, outputs[-1, 0].double(), rows[-1], temperature, generator)]
        yield _line([rows[0][name] for name in names])


def _next(
    encoding: Encoding,
    distributions: Sequence[Distribution],
    outputs: Tensor,
    row: Row,
    temperature: float,
    generator: torch.Generator,
) -> Row:
    """Return the row drawn after another one."""
    import torch

    columns, numbers, begin = _columns(encoding, [row]), [], 0
    for entry in distributions:
        before = torch.from_numpy(entry.numbers(columns)[0]).nan_to_num()
        law = entry.law(outputs[begin : begin + entry.size], before, temperature or 1.0)
        numbers.append(drawn(law, temperature, generator).flatten())
        begin += entry.size
    return _row(distributions, numbers)


def _row(distributions: Sequence[Distribution], numbers: Sequence[Tensor]) -> Row:
    parts = [entry.cells(values) for entry, values in zip(distributions, numbers, strict=True)]
    return {name: cell for part in parts for name, cell in part.items()}


def _rows_of(encoding: Encoding, prompt: str) -> list[Row]:
    """Return the rows of a prompt."""
    names = [feature.name for feature in encoding.features]
    lines = [line for line in csv.reader(io.StringIO(prompt, newline="")) if line]
    lines = lines[1:] if lines and lines[0] == names else lines
    for number, line in enumerate(lines, start=1):
        if len(line) != len(names):
            came = f"has {len(line)} values in row {number}"
            raise ArgumentError("prompt", came, f"a row has a value for each of {', '.join(names)}, with commas")
    return [
        {feature.name: _cell(feature, text, number) for feature, text in zip(encoding.features, line, strict=True)}
        for number, line in enumerate(lines, start=1)
    ]


def _cell(feature: Feature, text: str, number: int) -> Cell:
    text = text.strip()
    if not text or feature.levels:
        return text or None
    try:
        return float(text)
    except ValueError:
        came = f"has {text!r} in row {number}"
        raise ArgumentError("prompt", came, f"the column {feature.name} holds numbers") from None


def _columns(encoding: Encoding, rows: Sequence[Row]) -> dict[str, Column]:
    """Return the columns of rows, each of the kind that the model reads."""
    from throughtime.data.columns import as_words, column_of

    columns = {feature.name: column_of([row[feature.name] for row in rows]) for feature in encoding.features}
    return {
        feature.name: as_words(columns[feature.name]) if feature.levels else columns[feature.name]
        for feature in encoding.features
    }


def _line(cells: Sequence[Cell]) -> str:
    text = io.StringIO()
    spelled = [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in cells]
    csv.writer(text, lineterminator="\n").writerow(spelled)
    return text.getvalue()
