"""Every public layer inside PyTorch's transforms: compiled, exported, under torch.func, AMP, differentiated twice."""

import copy
import io
import pathlib
import re

import pytest
import torch
from layers.comparison import EXACT, assert_near, evaluate, filled, normal
from oracles import relative
from torch import Tensor

import throughtime as tt
from throughtime.cells import ElmanCell, GRUCell, LSTMCell
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.kernels import native, operators

built = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")

T, B, INPUT, H = 6, 3, 4, 5
LENGTHS = torch.tensor([6, 2, 4])
MAKERS = {
    "RNN": lambda **options: tt.RNN(INPUT, H, **options),
    "RNN-relu": lambda **options: tt.RNN(INPUT, H, nonlinearity="relu", **options),
    "LSTM": lambda **options: tt.LSTM(INPUT, H, **options),
    "LSTM-proj": lambda **options: tt.LSTM(INPUT, H, proj_size=2, **options),
    "GRU-stacked": lambda **options: tt.GRU(INPUT, H, num_layers=2, bidirectional=True, **options),
}
each_layer = pytest.mark.parametrize("name", MAKERS)


def layer_of(name: str, dtype: torch.dtype = torch.float64, **options):
    return filled(MAKERS[name](dtype=dtype, **options), seed=4)


def x_of(dtype: torch.dtype = torch.float64, steps: int = T, rows: int = B) -> Tensor:
    return normal(8, steps, rows, INPUT, dtype=dtype)


def resets_of() -> Tensor:
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[3, 0] = resets[1, 2] = resets[1, 1] = True
    return resets


MASKS = {
    "plain": lambda: {},
    "lengths": lambda: {"lengths": LENGTHS},
    "resets": lambda: {"resets": resets_of()},
    "both": lambda: {"lengths": LENGTHS, "resets": resets_of()},
}


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()


@built
@pytest.mark.parametrize("masks", MASKS)
@each_layer
def test_compiled_in_one_graph_it_computes_the_same(name: str, masks: str):
    layer = layer_of(name)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    actual = evaluate(layer, x_of(), None, forward=lambda _, *a, **k: _by_name(compiled(*a, **k)), **MASKS[masks]())
    expected = evaluate(layer, x_of(), None, forward=lambda _, *a, **k: _by_name(layer(*a, **k)), **MASKS[masks]())
    assert_near(actual, expected, EXACT)


def _by_name(results) -> dict[str, Tensor]:
    y, final = results
    return {
        "outputs": y,
        **{str(i): member for i, member in enumerate(final if isinstance(final, tuple) else (final,))},
    }


@built
@pytest.mark.parametrize("gradient", [tt.BPTT(save="states"), tt.BPTT(clip_step=0.5)], ids=str)
def test_the_method_is_honoured_when_compiled(gradient):
    layer = layer_of("LSTM", gradient=gradient)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    results = [evaluate(layer, x_of(), None, forward=lambda _, *a: _by_name(one(*a))) for one in (compiled, layer)]  # noqa: B023
    assert_near(*results, EXACT)
    plain = evaluate(layer_of("LSTM"), x_of(), None, forward=lambda module, *a: _by_name(module(*a)))
    clipped = relative(results[0]["gradient of weight_hh_l0"], plain["gradient of weight_hh_l0"]) > 1e-3
    assert clipped == (gradient.clip_step is not None)


@built
def test_compiled_with_inductor_inside_a_model():
    """What surrounds the layer is fused; the layer is one node."""

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = layer_of("GRU-stacked", torch.float32), torch.nn.Linear(2 * H, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.out(self.rnn(x * 2)[0])).sum()

    model, x = Model(), x_of(torch.float32)
    parameters = list(model.parameters())
    expected = torch.autograd.grad(model(x), parameters)
    actual = torch.autograd.grad(torch.compile(model, fullgraph=True)(x), parameters)
    assert max(map(relative, actual, expected)) <= 1e-5


@built
@each_layer
def test_exported_with_any_number_of_steps_and_rows(name: str):
    layer = layer_of(name, torch.float32)
    steps, rows = torch.export.Dim("steps", min=1, max=500), torch.export.Dim("rows", min=1, max=100)
    program = torch.export.export(layer, (x_of(torch.float32),), dynamic_shapes=({0: steps, 1: rows},))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    for shape in ((17, 4), (1, 1), (T, B)):
        x = x_of(torch.float32, *shape)
        assert torch.equal(loaded(x)[0], layer(x)[0])


@each_layer
def test_func_grad_and_per_sample_gradients(name: str):
    layer, x = layer_of(name), x_of()
    parameters = {key: value.detach() for key, value in layer.named_parameters()}

    def loss(parameters, x):
        return torch.func.functional_call(layer, parameters, (x,))[0].square().sum()

    expected = torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters()))
    assert_near(torch.func.grad(loss)(parameters, x), dict(zip(parameters, expected, strict=True)), EXACT)
    batches = torch.stack((x, x_of().flip(0), 2 * x))
    per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, batches)
    for i, one in enumerate(batches):
        assert_near({k: v[i] for k, v in per_sample.items()}, torch.func.grad(loss)(parameters, one), EXACT)


@pytest.mark.parametrize("masks", MASKS)
@each_layer
def test_jvp_is_the_central_difference(name: str, masks: str):
    """And not zero."""
    layer, x, direction = layer_of(name), x_of(), normal(9, T, B, INPUT)
    options, step = MASKS[masks](), 1e-6
    _, tangent = torch.func.jvp(lambda x: layer(x, **options)[0], (x,), (direction,))
    far, near = (layer(x + sign * step * direction, **options)[0] for sign in (1, -1))
    assert tangent.abs().max() > 0.05
    assert relative(tangent, (far - near).detach() / (2 * step)) <= 1e-8
    with torch.autograd.forward_ad.dual_level():
        dual = layer(torch.autograd.forward_ad.make_dual(x, direction), **options)[0]
        assert torch.equal(torch.autograd.forward_ad.unpack_dual(dual).tangent, tangent)


@each_layer
def test_jacobians_both_ways_are_one(name: str):
    layer, x = layer_of(name), x_of(steps=3, rows=2)
    forward, reverse = (jacobian(lambda x: layer(x)[0])(x) for jacobian in (torch.func.jacfwd, torch.func.jacrev))
    assert relative(forward, reverse) <= EXACT
    hessian = torch.func.hessian(lambda x: layer(x)[0].square().sum())(x)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0].square().sum(), x.requires_grad_())
    again = torch.autograd.functional.hessian(lambda x: layer(x)[0].square().sum(), x)
    assert relative(hessian, again) <= EXACT


def test_what_is_not_the_exact_gradient_is_refused_under_func():
    layer, x = layer_of("LSTM", gradient=tt.BPTT(clip_step=1.0)), x_of()
    with pytest.raises(UnsupportedError, match=r"clip_step=1\.0.*not the exact gradient.*torch\.func"):
        torch.func.grad(lambda x: layer(x)[0].sum())(x)
    with tt.tap(layer), pytest.raises(UnsupportedError, match="tap"):
        torch.func.grad(lambda x: layer(x)[0].sum())(x)


@each_layer
def test_under_amp_it_computes_in_the_parameters_precision(name: str):
    layer, x = layer_of(name, torch.float32), x_of(torch.float32)
    expected = layer(x)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = torch.nn.functional.linear(x, torch.eye(INPUT))
        y = layer(low)[0]
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")(low)[0] if native.library() else y
    assert low.dtype == torch.bfloat16 and y.dtype == compiled.dtype == torch.float32
    assert torch.equal(y, layer(low.float())[0]) and torch.equal(compiled, y)
    assert 0 < relative(y, expected) < 0.02


FUSED = {
    cell.kernel.name: cell
    for cell in (
        *(ElmanCell(INPUT, H, nonlinearity=phi) for phi in ("tanh", "relu", "identity")),
        LSTMCell(INPUT, H, proj_size=2),
        GRUCell(INPUT, H),
    )
}


def test_every_cell_of_the_library_is_among_these():
    header = pathlib.Path(operators.__file__).with_name("throughtime.h").read_text()
    listed = re.search(r"^#define TT_CELLS\(X\) (.*)$", header, re.MULTILINE)
    assert listed is not None and set(re.findall(r"X\((\w+)\)", listed[1])) == set(FUSED)


@built
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize(("save", "reverse"), [("gates", False), ("states", True), ("", False)])
@pytest.mark.parametrize("name", FUSED)
def test_the_operator_keeps_pytorchs_rules(name: str, save: str, reverse: bool, masks: str):
    cell = FUSED[name]
    weights = [value.requires_grad_(bool(save)) for value in cell.initial_parameters(dtype=torch.float64).values()]
    states = [[normal(20 + i, B, size) for i, size in enumerate(cell.state_sizes.values())] for _ in range(2)]
    masks = MASKS[masks]()
    resets = masks.get("resets")
    form = ([] if resets is None else states[1], weights, masks.get("lengths"), resets, None, reverse)
    torch.library.opcheck(operators.recurrence, (name, x_of(), states[0], *form, save, 0.0))
    indices = torch.randint(0, INPUT, (T, B), generator=torch.Generator().manual_seed(1))
    torch.library.opcheck(operators.recurrence, (name, indices, states[0], *form, save, 0.0))


@built
def test_indices_are_not_made_into_vectors_when_compiled():
    layer, indices = layer_of("LSTM"), torch.randint(0, INPUT, (T, B), generator=torch.Generator().manual_seed(1))
    seen: list[torch.fx.GraphModule] = []

    def keep(graph, _):
        seen.append(graph)
        return graph

    y = torch.compile(layer, fullgraph=True, backend=keep)(indices)[0]
    assert relative(y, layer(torch.nn.functional.one_hot(indices, INPUT).double())[0]) <= EXACT
    values = [node.meta.get("example_value") for node in seen[0].graph.nodes]
    shapes = [tuple(value.shape) for value in values if isinstance(value, Tensor)]
    assert (T, B) in shapes and (T, B, INPUT) not in shapes
    assert sum("throughtime.recurrence" in str(node.target) for node in seen[0].graph.nodes) == 1
    with pytest.raises(ArgumentError, match=f"lie in 0 … {INPUT - 1}"):
        torch.compile(layer, fullgraph=True, backend="aot_eager")(indices + 1 + INPUT)


@built
def test_lengths_beyond_the_steps_are_refused_when_compiled_too():
    layer = layer_of("LSTM")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for wrong in (T + 1, -1):
        with pytest.raises(ArgumentError, match=f"lie in 0 … {T}"):
            compiled(x_of(), lengths=torch.tensor([3, wrong, 2]))


def test_a_copied_and_a_pickled_layer_compute_the_same():
    layer = layer_of("LSTM")
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        assert torch.equal(other(x_of())[0], layer(x_of())[0])
