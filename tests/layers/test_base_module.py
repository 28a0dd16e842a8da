"""The layers as modules: copied, pickled, converted, parametrized, called as functions, printed."""

import copy
import io
import pickle

import pytest
import torch
from layers.comparison import EXACT, assert_equal, assert_near, call, evaluate, filled, normal
from layers.models import INPUT, MEMBERS, MODELS, model
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize

import throughtime as tt

T, B = 7, 5
PLAIN = [name for name in MODELS if name != "function"]


def saved_and_loaded(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module)), saved_and_loaded],
    ids=["deepcopy", "pickle", "torch.save"],
)
@pytest.mark.parametrize("name", MODELS)
def test_a_copy_computes_the_same_and_shares_nothing(name: str, copied):
    module, x = model(name, learn_initial_state=True), normal(1, T, B, INPUT)
    expected = evaluate(module, x, None)
    twin = copied(module)
    assert_equal(evaluate(twin, x, None), expected)
    filled(twin, seed=99)
    assert_equal(evaluate(module, x, None), expected)
    assert not torch.equal(twin(x)[0], expected["outputs"])


@pytest.mark.parametrize("name", MODELS)
def test_a_state_dict_saved_to_a_file_is_loaded_safely(name: str):
    module, other, file = model(name, learn_initial_state=True), MODELS[name](learn_initial_state=True), io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert_equal(other.state_dict(), module.state_dict())


def test_a_state_dict_of_another_shape_is_refused_by_name():
    with pytest.raises(RuntimeError, match="size mismatch for weight_hh_l0"):
        tt.GRU(INPUT, 5).load_state_dict(tt.GRU(INPUT, 7).state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key.*weight_ih_l1"):
        tt.GRU(INPUT, 5, 2).load_state_dict(tt.GRU(INPUT, 5).state_dict())


@pytest.mark.parametrize("name", MODELS)
def test_conversion_reaches_every_tensor(name: str):
    module, x = model(name, learn_initial_state=True), normal(1, T, B, INPUT)
    expected = evaluate(module, x, None, lengths=[7, 3, 0, 1, 5])
    single = evaluate(module.float(), x.float(), None, lengths=[7, 3, 0, 1, 5])
    assert {value.dtype for value in single.values()} == {torch.float32}
    assert_near({name: value.double() for name, value in single.items()}, expected, 1e-5)
    assert module.to(torch.bfloat16)(x.bfloat16())[0].dtype == torch.bfloat16
    assert module.half()(x.half())[0].dtype == torch.float16
    assert module.double()(x)[0].dtype == torch.float64


@pytest.mark.parametrize("name", PLAIN)
def test_shapes_are_known_without_data(name: str):
    real = model(name)
    empty = copy.deepcopy(real).to("meta")
    y, final = empty(torch.empty(T, B, INPUT, dtype=torch.float64, device="meta"))
    expected = call(real, normal(1, T, B, INPUT), None)
    members = final if isinstance(final, tuple) else (final,)
    assert [value.shape for value in (y, *members)] == [value.shape for value in expected.values()]
    assert y.is_meta


@pytest.mark.parametrize("name", PLAIN)
def test_a_module_is_built_on_the_device_and_in_the_dtype_asked_for(name: str):
    module = MODELS[name](device="meta", learn_initial_state=True)
    assert {(value.device.type, value.dtype) for value in module.parameters()} == {("meta", torch.float64)}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_may_come_from_outside(name: str):
    module, x = model(name), normal(1, T, B, INPUT)
    expected = evaluate(module, x, None)
    values = {name: value.detach().clone().requires_grad_() for name, value in module.named_parameters()}
    filled(module, seed=98)
    y, _ = functional_call(module, values, (x,))
    assert torch.equal(y, expected["outputs"])
    gradients = torch.autograd.grad(y.sum(), list(values.values()))
    filled(module, seed=4)
    wanted = torch.autograd.grad(module(x)[0].sum(), list(module.parameters()))
    assert all(torch.equal(a, b) and a.any() for a, b in zip(gradients, wanted, strict=True))


@pytest.mark.parametrize("name", ["RNN", "LSTM-proj", "GRU"])
def test_weight_norm_gets_the_chain_rules_gradient(name: str):
    plain, x = model(name), normal(1, T, B, INPUT)
    normed = parametrizations.weight_norm(copy.deepcopy(plain), "weight_hh_l0")
    magnitude, direction = (
        p.detach().clone().requires_grad_() for p in normed.parametrizations.weight_hh_l0.parameters()
    )
    weight = magnitude * direction / direction.norm(dim=1, keepdim=True)
    y, _ = functional_call(plain, dict(plain.named_parameters()) | {"weight_hh_l0": weight}, (x,))
    expected = torch.autograd.grad((normal(2, *y.shape) * y).sum(), (magnitude, direction))
    y, _ = normed(x)
    wanted = list(normed.parametrizations.weight_hh_l0.parameters())
    actual = torch.autograd.grad((normal(2, *y.shape) * y).sum(), wanted)
    assert_near(dict(enumerate(actual)), dict(enumerate(expected)), EXACT)


def test_an_orthogonal_recurrent_weight_trains():
    module, x = parametrizations.orthogonal(model("RNN"), "weight_hh_l0"), normal(1, T, B, INPUT)
    weight = module.weight_hh_l0
    torch.testing.assert_close(weight @ weight.T, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-12)
    assert parametrize.is_parametrized(module, "weight_hh_l0")
    before, optimizer = (module(x)[0] ** 2).sum(), torch.optim.SGD(module.parameters(), lr=1e-3)
    before.backward()
    assert module.parametrizations.weight_hh_l0.original.grad.any()
    optimizer.step()
    assert not torch.equal(module.weight_hh_l0, weight)
    assert (module(x)[0] ** 2).sum() < before


@pytest.mark.parametrize("name", MODELS)
def test_reset_parameters_draws_all_anew_and_puts_the_initial_state_to_zero(name: str):
    module = model(name, learn_initial_state=True)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    module.reset_parameters()
    after = module.state_dict()
    learned = [key for key in after if key.endswith("_0")]
    assert learned == [f"{member}_0" for member in MEMBERS[name]]
    assert not any(after[key].any() for key in learned)
    assert not any(torch.equal(after[key], before[key]) for key in after)


def test_code_written_for_torch_may_flatten_parameters():
    module, x = model("LSTM"), normal(1, T, B, INPUT)
    expected = call(module, x, None)
    module.flatten_parameters()
    assert_equal(call(module, x, None), expected)


def test_all_weights_are_the_parameters_by_layer_and_direction():
    module = model("LSTM-proj", learn_initial_state=True)
    flat = [weight for weights in module.all_weights for weight in weights]
    names = [name for name, _ in module.named_parameters() if not name.endswith("_0")]
    assert [len(weights) for weights in module.all_weights] == [3, 3, 3, 3]
    assert all(weight is module.get_parameter(name) for weight, name in zip(flat, names, strict=True))


def test_the_printed_layer_names_what_was_asked_for():
    module = tt.LSTM(3, 5, 2, proj_size=2, dropout=0.25, bidirectional=True, gradient=tt.BPTT(clip_step=1.5))
    text = repr(module)
    for part in ("LSTM(", "input_size=3, hidden_size=5", "proj_size=2", "dropout=0.25", "bidirectional=True", "1.5"):
        assert part in text
    assert "batch_first" not in text and "learn_initial_state" not in text


def test_a_forward_hook_sees_what_torchs_would():
    seen: list[Tensor] = []
    module = model("LSTM")
    module.register_forward_hook(lambda _, inputs, results: seen.extend((inputs[0], results[0], *results[1])))
    x = normal(1, T, B, INPUT)
    y, (h, c) = module(x)
    assert all(a is b for a, b in zip(seen, (x, y, h, c), strict=True))
