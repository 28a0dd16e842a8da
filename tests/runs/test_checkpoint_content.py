"""A checkpoint that does not fit its run is refused before any work, with file and place."""

import shutil
from dataclasses import replace

import pytest
import torch
from mutation.mutations import as_lists
from runs.running import at_update, press_ctrl_c, silent

from throughtime.errors import RunFolderError
from throughtime.records import read_metrics
from throughtime.runs.config import read_config
from throughtime.runs.engine import resume, start
from throughtime.runs.interruption import InterruptedRunError
from throughtime.runs.settings import ModelSettings, OptimizationSettings, RunSettings


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run in passes that was stopped after update 20; nobody may change it."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "text.txt").write_text("the lazy dog jumps over quick foxes\n" * 20)
    settings = RunSettings(
        str(folder / "text.txt"),
        model=ModelSettings(hidden_size=3, num_layers=2),
        optimization=OptimizationSettings(
            batch_size=2, update_every=5, epochs=1, accelerator="cpu", threads=1, nonfinite="restore"
        ),
    )
    with pytest.MonkeyPatch.context() as patch:
        at_update(patch, 20, press_ctrl_c)
        with pytest.raises(InterruptedRunError):
            start(settings, folder / "run", False, silent)
    return folder / "run"


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """A run along a stream that has read 144 bytes; nobody may change it."""
    folder = tmp_path_factory.mktemp("stream")
    (folder / "text.txt").write_text("the lazy dog jumps over quick foxes\n" * 4)
    optimization = OptimizationSettings(online=True, gradient="truncated", horizon=3, update_every=5, threads=1)
    settings = RunSettings(
        str(folder / "text.txt"), model=ModelSettings(hidden_size=3, num_layers=1), optimization=optimization
    )
    start(settings, folder / "run", False, silent)
    return folder / "run"


def _refusal(folder, place, path, value):
    """The sentence that refuses a copy of the run whose checkpoint has this value at this path."""
    copied = shutil.copytree(folder, place / "run")
    state = as_lists(torch.load(copied / "last.ckpt", weights_only=True))
    *way, last = path
    inner = state
    for part in way:
        inner = inner[part]
    inner[last] = value(inner[last]) if callable(value) else value
    torch.save(state, copied / "last.ckpt")
    with pytest.raises(RunFolderError) as error:
        resume(read_config(copied), copied, silent)
    assert (copied / "config.yaml").read_bytes() == (folder / "config.yaml").read_bytes()
    prefix, ending = f"{copied / 'last.ckpt'} is damaged: ", "; restore the file, or train anew."
    assert str(error.value).startswith(prefix) and str(error.value).endswith(ending)
    return str(error.value).removeprefix(prefix).removesuffix(ending)


LOOP = ("loops", "fit_loop")
ADAM = ("optimizer_states", 0, "state", 1)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ((*LOOP, "state_dict", "combined_loader", 0, "position"), -1, "position is -1; it must be at least 0"),
        ((*LOOP, "state_dict", "combined_loader", 0, "position"), 21, "position is 21; it must be 20, the number of"),
        ((*LOOP, "epoch_loop.batch_progress", "current", "ready"), 7, "is 7; it must be 20, the number of updates"),
        (("throughtime", "progress", "updates"), 10**6, "progress.updates is 1,000,000; it must be at most"),
        (("throughtime", "progress", "window", "tokens"), -3, "progress.window.tokens is -3; it must be at least 0"),
        (("throughtime", "state", 0), lambda state: state[:1], "has the shape (1, 2, 3); it must be (2, 2, 3)"),
        (("throughtime", "state", 1), lambda state: state / 0, "throughtime.state[1] holds NaN or infinity"),
        (("throughtime", "random", "cpu"), lambda state: state[1:], "throughtime.random.cpu has the shape"),
        (
            ("throughtime", "history", "updates", "loss"),
            [],
            "throughtime.history.updates.loss has 0 entries; it must be a list of 20",
        ),
        (("throughtime", "rescue", "kept", "model", "readout.bias"), None, "rescue.kept.model.readout.bias is None"),
        (("state_dict", "model.readout.bias"), torch.zeros(4), "model.readout.bias has the shape (4,); it must be ("),
        (("state_dict", "model.readout.bias"), lambda bias: bias.double(), "has the dtype torch.float64; it must be"),
        (("state_dict", "model.readout.bias"), lambda bias: bias[:1].expand(2**40), "has the shape (1099511627776,)"),
        (("state_dict", "model.readout.bias"), lambda bias: bias[:1].clone().expand(len(bias)), "in another way"),
        ((*ADAM, "exp_avg"), torch.zeros(3), "optimizer_states[0].state[1].exp_avg has the shape (3,); it must be"),
        ((*ADAM, "exp_avg_sq"), lambda mean: mean - 1, "state[1].exp_avg_sq is negative"),
        ((*ADAM, "step"), torch.tensor(float("nan")), "state[1]['step'] holds NaN or infinity"),
        (("optimizer_states", 0, "param_groups", 0, "lr"), "fast", "param_groups[0].lr is 'fast'; it must be a number"),
        (("optimizer_states", 0, "param_groups", 0, "eps"), 1.0, "param_groups[0].eps is 1.0; it must be 1e-08"),
        (("lr_schedulers", 0, "last_epoch"), 3, "lr_schedulers[0].last_epoch is 3; it must be 20, after 20 updates"),
        (("pytorch-lightning_version",), "soon", "version is 'soon'; it must be a version of Lightning"),
    ],
)
def test_a_checkpoint_that_does_not_fit_a_run_in_passes_is_refused(interrupted, tmp_path, path, value, said):
    assert said in _refusal(interrupted, tmp_path, path, value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("taken",), -1, "taken is -1; it must be at least 0"),
        (("taken",), 7, "counting[2] counts 7 bytes; it must be the 144 that were taken"),
        (("last",), 300, "last is 300; it must be from -1 to 255"),
        (("counting", 0), {10: -1}, "counting[0].10 is -1"),
        (("whole", "events"), None, "whole.events is None; it must be a whole number"),
        (("learner", "gradient"), "RTRL()", "learner.gradient is 'RTRL()'; it must be 'TruncatedBPTT("),
        (("learner", "state", 0), lambda state: state[..., :2], "learner.state[0] has the shape (1, 1, 2)"),
        (("learner", "memory", "moments", 0, "x"), torch.tensor([256]), "moments[0].x cannot be an input"),
        (("learner", "memory", "moments", 0, "y"), torch.tensor([256]), "moments[0].y cannot be a target"),
        (("learner", "counts"), (500, 1, 0, 1), "learner.counts[0] is 500; it must be at most 144"),
        (("learner", "optimizer", "state", 0, "exp_avg"), None, "learner.optimizer.state[0].exp_avg is None"),
    ],
)
def test_a_checkpoint_that_does_not_fit_a_stream_is_refused(stream, tmp_path, path, value, said):
    assert said in _refusal(stream, tmp_path, path, value)


def test_the_checkpoint_of_a_run_of_another_shape_is_named_as_such(interrupted, tmp_path):
    settings = read_config(interrupted)
    other = replace(settings, model=replace(settings.model, num_layers=1))
    start(other, tmp_path / "other", False, silent)
    copied = shutil.copytree(interrupted, tmp_path / "run")
    shutil.copy(tmp_path / "other" / "last.ckpt", copied)
    with pytest.raises(RunFolderError, match="says `num_layers` 2, but .* trained with 1, as last.ckpt says"):
        resume(settings, copied, silent)


def test_damaged_metrics_of_a_stream_are_not_dropped_in_silence(stream, tmp_path):
    copied = shutil.copytree(stream, tmp_path / "run")
    assert len(read_metrics(copied)) >= 1
    (copied / "metrics.csv").write_text("update,epoch\n")
    with pytest.raises(RunFolderError, match="metrics.csv is damaged: its heading is"):
        resume(read_config(copied), copied, silent)
