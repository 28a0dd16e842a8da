"""What the layers add to a recurrence: states in and out, stacking and dropout, forms of input, edges of size."""

import warnings

import pytest
import torch
from layers.comparison import EXACT, assert_equal, assert_near, call, evaluate, filled, normal
from layers.models import HIDDEN, INPUT, MEMBERS, MODELS, hx_of, model
from torch import Tensor

import throughtime as tt
from throughtime.cells import ElmanCell, GRUCell, LSTMCell
from throughtime.errors import ArgumentError

T, B = 7, 5


@pytest.mark.parametrize("name", MODELS)
def test_a_learned_initial_state_is_a_state_passed_in_for_every_row(name: str):
    module, x = model(name, learn_initial_state=True), normal(1, T, B, INPUT)
    learned = [parameter for name, parameter in module.named_parameters() if name.endswith("_0")]
    passed = tuple(member[:, None].expand(-1, B, -1) for member in learned)
    actual, expected = evaluate(module, x, None), evaluate(model(name), x, passed)
    for index, name_0 in enumerate([name for name, _ in module.named_parameters() if name.endswith("_0")]):
        actual[f"gradient of hx {index}"] = actual.pop(f"gradient of {name_0}")
        expected[f"gradient of hx {index}"] = expected.pop(f"gradient of hx {index}").sum(1)
    assert_near(actual, expected, EXACT)


@pytest.mark.parametrize("name", MODELS)
def test_a_learned_initial_state_starts_at_zero_and_comes_last(name: str):
    module = MODELS[name](learn_initial_state=True)
    members = [member[:, 0] for member in hx_of(module, 1)]
    learned = list(module.state_dict().items())[-len(members) :]
    assert [key for key, _ in learned] == [f"{member}_0" for member in MEMBERS[name]]
    assert [value.shape for _, value in learned] == [member.shape for member in members]
    assert not any(value.any() for _, value in learned)
    x = normal(1, T, B, INPUT)
    plain = MODELS[name]()
    plain.load_state_dict({name: value for name, value in module.state_dict().items() if not name.endswith("_0")})
    assert_equal(call(module, x, None), call(plain, x, None))


@pytest.mark.parametrize("name", MODELS)
def test_a_state_carried_over_joins_two_halves(name: str):
    module = model(name) if name in ("RNN", "RNN-relu", "LSTM") else model(name, bidirectional=False)
    x = normal(1, T, B, INPUT)
    whole = evaluate(module, x, hx_of(module, B))

    def in_halves(module, x: Tensor, hx: tuple[Tensor, ...]) -> dict[str, Tensor]:
        first, *state = call(module, x[:3], hx).values()
        second, *final = call(module, x[3:], tuple(state)).values()
        return {"outputs": torch.cat((first, second)), **{f"final state {i}": m for i, m in enumerate(final)}}

    assert_near(evaluate(module, x, hx_of(module, B), forward=in_halves), whole, EXACT)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_one_sequence_is_a_batch_of_one(name: str, batch_first: bool):
    module, x = model(name, batch_first=batch_first), normal(1, T, INPUT)
    hx = hx_of(model(name), 1)
    batched = call(module, x[None] if batch_first else x[:, None], hx)
    expected = {key: value.squeeze(0 if batch_first and key == "outputs" else 1) for key, value in batched.items()}
    assert_equal(call(module, x, tuple(member[:, 0] for member in hx)), expected)


@pytest.mark.parametrize("name", MODELS)
def test_batch_first_turns_inputs_and_outputs_and_no_state(name: str):
    module, turned, x = model(name), model(name, batch_first=True), normal(1, T, B, INPUT)
    expected = evaluate(module, x, hx_of(module, B))

    def from_time_first(module, x, hx) -> dict[str, Tensor]:
        results = call(module, x.transpose(0, 1), hx)
        return results | {"outputs": results["outputs"].transpose(0, 1)}

    assert_equal(evaluate(turned, x, hx_of(module, B), forward=from_time_first), expected)


def state(*shape: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Tensor:
    return torch.zeros(*shape, dtype=dtype, device=device)


HX_REFUSED = {
    "too many layers": (state(5, B, HIDDEN), ("(5, 5, 5)", "(4, 5, 5)", "[layers · directions, batch, size]")),
    "too few rows": (state(4, 1, HIDDEN), ("(4, 1, 5)", "(4, 5, 5)")),
    "size": (state(4, B, 6), ("(4, 5, 6)", "(4, 5, 5)")),
    "rank": (state(4, HIDDEN), ("(4, 5)", "(4, 5, 5)")),
    "batch first": (state(B, 4, HIDDEN), ("(5, 4, 5)", "(4, 5, 5)")),
    "tuple": ((state(4, B, HIDDEN),), ("tuple", "tensor (4, 5, 5)")),
    "number": (0.0, ("float", "tensor (4, 5, 5)")),
    "dtype": (state(4, B, HIDDEN, dtype=torch.float32), ("float32", "float64", ".to(")),
    "device": (state(4, B, HIDDEN, device="meta"), ("meta", "cpu", ".to(")),
}


@pytest.mark.parametrize("case", HX_REFUSED)
def test_a_state_that_does_not_fit_is_refused_by_name(case: str):
    hx, parts = HX_REFUSED[case]
    with pytest.raises(ArgumentError) as caught:
        model("GRU")(normal(1, T, B, INPUT), hx)
    message = str(caught.value)
    assert not [part for part in ("hx", *parts) if part not in message], message


def test_the_second_member_is_checked_too():
    with pytest.raises(ArgumentError, match=r"hx has \(2, 5, 4\) for c; it must be a tensor \(2, 5, 5\)"):
        model("LSTM")(normal(1, T, B, INPUT), (state(2, B, HIDDEN), state(2, B, 4)))
    with pytest.raises(ArgumentError, match=r"hx has c in torch.float32 on cpu; .*float64 on cpu: convert c"):
        model("LSTM")(normal(1, T, B, INPUT), (state(2, B, HIDDEN), state(2, B, HIDDEN, dtype=torch.float32)))


def test_an_unbatched_state_is_checked_as_such():
    with pytest.raises(ArgumentError, match=r"hx has \(4, 1, 5\) for h; it must be a tensor \(4, 5\), \[layers · dir"):
        model("GRU")(normal(1, T, INPUT), state(4, 1, HIDDEN))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "half", None, True])
@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
def test_a_dropout_that_is_no_share_is_refused(layer, share):
    with pytest.raises(ArgumentError, match=r"dropout is .*; it must be a share between 0 and 1"):
        layer(INPUT, HIDDEN, 2, dropout=share)


def test_dropout_of_a_single_layer_warns_where_the_layer_is_built():
    with pytest.warns(UserWarning, match="dropout=0.5 with one layer does nothing") as caught:
        tt.GRU(INPUT, HIDDEN, dropout=0.5)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tt.GRU(INPUT, HIDDEN, 2, dropout=0.5)
        tt.GRU(INPUT, HIDDEN, dropout=0)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "LSTM-proj", "GRU"])
def test_dropout_is_drawn_from_torchs_generator_and_only_in_training(name: str):
    module, plain, x = model(name, dropout=0.5), model(name), normal(1, T, B, INPUT)
    torch.manual_seed(1)
    first, second = call(module, x, None), call(module, x, None)
    torch.manual_seed(1)
    assert_equal(call(module, x, None), first)
    assert not torch.equal(first["outputs"], second["outputs"])
    before = torch.get_rng_state()
    assert_equal(call(module.eval(), x, None), call(plain, x, None))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_acts_between_the_layers_and_not_after_the_last():
    module, x = model("LSTM", dropout=1.0), normal(1, T, B, INPUT)
    first = tt.LSTM(INPUT, HIDDEN, dtype=torch.float64)
    first.load_state_dict({k: v for k, v in module.state_dict().items() if k.endswith("_l0")})
    second = tt.LSTM(HIDDEN, HIDDEN, dtype=torch.float64)
    second.load_state_dict({k.replace("_l1", "_l0"): v for k, v in module.state_dict().items() if k.endswith("_l1")})
    y, (h, c) = module(x)
    expected, final = second(torch.zeros(T, B, HIDDEN, dtype=torch.float64))
    assert torch.equal(y, expected) and y.all()
    assert_equal(
        {"h": h, "c": c}, {k: torch.cat(m) for k, m in zip("hc", zip(first(x)[1], final, strict=True), strict=True)}
    )


def test_dropout_goes_through_the_backward_pass():
    """Against the same mask applied by hand."""
    module, x = model("LSTM", dropout=0.4), normal(1, T, B, INPUT)
    torch.manual_seed(3)
    actual = evaluate(module, x, None)
    torch.manual_seed(3)
    mask = torch.nn.functional.dropout(torch.ones(T, B, HIDDEN, dtype=torch.float64), 0.4)

    def by_hand(module, x, hx) -> dict[str, Tensor]:
        weights = dict(module.named_parameters())
        first, second = tt.LSTM(INPUT, HIDDEN, dtype=torch.float64), tt.LSTM(HIDDEN, HIDDEN, dtype=torch.float64)
        y, states = x, []
        for depth, layer in enumerate((first, second)):
            own = {name: weights[name.replace("_l0", f"_l{depth}")] for name, _ in layer.named_parameters()}
            y, state = torch.func.functional_call(layer, own, (y * mask if depth else y,))
            states.append(state)
        return {"outputs": y, **{f"final state {i}": torch.cat(m) for i, m in enumerate(zip(*states, strict=True))}}

    assert 0 < mask.count_nonzero() < mask.numel()
    assert_near(actual, evaluate(module, x, None, forward=by_hand), EXACT)


@pytest.mark.parametrize("gradient", [tt.BPTT(), tt.DoubleSum(), tt.DoubleSum(order="forward")], ids=repr)
@pytest.mark.parametrize("masks", [{}, {"lengths": [0] * B, "resets": torch.zeros(0, B, dtype=torch.bool)}])
@pytest.mark.parametrize("name", MODELS)
def test_no_steps(name: str, masks: dict, gradient):
    module, x = model(name, gradient=gradient), normal(1, 0, B, INPUT)
    hx = hx_of(module, B)
    results = evaluate(module, x, hx, **masks)
    assert results["outputs"].shape == (0, B, len(hx[0][0, 0]) * (1 + module.bidirectional))
    for i, member in enumerate(hx):
        assert torch.equal(results[f"final state {i}"], member)
        assert torch.equal(results[f"gradient of hx {i}"], normal(78 + i, *member.shape))
    assert results["gradient of input"].shape == (0, B, INPUT)
    for name, parameter in module.named_parameters():
        assert results[f"gradient of {name}"].shape == parameter.shape and not results[f"gradient of {name}"].any()


def test_no_steps_in_every_form():
    module = model("GRU", batch_first=True, learn_initial_state=True)
    y, h = module(normal(1, B, 0, INPUT))
    assert y.shape == (B, 0, 2 * HIDDEN) and torch.equal(h, module.h_0[:, None].expand(-1, B, -1))
    y, h = module(normal(1, 0, INPUT))
    assert y.shape == (0, 2 * HIDDEN) and torch.equal(h, module.h_0)
    h.data.zero_()
    assert module.h_0.all()
    h.sum().backward()
    assert torch.equal(module.h_0.grad, torch.ones_like(module.h_0))


@pytest.mark.parametrize("gradient", [tt.BPTT(), tt.DoubleSum(), tt.DoubleSum(order="forward")], ids=repr)
@pytest.mark.parametrize(
    "masks", [{}, {"lengths": torch.zeros(0, dtype=torch.int64), "resets": torch.zeros(T, 0, dtype=torch.bool)}]
)
@pytest.mark.parametrize("name", MODELS)
def test_no_rows(name: str, masks: dict, gradient):
    module, x = model(name, gradient=gradient), normal(1, T, 0, INPUT)
    results = evaluate(module, x, hx_of(module, 0), **masks)
    assert results["outputs"].shape == (T, 0, len(hx_of(module, 1)[0][0, 0]) * (1 + module.bidirectional))
    for name, parameter in module.named_parameters():
        assert results[f"gradient of {name}"].shape == parameter.shape and not results[f"gradient of {name}"].any()


@pytest.mark.parametrize(("layer", "cell"), [(tt.RNN, ElmanCell), (tt.LSTM, LSTMCell), (tt.GRU, GRUCell)])
def test_no_features(layer, cell):
    """Driven by nothing but its biases and its state."""
    module = filled(tt.Recurrent(cell(0, HIDDEN), dtype=torch.float64), seed=4)
    driven = layer(1, HIDDEN, dtype=torch.float64)
    driven.load_state_dict(module.state_dict() | {"weight_ih_l0": torch.ones_like(driven.weight_ih_l0)})
    x = torch.zeros(T, B, 0, dtype=torch.float64)
    assert_near(
        call(module, x, hx_of_size(module)), call(driven, torch.zeros(T, B, 1).double(), hx_of_size(module)), EXACT
    )
    assert evaluate(module, x, hx_of_size(module))["gradient of weight_ih_l0"].shape == module.weight_ih_l0.shape


def hx_of_size(module) -> tuple[Tensor, ...]:
    return tuple(normal(5 + i, 1, B, HIDDEN) for i in range(len(module.cell_and_parameters(0)[0].state_sizes)))


@pytest.mark.parametrize("name", MODELS)
def test_every_pass_has_its_own_record_under_a_tap(name: str):
    module, x = model(name), normal(1, T, B, INPUT)
    outer = torch.nn.ModuleDict({"encoder": module})
    with tt.tap(outer) as record:
        call(module, x, None)["outputs"].sum().backward()
    ends = ("", "_reverse") if module.bidirectional else ("",)
    assert list(record.layers) == [f"encoder.l{depth}{end}" for depth in range(module.num_layers) for end in ends]
    for layer in record.layers.values():
        assert tuple(layer.norms) == MEMBERS[name]
        assert all(norms.shape == (T, B) for norms in layer.norms.values()) and layer.norms["h"].all()


def test_non_contiguous_inputs_are_inputs():
    module, x, hx = model("LSTM"), normal(1, B, INPUT, 2 * T)[..., ::2].permute(2, 0, 1), hx_of(model("LSTM"), B)
    strided = tuple(member.transpose(0, 1).contiguous().transpose(0, 1) for member in hx)
    assert not x.is_contiguous() and not strided[0].is_contiguous()
    assert_near(evaluate(module, x, strided), evaluate(module, x.contiguous(), hx), EXACT)
