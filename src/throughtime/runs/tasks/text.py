"""Task `text`: predict the next character or byte of a file. The end of the file is held out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.base import FileTask, Material
from throughtime.runs.tasks.symbols import SymbolTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from throughtime.data.text import TextFile


EPOCHS = 6
"""Passes over a text where no number is asked for."""


class Text(SymbolTask, FileTask):
    """Prediction of the next symbol of a text, read in parallel streams."""

    name: ClassVar[str] = "text"

    @classmethod
    def fit(cls, settings: RunSettings) -> Self:
        """Return the task with the vocabulary of a file."""
        return cls._of(settings)[0]

    @classmethod
    def prepare(cls, settings: RunSettings) -> Material:
        """Read, encode and split the text of a run.

        Raises:
            InputFileError: the file cannot be read, is not text, or is too short.
            ArgumentError: chunk or batch do not fit into the text.
        """
        task, file, codes = cls._of(settings)
        return task._material(settings, file, codes)

    def prepare_further(self, settings: RunSettings) -> Material:
        """Read, encode and split another text, with the symbols that the model knows."""
        file, codes, _ = self.read_known(settings.file, cure="train a new model on both texts, or take them out")
        return self._material(settings, file, codes)

    def _material(self, settings: RunSettings, file: TextFile, codes: NDArray[np.int32]) -> Material:
        from throughtime.data.guesses import PairCounts
        from throughtime.data.names import full_path
        from throughtime.data.streams import training_streams, workable_batch_size
        from throughtime.data.text import SHIPPED_TEXT, split

        training, held_out = split(codes, settings.data.validation)
        self.counts = PairCounts.of(training, len(self.vocabulary))
        optimization = settings.optimization
        batch_size = workable_batch_size(
            len(training), optimization.update_every, optimization.batch_size, optimization.burn_in
        )
        # What was chosen for this text is written down, so that a later version that chooses otherwise can go on.
        chosen = replace(
            settings,
            file=settings.file if settings.file == SHIPPED_TEXT else full_path(settings.file),
            optimization=replace(optimization, batch_size=batch_size, epochs=optimization.epochs or EPOCHS),
        )
        streams = training_streams(training, batch_size)
        return Material(self, chosen, streams, self.data(file, held_out), (len(training), len(held_out)))

    @classmethod
    def _of(cls, settings: RunSettings) -> tuple[Self, TextFile, NDArray[np.int32]]:
        """Read the text of a run and number its symbols: task, file, symbol numbers [symbols]."""
        from throughtime.data.text import TextVocabulary, begins_with_mark, read_file, text_symbols

        given = cls._given_in(settings)
        file = read_file(settings.file)
        symbols = text_symbols(file, given.units, given.encoding)
        # Of the whole file: a symbol that only the held-out part has could not be numbered otherwise.
        vocabulary = TextVocabulary.of(symbols, given.units)
        task = cls(vocabulary, given)
        task.marked = begins_with_mark(file, given.units, given.encoding)
        return task, file, vocabulary.encode(symbols)
