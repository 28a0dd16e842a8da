"""Methods that run the latest steps again, against gradients put together loss by loss."""

import pytest
import torch
from online.streams import Model, Watched, learn, offline, stream
from oracles import relative
from torch.nn.functional import mse_loss

import throughtime as tt
from throughtime.errors import ArgumentError, UnsupportedError


def _reaching_back(model, x, y, resets, losses, horizon):
    """The mean gradient of the losses at these steps, each from `horizon` steps back, where the state is cut."""
    total = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    for t in losses:
        start = max(0, t - horizon + 1)
        with torch.no_grad():
            state = model(x[:start], None, resets[:start])[1] if start else None
        output, _ = model(x[start : t + 1], state, resets[start : t + 1])
        loss = mse_loss(output[-1], y[t]) / len(losses)
        for name, g in zip(total, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            total[name] += g
    return total


@pytest.mark.parametrize(("update_every", "horizon"), [(1, 1), (1, 4), (3, 2), (4, 5), (2, 30)])
@pytest.mark.parametrize("kind", [tt.RNN, tt.LSTM, tt.GRU])
def test_truncated_losses_reach_back_over_earlier_updates(kind, update_every, horizon):
    model, (x, y, resets) = Model(kind), stream()
    optimizer = Watched(model)
    learner = tt.OnlineLearner(model, mse_loss, optimizer, tt.TruncatedBPTT(horizon), update_every)
    for t in range(len(x)):
        learner.step(x[t], y[t], resets[t])
        if (t + 1) % update_every == 0:
            expected = _reaching_back(model, x, y, resets, range(t + 1 - update_every, t + 1), horizon)
            for name, value in expected.items():
                assert relative(optimizer.seen[name], value) <= 1e-13, (t, name)


@pytest.mark.parametrize(
    "gradient", [tt.BPTT(), tt.BPTT(save="states"), tt.DoubleSum()], ids=["gates", "states", "double"]
)
def test_other_methods_reach_back_to_the_last_update(gradient):
    model, (x, y, resets) = Model(tt.LSTM, layers=2), stream()
    _, optimizer = learn(model, gradient, x, y, resets, update_every=4)
    assert optimizer.count == 2
    state = model(x[:4], None, resets[:4])[1]
    loss = mse_loss(model(x[4:8], tuple(member.detach() * ~resets[4][:, None] for member in state),
                          torch.cat((torch.zeros_like(resets[:1]), resets[5:8])))[0], y[4:8])  # fmt: skip
    expected = torch.autograd.grad(loss, list(model.parameters()))
    for (name, ours), value in zip(optimizer.seen.items(), expected, strict=True):
        assert relative(ours, value) <= 1e-13, name


def test_one_update_over_the_whole_stream_is_backpropagation_through_time():
    model, (x, y, resets) = Model(tt.GRU, below=True), stream()
    _, optimizer = learn(model, tt.BPTT(), x, y, resets)
    for name, value in offline(model, x, y, resets).items():
        assert relative(optimizer.seen[name], value) <= 1e-13, name


def test_the_window_is_run_again_under_the_weights_of_today():
    model, (x, y, _) = Model(tt.RNN), stream()
    optimizer = Watched(model, lr=0.5)
    learner = tt.OnlineLearner(model, mse_loss, optimizer, tt.TruncatedBPTT(3), update_every=1)
    learner.step(x[0], y[0])
    learner.step(x[1], y[1])
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    learner.step(x[2], y[2])  # the window is x_0 … x_2, from the zero state
    model.load_state_dict(before)
    expected = torch.autograd.grad(mse_loss(model(x[:3])[0][-1], y[2]), list(model.parameters()))
    for (name, ours), value in zip(optimizer.seen.items(), expected, strict=True):
        assert relative(ours, value) <= 1e-13, name


class _WithoutResets(Model):
    def forward(self, x, state=None):
        return super().forward(x, state)


def test_resets_need_a_model_that_takes_them():
    model, (x, y, resets) = _WithoutResets(), stream()
    learner = tt.OnlineLearner(model, mse_loss, Watched(model), tt.BPTT(), update_every=4)
    learner.step(x[0], y[0], torch.ones_like(resets[0]))  # at the window's first step there is nothing to tell
    with pytest.raises(UnsupportedError, match="_WithoutResets.forward takes no `resets`"):
        learner.step(x[1], y[1], torch.ones_like(resets[0]))
    assert learner.steps == 1
    learner.step(x[1], y[1])
    learner.update()
    learner.step(x[2], y[2], torch.ones_like(resets[0]))  # the window begins here
    assert learner.steps == 3


@pytest.mark.parametrize("gradient", [tt.BPTT(), tt.TruncatedBPTT(4), tt.RTRL()], ids=["BPTT", "Truncated", "RTRL"])
def test_a_stream_may_come_in_the_same_tensors_at_every_step(gradient):
    model, (x, y, resets) = Model(), stream()
    expected = learn(model, gradient, x, y, resets)[1].seen
    optimizer, places = Watched(model), [torch.zeros_like(value[0]) for value in (x, y, resets)]
    learner = tt.OnlineLearner(model, mse_loss, optimizer, gradient, update_every=len(x))
    for values in zip(x, y, resets, strict=True):
        learner.step(*(place.copy_(value) for place, value in zip(places, values, strict=True)))
    for name, value in expected.items():
        assert torch.equal(optimizer.seen[name], value), name


def test_the_interval_may_change_on_the_way():
    model, (x, y, resets) = Model(), stream()
    optimizer = Watched(model)
    learner = tt.OnlineLearner(model, mse_loss, optimizer, tt.TruncatedBPTT(3), update_every=2)
    for t in range(len(x)):
        learner.update_every = 2 if t < 4 else 5
        learner.step(x[t], y[t], resets[t])
        if t == 8:
            break
    assert learner.updates == 3
    for name, value in _reaching_back(model, x, y, resets, range(4, 9), 3).items():
        assert relative(optimizer.seen[name], value) <= 1e-13, name


def test_an_update_before_its_time_reaches_back_to_the_last_one():
    model, (x, y, _) = Model(), stream()
    optimizer = Watched(model)
    learner = tt.OnlineLearner(model, mse_loss, optimizer, tt.BPTT(), update_every=4)
    for t in range(6):
        learner.step(x[t], y[t])
    learner.update()
    state = model(x[:4])[1].detach()
    expected = torch.autograd.grad(mse_loss(model(x[4:6], state)[0], y[4:6]), list(model.parameters()))
    for (name, ours), value in zip(optimizer.seen.items(), expected, strict=True):
        assert relative(ours, value) <= 1e-13, name


def test_a_memory_that_is_too_small_is_refused_before_the_first_step():
    model, (x, y, _) = Model(tt.LSTM), stream()
    learner = tt.OnlineLearner(model, mse_loss, Watched(model), tt.CheckpointedBPTT(memory=64), update_every=4)
    with pytest.raises(ArgumentError, match="memory is 64 B; the least that works is"):
        learner.step(x[0], y[0])
    assert learner.steps == 0 and learner.state is None
    learner = tt.OnlineLearner(model, mse_loss, Watched(model), tt.CheckpointedBPTT(memory="4kB"), update_every=4)
    learner.prepare(x[0])
    assert learner.steps == 0
