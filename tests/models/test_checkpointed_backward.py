"""The gradient of a whole model segment by segment, against backward() through all segments at once."""

import gc
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from oracles import relative
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

import throughtime as tt
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.models.boundaries import Boundary
from throughtime.models.pieces import sliced
from throughtime.models.segments import SegmentRunner

T, B, INPUT, K = 23, 3, 4, 5


class _Model(nn.Module):
    """Two layers with dropout between them and after them, and a readout."""

    def __init__(self, dropout=0.4):
        super().__init__()
        self.lstm = tt.LSTM(INPUT, 6, 2, dropout=dropout, dtype=torch.float64)
        self.drop, self.readout = nn.Dropout(dropout), nn.Linear(6, K, dtype=torch.float64)

    def forward(self, x, state):
        h, state = self.lstm(x, state)
        return self.readout(self.drop(h)), state


def _data(steps=T):
    return torch.randn(steps, B, INPUT, dtype=torch.float64), torch.randint(0, K, (steps, B))


def _loss(reduction="mean"):
    return lambda output, y: nn.functional.cross_entropy(output.flatten(0, 1), y.flatten(), reduction=reduction)


def _reference(model, loss, x, y, bounds, state=None, reduction="mean"):
    """The same segments, chained in one graph, with one backward() at the end."""
    total = 0.0
    for start, stop in zip(bounds, bounds[1:], strict=False):
        output, state = model(x[start:stop], state)
        total = total + loss(output, y[start:stop]) * ((stop - start) / len(x) if reduction == "mean" else 1)
    total.backward()
    return total.detach(), state


def _gradients(model):
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    return found


def _agree(ours, reference):
    assert ours.keys() == reference.keys() and len(ours) > 0
    assert all(relative(ours[name], reference[name]) <= 1e-10 for name in ours)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("steps", "segments"), [(T, 1), (T, 5), (T, T), (T, 10**6), (1, 3), (2, 2)])
def test_it_is_the_plain_gradient(steps, segments, reduction):
    model, (x, y) = _Model(), _data(steps)
    length = -(-steps // segments)
    torch.manual_seed(5)
    value, state = _reference(model, _loss(reduction), x, y, [*range(0, steps, length), steps], None, reduction)
    expected, after = _gradients(model), torch.get_rng_state()
    torch.manual_seed(5)
    result = tt.checkpointed_backward(model, _loss(reduction), x, y, segments=segments, reduction=reduction)
    _agree(_gradients(model), expected)
    assert relative(result.loss, value) <= 1e-14 and not result.loss.requires_grad
    assert all(relative(a, b) == 0 and not a.requires_grad for a, b in zip(result.state, state, strict=True))
    assert torch.equal(torch.get_rng_state(), after), "the generator is where a forward pass leaves it"


@pytest.mark.parametrize("memory", [None, 9000, "5kB"])
def test_a_budget_is_the_plain_gradient_too(memory):
    model, (x, y), said = _Model(dropout=0.0), _data(), []
    value, _ = _reference(model, _loss(), x, y, [0, T])
    expected = _gradients(model)
    result = tt.checkpointed_backward(model, _loss(), x, y, memory=memory, say=said.append)
    _agree(_gradients(model), expected)
    assert relative(result.loss, value) <= 1e-14
    assert len(said) == 1 and said[0].startswith(f"{T} steps in ")
    assert memory is None or "states kept" in said[0], "the budget must force several levels"


def test_gradients_are_added_to_those_that_are_there():
    model, (x, y) = _Model(dropout=0.0), _data()
    _reference(model, _loss(), x, y, [0, T])
    once = _gradients(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    tt.checkpointed_backward(model, _loss(), x, y, segments=4)
    _agree(_gradients(model), {name: gradient + 1 for name, gradient in once.items()})


def test_the_state_given_gets_its_gradient_in_the_models_own_form():
    lstm, readout = tt.LSTM(INPUT, 6, dtype=torch.float64), nn.Linear(6, K, dtype=torch.float64)

    def model(x, state):
        h, inner = lstm(x, (state["h"], state["c"]))
        return readout(h) * state["gain"], {"h": inner[0], "c": inner[1], "gain": state["gain"], "n": state["n"] + 1}

    x, y = _data()
    h, c = (torch.randn(1, B, 6, dtype=torch.float64).requires_grad_() for _ in range(2))
    state = {
        "h": h,
        "c": c.detach(),
        "gain": torch.tensor(1.7, dtype=torch.float64).requires_grad_(),
        "n": torch.tensor(0),
    }
    _reference(model, _loss(), x, y, [*range(0, T, 5), T], state)
    expected = h.grad, state["gain"].grad
    h.grad = state["gain"].grad = None
    result = tt.checkpointed_backward(model, _loss(), x, y, state=state, segments=5)
    assert relative(result.d_state["h"], expected[0]) <= 1e-12
    assert relative(result.d_state["gain"], expected[1]) <= 1e-12
    assert result.d_state["c"] is None and result.d_state["n"] is None and h.grad is None
    assert int(result.state["n"]) == 5 and lstm.weight_hh_l0.grad is not None


@dataclass
class _State:
    h: torch.Tensor
    note: str


def test_a_state_may_be_a_dataclass():
    gru, readout = tt.GRU(INPUT, 6, dtype=torch.float64), nn.Linear(6, K, dtype=torch.float64)

    def model(x, state):
        y, h = gru(x, state.h)
        return readout(y), _State(h, state.note)

    (x, y), h = _data(), torch.randn(1, B, 6, dtype=torch.float64).requires_grad_()
    _reference(model, _loss(), x, y, [*range(0, T, 5), T], _State(h, "kept"))
    expected = {"h": h.grad, **_gradients(gru)}
    result = tt.checkpointed_backward(model, _loss(), x, y, state=_State(h, "kept"), segments=5)
    _agree({"h": result.d_state.h, **_gradients(gru)}, expected)
    assert result.d_state.note == "kept" and not result.state.h.requires_grad


def test_a_state_that_nothing_depends_on_has_a_zero_gradient():
    readout, idle = nn.Linear(INPUT, K, dtype=torch.float64), torch.ones(2, requires_grad=True)
    x, y = _data()
    result = tt.checkpointed_backward(lambda x, s: (readout(x), s), _loss(), x, y, state=[idle], segments=3)
    assert torch.equal(result.d_state[0], torch.zeros(2))


def test_arrays_and_memory_mapped_files(tmp_path):
    model, (x, y) = _Model(dropout=0.0), _data()
    _reference(model, _loss(), x, y, [0, T])
    expected = _gradients(model)
    np.save(tmp_path / "x.npy", x.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tt.checkpointed_backward(model, _loss(), mapped, y.numpy(), segments=6)
    _agree(_gradients(model), expected)


@pytest.mark.parametrize("form", ["pairs", "with y"])
def test_an_iterator_is_read_once_and_each_chunk_is_a_segment(form):
    model, (x, y) = _Model(), _data()
    bounds = [0, 4, 5, 12, T]
    torch.manual_seed(5)
    _reference(model, _loss(), x, y, bounds)
    expected, read = _gradients(model), []

    def chunks():
        for start, stop in zip(bounds, bounds[1:], strict=False):
            read.append(start)
            yield (x[start:stop].numpy(), y[start:stop]) if form == "pairs" else x[start:stop]

    torch.manual_seed(5)
    said = []
    tt.checkpointed_backward(model, _loss(), chunks(), None if form == "pairs" else y, say=said.append)
    _agree(_gradients(model), expected)
    assert read == bounds[:-1] and said == ["23 steps in 4 segments, as they came"]


def test_memory_does_not_grow_with_the_sequence():
    """Of what autograd saves, the most that is alive at once; and of all tensors, how many are left."""

    def most_alive(steps: int) -> int:
        model, (x, y), alive, most = _Model(dropout=0.0), _data(steps), 0, 0

        def note(tensor):
            nonlocal alive, most
            alive, most = alive + 1, max(most, alive + 1)
            return _Held(tensor)

        class _Held:
            def __init__(self, tensor):
                self.tensor = tensor

            def __del__(self):
                nonlocal alive
                alive -= 1

        with saved_tensors_hooks(note, lambda held: held.tensor):
            tt.checkpointed_backward(model, _loss(), x, y, segments=steps // 10)
        gc.collect()
        return most

    assert most_alive(40) == most_alive(400) > 0


def test_after_an_exception_half_way_no_gradient_has_changed():
    model, (x, y), calls = _Model(), _data(), 0
    before = {name: torch.randn_like(parameter) for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.grad = before[name].clone()

    def loss(output, target):
        nonlocal calls
        calls += 1
        if calls == 5:
            raise RuntimeError("half way")
        return _loss()(output, target)

    with pytest.raises(RuntimeError, match="half way"):
        tt.checkpointed_backward(model, loss, x, y, segments=6)
    assert all(torch.equal(parameter.grad, before[name]) for name, parameter in model.named_parameters())


def test_two_parameters_with_one_gradient_get_one_each():
    a, b = (torch.zeros(INPUT, dtype=torch.float64).requires_grad_() for _ in range(2))
    x, y = _data()
    tt.checkpointed_backward(lambda x, s: (x * (a + b), s), lambda o, y: o.sum(), x, y, segments=4, reduction="sum")
    torch.testing.assert_close(a.grad, x.sum((0, 1)), rtol=1e-12, atol=0)
    assert torch.equal(a.grad, b.grad) and a.grad.data_ptr() != b.grad.data_ptr()


def test_a_module_that_changes_its_buffers_is_refused_and_put_back():
    class Normed(_Model):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(B, dtype=torch.float64)

        def forward(self, x, state):
            return super().forward(self.norm(x), state)

    model, (x, y) = Normed(), _data()
    before = model.norm.running_mean.clone()
    with pytest.raises(UnsupportedError, match=r"changes its buffer 'norm\..*model\.eval\(\)"):
        tt.checkpointed_backward(model, _loss(), x, y, segments=3)
    assert torch.equal(model.norm.running_mean, before) and int(model.norm.num_batches_tracked) == 0
    assert model.readout.weight.grad is None
    tt.checkpointed_backward(model.eval(), _loss(), x, y, segments=3)
    assert model.readout.weight.grad is not None


def test_a_loss_that_draws_random_numbers_is_refused():
    model, (x, y) = _Model(), _data()
    with pytest.raises(UnsupportedError, match="loss draws random numbers"):
        tt.checkpointed_backward(model, lambda o, y: (o * torch.rand_like(o)).sum(), x, y, segments=3)


def _refused(match, x=None, y=None, model=None, loss=None, **options):
    given = _data()
    x, y = given[0] if x is None else x, given[1] if y is None else y
    model = _Model() if model is None else model
    with pytest.raises(ArgumentError, match=match):
        tt.checkpointed_backward(model, loss or _loss(), x, None if y is False else y, **options)


def test_arguments_that_do_not_fit_are_refused_by_name():
    x, y = _data()
    _refused("segments is 3 and memory is '1MB'", segments=3, memory="1MB")
    _refused("segments is 0", segments=0)
    _refused("memory is 10 B; the least that works is", memory=10)
    _refused("reduction is 'max'", reduction="max")
    _refused("segments is 3 and x an iterator", x=iter([x]), segments=3)
    _refused("memory is '1MB' and x an iterator", x=iter([x]), memory="1MB")
    _refused("x has 23 steps, y has 22", y=y[1:])
    _refused("x has no steps", x=x[:0], y=y[:0])
    _refused("x requires a gradient", x=x.clone().requires_grad_())
    _refused("y is a NoneType", y=False)
    _refused("x is a set", x={1, 2})
    _refused("y is None and chunk 0 of x is a Tensor", x=iter([x]), y=False)
    _refused("x has no steps in chunk 1", x=iter([x, x[:0]]))
    _refused("x has 23 steps in chunk 0, y has 22", x=iter([(x, y[1:])]), y=False)
    _refused("x has 22 steps, y has 23", x=iter([x[1:]]))
    _refused("x is an iterator that gave no chunk", x=iter([]))
    _refused("x and y are both iterators", x=iter([x]), y=iter([y]))
    _refused("model returned a Tensor; it must return", model=lambda x, s: x)
    _refused(r"loss returned a tensor \(11, 3, 5\); it must be a scalar tensor", loss=lambda o, y: o, segments=1)


class _Wrapped(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, state):
        return self.layer(x, state)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (tt.GRU(INPUT, 3, bidirectional=True), "model's layer itself is bidirectional"),
        (_Wrapped(nn.GRU(INPUT, 3, bidirectional=True)), "model's layer layer is bidirectional"),
        (tt.GRU(INPUT, 3, batch_first=True), "model has batch_first=True"),
    ],
)
def test_layers_whose_time_is_not_that_of_the_segments_are_refused(model, words):
    x, y = torch.randn(6, 4, INPUT), torch.randn(6, 4, 3)
    with pytest.raises(UnsupportedError, match=words):
        tt.checkpointed_backward(model, nn.functional.mse_loss, x, y, segments=2)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_may_turn_its_input_round_for_a_layer_that_is_batch_first():
    class Turning(_Wrapped):
        def forward(self, x, state):
            y, state = self.layer(x.transpose(0, 1), state)
            return y.transpose(0, 1), state

    model, x, y = Turning(tt.GRU(INPUT, 3, batch_first=True)).double(), *_data()
    y = torch.randn(T, B, 3, dtype=torch.float64)
    tt.checkpointed_backward(model, nn.functional.mse_loss, x, y, segments=4)
    expected = torch.autograd.grad(nn.functional.mse_loss(model(x, None)[0], y), list(model.parameters()))
    for parameter, value in zip(model.parameters(), expected, strict=True):
        assert relative(parameter.grad, value) <= 1e-13


@pytest.mark.parametrize("slots", [0, 1, 2, 3])
def test_boundaries_that_are_passed_by_free_their_memory(slots, monkeypatch):
    """With fewer slots than boundaries most are only passed by, and the same places serve all of them."""
    made, copy = [], Boundary.copied
    monkeypatch.setattr(Boundary, "copied", lambda boundary: made.append(boundary) or copy(boundary))
    model, (x, y) = _Model(dropout=0.0), _data()
    _reference(model, _loss(), x, y, [0, T])
    expected = _gradients(model)
    runner = SegmentRunner(model, _loss(), None, mean=True)
    runner.run(sliced(x, y, T, 2), slots)
    _agree(_gradients(model), expected)
    assert len(made) == slots + 1 + 1, "a place for each slot and for the boundary in use, and the state at the end"


@pytest.mark.parametrize("slots", [0, 2])
def test_a_model_may_hand_on_the_tensors_of_its_state_in_another_order(slots):
    weight = torch.randn(INPUT, INPUT, dtype=torch.float64, requires_grad=True)

    def model(x, state):
        a, b = state
        return x @ weight * b + a, (b, a)

    def loss(output, y):
        return (output - y).square().mean()

    x, y = torch.randn(2, 12, B, INPUT, dtype=torch.float64)
    state = (torch.ones(B, INPUT, dtype=torch.float64), torch.full((B, INPUT), 2.0, dtype=torch.float64))
    _reference(model, loss, x, y, [*range(13)], state)
    expected, weight.grad = weight.grad, None
    SegmentRunner(model, loss, state, mean=True).run(sliced(x, y, 12, 1), slots)
    assert relative(weight.grad, expected) <= 1e-13
