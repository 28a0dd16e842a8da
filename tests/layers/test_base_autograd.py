"""The layers as nodes of PyTorch's graph: second derivatives, checkpoints, autocast, what is saved and freed."""

import gc
import re

import pytest
import torch
from layers.comparison import EXACT, assert_equal, assert_near, call, evaluate, filled, normal, weighted_sum
from layers.models import INPUT, MODELS, hx_of, model
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.func import functional_call
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.checkpoint import checkpoint

import throughtime as tt

T, B = 7, 4
LENGTHS = [5, 0, 7, 1]


def resets() -> Tensor:
    mask = torch.zeros(T, B, dtype=torch.bool)
    mask[[0, 2, 3], [2, 0, 2]] = True
    return mask


def tiny_step(p, x, state):
    """Two members that feed each other."""
    h, v = state
    return torch.tanh(x @ p["w"] + v), torch.sigmoid(h * p["b"]) * v


TINY = {
    "RNN": lambda: tt.RNN(2, 3, dtype=torch.float64, learn_initial_state=True),
    "RNN-relu": lambda: tt.RNN(2, 3, nonlinearity="relu", dtype=torch.float64, learn_initial_state=True),
    "LSTM-proj": lambda: tt.LSTM(2, 3, bidirectional=True, proj_size=2, dtype=torch.float64, learn_initial_state=True),
    "LSTM": lambda: tt.LSTM(2, 1, 2, dtype=torch.float64),
    "GRU": lambda: tt.GRU(2, 2, bidirectional=True, dtype=torch.float64, learn_initial_state=True),
    "function": lambda: tt.Recurrent(
        tiny_step,
        parameters={"w": normal(1, 2, 3), "b": normal(2, 3)},
        hidden_size={"h": 3, "v": 3},
        input_size=2,
        dtype=torch.float64,
        learn_initial_state=True,
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_first_and_second_derivatives_by_central_differences(name: str):
    module = filled(TINY[name](), seed=9)
    mask = torch.zeros(4, 3, dtype=torch.bool)
    mask[[0, 2], [2, 0]] = True
    rest = module(torch.zeros(0, 3, 2, dtype=torch.float64))[1]
    hx = [normal(30 + i, *m.shape) for i, m in enumerate(rest if isinstance(rest, tuple) else (rest,))]
    names = [name for name, _ in module.named_parameters()]

    def run(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        parameters = dict(zip(names, others[len(hx) :], strict=True))
        state = others[: len(hx)] if len(hx) > 1 else others[0]
        options = {"lengths": [4, 0, 2], "resets": mask}
        y, final = functional_call(module, parameters, (x, state), options)
        return y, *(final if isinstance(final, tuple) else (final,))

    inputs = [normal(3, 4, 3, 2), *hx, *(p.detach().clone() for p in module.parameters())]
    inputs = [value.requires_grad_() for value in inputs]
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
def test_a_gradient_penalty_is_torchs(layer):
    theirs = filled(layer.twin(INPUT, 5, 2, bidirectional=True, dtype=torch.float64), seed=5)
    ours = layer.from_torch(theirs)
    results = []
    for module in (ours, theirs):
        x = normal(1, T, B, INPUT).requires_grad_()
        loss = weighted_sum(call(module, x, hx_of(ours, B)), seed=50)
        wanted = [x, *module.parameters()]
        first = torch.autograd.grad(loss, wanted, create_graph=True)
        loss = weighted_sum({str(i): g**2 for i, g in enumerate(first)}, seed=60)
        second = torch.autograd.grad(loss, wanted)
        results.append({f"{order} {i}": g for order, gs in (("1", first), ("2", second)) for i, g in enumerate(gs)})
    assert_near(*results, EXACT)


@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_that_can_be_differentiated_is_the_same_gradient(name: str):
    module, x = model(name), normal(1, T, B, INPUT).requires_grad_()
    wanted = [x, *module.parameters()]
    loss = weighted_sum(call(module, x, None, lengths=LENGTHS, resets=resets()), seed=50)
    twice = torch.autograd.grad(loss, wanted, create_graph=True)
    once = torch.autograd.grad(loss, wanted)
    assert_near(dict(enumerate(map(torch.detach, twice))), dict(enumerate(once)), EXACT)
    assert all(g.grad_fn is not None for g in twice)


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_checkpointing_changes_no_gradient(name: str, use_reentrant: bool):
    module, x, hx = model(name), normal(1, T, B, INPUT), hx_of(model(name), B)

    def recomputed(module: nn.Module, x: Tensor, hx: tuple[Tensor, ...], **options) -> dict[str, Tensor]:
        names = list(call(module, x, hx))
        outputs = checkpoint(
            lambda x, *hx: tuple(call(module, x, hx, **options).values()), x, *hx, use_reentrant=use_reentrant
        )
        return dict(zip(names, outputs, strict=True))

    options = {"lengths": LENGTHS, "resets": resets()}
    actual = differentiated(module, x, hx, recomputed, **options)
    assert_equal(actual, differentiated(module, x, hx, call, **options))


def differentiated(module: nn.Module, x: Tensor, hx: tuple[Tensor, ...], forward, **options) -> dict[str, Tensor]:
    """As `evaluate`, by `backward`: reentrant checkpoints know nothing else."""
    module.zero_grad()
    leaves = [value.clone().requires_grad_() for value in (x, *hx)]
    weighted_sum(forward(module, leaves[0], tuple(leaves[1:]), **options), seed=50).backward()
    return {str(i): leaf.grad.clone() for i, leaf in enumerate([*leaves, *module.parameters()])}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
def test_autocast_computes_in_the_layers_own_dtype(layer, dtype: torch.dtype):
    module = filled(layer(INPUT, 5, 2), seed=6)
    x = normal(1, T, B, INPUT, dtype=dtype)
    expected = evaluate(module, x.float(), None)

    def under_autocast(*arguments, **options) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            return call(*arguments, **options)

    actual = evaluate(module, x, None, forward=under_autocast)
    assert_equal(actual, expected | {"gradient of input": expected["gradient of input"].to(dtype)})


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
def test_a_state_of_lower_precision_is_taken_under_autocast_as_the_input_is(layer):
    module = filled(layer(INPUT, 5, 2), seed=6)
    x, hx = normal(1, T, B, INPUT, dtype=torch.bfloat16), hx_of(model("LSTM"), B)[: 1 + (layer is tt.LSTM)]
    hx = tuple(member.bfloat16() for member in hx)
    with torch.autocast("cpu", torch.bfloat16):
        actual = call(module, x, hx)
    assert_equal(actual, call(module, x.float(), tuple(member.float() for member in hx)))


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
def test_backward_inside_the_autocast_block_is_as_precise_as_outside(layer):
    module, x = filled(layer(INPUT, 5, 2), seed=6), normal(1, T, B, INPUT, dtype=torch.float32)
    expected = evaluate(module, x, None)
    with torch.autocast("cpu", torch.bfloat16):
        actual = evaluate(module, x, None)
    assert_equal(actual, expected)


def test_frozen_parameters_get_no_gradient_and_change_none():
    module, x = model("GRU"), normal(1, T, B, INPUT)
    expected = evaluate(module, x, None)
    frozen = [name for name, _ in module.named_parameters() if "weight_hh" in name or name == "bias_ih_l1"]
    for name in frozen:
        module.get_parameter(name).requires_grad_(False)
    actual = evaluate(module, x, None)
    assert {f"gradient of {name}" for name in frozen} == set(expected) - set(actual)
    assert_equal(actual, {name: value for name, value in expected.items() if name in actual})


@pytest.mark.parametrize("name", MODELS)
def test_an_input_that_needs_no_gradient(name: str):
    module, x = model(name), normal(1, T, B, INPUT)
    expected = evaluate(module, x, hx_of(module, B), lengths=LENGTHS)
    loss = weighted_sum(call(module, x, hx_of(module, B), lengths=LENGTHS), seed=77)
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    names = [f"gradient of {name}" for name, _ in module.named_parameters()]
    assert_equal(dict(zip(names, gradients, strict=True)), {name: expected[name] for name in names})
    assert x.grad is None


@pytest.mark.parametrize("wanted", ["input", "hx 0", "hx 1", "weight_hr_l0", "bias_hh_l1_reverse"])
def test_one_tensor_alone_needs_a_gradient(wanted: str):
    module = filled(tt.LSTM(INPUT, 5, 2, bidirectional=True, proj_size=2, dtype=torch.float64), seed=4)
    x, hx = normal(1, T, B, INPUT), hx_of(module, B)
    expected = evaluate(module, x, hx, lengths=LENGTHS)[f"gradient of {wanted}"]
    module.requires_grad_(False)
    leaf = {"input": x, "hx 0": hx[0], "hx 1": hx[1]}.get(wanted)
    leaf = (module.get_parameter(wanted) if leaf is None else leaf).requires_grad_()
    loss = weighted_sum(call(module, x, hx, lengths=LENGTHS), seed=77)
    assert_near({"": torch.autograd.grad(loss, leaf)[0]}, {"": expected}, EXACT)


@pytest.mark.parametrize("part", ["outputs", "final state 0", "final state 1"])
def test_a_loss_over_one_of_the_results(part: str):
    theirs = filled(nn.LSTM(INPUT, 5, 2, bidirectional=True, dtype=torch.float64), seed=5)
    ours = tt.LSTM.from_torch(theirs)

    def only(*arguments) -> dict[str, Tensor]:
        return {part: call(*arguments)[part]}

    x, hx = normal(1, T, B, INPUT), hx_of(ours, B)
    wanted = {"input": x.requires_grad_(), **{f"hx {i}": m.requires_grad_() for i, m in enumerate(hx)}}
    results = []
    for module in (ours, theirs):
        leaves = wanted | dict(module.named_parameters())
        gradients = torch.autograd.grad(
            weighted_sum(only(module, x, hx), seed=7), list(leaves.values()), materialize_grads=True
        )
        results.append(dict(zip(leaves, gradients, strict=True)))
    assert_near(*results, EXACT)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", MODELS)
def test_without_a_graph_the_outputs_are_the_same(name: str, context):
    module, x = model(name), normal(1, T, B, INPUT)
    options = {"lengths": LENGTHS, "resets": resets()}
    with context():
        actual = call(module, x, hx_of(module, B), **options)
    assert not any(value.requires_grad for value in actual.values())
    assert_equal(actual, call(module, x, hx_of(module, B), **options))


def test_gradients_accumulate_over_backward_passes():
    module, x = model("LSTM"), normal(1, T, B, INPUT)
    single = differentiated(module, x, hx_of(module, B), call)
    weighted_sum(call(module, x, hx_of(module, B)), seed=50).backward()
    for index, parameter in enumerate(module.parameters(), start=3):
        torch.testing.assert_close(parameter.grad, 2 * single[str(index)], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", MODELS)
def test_two_backward_passes_over_one_graph(name: str):
    module, x = model(name), normal(1, T, B, INPUT).requires_grad_()
    loss = weighted_sum(call(module, x, None, lengths=LENGTHS, resets=resets()), seed=50)
    wanted = [x, *module.parameters()]
    first = torch.autograd.grad(loss, wanted, retain_graph=True)
    second = torch.autograd.grad(loss, wanted)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, wanted)


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
def test_one_layer_used_twice_in_a_graph(layer):
    theirs = filled(layer.twin(5, 5, dtype=torch.float64), seed=5)

    def twice(module: nn.Module, x: Tensor, hx: None) -> dict[str, Tensor]:
        y, state = module(x)
        return {"outputs": module(y, state)[0] + y}

    x = normal(1, T, B, 5)
    expected = evaluate(theirs, x, None, forward=twice)
    assert_near(evaluate(layer.from_torch(theirs), x, None, forward=twice), expected, EXACT)


@pytest.mark.parametrize("changed", ["input", "hx", "weight_hh_l0"])
def test_a_tensor_changed_in_place_before_the_backward_pass_is_noticed(changed: str):
    module, x, hx = model("GRU"), normal(1, T, B, INPUT), hx_of(model("GRU"), B)[0]
    y, _ = module(x, hx)
    with torch.no_grad():
        {"input": x, "hx": hx, "weight_hh_l0": module.get_parameter("weight_hh_l0")}[changed].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("name", MODELS)
def test_outputs_changed_in_place_give_the_right_gradient_or_an_error(name: str):
    """A kernel keeps no second copy of its outputs, so where their derivative needs them autograd must object."""
    module, x = model(name), normal(1, T, B, INPUT)
    expected = evaluate(module, x, None)

    def doubled_and_halved(*arguments) -> dict[str, Tensor]:
        return {name: value.mul_(2).div_(2) for name, value in call(*arguments).items()}

    try:
        changed = evaluate(module, x, None, forward=doubled_and_halved)
    except tt.UnsupportedError as error:
        assert re.search(r"the outputs of a layer of \w+\(.*were changed in place .*: write y = y.relu\(\)", str(error))
    else:
        assert_equal(changed, expected)


@pytest.mark.parametrize("name", MODELS)
def test_saved_tensors_may_live_elsewhere(name: str):
    module, x = model(name), normal(1, T, B, INPUT)
    expected = evaluate(module, x, None, lengths=LENGTHS, resets=resets())
    packed: list[Tensor] = []

    def offloaded(*arguments, **options) -> dict[str, Tensor]:
        def pack(tensor: Tensor) -> int:
            packed.append(tensor.detach().clone())
            return len(packed) - 1

        with saved_tensors_hooks(pack, lambda index: packed[index]):
            return call(*arguments, **options)

    actual = evaluate(module, x, None, forward=offloaded, lengths=LENGTHS, resets=resets())
    assert_equal(actual, expected)
    assert packed


@pytest.mark.parametrize("name", [name for name in MODELS if name != "function"])  # torch.func refuses such blocks
def test_backward_inside_a_block_that_offloads_saved_tensors(name: str):
    module, x = model(name), normal(1, T, B, INPUT)
    expected = evaluate(module, x, None)
    with save_on_cpu():
        actual = evaluate(module, x, None)
    assert_equal(actual, expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_backward_pass_frees_the_input_though_its_result_lives_on(name: str):
    module, x = model(name), normal(1, T, B, INPUT)
    scaled = x * 2.0
    storage = StorageWeakRef(scaled.untyped_storage())
    y, _ = module(scaled)
    y.sum().backward()
    del scaled
    assert y.grad_fn is not None and storage.expired()


@pytest.mark.parametrize("name", MODELS)
def test_a_graph_dropped_without_a_backward_pass_frees_the_input_without_the_collector(name: str):
    module, x = model(name), normal(1, T, B, INPUT)
    gc.disable()
    try:
        scaled = x * 2.0
        storage = StorageWeakRef(scaled.untyped_storage())
        results = call(module, scaled, None, lengths=LENGTHS, resets=resets())
        del scaled, results
        assert storage.expired()
    finally:
        gc.enable()
