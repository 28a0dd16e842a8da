"""From settings to what a run needs before it can start: the encoded text, and the record's first half."""

import math
import platform
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughtime import __version__
from throughtime.data.entropies import bigram_entropy, unigram_entropy
from throughtime.data.streams import workable_batch_size
from throughtime.data.text import SHIPPED_TEXT, TextFile, TextVocabulary, read_file, split, text_symbols
from throughtime.errors import InputFileError
from throughtime.kernels.native import describe
from throughtime.records import Baselines, DataRecord, ModelRecord, Record
from throughtime.report.losses import unit
from throughtime.training.model import SequenceModel
from throughtime.training.settings import RunSettings
from throughtime.wording import plural

_PACKAGES = ("torch", "lightning", "numpy", "safetensors", "jsonargparse")


@dataclass(frozen=True)
class Material:
    """A text ready to be trained on: symbol numbers of both parts, and the number of streams it is read in."""

    file: TextFile
    vocabulary: TextVocabulary
    training: NDArray[np.int32]
    held_out: NDArray[np.int32]
    batch_size: int


def prepare(settings: RunSettings) -> Material:
    """Read, encode and split the text of a run.

    Raises:
        InputFileError: the file cannot be read, is not text, or is too short.
        ArgumentError: chunk or batch do not fit into the text.
    """
    file, vocabulary, codes = read_symbols(settings)
    training, held_out = split(codes, settings.data.validation)
    optimization = settings.optimization
    batch_size = workable_batch_size(
        len(training), optimization.update_every, optimization.batch_size, optimization.burn_in
    )
    return Material(file, vocabulary, training, held_out, batch_size)


def read_symbols(settings: RunSettings) -> tuple[TextFile, TextVocabulary, NDArray[np.int32]]:
    """Read the text of a run and number its symbols; raises `InputFileError` as `prepare` does."""
    file = read_file(settings.file)
    symbols = text_symbols(file, settings.data.units, settings.data.encoding)
    vocabulary = TextVocabulary.of(symbols, settings.data.units)
    return file, vocabulary, vocabulary.encode(symbols)


def read_known(
    name: str, vocabulary: TextVocabulary, encoding: str, skip_unknown: bool
) -> tuple[TextFile, NDArray[np.int32], int]:
    """Read a text for a model that has been trained: the file, its symbols' numbers, and how many were left out.

    Raises:
        InputFileError: the file cannot be read, or holds symbols that the model never saw, without `skip_unknown`.
    """
    file = read_file(name)
    symbols = text_symbols(file, vocabulary.units, encoding)
    unknown = vocabulary.unknown(symbols)
    if unknown.any() and not skip_unknown:
        raise InputFileError(
            f"FILE {file.name} holds {plural(int(unknown.sum()), unit(vocabulary.units))} that the model never saw in "
            f"training: {vocabulary.describe(symbols[unknown])}; --skip-unknown leaves them out."
        )
    return file, vocabulary.encode(symbols[~unknown]), int(unknown.sum())


def first_record(settings: RunSettings, material: Material, model: SequenceModel, folder: Path) -> Record:
    """Return the record of a run that is about to start."""
    record = record_of(settings, material.vocabulary, model, folder)
    data = replace(
        record.data,
        file=settings.file if settings.file == SHIPPED_TEXT else str(Path(settings.file).resolve()),
        sha256=material.file.sha256,
        bytes=len(material.file.content),
        training_symbols=len(material.training),
        held_out_symbols=len(material.held_out),
    )
    baselines = replace(
        record.baselines, unigram=unigram_entropy(material.held_out), bigram=bigram_entropy(material.held_out)
    )
    return replace(record, data=data, baselines=baselines)


def record_of(settings: RunSettings, vocabulary: TextVocabulary, model: SequenceModel, folder: Path) -> Record:
    """Return what is known of a run before anything is known of its text but the vocabulary."""
    shape, uniform = settings.model, math.log(len(vocabulary))
    return Record(
        data=DataRecord(
            file=settings.file,
            sha256="",
            bytes=0,
            units=settings.data.units,
            encoding=settings.data.encoding,
            training_symbols=0,
            held_out_symbols=0,
            vocabulary="".join(map(chr, vocabulary.code_points)),
        ),
        model=ModelRecord(
            cell=shape.cell,
            nonlinearity=shape.nonlinearity,
            hidden_size=shape.hidden_size,
            num_layers=shape.num_layers,
            embedding_size=shape.embedding_size,
            dropout=shape.dropout,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
        ),
        baselines=Baselines(uniform, uniform, uniform),
        reproduce=f"throughtime train --config {folder}/config.yaml",
        versions=_versions(),
        machine={
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            **describe(),
            "gradient": repr(getattr(model.recurrent, "gradient", "torch.nn's own")),
            "accelerator": settings.optimization.accelerator,
        },
    )


def _versions() -> dict[str, str]:
    found = {"throughtime": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
