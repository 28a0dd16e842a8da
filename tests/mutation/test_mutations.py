"""Run folders with one spoiled file: every command ends in one sentence, or in a right result.

THROUGHTIME_MUTATIONS is how many mutations of each file each command reads here; `make mutations` sets it to all.
"""

import os
import random

import pytest
from mutation.folders import READERS, command, run
from mutation.mutations import CUTS, Mutation, of_file, spoiled

COUNT = int(os.environ.get("THROUGHTIME_MUTATIONS", "4"))
PARTS = 1 if COUNT < 100 else 50
"""Tests over which the mutations of a file are spread, so that all workers have the same to do."""

CASES = [
    (kind, file, reader)
    for file, readers in READERS.items()
    for reader in readers
    for kind in ("offline", "online")
    if kind == "offline" or file in ("record.json", "config.yaml", "metrics.csv", "model.safetensors", "last.ckpt")
] + [
    ("table", file, reader)
    for file in ("record.json", "config.yaml", "model.safetensors")
    for reader in ("predict", "evaluate", "resume")
    if (file, reader) != ("config.yaml", "predict") and (file, reader) != ("config.yaml", "evaluate")
]
CASES += [("table", "examination.json", "report")]
CASES += [
    (kind, "record.json", reader)
    for kind, readers in {
        "forecast": ("predict", "evaluate", "backtest"),
        "model": ("predict", "evaluate", "sample"),
        "rows": ("evaluate", "resume"),
    }.items()
    for reader in readers
] + [("rows", "last.ckpt", "resume")]


def _faults(mutations, kind, reader, base, place):
    ends = {str(mutation): run(*command(reader, spoiled(mutation, base / kind, place), base)) for mutation in mutations}
    return {name: end.fault for name, end in ends.items() if end.fault}


@pytest.mark.parametrize(("kind", "file", "reader"), CASES, ids=str)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_spoiled_file_ends_in_one_sentence_or_a_result(kind, file, reader, part, base, tmp_path):
    every = of_file(base / kind / file)
    chosen = random.Random(f"{kind}{file}{reader}").sample(every, min(COUNT, len(every)))[part::PARTS]
    assert _faults(chosen, kind, reader, base, tmp_path / "spoiled") == {}


SEEN = [
    ("offline", "resume", Mutation("last.ckpt", "inf", ("throughtime", "history", "updates", "update", 0))),
    ("offline", "resume", Mutation("last.ckpt", "2.5", ("throughtime", "history", "updates", "update", 0))),
    ("offline", "resume", Mutation("last.ckpt", "null", ("throughtime", "history"))),
    ("offline", "resume", Mutation("last.ckpt", "unicode", ("throughtime", "history", "snapshots", 0, 1))),
    ("offline", "resume", Mutation("last.ckpt", "word", ("callbacks",))),
    ("offline", "resume", Mutation("last.ckpt", "absent", ("throughtime", "progress", "best_update"))),
    ("offline", "resume", Mutation("last.ckpt", "absent", ("throughtime", "progress", "window", "loss"))),
    ("offline", "resume", Mutation("last.ckpt", "null", ("throughtime", "rescue"))),
    ("offline", "resume", Mutation("record.json", "absent", ("baselines", "bigram"))),
    ("online", "report", Mutation("record.json", "renamed", ("baselines", "uniform"))),
    ("online", "resume", Mutation("config.yaml", "unicode", ("file",))),
    ("online", "resume", Mutation("record.json", "dictionary", ("machine",))),
    ("online", "resume", Mutation("last.ckpt", "absent", ("whole", "guesses", 2))),
    ("online", "resume", Mutation("last.ckpt", "absent", ("whole", "windows", "sums", 0, "guesses", 2))),
    ("offline", "report", Mutation("diagnosis.json", "empty", ("diagnoses", 0, "layers", 0, "name"))),
    ("offline", "report", Mutation("diagnosis.json", "-1", ("diagnoses", 0, "layers", 0, "lyapunov", "errors", 1))),
    (
        "offline",
        "report",
        Mutation("diagnosis.json", "renamed", ("diagnoses", 0, "layers", 0, "by_lag", "quantiles", "0.5")),
    ),
]
"""What once ended in a traceback."""


@pytest.mark.parametrize(("kind", "reader", "mutation"), SEEN, ids=lambda part: str(part).replace("/", " "))
def test_what_once_ended_in_a_traceback_ends_well(kind, reader, mutation, base, tmp_path):
    assert _faults([mutation], kind, reader, base, tmp_path / "spoiled") == {}


@pytest.mark.parametrize("file", ["metrics.csv", "updates.csv", "step_norms.csv"])
def test_a_table_that_was_cut_off_gives_no_other_report(file, base, tmp_path):
    """Cut in the middle of a line or between two lines, which leaves a table that is whole by itself."""
    folder = spoiled(Mutation(file, "cut", cut=CUTS), base / "offline", tmp_path / "whole")
    lines = (folder / file).read_text().splitlines(keepends=True)
    for kept in (lines[:-1], lines[:2], [*lines[:-1], lines[-1][:4]]):
        (folder / file).write_text("".join(kept))
        ended = run(*command("report", folder, base))
        assert (ended.code, ended.fault) == (1, ""), kept[-1]
        assert f"{file} is damaged: " in ended.err and "delete it, and what it holds is left out" in ended.err


def test_what_is_whole_is_read(base, tmp_path):
    for kind in ("offline", "online"):
        for reader in ("evaluate", "sample", "report", "diagnose", "resume"):
            whole = spoiled(Mutation("record.json", "cut", cut=CUTS), base / kind, tmp_path / "whole")
            ended = run(*command(reader, whole, base))
            assert (ended.code, ended.fault) == (0, ""), (kind, reader)
