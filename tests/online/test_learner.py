"""The learner itself: what it takes, refuses, remembers and returns."""

import io

import pytest
import torch
from online.streams import INPUT, OUTPUT, ROWS, Model, Watched, learn, stream
from torch.nn.functional import mse_loss

import throughtime as tt
from throughtime.errors import ArgumentError, NonFiniteError, UnsupportedError

METHODS = {
    "RTRL": tt.RTRL(),
    "SnAp": tt.SnAp(1),
    "UORO": tt.UORO(1),
    "EProp": tt.EProp(),
    "BPTT": tt.BPTT(),
    "TruncatedBPTT": tt.TruncatedBPTT(4),
}


def _learner(gradient=None, seed=0, **options):
    torch.manual_seed(seed)
    model = Model(options.pop("kind", tt.GRU))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    return tt.OnlineLearner(model, mse_loss, optimizer, gradient, **options)


def _snapshot(learner):
    buffer = io.BytesIO()
    torch.save(learner.state_dict(), buffer)
    return buffer.getvalue()


def _load(data):
    return torch.load(io.BytesIO(data), weights_only=True)


@pytest.mark.parametrize("gradient", METHODS.values(), ids=METHODS)
def test_a_learner_that_is_stopped_and_resumed_goes_on_bit_for_bit(gradient):
    x, y, resets = stream(steps=23)
    whole, first = (_learner(gradient, update_every=3) for _ in range(2))
    ours, expected = [], [whole.step(x[t], y[t], resets[t]) for t in range(23)]
    for t in range(10):
        first.step(x[t], y[t], resets[t])
    resumed = _learner(gradient, seed=99, update_every=3)
    resumed.load_state_dict(_load(_snapshot(first)))
    ours = [resumed.step(x[t], y[t], resets[t]) for t in range(10, 23)]
    for a, b in zip(ours, expected[10:], strict=True):
        assert torch.equal(a.prediction, b.prediction) and torch.equal(a.loss, b.loss)
    assert (resumed.steps, resumed.updates) == (whole.steps, whole.updates) == (23, 7)
    for a, b in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_learner_that_has_not_begun_can_be_saved_too():
    x, y, _ = stream()
    fresh, other = _learner(), _learner(seed=4)
    other.load_state_dict(_load(_snapshot(fresh)))
    assert torch.equal(other.step(x[0], y[0]).prediction, fresh.step(x[0], y[0]).prediction)


@pytest.mark.parametrize("gradient", METHODS.values(), ids=METHODS)
def test_memory_does_not_grow_with_the_stream(gradient):
    x, y, _ = stream(steps=120)
    learner, sizes = _learner(gradient, update_every=2), []
    for t in range(120):
        learner.step(x[t], y[t])
        if t in (19, 119):
            sizes.append(len(_snapshot(learner)))
    # but for the counters, whose digits cost a byte or so
    assert abs(sizes[1] - sizes[0]) <= 64, sizes


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"UORO"}))  # which is too noisy to learn so fast
def test_it_learns(name):
    """Say again what came two steps before."""
    x = torch.randn(900, ROWS, INPUT, dtype=torch.float64)
    learner, losses = _learner(METHODS[name], update_every=4), []
    for t in range(2, 900):
        losses.append(float(learner.step(x[t], x[t - 2, :, :OUTPUT]).loss))
    assert sum(losses[-200:]) < 0.8 * sum(losses[:200])


def test_a_prediction_is_made_before_its_target_is_learned():
    x, y, _ = stream()
    a, b = _learner(), _learner()
    assert torch.equal(a.step(x[0], y[0]).prediction, b.step(x[0], 5 * y[0]).prediction)
    assert not torch.equal(a.step(x[1], y[1]).prediction, b.step(x[1], y[1]).prediction)


def test_a_reset_row_starts_from_zero():
    x, y, _ = stream()
    learner = _learner(update_every=100)
    for t in range(4):
        learner.step(x[t], y[t])
    reset = torch.tensor([True, False, False, True])
    after = learner.step(x[4], y[4], reset).prediction
    fresh = _learner(update_every=100).step(x[4], y[4]).prediction
    assert torch.allclose(after[reset], fresh[reset], atol=1e-15) and not torch.allclose(after[1], fresh[1])


@pytest.mark.parametrize(
    ("x", "y", "reset", "words"),
    [
        (torch.randn(3, INPUT).double(), None, None, r"x_t is torch.float64 \(3, 3\), at the first step it was"),
        (torch.randn(ROWS, INPUT), None, None, "x_t is torch.float32"),
        (torch.full((ROWS, INPUT), float("nan")).double(), None, None, r"x_t has a value that is missing .* \(row 0\)"),
        ([1.0], None, None, "x_t is a list"),
        (torch.tensor(1.0), None, None, r"x_t is a tensor \(\)"),
        (torch.randn(ROWS, INPUT).double(), torch.full((ROWS, OUTPUT), float("inf")).double(), None, "y_t has a value"),
        (torch.randn(ROWS, INPUT).double(), torch.zeros(ROWS, 3).double(), None, "y_t is torch.float64"),
        (torch.randn(ROWS, INPUT).double(), None, torch.ones(ROWS), "reset is torch.float32"),
        (torch.randn(ROWS, INPUT).double(), None, True, "reset is bool"),
    ],
)
@pytest.mark.parametrize("gradient", [tt.RTRL(), tt.TruncatedBPTT(3)], ids=["carried", "window"])
def test_bad_input_is_refused_and_nothing_is_changed(gradient, x, y, reset, words):
    learner, (good, targets, _) = _learner(gradient, update_every=3), stream()
    for t in range(4):
        learner.step(good[t], targets[t])
    before = _snapshot(learner)
    with pytest.raises(ArgumentError, match=words):
        learner.step(x, y, reset)
    assert _snapshot(learner) == before


@pytest.mark.parametrize("gradient", [tt.RTRL(), tt.TruncatedBPTT(3)], ids=["carried", "window"])
def test_a_loss_that_is_not_finite_is_named_and_its_step_not_taken(gradient):
    learner, (x, y, _) = _learner(gradient), stream()
    learner.step(x[0], y[0])
    learner._engine._loss = lambda prediction, target: mse_loss(prediction, target) * float("nan")
    before = _snapshot(learner)
    with pytest.raises(NonFiniteError, match=r"the loss at step 1 \(counted from 0\) is nan"):
        learner.step(x[1], y[1])
    assert _snapshot(learner) == before
    learner.nonfinite = "skip"
    learner.step(x[1], y[1])
    assert (learner.skipped, learner.steps) == (1, 1)
    learner.skipped = 0
    assert _snapshot(learner) == before


class _Exploding(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g * float("inf")


@pytest.mark.parametrize("gradient", [tt.RTRL(), tt.BPTT()], ids=["carried", "window"])
def test_a_gradient_that_is_not_finite_changes_no_weight(gradient):
    learner, (x, y, _) = _learner(gradient), stream()
    learner.step(x[0], y[0])
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    learner._engine._loss = lambda prediction, target: mse_loss(_Exploding.apply(prediction), target)
    with pytest.raises(NonFiniteError, match=r"update 1 \(counted from 0\): The gradient of 'rnn.weight_ih_l0' has"):
        learner.step(x[1], y[1])
    learner.nonfinite = "skip"
    learner.step(x[2], y[2])
    assert (learner.skipped, learner.updates) == (1, 1)
    assert all(torch.equal(value, before[name]) for name, value in learner.model.state_dict().items())
    learner._engine._loss = mse_loss
    learner.step(x[3], y[3])
    assert learner.updates == 2 and all(value.isfinite().all() for value in learner.model.parameters())


def test_the_gradient_is_clipped_where_asked():
    model, (x, y, _) = Model(), stream()
    optimizer = Watched(model)
    learner = tt.OnlineLearner(model, mse_loss, optimizer, clip=1e-3)
    learner.step(x[0], y[0])
    norm = torch.stack([g.norm() for g in optimizer.seen.values()]).norm()
    assert abs(float(norm) - 1e-3) < 1e-12


def _arguments(**changed):
    model = changed.pop("model", None) or Model()
    parameters = list(model.parameters()) if isinstance(model, torch.nn.Module) else [torch.zeros(1)]
    standard = {"model": model, "loss": mse_loss, "optimizer": torch.optim.SGD(parameters or [torch.zeros(1)], lr=0.1)}
    return standard | changed


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"model": torch.nn.Linear(2, 2)}, ArgumentError, "without a recurrent layer"),
        ({"model": torch.nn.GRU(2, 2)}, ArgumentError, "from_torch"),
        ({"model": "rnn"}, ArgumentError, "model is a str"),
        ({"loss": 3}, ArgumentError, "loss is a int"),
        ({"optimizer": "sgd"}, ArgumentError, "optimizer is a str"),
        ({"optimizer": torch.optim.SGD([torch.zeros(1)], lr=1.0)}, ArgumentError, "none of the model's parameters"),
        (
            {"optimizer": torch.optim.SGD(torch.nn.GRU(2, 2).requires_grad_(False).parameters(), lr=0.1)},
            ArgumentError,
            "none of the model's parameters that require a gradient",
        ),
        ({"gradient": "rtrl"}, ArgumentError, "gradient is 'rtrl'"),
        ({"gradient": tt.RFLO()}, UnsupportedError, "RFLO cannot serve a GRUCell"),
        ({"update_every": 0}, ArgumentError, "update_every is 0"),
        ({"clip": -1.0}, ArgumentError, "clip is -1.0"),
        ({"clip": True}, ArgumentError, "clip is True"),
        ({"nonfinite": "ignore"}, ArgumentError, "nonfinite is 'ignore'"),
    ],
)
def test_bad_arguments_are_refused_by_name(changed, error, words):
    with pytest.raises(error, match=words):
        tt.OnlineLearner(**_arguments(**changed))


def test_the_state_of_another_learner_is_refused():
    with pytest.raises(ArgumentError, match=r"state comes from a learner with gradient = RTRL.*here gradient = SnAp"):
        _learner(tt.SnAp(1)).load_state_dict(_learner(tt.RTRL()).state_dict())
    with pytest.raises(ArgumentError, match="learner with update_every = 1; here update_every = 2"):
        _learner(update_every=2).load_state_dict(_learner().state_dict())


def test_what_is_no_state_is_refused():
    with pytest.raises(ArgumentError, match="state lacks 'counts'"):
        _learner().load_state_dict({"gradient": "RTRL"})
    with pytest.raises(
        ArgumentError, match=r"state is a NoneType; it must be what OnlineLearner.state_dict\(\) returned"
    ):
        _learner().load_state_dict(None)


class _Counting(torch.nn.Module):
    """Its state holds a number that is no tensor."""

    def __init__(self):
        super().__init__()
        self.rnn = tt.RNN(3, 5)

    def forward(self, x, state=None):
        y, h = self.rnn(x, state and state["h"])
        return y, {"h": h, "steps": 1}


@pytest.mark.parametrize(
    ("model", "x", "error", "words"),
    [
        (torch.nn.Sequential(tt.RNN(3, 5)), torch.randn(4, 3), UnsupportedError, "Sequential.forward takes no state"),
        (
            _Counting(),
            torch.randn(4, 3),
            UnsupportedError,
            "model returned int in its state; it must be made of tensors",
        ),
        (tt.RNN(1, 5), torch.randn(4), ArgumentError, r"x_t is \(4,\); it must be \[batch, 1\]"),
    ],
)
def test_a_first_step_that_cannot_be_taken_says_why(model, x, error, words):
    learner = tt.OnlineLearner(**_arguments(model=model))
    with pytest.raises(error, match=words):
        learner.step(x)
    assert learner.steps == 0 and learner.state is None


def test_a_loss_of_every_row_is_refused():
    learner, (x, y, _) = _learner(), stream()
    learner._engine._loss = lambda prediction, target: (prediction - target).square().mean(dim=-1)
    with pytest.raises(ArgumentError, match=r"loss returned a tensor \(4,\); it must return a tensor of one number"):
        learner.step(x[0], y[0])
    assert learner.steps == 0


def test_learning_by_the_stream_is_learning_from_the_sequence_when_nothing_is_cut():
    """One update over the whole stream moves the weights as one training step does."""
    x, y, _ = stream()
    for gradient in (tt.RTRL(), tt.BPTT(), tt.TruncatedBPTT(50)):
        torch.manual_seed(1)
        online = Model()
        learn(online, gradient, x, y, lr=0.3)
        torch.manual_seed(1)
        model = Model()
        mse_loss(model(x)[0], y).backward()
        torch.optim.SGD(model.parameters(), lr=0.3).step()
        for a, b in zip(online.parameters(), model.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-13)


def test_an_optimizer_of_more_than_the_model_is_refused():
    model, readout = Model(), torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD([*model.parameters(), *readout.parameters()], lr=0.1)
    with pytest.raises(ArgumentError, match="optimizer holds tensors that are not the model's"):
        tt.OnlineLearner(model, lambda p, y: mse_loss(readout(p), y), optimizer)


def test_a_model_without_a_parameter_to_learn_is_refused():
    model = Model().requires_grad_(False)
    with pytest.raises(ArgumentError, match="none of the model's parameters that require a gradient"):
        tt.OnlineLearner(model, mse_loss, torch.optim.SGD(model.parameters(), lr=0.1), tt.BPTT())


@pytest.mark.parametrize("gradient", METHODS.values(), ids=METHODS)
def test_a_state_that_is_kept_does_not_learn_on(gradient):
    """Two learners go on from it, one after the other, while the first has gone on already."""
    x, y, resets = stream()
    torch.manual_seed(0)
    learner = _learner(gradient, update_every=2)
    for t in range(5):
        learner.step(x[t], y[t], resets[t])
    kept = learner.state_dict()
    expected = [learner.step(x[t], y[t], resets[t]).loss for t in range(5, 11)]
    for seed in (7, 8):
        other = _learner(gradient, seed=seed, update_every=2)
        other.load_state_dict(kept)
        assert [other.step(x[t], y[t], resets[t]).loss for t in range(5, 11)] == expected


@pytest.mark.parametrize("gradient", [tt.RTRL(), tt.TruncatedBPTT(3)], ids=["carried", "window"])
def test_a_learner_that_has_begun_can_be_taken_back_to_before(gradient):
    x, y, _ = stream()
    learner = _learner(gradient, update_every=3)
    fresh = learner.state_dict()
    runs = []
    for _ in range(2):
        learner.load_state_dict(fresh)
        runs.append([learner.step(x[t], y[t]).loss for t in range(5)])
    assert runs[0] == runs[1]


class _Normalizing(Model):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(INPUT, affine=False, dtype=torch.float64)

    def forward(self, x, state=None, resets=None):
        return super().forward(self.norm(x.flatten(0, 1)).view_as(x), state, resets)


def test_buffers_are_changed_by_steps_alone():
    x, y, _ = stream()
    model, other = _Normalizing(), _Normalizing()
    learner, resumed = (tt.OnlineLearner(m, mse_loss, torch.optim.SGD(m.parameters(), lr=0.1)) for m in (model, other))
    for t in range(3):
        learner.step(x[t], y[t])
    assert int(model.norm.num_batches_tracked) == 3
    resumed.load_state_dict(learner.state_dict())
    assert int(other.norm.num_batches_tracked) == 3
    assert torch.equal(other.norm.running_mean, model.norm.running_mean)


def test_a_sparse_network_under_snap_goes_on_bit_for_bit_too():
    """The weights that count as absent are those of the beginning, whatever has become of them since."""

    def sparse():
        torch.manual_seed(6)
        model = Model(tt.RNN)
        with torch.no_grad():
            model.rnn.weight_hh_l0.mul_(torch.rand(5, 5) < 0.25)
        return tt.OnlineLearner(model, mse_loss, torch.optim.SGD(model.parameters(), lr=0.1), tt.SnAp(2))

    (x, y, _), whole, resumed = stream(), sparse(), sparse()
    for t in range(11):
        if t == 6:
            kept = whole.state_dict()
        whole.step(x[t], y[t])
    resumed.load_state_dict(kept)
    for t in range(6, 11):
        resumed.step(x[t], y[t])
    assert torch.equal(resumed.model.rnn.weight_hh_l0, whole.model.rnn.weight_hh_l0)


@pytest.mark.parametrize("gradient", [tt.RTRL(), tt.TruncatedBPTT(3)], ids=["carried", "window"])
def test_a_reset_at_a_skipped_step_is_made_up_for(gradient):
    x, y, _ = stream()
    learner, expected = (_learner(gradient, update_every=100, nonfinite="skip") for _ in range(2))
    reset = torch.tensor([False, True, True, False])
    for t in range(3):
        learner.step(x[t], y[t])
        expected.step(x[t], y[t])
    engine, whole = learner._engine, mse_loss
    engine._loss = lambda prediction, target: whole(prediction, target) * float("inf")
    learner.step(x[3], y[3], reset)
    engine._loss = whole
    kept = learner.state_dict()
    learner.step(x[4], y[4])
    expected.step(x[4], y[4], reset)
    assert torch.equal(learner.state, expected.state)
    assert torch.equal(learner.step(x[5], y[5]).prediction, expected.step(x[5], y[5]).prediction)
    other = _learner(gradient, seed=3, update_every=100, nonfinite="skip")
    other.load_state_dict(kept)
    other.step(x[4], y[4])
    other.step(x[5], y[5])
    assert torch.equal(other.state, expected.state)


@pytest.mark.parametrize("gradient", [tt.RTRL(), tt.TruncatedBPTT(3)], ids=["carried", "window"])
def test_a_state_that_overflowed_without_a_target_does_not_skip_for_ever(gradient):
    model = tt.RNN(1, 1, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        model.weight_hh_l0.fill_(1e200)
    optimizer, one = torch.optim.SGD(model.parameters(), lr=0.0), torch.ones(1, 1, dtype=torch.float64)
    learner = tt.OnlineLearner(model, mse_loss, optimizer, gradient, nonfinite="skip")
    for _ in range(4):
        learner.step(one)
    assert not learner.state.isfinite().any()
    learner.step(one, one)
    assert learner.skipped == 1 and not learner.state.any()
    learner.step(one, one)
    assert learner.skipped == 1 and learner.updates == 1


@pytest.mark.parametrize("gradient", METHODS.values(), ids=METHODS)
def test_tensors_of_inference_mode_are_inputs_like_others_and_a_step_inside_it_is_refused(gradient):
    x, y, _ = stream()
    expected = [_learner(gradient).step(x[0], y[0]).loss]
    with torch.inference_mode():
        inputs, targets = x.clone(), y.clone()
    learner = _learner(gradient)
    assert [learner.step(inputs[0], targets[0]).loss] == expected
    with torch.inference_mode(), pytest.raises(UnsupportedError, match=r"inside torch.inference_mode\(\)"):
        learner.step(x[1], y[1])
    assert learner.steps == 1
    state = learner.state_dict()
    for name, arguments in (("prepare", (x[1],)), ("update", ()), ("load_state_dict", (state,))):
        with torch.inference_mode(), pytest.raises(UnsupportedError, match=f"^{name} was called inside torch.inferen"):
            getattr(learner, name)(*arguments)
    learner.step(x[1], y[1])
    assert learner.steps == 2


@pytest.mark.parametrize("gradient", [tt.RTRL(), tt.BPTT()], ids=["carried", "window"])
def test_parameters_that_were_changed_behind_its_back_are_named(gradient):
    x, y, _ = stream()
    for change in (
        lambda model: model.rnn.weight_hh_l0.requires_grad_(False),
        lambda model: setattr(model.rnn, "weight_hh_l0", torch.nn.Parameter(torch.zeros(15, 5).double())),
    ):
        learner = _learner(gradient)
        learner.step(x[0], y[0])
        change(learner.model)
        with pytest.raises(ArgumentError, match=r"parameter 'rnn.weight_hh_l0' that was replaced, frozen or set free"):
            learner.step(x[1], y[1])
        assert learner.steps == 1
    learner = _learner(gradient)
    learner.model.more = torch.nn.Linear(1, 1)
    with pytest.raises(ArgumentError, match="model has 8 parameters, and had 6 when"):
        learner.step(x[0], y[0])


def test_targets_that_come_late_are_held_to_their_form_too():
    learner, (x, y, _) = _learner(), stream()
    learner.step(x[0])
    learner.step(x[1], y[1])
    with pytest.raises(ArgumentError, match="y_t is torch.float64"):
        learner.step(x[2], y[2][:, :1])
