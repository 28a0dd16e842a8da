"""The callback on modules of the kind that people write, with a gradient that is broken at a known place."""

import csv
import math
import warnings

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

import throughtime as tt
from throughtime.errors import ArgumentError, NonFiniteError, UnsupportedError
from throughtime.records import Flow, Horizon, LayerFlow
from throughtime.training import GradientMonitor

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")

T, B, UPDATES = 7, 3, 6
BATCHES = torch.randn(2 * UPDATES, T, B, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


class Plain(LightningModule):
    """Two layers and a readout; at the updates in `broken`, ∂L/∂h_4 of row 1 of the upper layer is NaN."""

    def __init__(self, broken=(), poison=float("nan"), gradient=None, optimizer=torch.optim.Adam):
        super().__init__()
        torch.manual_seed(7)
        self.below = tt.GRU(2, 5, dtype=torch.float64, gradient=gradient)
        self.top = tt.LSTM(5, 3, dtype=torch.float64, gradient=gradient)
        self.dropout = torch.nn.Dropout(0.2)
        self.broken, self.poison, self.optimizer, self.seen = broken, poison, optimizer, []

    def training_step(self, batch, index):
        y, _ = self.top(self.dropout(self.below(batch[0][0])[0]))
        if index in self.broken:
            y.register_hook(self._break)
        self.seen.append(self.state())
        weights = torch.arange(1.0, T + 1, dtype=torch.float64)
        return ((y - batch[0][0].sum(-1, keepdim=True)).square().mean(dim=(1, 2)) * weights).sum()

    def _break(self, gradient):
        gradient = gradient.clone()
        gradient[4, 1, 0] = self.poison
        return gradient

    def configure_optimizers(self):
        return self.optimizer(self.parameters(), lr=0.05)

    def state(self):
        return {name: value.clone() for name, value in self.state_dict().items()}


def _fit(module, *callbacks, updates=UPDATES, ckpt_path=None, logger=False, **options):
    torch.manual_seed(3)
    trainer = Trainer(
        **{"accelerator": "cpu", "max_steps": updates, "logger": logger, "enable_progress_bar": False} | options,
        enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in callbacks),
        enable_model_summary=False,
        callbacks=list(callbacks),
        log_every_n_steps=2,
    )
    loader = DataLoader(TensorDataset(BATCHES), batch_size=1, generator=torch.Generator())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, loader, ckpt_path=ckpt_path, weights_only=False)
    assert all(one.tap is None for one in (module.below, module.top))
    return trainer


def _same(first, second):
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("policy", ["raise", "stop", "skip", "rescale", "restore"])
@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2, "gradient_clip_val": 0.3}])
def test_nothing_changes_where_all_is_finite(policy, options):
    watched, alone = Plain(), Plain()
    monitor = GradientMonitor(policy, keep_every=2, diagnose=_diagnosis, diagnose_every=2)
    first, second = _fit(watched, monitor, **options), _fit(alone, **options)
    _same(watched.state(), alone.state())
    _same(first.optimizers[0].state_dict(), second.optimizers[0].state_dict())
    assert not monitor.sentences and [flow.update for flow in monitor.flows] == [2, 4, 6]


def _diagnosis(module, batch):
    """One that draws random numbers, leaves gradients, and sees the mode."""
    assert not module.training and not module.dropout.training
    module.top(module.below(batch[0][0] + torch.randn(1))[0])[0].sum().backward()
    horizons = [Horizon(0.5, 3.0, 2.0, 4.0, 6), Horizon(0.01, math.inf, 6, math.inf, 6)]
    layer = LayerFlow("top.l0", "LSTMCell", False, 6, [], {}, 0.0, horizons=horizons)
    return Flow(None, T, B, 2.5, T, [layer], None, None, 0.0)


PLACE = "Update 3: .*met first in layer 'top.l0' at time step 4, batch row 1"


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_raise_names_the_place_and_moves_nothing(poison):
    module = Plain({2}, poison)
    with pytest.raises(NonFiniteError, match=PLACE.removeprefix("Update 3: .*")):
        _fit(module, GradientMonitor())
    _same(module.state(), module.seen[2])
    assert module.top.tap is None and module.below.tap is None


def test_stop_ends_the_training_before_the_update():
    module, monitor = Plain({2}), GradientMonitor("stop")
    _fit(module, monitor)
    assert len(module.seen) == 3
    _same(module.state(), module.seen[2])
    (sentence,) = monitor.sentences
    assert sentence.startswith("Update 3: The gradient of ") and "'top.l0' at time step 4, batch row 1" in sentence


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)])
def test_skip_moves_neither_weights_nor_the_optimiser(optimizer):
    """The same as a loop that passes over that batch; dropout goes on drawing."""
    module, monitor = Plain({2}, optimizer=optimizer), GradientMonitor("skip")
    trainer = _fit(module, monitor)
    _same(module.seen[3], module.seen[2])
    assert not torch.equal(module.seen[4]["top.weight_hh_l0"], module.seen[3]["top.weight_hh_l0"])

    twin = Plain(optimizer=optimizer)
    torch.manual_seed(3)
    reference = twin.configure_optimizers()
    for index in range(UPDATES):
        loss = twin.training_step([BATCHES[index : index + 1]], index)
        if index != 2:
            reference.zero_grad()
            loss.backward()
            reference.step()
    torch.testing.assert_close(module.state(), twin.state(), rtol=1e-12, atol=1e-14)
    assert len(trainer.optimizers[0].state) == len(reference.state)
    assert len(monitor.sentences) == 1 and "the update was skipped" in monitor.sentences[0]


@pytest.mark.parametrize(("threshold", "index"), [(None, 2), (0.01, 2)])
def test_rescale_sets_the_bad_entries_to_zero_and_keeps_the_last_norm(threshold, index):
    found = {}

    class Watch(GradientMonitor):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            before = [parameter.grad.clone() for parameter in module.parameters()]
            super().on_before_optimizer_step(trainer, module, optimizer)
            found[trainer.global_step] = before, [parameter.grad.clone() for parameter in module.parameters()]

    monitor = Watch("rescale")
    options = {} if threshold is None else {"gradient_clip_val": threshold}
    module = Plain({index})
    _fit(module, monitor, **options)
    before, after = found[index]
    last = torch.cat([one.flatten() for one in found[index - 1][0]]).norm()
    kept = [torch.where(one.isfinite(), one, 0.0) for one in before]
    norm = torch.cat([one.flatten() for one in kept]).norm()
    scale = min(1.0, float(last / norm))
    torch.testing.assert_close(after, [one * scale for one in kept], rtol=1e-12, atol=0)
    assert any(not one.isfinite().all() for one in before) and all(one.isfinite().all() for one in after)
    assert f"the rest multiplied by {scale:.3g}" in monitor.sentences[0]
    assert all(value.isfinite().all() for value in module.state().values())


def test_rescale_needs_a_finite_gradient_before():
    with pytest.raises(NonFiniteError, match="no finite gradient came before it"):
        _fit(Plain({0}), GradientMonitor("rescale"))


@pytest.mark.parametrize(("keep_every", "back_to"), [(1, 3), (2, 2), (100, 0)])
def test_restore_goes_back_to_the_latest_copy(keep_every, back_to):
    module, monitor = Plain({4}), GradientMonitor("restore", keep_every=keep_every)
    _fit(module, monitor)
    _same(module.seen[5], module.seen[back_to])
    assert f"those of {4 - back_to} update{'' if back_to == 3 else 's'} ago" in monitor.sentences[0]


def test_restore_mends_weights_that_are_not_finite_and_skip_says_that_it_cannot():
    class Poisoned(Plain):
        def on_train_batch_start(self, batch, index):
            if index == 3:
                self.top.weight_hh_l0.data[1, 2] = math.inf

    module, monitor = Poisoned(), GradientMonitor("restore", keep_every=1)
    _fit(module, monitor)
    _same(module.seen[4], module.seen[2])
    with pytest.raises(NonFiniteError, match="the weights top.weight_hh_l0 hold NaN or infinity"):
        _fit(Poisoned(), GradientMonitor("skip"))


def test_too_many_in_a_row_end_the_run():
    with pytest.raises(NonFiniteError, match="so it was in the 10 updates before"):
        _fit(Plain(set(range(1, 12))), GradientMonitor("skip"), updates=12)


def test_of_accumulated_batches_the_first_bad_one_is_named():
    module, monitor = Plain({4}), GradientMonitor("skip")
    _fit(module, monitor, updates=4, accumulate_grad_batches=3)
    (sentence,) = monitor.sentences
    assert sentence.startswith("Update 2: ") and "'top.l0' at time step 4, batch row 1" in sentence
    _same(module.seen[6], module.seen[3])


def test_what_is_logged_is_what_the_tap_read(tmp_path):
    module, norms = Plain(gradient=tt.BPTT(clip_step=0.5)), []

    class Watch(GradientMonitor):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            record = self._taps[0].layers["top.l0"]
            norms.append((record.norms["h"].clone(), record.norms["c"].clone(), record.clipped.clone()))
            super().on_before_optimizer_step(trainer, module, optimizer)

    monitor = Watch(diagnose=_diagnosis, diagnose_every=3)
    _fit(module, monitor, logger=CSVLogger(tmp_path, "", ""))
    with open(tmp_path / "metrics.csv", newline="") as text:
        rows = [row for row in csv.DictReader(text) if row["gradient/norm"]]
    assert [int(row["step"]) for row in rows] == [1, 3, 5]
    squares = sum((h**2 + c**2).mean(dim=1) for h, c, _ in norms[2:4]) / 2
    first, last = float(squares[0].sqrt()), float(squares[-1].sqrt())
    row = {name: float(value) for name, value in rows[1].items() if value}
    assert row["gradient/top.l0/first"] == pytest.approx(first, rel=1e-6)
    assert row["gradient/top.l0/last"] == pytest.approx(last, rel=1e-6)
    assert row["gradient/top.l0/decay"] == pytest.approx((first / last) ** (1 / (T - 1)), rel=1e-6)
    share = float(torch.stack([clipped for *_, clipped in norms[2:4]]).double().mean())
    assert 0 < share < 1 and row["gradient/top.l0/clipped_steps"] == pytest.approx(share, rel=1e-6)
    assert len(monitor.by_step["below.l0"]) == T
    with open(tmp_path / "metrics.csv", newline="") as text:
        diagnosed = [row for row in csv.DictReader(text) if row["diagnosis/loss"]]
    assert len(diagnosed) == 2 and float(diagnosed[0]["diagnosis/top.l0/horizon_0.5"]) == 3.0


def test_a_run_that_is_continued_restores_what_the_whole_run_does(tmp_path):
    whole = Plain({4})
    _fit(whole, GradientMonitor("restore", keep_every=3))
    first = Plain({4})
    keeper = ModelCheckpoint(tmp_path, "part", save_last=False, every_n_train_steps=4, save_top_k=-1)
    _fit(first, GradientMonitor("restore", keep_every=3), keeper, updates=4)
    second, monitor = Plain({4}), GradientMonitor("restore", keep_every=3)
    _fit(second, monitor, ckpt_path=tmp_path / "part.ckpt")
    assert len(monitor.sentences) == 1
    _same(second.seen[1], whole.seen[5])


def test_an_exception_in_the_step_closes_the_tap():
    class Failing(Plain):
        def training_step(self, batch, index):
            if index == 1:
                raise MemoryError("gone")
            return super().training_step(batch, index)

    module = Failing()
    with pytest.raises(MemoryError):
        _fit(module, GradientMonitor())
    assert module.below.tap is None and module.top.tap is None


class Manual(Plain):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


class Foreign(Plain):
    def __init__(self):
        super().__init__()
        self.below, self.top = (layer.to_torch() for layer in (self.below, self.top))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Manual, "manual optimisation"),
        (Foreign, "a module without throughtime's recurrent layers"),
        (lambda: Plain(gradient=tt.RTRL()), r"RTRL\(.*\) in 'below', which never forms"),
        (lambda: Plain(optimizer=torch.optim.LBFGS), "LBFGS"),
    ],
)
def test_what_cannot_be_watched_is_refused_by_name(module, said):
    with pytest.raises(UnsupportedError, match=f"GradientMonitor was given {said}"):
        _fit(module(), GradientMonitor())


@pytest.mark.parametrize(
    "options",
    [
        *({"nonfinite": "ignore"}, {"keep_every": 0}, {"keep_every": 2.5}, {"diagnose_every": 3}),
        *({"diagnose_every": -1}, {"diagnose_every": True, "diagnose": print}, {"diagnose_every": 2.0}),
        {"diagnose": 3, "diagnose_every": 1},
    ],
)
def test_options_that_are_none_are_refused(options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        GradientMonitor(**options)
