"""Any recurrence as a layer: functions with one and two members of state, stacks of cells, a cell of one's own."""

import pytest
import torch
from layers.comparison import EXACT, assert_equal, assert_near, call, evaluate, filled, normal
from layers.models import HIDDEN, INPUT, hx_of
from oracles import unrolled
from torch import Tensor

import throughtime as tt
from throughtime.cells import AffineCell, ElmanCell, GRUCell, LSTMCell
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.layers import RecurrentLayer

T, B = 7, 5
LENGTHS = [3, 7, 0, 1, 5]


def resets() -> Tensor:
    mask = torch.zeros(T, B, dtype=torch.bool)
    mask[[0, 2, 4, 3], [1, 0, 1, 4]] = True
    return mask


def elman(p, x, h):
    """The equation of tt.RNN."""
    return torch.tanh(x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"])


def long_short_term(p, x, state):
    """The equations of tt.LSTM."""
    h, c = state
    a = x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
    i, f, g, o = a.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


class MinimalGatedCell(AffineCell):
    """f = σ(a^x_f + a^h_f), n = tanh(a^x_n + f ⊙ a^h_n), h_t = h_{t-1} + f ⊙ (n - h_{t-1}): two gates."""

    gates = 2

    def update(self, a_x, a_h, state):
        (a_x_f, a_x_n), (a_h_f, a_h_n) = a_x.chunk(2, dim=-1), a_h.chunk(2, dim=-1)
        f = torch.sigmoid(a_x_f + a_h_f)
        n = torch.tanh(a_x_n + f * a_h_n)
        return (state[0] + f * (n - state[0]),), (f, n, a_h_n, state[0])

    def update_vjp(self, residuals, cotangent):
        f, n, a_h_n, h = residuals
        (d_h,) = cotangent
        e_n = d_h * f * (1 - n * n)
        e_f = (d_h * (n - h) + e_n * a_h_n) * f * (1 - f)
        return torch.cat((e_f, e_n), -1), torch.cat((e_f, e_n * f), -1), (d_h * (1 - f),)


def minimal_gated(p, x, h):
    """MinimalGatedCell as a function."""
    (a_x_f, a_x_n), (a_h_f, a_h_n) = (
        (x @ p["weight_ih"].T + p["bias_ih"]).chunk(2, dim=-1),
        (h @ p["weight_hh"].T + p["bias_hh"]).chunk(2, dim=-1),
    )
    f = torch.sigmoid(a_x_f + a_h_f)
    return (1 - f) * h + f * torch.tanh(a_x_n + f * a_h_n)


TWINS = {
    "one member": (elman, HIDDEN, lambda **options: tt.RNN(INPUT, HIDDEN, dtype=torch.float64, **options)),
    "two members": (
        long_short_term,
        {"h": HIDDEN, "c": HIDDEN},
        lambda **options: tt.LSTM(INPUT, HIDDEN, dtype=torch.float64, **options),
    ),
    "own cell": (
        minimal_gated,
        HIDDEN,
        lambda **options: tt.Recurrent(MinimalGatedCell(INPUT, HIDDEN), dtype=torch.float64, **options),
    ),
}


@pytest.mark.parametrize("gradient", [tt.BPTT(), tt.DoubleSum(), tt.DoubleSum(order="forward")], ids=repr)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", TWINS)
def test_a_function_is_the_layer_of_the_same_equation(name: str, bidirectional: bool, gradient):
    function, sizes, make = TWINS[name]
    options = {"bidirectional": bidirectional, "learn_initial_state": True, "gradient": gradient}
    twin = filled(make(**options), seed=3)
    values = {name.removesuffix("_l0"): value for name, value in twin.named_parameters() if name.endswith("_l0")}
    rnn = tt.Recurrent(function, parameters=values, hidden_size=sizes, input_size=INPUT, dtype=torch.float64, **options)
    assert list(rnn.state_dict()) == list(twin.state_dict())
    rnn.load_state_dict(twin.state_dict())
    x, hx = normal(1, T, B, INPUT), hx_of(twin, B)
    for state, masks in ((None, {}), (hx, {"lengths": LENGTHS, "resets": resets()})):
        assert_near(evaluate(rnn, x, state, **masks), evaluate(twin, x, state, **masks), EXACT)


def test_a_cell_of_ones_own_is_its_unrolled_loop():
    rnn = filled(tt.Recurrent(MinimalGatedCell(INPUT, HIDDEN), dtype=torch.float64), seed=3)

    def loop(rnn: RecurrentLayer, x: Tensor, hx: tuple[Tensor, ...]) -> dict[str, Tensor]:
        p = {name.removesuffix("_l0"): value for name, value in rnn.named_parameters()}
        rest = (torch.zeros_like(hx[0][0]),)
        y, (final,), _ = unrolled(
            lambda row, state: (minimal_gated(p, row, state[0]),), x, (hx[0][0],), rest, LENGTHS, resets()
        )
        return {"outputs": y, "final state 0": final[None]}

    x, hx = normal(1, T, B, INPUT), (normal(2, 1, B, HIDDEN),)
    expected = evaluate(rnn, x, hx, forward=loop)
    assert_near(evaluate(rnn, x, hx, lengths=LENGTHS, resets=resets()), expected, EXACT)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_stacked_cells_are_layers_one_on_another(bidirectional: bool):
    width = HIDDEN * (1 + bidirectional)
    cells = [GRUCell(INPUT, HIDDEN), ElmanCell(width, HIDDEN, nonlinearity="relu"), MinimalGatedCell(width, HIDDEN)]
    options = {"bidirectional": bidirectional, "dtype": torch.float64}
    stack = filled(tt.Recurrent(cells, **options), seed=3)
    layers = [tt.Recurrent(cell, **options) for cell in cells]
    for depth, layer in enumerate(layers):
        layer.load_state_dict(
            {name: stack.state_dict()[name.replace("_l0", f"_l{depth}")] for name in layer.state_dict()}
        )

    def one_by_one(_: RecurrentLayer, x: Tensor, hx: tuple[Tensor, ...], **masks) -> dict[str, Tensor]:
        finals, directions = [], 1 + bidirectional
        for depth, layer in enumerate(layers):
            x, final = layer(x, hx[0][depth * directions : (depth + 1) * directions], **masks)
            finals.append(final)
        return {"outputs": x, "final state 0": torch.cat(finals)}

    x, hx, masks = normal(1, T, B, INPUT), hx_of(stack, B), {"lengths": LENGTHS, "resets": resets()}
    expected = one_by_one(stack, x, hx, **masks)
    assert_near(call(stack, x, hx, **masks), expected, EXACT)
    wanted = [parameter for layer in layers for parameter in layer.parameters()]
    gradients = torch.autograd.grad((normal(4, *expected["outputs"].shape) * expected["outputs"]).sum(), wanted)
    y = call(stack, x, hx, **masks)["outputs"]
    actual = torch.autograd.grad((normal(4, *y.shape) * y).sum(), list(stack.parameters()))
    assert_near(dict(enumerate(actual)), dict(enumerate(gradients)), EXACT)


def test_a_stack_of_one_kind_is_the_layer():
    cells = [LSTMCell(INPUT, HIDDEN, proj_size=2), LSTMCell(2, HIDDEN, proj_size=2)]
    layer = filled(tt.LSTM(INPUT, HIDDEN, 2, proj_size=2, dtype=torch.float64), seed=3)
    stack = tt.Recurrent(cells, dtype=torch.float64)
    stack.load_state_dict(layer.state_dict())
    x, hx = normal(1, T, B, INPUT), hx_of(layer, B)
    assert_equal(evaluate(stack, x, hx), evaluate(layer, x, hx))


@pytest.mark.parametrize("needs_x", [False, True])
def test_a_member_of_the_state_may_be_the_input_or_the_old_state_itself(needs_x: bool):
    """A delay line: c_t = x_t and d_t = h_{t-1} are tensors that the function hands through."""

    def delayed(p, x, state):
        h, c, d = state
        return torch.tanh(x @ p["w"].T + c @ p["v"].T - 0.5 * d), x, h

    values = {"w": normal(1, HIDDEN, INPUT), "v": normal(2, HIDDEN, INPUT)}
    sizes = {"h": HIDDEN, "c": INPUT, "d": HIDDEN}
    rnn = tt.Recurrent(delayed, parameters=values, hidden_size=sizes, input_size=INPUT, dtype=torch.float64)
    x, initial = (
        normal(3, T, B, INPUT).requires_grad_(needs_x),
        tuple(normal(4 + i, B, s) for i, s in enumerate(sizes.values())),
    )
    p = {"w": rnn.w_l0, "v": rnn.v_l0}
    y, final, _ = unrolled(lambda row, state: delayed(p, row, state), x, initial, initial)
    expected = {"outputs": y, **{f"final state {i}": member[None] for i, member in enumerate(final)}}
    actual = call(rnn, x, tuple(member[None] for member in initial))
    assert_near(actual, expected, EXACT)
    wanted = [*([x] if needs_x else []), *rnn.parameters()]
    results = []
    for outcome in (actual, expected):
        loss = sum((normal(9 + i, *value.shape) * value).sum() for i, value in enumerate(outcome.values()))
        results.append(dict(enumerate(torch.autograd.grad(loss, wanted))))
    assert_near(*results, EXACT)


def test_a_state_that_no_parameter_moves():
    rnn = tt.Recurrent(lambda p, x, h: h, parameters={"w": normal(1, 2)}, hidden_size=HIDDEN, input_size=INPUT)
    hx = (normal(2, 1, B, HIDDEN),)
    results = evaluate(rnn, normal(1, T, B, INPUT), hx, seed=5)
    assert torch.equal(results["outputs"], hx[0].expand(T, -1, -1))
    assert not results["gradient of w_l0"].any() and not results["gradient of input"].any()
    assert results["gradient of hx 0"].all()


def test_a_function_without_parameters():
    rnn = tt.Recurrent(lambda p, x, h: torch.tanh(x + h), parameters={}, hidden_size=INPUT, input_size=INPUT)
    x = normal(1, T, B, INPUT)
    results = evaluate(rnn, x, None)
    y, _, _ = unrolled(lambda row, state: (torch.tanh(row + state[0]),), x, (x[0] * 0,), (x[0] * 0,))
    assert_near({"y": results["outputs"]}, {"y": y}, EXACT)
    assert rnn.state_dict() == {} and results["gradient of input"].all()


def test_the_given_values_are_copied():
    values = {"w": normal(1, HIDDEN, HIDDEN).requires_grad_()}
    rnn = tt.Recurrent(lambda p, x, h: h @ p["w"].T, parameters=values, hidden_size=HIDDEN, input_size=INPUT)
    filled(rnn, seed=3)
    assert torch.equal(values["w"], normal(1, HIDDEN, HIDDEN))
    rnn.reset_parameters()
    assert torch.equal(rnn.w_l0, values["w"]) and rnn.w_l0.is_leaf


def test_the_learned_initial_state_has_the_parameters_dtype():
    values = {"w": normal(1, HIDDEN, HIDDEN)}
    rnn = tt.Recurrent(
        lambda p, x, h: h @ p["w"].T + x.sum(-1, keepdim=True),
        parameters=values,
        hidden_size=HIDDEN,
        input_size=INPUT,
        learn_initial_state=True,
    )
    assert {value.dtype for value in rnn.parameters()} == {torch.float64}
    assert rnn(normal(1, T, B, INPUT))[0].dtype == torch.float64


W = torch.ones(HIDDEN, HIDDEN)
CAPTURED = torch.ones(HIDDEN, requires_grad=True)


def function(f, **changes) -> RecurrentLayer:
    arguments = {"parameters": {"w": W}, "hidden_size": HIDDEN, "input_size": INPUT} | changes
    return tt.Recurrent(f, **arguments)


def stack(*cells, **options) -> RecurrentLayer:
    return tt.Recurrent(list(cells), **options)


BUILD_REFUSED = {
    "nothing": (lambda: tt.Recurrent([]), ("cells is empty", "at least one")),
    "a number": (lambda: tt.Recurrent(5), ("cell", "int", "function f(parameters, x, h)")),
    "none": (lambda: tt.Recurrent(None), ("cell", "NoneType", "function f(parameters, x, h)")),
    "a list of numbers": (lambda: stack(5, 7), ("cell", "a list with a int at index 0", "a list of them")),
    "widths": (lambda: stack(GRUCell(3, 5), GRUCell(3, 5)), ("cells[1]", "input_size 3", "layer below, 5")),
    "widths of both directions": (
        lambda: stack(GRUCell(3, 5), GRUCell(5, 5), bidirectional=True),
        ("cells[1]", "input_size 5", "layer below, 10"),
    ),
    "states": (lambda: stack(GRUCell(3, 5), LSTMCell(5, 5)), ("cells[1]", "'c': 5", "{'h': 5}", "must be equal")),
    "state sizes": (lambda: stack(GRUCell(3, 5), GRUCell(5, 7)), ("cells[1]", "{'h': 7}", "{'h': 5}")),
    "cell with sizes": (
        lambda: tt.Recurrent(GRUCell(3, 5), hidden_size=5, input_size=3),
        ("hidden_size came with a Cell, and so did input_size", "leave it out"),
    ),
    "cell with a claim": (
        lambda: tt.Recurrent(GRUCell(3, 5), diagonal=True),
        ("diagonal came with a Cell; ", "leave it out"),
    ),
    "function alone": (
        lambda: tt.Recurrent(elman),
        (
            "cell is a function without parameters, hidden_size and input_size",
            "it needs parameters, hidden_size and inp",
        ),
    ),
    "function without a size": (
        lambda: function(elman, hidden_size=None),
        ("cell is a function without hidden_size; ", "it needs parameters, hidden_size and input_size"),
    ),
    "method": (lambda: tt.Recurrent(GRUCell(3, 5), gradient="bptt"), ("gradient is 'bptt'", "throughtime.BPTT()")),
    "method class": (lambda: tt.Recurrent(GRUCell(3, 5), gradient=tt.BPTT), ("gradient is <class", "BPTT()")),
    "no state": (lambda: function(lambda p, x, h: h, hidden_size={}), ("hidden_size", "{}")),
    "negative state": (lambda: function(lambda p, x, h: h, hidden_size=-1), ("hidden_size", "-1")),
    "state of words": (lambda: function(lambda p, x, h: h, hidden_size="5"), ("hidden_size", "'5'")),
    "member of words": (lambda: function(lambda p, x, h: h, hidden_size={"h": "5"}), ("hidden_size", "'5'")),
    "negative input": (lambda: function(lambda p, x, h: h, input_size=-1), ("input_size", "-1")),
    "parameter number": (lambda: function(lambda p, x, h: h, parameters={"w": 1.0}), ("parameters", "w", "float")),
    "parameters in a list": (lambda: function(lambda p, x, h: h, parameters=[W]), ("parameters", "list")),
    "parameter whole": (lambda: function(lambda p, x, h: h, parameters={"w": W.long()}), ("parameters", "w", "int64")),
    "parameter with a dot": (lambda: function(lambda p, x, h: h, parameters={"a.b": W}), ("parameters", "a.b")),
}

TWO = {"hidden_size": {"h": HIDDEN, "c": HIDDEN}}

CALL_REFUSED = {
    "shape": (lambda p, x, h: h @ p["w"][:, :4], {}, ("function returned", "(1, 4)", "(1, 5)", "'h': 5")),
    "rank": (lambda p, x, h: (h @ p["w"])[0], {}, ("function returned", "(5,)", "(1, 5)")),
    "nothing": (lambda p, x, h: None, {}, ("function returned", "NoneType", "(1, 5)")),
    "a tuple for one member": (lambda p, x, h: (h, h), {}, ("function returned", "tuple", "(1, 5)")),
    "one of two members": (lambda p, x, s: s[0], TWO, ("function returned", "(1, 5), (1, 5)")),
    "three of two members": (lambda p, x, s: (*s, x), TWO, ("function returned", "(1, 3)", "(1, 5), (1, 5)")),
    "nothing for two members": (lambda p, x, s: None, TWO, ("function returned", "NoneType", "(1, 5), (1, 5)")),
    "members swapped": (
        lambda p, x, s: s[::-1],
        {"hidden_size": {"h": 5, "c": 4}},
        ("function returned", "(1, 4), (1, 5)", "(1, 5), (1, 4)"),
    ),
    "one row for all": (lambda p, x, h: p["w"][:1], {}, ("function returned", "(1, 5)", "row")),
    "captured": (lambda p, x, h: h * CAPTURED, {}, ("requires a gradient", "not among its parameters")),
    "captured in one member": (
        lambda p, x, s: (s[0], s[1] * CAPTURED),
        TWO,
        ("requires a gradient", "not among its parameters", "`parameters`"),
    ),
}


def refusal(attempt) -> str:
    with pytest.raises(ArgumentError) as caught:
        attempt()
    return str(caught.value)


@pytest.mark.parametrize("case", BUILD_REFUSED)
def test_what_cannot_be_built_is_refused_by_name(case: str):
    attempt, parts = BUILD_REFUSED[case]
    message = refusal(attempt)
    assert not [part for part in parts if part not in message], message


@pytest.mark.parametrize("case", CALL_REFUSED)
def test_a_function_that_is_no_step_is_refused_before_any_work(case: str):
    step, changes, parts = CALL_REFUSED[case]
    rnn = function(step, **changes)
    message = refusal(lambda: rnn(normal(1, T, B, INPUT, dtype=torch.float32)))
    assert not [part for part in parts if part not in message], message


def test_a_captured_tensor_is_refused_without_a_graph_too():
    rnn = function(lambda p, x, h: h * CAPTURED)
    with torch.no_grad():
        assert "requires a gradient" in refusal(lambda: rnn(normal(1, T, B, INPUT, dtype=torch.float32)))


def test_a_captured_constant_is_allowed():
    rnn, x = function(lambda p, x, h: torch.tanh(h @ p["w"] + 0.1 * CAPTURED.detach())), torch.zeros(T, B, INPUT)
    assert rnn(x)[0][-1].all()


def test_a_method_that_cannot_serve_a_cell_refuses_when_the_layer_is_built():
    class OnlyElman(tt.BPTT):
        def check(self, cell) -> None:
            if not isinstance(cell, ElmanCell):
                raise UnsupportedError(f"OnlyElman cannot serve {type(cell).__name__}")

    tt.RNN(INPUT, HIDDEN, gradient=OnlyElman())
    with pytest.raises(UnsupportedError, match="OnlyElman cannot serve GRUCell"):
        stack(ElmanCell(INPUT, HIDDEN), GRUCell(HIDDEN, HIDDEN), gradient=OnlyElman())
