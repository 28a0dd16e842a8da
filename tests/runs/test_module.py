"""One update at a time, beside the same thing written out by hand."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from runs.running import alphabet
from torch.nn.functional import cross_entropy

from throughtime.data.streams import ChunkLoader, training_streams
from throughtime.errors import NonFiniteError
from throughtime.gradients import BPTT, RTRL
from throughtime.layers import tap
from throughtime.runs.model import SequenceModel
from throughtime.runs.module import SequenceTraining
from throughtime.runs.settings import ModelSettings, OptimizationSettings

# Lightning has advice about loaders and pytrees that is none of these tests' business.
pytestmark = pytest.mark.filterwarnings("ignore:::lightning")

TASK = alphabet(5, embedding_size=4)
CODES = np.random.default_rng(1).integers(0, 5, 76).astype(np.int32)


def _model(recurrent=None, clip_step=None):
    torch.manual_seed(2)
    settings = ModelSettings(hidden_size=6, num_layers=2)
    return SequenceModel(TASK, settings, recurrent, BPTT(clip_step=clip_step)).double()


def _loader():
    return ChunkLoader(training_streams(CODES, 3), steps=7, passes=2)


def _fit(model, settings, updates, loader=None):
    module = SequenceTraining(TASK, model, settings, total_updates=updates)
    trainer = Trainer(
        accelerator="cpu",
        max_steps=updates,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader or _loader())
    return module


def _clip(model, limit):
    """By hand, because torch's own adds 1e-6 to the norm."""
    norm = torch.cat([value.grad.flatten() for value in model.parameters()]).norm().item()
    for value in model.parameters():
        value.grad *= min(1.0, limit / norm)
    return norm


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_training_is_truncated_backpropagation_through_time_with_adam_and_clipping(schedule):
    settings = OptimizationSettings(learning_rate=0.03, warm_up=2, clip_norm=0.3, schedule=schedule)
    module = _fit(_model(), settings, updates=8)

    # The reference: torch's own layers, clipping and schedule, and a loop written out.
    reference = _model(torch.nn.LSTM(4, 6, 2))
    reference.load_state_dict(_model().state_dict())
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.03)
    norms, state = [], None
    for update, chunk in zip(range(8), _loader(), strict=False):
        fall = 1.0 if schedule == "constant" else 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * update / 8))
        optimizer.param_groups[0]["lr"] = 0.03 * min(1.0, (update + 1) / 3) * fall
        if chunk.first:
            state = None
        logits, state = reference(chunk.inputs, state)
        state = tuple(member.detach() for member in state)
        optimizer.zero_grad()
        cross_entropy(logits.flatten(0, 1), chunk.targets.flatten()).backward()
        norms.append(_clip(reference, 0.3))
        optimizer.step()
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(module.model.state_dict()[name], value, rtol=1e-10, atol=1e-12)
    window = module.progress.window
    assert (window.updates, window.clipped) == (8, sum(norm > 0.3 for norm in norms))
    assert 0 < window.clipped
    assert window.gradient_norm == pytest.approx(sum(norms), rel=1e-9)
    assert window.tokens == 3 * (7 + 7 + 7 + 4) * 2


def test_no_limit_on_the_norm_means_none():
    module = _fit(_model(), OptimizationSettings(clip_norm=0.0), updates=2)
    assert module.progress.window.clipped == 0


def test_a_gradient_that_is_not_finite_is_named_with_layer_and_step_and_moves_nothing():
    model = _model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.recurrent.register_forward_hook(_break_step(4, row=2))
    with pytest.raises(
        NonFiniteError, match=r"Update 1: The gradient of .* 'recurrent.l1' at time step 4, batch row 2"
    ):
        _fit(model, OptimizationSettings(), updates=3)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def _break_step(step, row):
    def hook(layer, arguments, outputs):
        hidden, state = outputs
        if hidden.requires_grad:
            hidden.register_hook(lambda gradient: _with_infinity(gradient, step, row))
        return hidden, state

    return hook


def _with_infinity(gradient, step, row):
    gradient = gradient.clone()
    gradient[step, row, 0] = float("inf")
    return gradient


def test_a_loss_that_is_not_finite_names_the_weights_to_blame():
    model = _model()
    model.embedding.weight.data[3, 1] = float("nan")
    with pytest.raises(NonFiniteError, match="Update 1: the weights embedding.weight hold NaN"):
        _fit(model, OptimizationSettings(), updates=2)


def test_clipping_per_step_changes_the_training():
    settings = OptimizationSettings(learning_rate=0.03, warm_up=0)
    free = _fit(_model(), settings, updates=3).model.state_dict()
    held = _fit(_model(clip_step=1e-4), settings, updates=3).model.state_dict()
    assert not torch.equal(free["recurrent.weight_hh_l0"], held["recurrent.weight_hh_l0"])


@pytest.mark.parametrize("horizon", [2, 4, 12])
@pytest.mark.parametrize("burn_in", [0, 3])
def test_the_steps_before_a_chunk_are_run_again_under_todays_weights_without_a_loss(horizon, burn_in):
    """The horizon reaches beyond the chunk, also over several chunks; the method itself is BPTT here."""
    options = {"learning_rate": 0.03, "warm_up": 0, "clip_norm": 0.0, "schedule": "constant"}
    settings = OptimizationSettings(gradient="truncated", horizon=horizon, burn_in=burn_in, **options)
    streams = training_streams(CODES, 3)
    module = _fit(_model(), settings, 8, ChunkLoader(streams, steps=7, passes=3, burn_in=burn_in))

    reference = _model(torch.nn.LSTM(4, 6, 2))
    reference.load_state_dict(_model().state_dict())
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.03)
    inputs, targets = streams.inputs.long(), streams.targets.long()
    starts = [start for _ in range(3) for start in range(burn_in, len(inputs), 7)]
    at, state = 0, None  # the state before step `at`
    for start in starts[:8]:
        if start == burn_in:
            at, state = 0, None
        begin, end = max(0, start - (horizon - 1)), min(start + 7, len(inputs))
        if begin > at:
            with torch.no_grad():
                state = reference(inputs[at:begin], state)[1]
            at = begin
        logits, _ = reference(inputs[at:end], state)
        optimizer.zero_grad()
        cross_entropy(logits[start - at :].flatten(0, 1), targets[start:end].flatten()).backward()
        # The steps that no later chunk reaches are left behind before the weights change.
        leave = max(0, end - (horizon - 1))
        if leave > at:
            with torch.no_grad():
                state = reference(inputs[at:leave], state)[1]
            at = leave
        optimizer.step()
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(module.model.state_dict()[name], value, rtol=1e-9, atol=1e-11)


def test_random_chunk_lengths_scale_the_learning_rate_of_their_update():
    settings = OptimizationSettings(
        update_every=7, chunk_jitter=True, learning_rate=0.03, warm_up=0, clip_norm=0.0, schedule="constant"
    )
    streams = training_streams(CODES, 3)
    module = _fit(_model(), settings, 6, ChunkLoader(streams, steps=7, passes=2, jitter=3))
    assert module.optimizers().optimizer.param_groups[0]["lr"] == 0.03

    reference = _model(torch.nn.LSTM(4, 6, 2))
    reference.load_state_dict(_model().state_dict())
    optimizer, state = torch.optim.Adam(reference.parameters()), None
    for _, chunk in zip(range(6), ChunkLoader(streams, steps=7, passes=2, jitter=3), strict=False):
        logits, state = reference(chunk.inputs, None if chunk.first else state)
        state = tuple(member.detach() for member in state)
        optimizer.zero_grad()
        cross_entropy(logits.flatten(0, 1), chunk.targets.flatten()).backward()
        optimizer.param_groups[0]["lr"] = 0.03 * len(chunk.inputs) / 7
        optimizer.step()
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(module.model.state_dict()[name], value, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("policy", ["skip", "rescale", "restore"])
def test_a_gradient_that_is_not_finite_is_passed_over_as_asked_and_never_in_silence(policy):
    """The third update is broken, through the loss as well: the state that is carried on must not stay NaN."""
    model, seen = _model(), []
    hidden = _break_step(4, row=2)

    def hook(layer, arguments, outputs):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return hidden(layer, arguments, outputs) if len(seen) == 3 else None

    model.recurrent.register_forward_hook(hook)
    settings = OptimizationSettings(learning_rate=0.03, warm_up=0, nonfinite=policy, schedule="constant")
    module = _fit(model, settings, updates=5)
    (notice,) = module.notices
    assert notice.startswith("Update 3: ") and "'recurrent.l1' at time step 4, batch row 2" in notice
    rows = module.history.updates
    assert [row.update for row in rows] == [1, 2, 3, 4, 5] and module.progress.window.updates == 4
    assert not np.isfinite(rows[2].gradient_norm) and (rows[2].scale == 0) == (policy != "rescale")
    assert all(np.isfinite([rows[index].loss, rows[index].gradient_norm]).all() for index in (0, 1, 3, 4))
    before, after = seen[{"skip": 2, "rescale": 2, "restore": 0}[policy]], seen[3]
    assert all(torch.equal(after[name], before[name]) for name in after) == (policy != "rescale")


def test_a_carried_state_that_is_not_finite_returns_to_zero():
    model, calls = _model(), []

    def hook(layer, arguments, outputs):
        calls.append(arguments[1])
        hidden, state = outputs
        return (hidden * float("nan"), tuple(member * float("nan") for member in state)) if len(calls) == 2 else None

    model.recurrent.register_forward_hook(hook)
    module = _fit(model, OptimizationSettings(nonfinite="skip"), updates=4)
    assert calls[2] is None and calls[3] is not None and len(module.notices) == 1
    assert np.isnan(module.history.updates[1].loss) and np.isfinite(module.history.updates[3].loss)


def test_what_is_noted_of_an_update_is_what_the_loop_by_hand_finds():
    settings = OptimizationSettings(learning_rate=0.03, warm_up=0, clip_norm=0.3, clip_step=0.02)
    module = _fit(_model(clip_step=0.02), settings, updates=1)

    reference = _model(clip_step=0.02)
    chunk = next(iter(_loader()))
    with tap(reference) as record:
        logits, _ = reference(chunk.inputs)
    loss = cross_entropy(logits.flatten(0, 1), chunk.targets.flatten())
    loss.backward()
    norm = _clip(reference, 0.3)
    (row,), layers = module.history.updates, record.layers
    assert (row.loss, row.gradient_norm) == pytest.approx((loss.item(), norm), rel=1e-12)
    assert row.scale == pytest.approx(min(1.0, 0.3 / norm), rel=1e-12)
    clipped = torch.stack([layer.clipped for layer in layers.values()]).double().mean()
    assert 0 < clipped < 1 and row.clipped_steps == pytest.approx(float(clipped), rel=1e-6)
    assert [one.layer for one in module.history.snapshots] == list(layers) == ["recurrent.l0", "recurrent.l1"]
    for one in module.history.snapshots:
        norms = layers[one.layer].norms
        assert one.norms == pytest.approx((norms["h"] ** 2 + norms["c"] ** 2).mean(dim=1).sqrt().tolist(), rel=1e-12)


def test_of_steps_that_are_run_again_there_is_no_snapshot():
    settings = OptimizationSettings(gradient="truncated", horizon=4, warm_up=0)
    module = _fit(_model(), settings, updates=2)
    assert [one.steps for one in module.history.snapshots] == [list(range(7))] * 4


def test_a_method_without_a_tap_trains_without_snapshots():
    settings = OptimizationSettings(warm_up=0)
    model = _model()
    model.recurrent.gradient = RTRL()
    module = _fit(model, settings, updates=2)
    assert len(module.history.updates) == 2 and module.history.snapshots == []
