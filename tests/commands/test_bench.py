import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from commands.processes import lines_until, process

from throughtime.benchmark import jax_scan, measure, methods, sides, tapping, trainings
from throughtime.commands import _bench_options, bench
from throughtime.kernels import native
from throughtime.layers import LSTM

TINY = ("--shapes", "3x7x11", "--threads", "1")


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch):
    brief = measure.Turns(warm_ups=1, repetitions=3, seconds=0.0, cap=0.0, product_size=32)
    monkeypatch.setattr(measure, "FULL", brief)
    monkeypatch.setattr(measure, "BRIEF", brief)
    monkeypatch.setattr(jax_scan, "find_jax", lambda threads: (None, "No jax here."))


class Wrong(LSTM):
    """With outputs a thousandth too large."""

    def forward(self, *arguments, **options):
        outputs, final = super().forward(*arguments, **options)
        return outputs * 1.001, final


def test_one_shape_of_every_cell(command):
    code, out, err = command("bench", *TINY)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if line[:5] in ("rnn  ", "gru  ", "lstm ")]
    assert [row[:4] for row in rows] == [[cell, "3", "7", "11"] for cell in ("rnn", "gru", "lstm")]
    for said in ("Machine ", "Versions ", "Threads   1", "Kernels ", "No jax here.", "products alone", "goals"):
        assert said in out, said
    assert "over 1 shape" in out and out.endswith("Parity: failed in 0 of 3 cases.\n")


def test_variants_json_and_plot(command, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    files = ("--json", tmp_path / "bench.json", "--plot", tmp_path / "bench.png")
    code, out, err = command("bench", *TINY, "--cells", "gru,rnn", "--variants", "packed,resets", *files)
    assert (code, err) == (0, "")
    content = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    named = [(row["case"]["cell"], row["case"]["variant"]["name"]) for row in content["rows"]]
    assert named == [(cell, name) for name in ("", "packed", "resets") for cell in ("gru", "rnn")]
    assert content["complete"] and content["machine"]["threads"] == 1
    assert out.count("\n-- ") == 3 and "-- packed: PackedSequence" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.png"]
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_a_failure_of_parity_is_told_and_is_the_exit_code(command, monkeypatch):
    monkeypatch.setitem(sides.OURS, "lstm", Wrong)
    code, out, err = command("bench", *TINY)
    assert (code, err) == (1, "")
    (row,) = [line for line in out.splitlines() if line.startswith("lstm")]
    assert "PARITY FAILED, not timed: " in row and "is 1.0e-03 from float64" in row
    assert "Parity: failed in 1 of 3 cases:" in out and "rnn: geometric mean" in out


def test_what_is_measured_by_default():
    def cases(**given):
        options = {"cells": "rnn,gru,lstm", "shapes": "", "variants": "", "quick": False, **given}
        return bench._cases(SimpleNamespace(**options))

    assert len([case for case in cases() if not case.variant.name]) == 45
    assert {case.variant.name for case in cases()} == {"", *bench.VARIANTS}
    assert len(cases(quick=True)) == 18
    assert len(cases(shapes="3x7x11,1x2x3", variants="all", cells="gru")) == 2 * 9
    assert len(cases(variants="none", cells="gru,gru")) == 15
    quick = cases(quick=True, variants="float64", cells="lstm")
    assert {case.shape for case in quick} == set(bench.QUICK)


def test_the_instruction_set_is_chosen_and_put_back(command, monkeypatch):
    if native.library() is None:
        pytest.skip("the compiled kernels are not installed")
    before = native.describe()["instruction_set"]
    code, out, _ = command("bench", *TINY, "--cells", "rnn", "--instruction-set", "baseline")
    assert code == 0 and "Kernels   baseline (of " in out
    assert native.describe()["instruction_set"] == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cells", "rnn,lsmt"], "cells has 'lsmt'; it must be a comma-separated choice of rnn, gru and lstm"),
        (["--shapes", "3x7"], "shapes has '3x7'; a shape is rows x hidden units x steps, such as 32x128x100: separate"),
        (["--variants", "packed,al"], "variants has 'al'; it must be a comma-separated choice of layers, "),
        (["--threads", "-1"], "threads is -1; it must be at least 1, or 0 for torch's choice"),
        (["--threads", "two"], "--threads is two; it must be a whole number."),
        (["--json", "missing/folder.json"], "json is missing/folder.json; it must be a file in a folder that exists"),
        (["--json", "."], "json is .; it must be a file in a folder"),
        (["--plot", "missing/grid.png"], "plot is missing/grid.png; it must be a file in a folder that exists"),
        (["--plot", "grid.gif"], "plot is grid.gif; the name must end in .png, .svg or .pdf"),
        (["--instruction-set", "sse9"], "is 'sse9'; this machine and library have: "),
    ],
)
def test_wrong_options_are_refused_before_any_work(refused, monkeypatch, words, said):
    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("measured"))
    assert said in refused("bench", *words, code=2)


def test_without_matplotlib_there_is_a_sentence_instead_of_a_plot(command, monkeypatch, tmp_path):
    monkeypatch.setattr(_bench_options, "find_spec", lambda name: None)
    code, out, _ = command("bench", *TINY, "--cells", "rnn", "--plot", tmp_path / "bench.png")
    assert code == 0 and "No plot: matplotlib is not installed (pip install 'throughtime[report]')." in out
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_loses_no_table(command, monkeypatch, tmp_path):
    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    code, out, err = command("bench", *TINY, "--cells", "rnn", "--json", tmp_path / "bench.json")
    assert code == 2 and "Parity: failed in 0 of 1" in out
    assert "could not be written (No space left on device)" in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_was_measured_before_the_end_is_printed_and_kept(command, monkeypatch, tmp_path, error):
    whole = measure.measure

    def third_time(case, *rest):
        if case.cell == "lstm":
            raise error
        return whole(case, *rest)

    monkeypatch.setattr(measure, "measure", third_time)
    target = tmp_path / "bench.json"
    if error is KeyboardInterrupt:
        assert command("bench", *TINY, "--json", target)[::2] == (130, "throughtime: Interrupted.\n")
    else:
        with pytest.raises(MemoryError):
            command("bench", *TINY, "--json", target)
    content = json.loads(target.read_text(encoding="utf-8"))
    assert not content["complete"] and [row["case"]["cell"] for row in content["rows"]] == ["rnn", "gru"]


ENDLESS = """
import sys
from throughtime.benchmark import measure
from throughtime.commands.main import main

measure.FULL = measure.Turns(warm_ups=1, repetitions=3, seconds=0.0, cap=0.0, product_size=32)
once = measure.measure

def second_case_without_end(case, *rest):
    if not case.variant.name:
        return once(case, *rest)
    print("the second case is being measured", flush=True)
    while True:
        once(case, *rest)

measure.measure = second_case_without_end
sys.exit(main())
"""
"""The real command, but for its second case: no machine is so fast, or so busy, that the signal misses it."""


def test_ctrl_c_in_the_real_command():
    words = ("bench", "--shapes", "2x5x9", "--cells", "rnn", "--variants", "all", "--threads", "1")
    with process(*words, script=ENDLESS) as running:
        lines = lines_until("the second case is being measured\n", running)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    assert any(line.startswith("rnn") for line in lines)
    assert running.returncode == 130 and err == "throughtime: Interrupted.\n"
    assert "Ended early: 1 of 9 cases were measured." in out and "rnn: geometric mean" in out


def test_progress_is_for_a_terminal(command, monkeypatch):
    monkeypatch.setattr(sys, "stderr", _Terminal())
    assert bench.progress("3 of 45: lstm 1x2x3 ...") is None
    bench.progress("")
    assert sys.stderr.written == "\r\033[K3 of 45: lstm 1x2x3 ...\r\033[K"


class _Terminal:
    written = ""

    def isatty(self):
        return True

    def write(self, text):
        self.written += text

    def flush(self):
        pass


def test_help_names_the_options_and_needs_no_torch():
    script = (
        "import sys\nfrom throughtime.commands.main import main\nmain(['bench', '--help'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for option in (
        "--quick",
        "--methods",
        "--tap",
        "--train",
        "--cells",
        "--shapes",
        "--variants",
        "--hidden-size",
        "--num-layers",
        "--epochs",
        "--repeat",
        "--threads",
        "--instruction-set",
        "--json",
        "--plot",
    ):
        assert option in done.stdout


@pytest.fixture
def two_methods(monkeypatch):
    """BPTT and e-prop, in no time."""
    found = [one for one in methods.candidates() if one.label in ("BPTT()", "EProp()")]
    monkeypatch.setattr(methods, "candidates", lambda: found)
    monkeypatch.setattr(methods, "PROTOCOL", measure.FULL)
    monkeypatch.setattr(methods, "BRIEF", measure.FULL)


def test_methods_in_a_table_a_file_and_a_picture(command, two_methods, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    files = ("--json", tmp_path / "methods.json", "--plot", tmp_path / "methods.svg")
    code, out, err = command("bench", "--methods", *TINY, "--cells", "gru,lstm", *files)
    assert (code, err) == (0, "")
    rows = [line.split()[:2] for line in out.splitlines() if line.startswith(("BPTT()", "EProp()"))]
    assert rows == [["BPTT()", "yes"], ["EProp()", "no"]] * 2
    assert "-- gru, 3x7x11" in out and "-- lstm, 3x7x11" in out and "Threads   1" in out
    content = json.loads((tmp_path / "methods.json").read_text(encoding="utf-8"))
    assert content["complete"] and [one["label"] for one in content["methods"]["lstm"]] == ["BPTT()", "EProp()"]
    assert "EProp()" in (tmp_path / "methods.svg").read_text(encoding="utf-8")


def test_the_methods_are_shown_on_an_elman_cell_by_default(command, two_methods):
    code, out, _ = command("bench", "--methods", "--quick", "--threads", "1")
    assert code == 0 and "-- rnn, 8x32x100" in out and "-- gru" not in out


def test_an_exact_method_that_is_not_is_the_exit_code_and_ctrl_c_loses_nothing(
    command, two_methods, monkeypatch, tmp_path
):
    monkeypatch.setattr(methods, "TOLERANCE", -1.0)
    code, out, _ = command("bench", "--methods", *TINY)
    assert code == 1 and "BPTT()" in out and "PARITY FAILED" in out
    whole = methods.measure_method

    def second_time(candidate, *rest):
        if candidate.label == "EProp()":
            raise KeyboardInterrupt
        return whole(candidate, *rest)

    monkeypatch.setattr(methods, "measure_method", second_time)
    code, out, err = command("bench", "--methods", *TINY, "--json", tmp_path / "methods.json")
    assert (code, err) == (130, "throughtime: Interrupted.\n") and out.endswith("Ended early.\n")
    content = json.loads((tmp_path / "methods.json").read_text(encoding="utf-8"))
    assert not content["complete"] and len(content["methods"]["rnn"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cells", "rnn,lsmt"], "cells has 'lsmt'; it must be a comma-separated choice of rnn, gru and lstm"),
        (["--shapes", "3x7x11,1x2x3"], "shapes is '3x7x11,1x2x3'; with "),
        (["--shapes", "3x7"], "shapes has '3x7'; a shape is rows x hidden units x steps, such as 32x128x100: separate"),
        (["--variants", "packed"], "--variants came with --"),
        (["--threads", "-1"], "threads is -1; it must be at least 1, or 0 for torch's choice"),
        (["--json", "."], "json is .; it must be a file in a folder"),
    ],
)
def test_wrong_options_beside_methods_are_refused_before_any_work(refused, monkeypatch, words, said):
    monkeypatch.setattr(methods, "measure_method", lambda *_: pytest.fail("measured"))
    assert said in refused("bench", "--methods", *words, code=2)


@pytest.fixture
def hasty_tap(monkeypatch):
    monkeypatch.setattr(tapping, "PROTOCOL", measure.FULL)
    monkeypatch.setattr(tapping, "BRIEF", measure.FULL)


def test_the_taps_cost_in_a_table_and_a_file(command, hasty_tap, tmp_path):
    code, out, err = command("bench", "--tap", *TINY, "--cells", "gru,lstm", "--json", tmp_path / "tap.json")
    assert (code, err) == (0, "")
    rows = [line.split()[:2] for line in out.splitlines() if line.startswith(("gru ", "lstm "))]
    assert rows == [["gru", "3x7x11"], ["lstm", "3x7x11"]]
    assert "update: geometric mean" in out and "Threads   1" in out
    content = json.loads((tmp_path / "tap.json").read_text(encoding="utf-8"))
    assert content["complete"] and [one["cell"] for one in content["tap"]] == ["gru", "lstm"]


def test_a_tap_that_changes_gradients_is_the_exit_code_and_ctrl_c_loses_nothing(command, hasty_tap, monkeypatch):
    def first_time(cell, shape, protocol):
        if cell == "lstm":
            raise KeyboardInterrupt
        return tapping.TapFigures(cell, shape, same=False)

    monkeypatch.setattr(tapping, "measure_tap", first_time)
    code, out, _ = command("bench", "--tap", *TINY, "--cells", "gru")
    assert code == 1 and "PARITY FAILED" in out
    code, out, err = command("bench", "--tap", *TINY, "--cells", "gru,lstm")
    assert (code, err) == (130, "throughtime: Interrupted.\n") and "Ended early." in out


@pytest.mark.parametrize("words", [["--variants", "packed"], ["--plot", "x.png"], ["--methods"]])
def test_what_the_tap_has_no_use_for_is_refused(refused, monkeypatch, words):
    monkeypatch.setattr(tapping, "measure_tap", lambda *_: pytest.fail("measured"))
    said = refused("bench", "--tap", *words, code=2)
    assert said.startswith(f"{words[0]} came with --tap; ") and said.endswith("it is not for the tap: leave it out.")


SMALL = ("--hidden-size", "5", "--num-layers", "1", "--epochs", "1", "--threads", "1")


def test_two_trainings_of_one_model_in_a_table_and_a_file(command, text_file, tmp_path):
    options = (*SMALL, "--cells", "gru,rnn", "--repeat", "2", "--json", tmp_path / "trainings.json")
    code, out, err = command("bench", "--train", text_file, *options)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if line.startswith(("throughtime ", "torch.nn "))]
    assert [row[0] for row in rows] == ["throughtime", "torch.nn"] * 4
    for ours, theirs in zip(rows[::2], rows[1::2], strict=True):
        assert float(ours[1]) == pytest.approx(float(theirs[1]), rel=1e-4), "the same model is learned"
        assert (len(ours), len(theirs)) == (4, 5)
    assert f"-- {text_file}: gru, 1 layer of 5, 1 epoch" in out and "Threads   1" in out
    content = json.loads((tmp_path / "trainings.json").read_text(encoding="utf-8"))
    assert content["complete"] and [one["cell"] for one in content["trainings"]] == ["gru", "gru", "rnn", "rnn"]
    assert content["tasks"][0]["hidden_size"] == 5 and content["machine"]["threads"] == 1


def test_ctrl_c_keeps_the_pairs_of_trainings(command, monkeypatch, tmp_path, text_file):
    def train_text(task, with_torch):
        if task.cell == "rnn" and with_torch:
            raise KeyboardInterrupt
        return trainings.TrainingFigures(1.5, 2.0, 300.0 if with_torch else 600.0)

    monkeypatch.setattr(trainings, "train_text", train_text)
    target = tmp_path / "trainings.json"
    code, out, err = command("bench", "--train", text_file, "--cells", "lstm,rnn", "--json", target)
    assert (code, err) == (130, "throughtime: Interrupted.\n") and out.endswith("Ended early.\n")
    content = json.loads(target.read_text(encoding="utf-8"))
    assert not content["complete"] and [one["ratio"] for one in content["trainings"]] == [2]
    assert "-- " + str(text_file) + ": lstm, 2 layers of 128, 6 epochs" in out, "the defaults of throughtime train"


def test_pydoc_is_trained_on_by_default(command, monkeypatch):
    seen = []
    monkeypatch.setattr(
        trainings, "train_text", lambda task, with_torch: seen.append(task) or trainings.TrainingFigures(1.0, 1.0, 1.0)
    )
    assert command("bench", "--train", "--threads", "1")[0] == 0
    assert seen == [trainings.TrainingTask("pydoc", "lstm", threads=1)] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--train", "x", "--methods"], "--methods came with --"),
        (["--train", "x", "--quick"], "--quick came with --"),
        (["--train", "x", "--shapes", "1x2x3"], "--shapes came with --"),
        (["--train", "x", "--plot", "x.png"], "--plot came with --"),
        (["--train", "x", "--repeat", "0"], "repeat is 0; it must be at least 1"),
        (
            ["--train", "x", "--cells", "elman"],
            "cells has 'elman'; it must be a comma-separated choice of rnn, gru and lstm",
        ),
        (["--train", "x", "--threads", "-1"], "threads is -1; it must be at least 1"),
        (["--train", "x", "--hidden-size", "-3"], "-3; it must be at least 1"),
        (["--hidden-size", "3"], " came without --"),
        (["--repeat", "3"], " came without --"),
    ],
)
def test_wrong_options_of_trainings_are_refused_before_any_work(refused, monkeypatch, words, said):
    monkeypatch.setattr(trainings, "train_text", lambda *_: pytest.fail("trained"))
    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("measured"))
    assert said in refused("bench", *words, code=2)
