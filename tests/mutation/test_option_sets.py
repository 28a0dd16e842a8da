"""Command lines that nobody foresaw: every one ends in a result, or in one sentence.

THROUGHTIME_OPTION_SETS is how many are drawn here; `make mutations` draws 2,000.
"""

import os
import sys

import pytest
import torch
from mutation.folders import run
from mutation.option_sets import Drawing

from throughtime import lecture_notes
from throughtime.commands import _bench_methods, _bench_tap, _bench_train, bench

COUNT, BATCHES = int(os.environ.get("THROUGHTIME_OPTION_SETS", "48")), 8


@pytest.fixture
def drawing(base, tmp_path, monkeypatch):
    """Command lines on runs and texts, in a folder of their own, where nothing is measured for long."""
    for module, name in (
        (bench, "_measure"),
        (_bench_methods, "_measure"),
        (_bench_tap, "_measure"),
        (_bench_train, "_train_pairs"),
    ):
        monkeypatch.setattr(module, name, lambda *arguments: None)
    monkeypatch.setattr(lecture_notes, "verify", lambda seed, note: [])
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path)
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield Drawing(base, tmp_path / "place")


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_command_line_ends_in_a_traceback(batch, drawing):
    faults = {}
    for seed in range(batch, COUNT, BATCHES):
        words = drawing.words(seed)
        ended = run(*words)
        torch.set_num_threads(1)
        measured = words[0] in ("bench", "equations", "verify") and ended.code == 1 and not ended.err
        if ended.fault and not measured:
            faults[" ".join(words)] = ended.fault
    assert faults == {}
