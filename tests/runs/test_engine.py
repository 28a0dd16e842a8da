"""Whole runs: what they write, and that a run which was stopped and continued is the run that was not."""

import os
import signal
from dataclasses import replace
from functools import wraps

import pytest
import safetensors.torch
import torch
from runs.running import at_update, press_ctrl_c, silent, with_options

from throughtime.errors import ArgumentError, NonFiniteError, RunFolderError
from throughtime.gradients import BPTT
from throughtime.records import Flow, Outcome, Results, read_metrics, read_record, write_record
from throughtime.runs import engine
from throughtime.runs import module as training_module
from throughtime.runs.callbacks import recorder
from throughtime.runs.checkpoints import load_run, read_checkpoint
from throughtime.runs.config import read_config
from throughtime.runs.engine import resume, start
from throughtime.runs.evaluation import evaluate
from throughtime.runs.gradient import METHODS
from throughtime.runs.interruption import InterruptedRunError
from throughtime.runs.recording import save_clock
from throughtime.runs.tasks import Text

UPDATES_PER_EPOCH = 144


def _outcome(folder):
    """All that two equal runs must share: weights, optimiser, generators, carried state, losses."""
    checkpoint = torch.load(read_checkpoint(folder), weights_only=True)
    own = checkpoint["throughtime"]
    rows = [
        (row.update, row.epoch, row.train_loss, row.validation_loss, row.learning_rate, row.gradient_norm, row.clipped)
        for row in read_metrics(folder)
    ]
    best = safetensors.torch.load_file(folder / "model.safetensors")
    tables = [(folder / name).read_bytes() for name in ("updates.csv", "step_norms.csv")]
    carried = [own["state"], *([] if own["inputs"] is None else [own["inputs"]])]
    return checkpoint["state_dict"], checkpoint["optimizer_states"], own["random"], carried, best, (rows, tables)


def _assert_equal(first, second):
    torch.testing.assert_close(first[:-1], second[:-1], rtol=0, atol=0)
    assert first[-1] == second[-1]


def test_a_run_leaves_a_folder_that_says_everything(small_run, tmp_path):
    folder = tmp_path / "run"
    record = start(small_run, folder, False, silent)
    assert sorted(os.listdir(folder)) == [
        "config.yaml", "last.ckpt", "metrics.csv", "model.safetensors", "record.json", "step_norms.csv", "updates.csv",
    ]  # fmt: skip
    assert record == read_record(folder)
    assert record.outcome is Outcome.FINISHED
    assert record.results.updates == 2 * UPDATES_PER_EPOCH and record.results.epochs == 2
    assert (record.data.training_symbols, record.data.held_out_symbols) == (2160, 240)
    assert read_config(folder) == small_run
    rows = read_metrics(folder)
    assert [row.update for row in rows] == [UPDATES_PER_EPOCH, 2 * UPDATES_PER_EPOCH]
    assert record.results.best_validation_loss == min(row.validation_loss for row in rows)
    assert rows[-1].validation_loss < record.baselines.unigram


def test_the_validation_loss_is_the_mean_over_the_held_out_text_of_the_weights_that_are_kept(small_run, tmp_path):
    record = start(small_run, tmp_path / "run", False, silent)
    task, model, _ = load_run(tmp_path / "run")
    (metric,) = evaluate(task, model, Text.prepare(small_run).held_out.streams)
    assert metric.value == pytest.approx(record.results.best_validation_loss, rel=1e-6)


def test_the_best_weights_are_kept_where_the_last_are_worse(small_run, tmp_path, monkeypatch):
    at_update(monkeypatch, 2 * UPDATES_PER_EPOCH, lambda module: module.model.readout.weight.data.mul_(-3))
    record = start(small_run, tmp_path / "run", False, silent)
    first, last = (row.validation_loss for row in read_metrics(tmp_path / "run"))
    assert last > first + 1
    assert (record.results.best_update, record.results.last_validation_loss) == (UPDATES_PER_EPOCH, last)
    task, model, _ = load_run(tmp_path / "run")
    (metric,) = evaluate(task, model, Text.prepare(small_run).held_out.streams)
    assert metric.value == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("update", [4, 37, 74, UPDATES_PER_EPOCH, UPDATES_PER_EPOCH + 1, 2 * UPDATES_PER_EPOCH - 1])
def test_a_run_stopped_by_ctrl_c_and_continued_is_the_run_that_was_not(
    small_run, tmp_path, monkeypatch, update, schedule
):
    settings = with_options(small_run, validate_every=37, schedule=schedule)
    start(settings, tmp_path / "whole", False, silent)
    with monkeypatch.context() as patch:
        at_update(patch, update, press_ctrl_c)
        with pytest.raises(InterruptedRunError, match=f"Interrupted after update {update} of 288.*--resume"):
            start(settings, tmp_path / "parts", False, silent)
    assert read_record(tmp_path / "parts").outcome is Outcome.INTERRUPTED
    torch.manual_seed(99)  # nothing of the process may matter
    record = resume(settings, tmp_path / "parts", silent)
    assert record is not None and record.outcome is Outcome.FINISHED
    _assert_equal(_outcome(tmp_path / "parts"), _outcome(tmp_path / "whole"))


@pytest.mark.parametrize("update", [4, 143, 144, 145])
def test_what_a_horizon_a_burn_in_and_random_lengths_need_is_in_the_checkpoint(
    small_run, tmp_path, monkeypatch, update
):
    # The method itself is BPTT: what is looked at here is what is carried from chunk to chunk.
    monkeypatch.setitem(METHODS, "truncated", replace(METHODS["truncated"], make=lambda settings: BPTT()))
    settings = with_options(small_run, gradient="truncated", horizon=9, burn_in=3, chunk_jitter=True)
    start(settings, tmp_path / "whole", False, silent)
    with monkeypatch.context() as patch:
        at_update(patch, update, press_ctrl_c)
        with pytest.raises(InterruptedRunError):
            start(settings, tmp_path / "parts", False, silent)
    torch.manual_seed(99)
    assert read_config(tmp_path / "parts") == settings
    resume(settings, tmp_path / "parts", silent)
    whole = _outcome(tmp_path / "whole")
    assert whole[3][1].shape == (8, 3)
    _assert_equal(_outcome(tmp_path / "parts"), whole)
    plain = with_options(small_run, gradient="truncated", horizon=9)
    with pytest.raises(ArgumentError, match="burn_in is 0; the run to resume has 3"):
        resume(plain, tmp_path / "parts", silent)


def test_a_run_that_died_goes_on_from_its_last_validation(small_run, tmp_path, monkeypatch):
    settings = with_options(small_run, validate_every=37)
    start(settings, tmp_path / "whole", False, silent)

    def die(module):
        raise MemoryError("the process is gone")

    with monkeypatch.context() as patch:
        at_update(patch, 100, die)
        with pytest.raises(MemoryError):
            start(settings, tmp_path / "parts", False, silent)
    assert read_record(tmp_path / "parts").results.updates == 74
    resume(settings, tmp_path / "parts", silent)
    _assert_equal(_outcome(tmp_path / "parts"), _outcome(tmp_path / "whole"))


def test_a_run_that_died_before_its_last_record_is_only_recorded(small_run, tmp_path):
    folder = tmp_path / "run"
    finished = start(small_run, folder, False, silent)
    before = _outcome(folder)
    write_record(folder, finished.after(Outcome.STARTED, Results()))
    assert resume(small_run, folder, silent) == finished
    _assert_equal(_outcome(folder), before)


def test_validation_does_not_disturb_the_training(small_run, tmp_path):
    start(with_options(small_run, validate_every=5), tmp_path / "often", False, silent)
    start(with_options(small_run, validate_every=288), tmp_path / "once", False, silent)
    often, once = _outcome(tmp_path / "often"), _outcome(tmp_path / "once")
    torch.testing.assert_close(often[:4], once[:4], rtol=0, atol=0)
    assert len(often[5][0]) == 58 and len(once[5][0]) == 1
    assert often[5][0][-1][3] == once[5][0][0][3] and often[5][1] == once[5][1]


def test_the_last_update_is_validated_even_where_none_is_due(small_run, tmp_path):
    start(with_options(small_run, validate_every=200), tmp_path / "run", False, silent)
    assert [row.update for row in read_metrics(tmp_path / "run")] == [200, 288]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(small_run, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        start(with_options(small_run, seed=seed, epochs=1), tmp_path / name, False, silent)
    _assert_equal(_outcome(tmp_path / "a"), _outcome(tmp_path / "b"))
    assert _outcome(tmp_path / "a")[5] != _outcome(tmp_path / "c")[5]


def test_a_finished_run_has_nothing_to_resume_but_takes_more_epochs(small_run, tmp_path):
    said = []
    start(with_options(small_run, epochs=1), tmp_path / "run", False, silent)
    assert resume(with_options(small_run, epochs=1), tmp_path / "run", said.append) is None
    assert said == [f"{tmp_path / 'run'} is complete: 1 epoch, finished; to train on, give `epochs` above 1."]
    record = resume(with_options(small_run, epochs=3), tmp_path / "run", silent)
    assert record is not None and record.results.updates == 3 * UPDATES_PER_EPOCH
    assert [row.epoch for row in read_metrics(tmp_path / "run")] == [1.0, 2.0, 3.0]
    assert read_config(tmp_path / "run").optimization.epochs == 3


def test_patience_stops_a_run_that_no_longer_improves(small_run, tmp_path):
    settings = with_options(small_run, validate_every=20, patience=2, learning_rate=1e-12, schedule="constant")
    frozen = replace(settings, model=replace(settings.model, dropout=0.0))
    record = start(frozen, tmp_path / "run", False, silent)
    assert record.outcome is Outcome.NO_IMPROVEMENT
    losses = [row.validation_loss for row in read_metrics(tmp_path / "run")]
    assert len(losses) < 14
    assert min(losses[-2:]) >= min(losses[:-2]), "two validations without improvement at the end"
    assert resume(frozen, tmp_path / "run", silent) is None


def test_a_run_out_of_time_is_validated_and_can_go_on(small_run, tmp_path):
    record = start(with_options(small_run, max_minutes=1e-9), tmp_path / "run", False, silent)
    assert record.outcome is Outcome.OUT_OF_TIME
    assert [row.update for row in read_metrics(tmp_path / "run")] == [1]
    record = resume(small_run, tmp_path / "run", silent)
    assert record is not None and record.outcome is Outcome.FINISHED


def test_a_validation_that_uses_up_the_time_is_the_last(small_run, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(recorder.time, "perf_counter", lambda: clock[0])
    real = training_module.SequenceTraining.on_validation_epoch_start

    def slow(self):
        clock[0] += 120
        real(self)

    monkeypatch.setattr(training_module.SequenceTraining, "on_validation_epoch_start", slow)
    record = start(with_options(small_run, max_minutes=1, validate_every=20), tmp_path / "run", False, silent)
    assert record.outcome is Outcome.OUT_OF_TIME
    assert [row.update for row in read_metrics(tmp_path / "run")] == [20]


def test_the_last_validation_and_diagnosis_end_within_the_time(small_run, tmp_path, monkeypatch):
    """Reading takes 30 s, an update 1, a validation 40 and a diagnosis 20: 110 updates end in 5 minutes."""
    clock = [0.0]
    monkeypatch.setattr(recorder.time, "perf_counter", lambda: clock[0])

    def slower(kind, name, seconds):
        real = getattr(kind, name)

        @wraps(real)  # Lightning looks at the arguments
        def call(*given, **named):
            clock[0] += seconds
            return real(*given, **named)

        monkeypatch.setattr(kind, name, call)

    slower(training_module.SequenceTraining, "training_step", 1)
    slower(training_module.SequenceTraining, "on_validation_epoch_start", 40)
    prepare = Text.prepare

    def read(settings):
        clock[0] += 30
        return prepare(settings)

    monkeypatch.setattr(Text, "prepare", read)

    def diagnose(task, model, chunk):
        clock[0] += 20
        return Flow(None, 1, 1, 0.0, 1, [], None, None, 0.0)

    record = start(
        with_options(small_run, max_minutes=5, validate_every=50), tmp_path / "run", False, silent, diagnose=diagnose
    )
    assert record.outcome is Outcome.OUT_OF_TIME
    assert [row.update for row in read_metrics(tmp_path / "run")] == [50, 100, 110]
    assert clock[0] == 300


def test_a_run_that_died_after_it_ran_out_of_patience_only_ends(small_run, tmp_path):
    settings = with_options(small_run, validate_every=20, patience=2, learning_rate=1e-12, schedule="constant")
    finished = start(settings, tmp_path / "run", False, silent)
    assert finished.outcome is Outcome.NO_IMPROVEMENT
    before = _outcome(tmp_path / "run")
    write_record(tmp_path / "run", finished.after(Outcome.STARTED, finished.results))
    assert resume(settings, tmp_path / "run", silent) == finished
    _assert_equal(_outcome(tmp_path / "run"), before)
    longer = resume(with_options(settings, patience=4), tmp_path / "run", silent)
    assert longer is not None and longer.results.updates > finished.results.updates


def test_a_checkpoint_by_time_never_holds_weights_that_are_not_finite(small_run, tmp_path, monkeypatch):
    settings = with_options(small_run, validate_every=37, save_minutes=1e-9)
    monkeypatch.setattr(save_clock, "LARGEST_SHARE", 1e9)

    def poison(self, optimizer):
        if self.progress.updates == 49:
            self.model.readout.bias.data.fill_(float("inf"))

    monkeypatch.setattr(training_module.SequenceTraining, "on_before_optimizer_step", poison)
    with pytest.raises(NonFiniteError, match="Update 51"):
        start(settings, tmp_path / "run", False, silent)
    kept = torch.load(read_checkpoint(tmp_path / "run"), weights_only=True)
    assert kept["throughtime"]["progress"]["updates"] == 49
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())


def test_a_stop_signal_that_comes_while_the_run_is_set_up_is_answered(small_run, tmp_path, monkeypatch):
    real = engine._limit_threads

    def interrupted(settings):
        os.kill(os.getpid(), signal.SIGTERM)
        real(settings)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_limit_threads", interrupted)
        with pytest.raises(InterruptedRunError, match="before the training began.*give the command again"):
            start(small_run, tmp_path / "run", False, silent)
    assert not (tmp_path / "run").exists()


def test_weights_that_became_nan_stop_the_run_and_leave_the_last_good_checkpoint(small_run, tmp_path, monkeypatch):
    def poison(module):
        module.model.readout.weight.data[2, 3] = float("nan")

    with monkeypatch.context() as patch:
        at_update(patch, 100, poison)
        with pytest.raises(NonFiniteError, match="Update 100: the weights readout.weight hold NaN") as caught:
            start(with_options(small_run, validate_every=37), tmp_path / "run", False, silent)
    assert "last checkpoint is kept" in str(caught.value)
    _, _, record = load_run(tmp_path / "run")
    assert record.results.updates == 74
    assert resume(with_options(small_run, validate_every=37), tmp_path / "run", silent) is not None


def test_weights_that_became_nan_just_before_a_validation_are_not_written(small_run, tmp_path, monkeypatch):
    settings = with_options(small_run, validate_every=37)

    def poison(self, trainer, *arguments):
        if self.progress.updates == 74:
            self.model.readout.bias.data.fill_(float("inf"))

    monkeypatch.setattr(training_module.SequenceTraining, "on_train_batch_end", poison)
    with pytest.raises(NonFiniteError, match="After update 74 the weights readout.bias hold NaN or infinity"):
        start(settings, tmp_path / "run", False, silent)
    state = torch.load(read_checkpoint(tmp_path / "run"), weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())
    assert read_record(tmp_path / "run").results.updates == 37


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_no_checkpoint_is_promised_before_the_first(small_run, tmp_path, monkeypatch, policy):
    def poison(module):
        module.model.readout.weight.data[2, 3] = float("nan")

    at_update(monkeypatch, 3, poison)
    with pytest.raises(NonFiniteError, match="there is no checkpoint yet; a smaller `learning_rate`") as caught:
        start(with_options(small_run, nonfinite=policy), tmp_path / "run", False, silent)
    assert not (tmp_path / "run" / "last.ckpt").exists()
    assert ("`nonfinite` skip" in str(caught.value)) == (policy == "raise"), "no way out that was taken already"


def test_a_first_validation_that_is_not_finite_promises_no_checkpoint(small_run, tmp_path, monkeypatch):
    def poison(self):
        self.model.readout.bias.data.fill_(float("inf"))

    monkeypatch.setattr(training_module.SequenceTraining, "on_validation_epoch_start", poison)
    monkeypatch.setattr(training_module.SequenceTraining, "validation_step", lambda self, batch: None)
    monkeypatch.setattr(training_module.SequenceTraining, "held_out_loss", 1.0)
    with pytest.raises(NonFiniteError, match="readout.bias hold NaN or infinity; .* holds no checkpoint yet"):
        start(small_run, tmp_path / "run", False, silent)


def test_a_changed_text_is_not_the_text_of_the_run(small_run, text_file, tmp_path, monkeypatch):
    at_update(monkeypatch, 20, press_ctrl_c)
    with pytest.raises(InterruptedRunError):
        start(small_run, tmp_path / "run", False, silent)
    text_file.write_text(text_file.read_text().replace("lazy", "busy"))
    with pytest.raises(RunFolderError, match="is not the one .* SHA-256 has changed"):
        resume(small_run, tmp_path / "run", silent)


def test_settings_that_would_make_it_another_run_are_refused(small_run, tmp_path):
    start(with_options(small_run, epochs=1), tmp_path / "run", False, silent)
    with pytest.raises(ArgumentError, match="learning_rate is 0.5; the run to resume has 0.02"):
        resume(with_options(small_run, epochs=2, learning_rate=0.5), tmp_path / "run", silent)


def test_fewer_epochs_than_are_done_are_refused(small_run, tmp_path):
    start(small_run, tmp_path / "run", False, silent)
    with pytest.raises(ArgumentError, match="epochs is 1; the run has done 2 epochs: give 3 or more"):
        resume(with_options(small_run, epochs=1), tmp_path / "run", silent)


def test_a_run_in_the_way_is_refused_and_kept(small_run, tmp_path):
    start(with_options(small_run, epochs=1), tmp_path / "run", False, silent)
    before = _outcome(tmp_path / "run")
    with pytest.raises(RunFolderError, match="already holds a run"):
        start(small_run, tmp_path / "run", False, silent)
    _assert_equal(_outcome(tmp_path / "run"), before)


def test_a_chosen_batch_size_is_written_down(small_run, tmp_path):
    start(with_options(small_run, batch_size=0, epochs=1), tmp_path / "run", False, silent)
    assert read_config(tmp_path / "run").optimization.batch_size == 4


def test_a_gpu_that_is_not_there_is_refused(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match="accelerator is gpu; torch finds none"):
        start(with_options(small_run, accelerator="gpu"), tmp_path / "run", False, silent)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_every_cell_learns(small_run, tmp_path, cell):
    model = replace(small_run.model, cell=cell, hidden_size=16, dropout=0.0)
    record = start(replace(small_run, model=model), tmp_path / "run", False, silent)
    assert record.results.best_validation_loss is not None
    assert record.results.best_validation_loss < record.baselines.unigram - 0.5
