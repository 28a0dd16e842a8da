"""What the tests of whole runs share."""

import os
import signal
from dataclasses import replace

from throughtime.data.text import TextVocabulary
from throughtime.runs import module as training_module
from throughtime.runs.drivers import passes
from throughtime.runs.recording.save_clock import SaveClock
from throughtime.runs.tasks import Text
from throughtime.runs.tasks.symbols import SymbolSettings


def silent(line):
    """The lines for the user are not looked at here."""


def alphabet(size, embedding_size=0):
    """A task of so many symbols."""
    return Text(TextVocabulary("bytes", tuple(range(size))), SymbolSettings("bytes", embedding_size=embedding_size))


def with_options(settings, **changes):
    """The settings with other options of the optimization."""
    return replace(settings, optimization=replace(settings.optimization, **changes))


def at_update(monkeypatch, update, action):
    """Do something in the forward pass of one update of the process, counted from 1."""
    real = training_module.SequenceTraining.training_step

    def step(self, batch):
        if self.progress.updates + 1 == update:
            action(self)
        return real(self, batch)

    monkeypatch.setattr(training_module.SequenceTraining, "training_step", step)


def press_ctrl_c(module):
    """As a user does."""
    os.kill(os.getpid(), signal.SIGINT)


class _Never(SaveClock):
    def due(self):
        return False


def without_default_clock(monkeypatch):
    """No checkpoint by time where none is asked for, so that nothing depends on the speed of the machine."""
    monkeypatch.setattr(passes, "SaveClock", lambda every: (_Never if every == passes.SAVE_EVERY else SaveClock)(every))
