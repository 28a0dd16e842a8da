"""Lengths: a padded batch is nothing but its rows, each run alone."""

import pytest
import torch
from layers.comparison import EXACT, assert_equal, assert_near, call, evaluate, filled, normal
from layers.models import INPUT, MODELS, hx_of, model
from oracles import relative
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import throughtime as tt

T = 9
LENGTHS = [5, 9, 0, 3, 1, 9, 7]
B = len(LENGTHS)


def row_by_row(module: nn.Module, x: Tensor, hx: tuple[Tensor, ...] | None, lengths: list[int]) -> dict[str, Tensor]:
    """What `call` returns, with every row run alone, unpadded."""
    columns, finals = [], []
    for row, length in enumerate(lengths):
        state = None if hx is None else tuple(member[:, row : row + 1] for member in hx)
        results = call(module, x[:length, row : row + 1], state)
        y, *final = results.values()
        columns.append(torch.cat((y, y.new_zeros(len(x) - length, *y.shape[1:]))))
        finals.append(final)
    members = [torch.cat(rows, dim=1) for rows in zip(*finals, strict=True)]
    return {"outputs": torch.cat(columns, dim=1), **{f"final state {i}": member for i, member in enumerate(members)}}


@pytest.mark.parametrize("start", ["zero", "learned", "given"])
@pytest.mark.parametrize("name", MODELS)
def test_a_padded_batch_is_its_rows_run_alone(name: str, start: str):
    module, x = model(name, learn_initial_state=start == "learned"), normal(1, T, B, INPUT)
    hx = hx_of(module, B) if start == "given" else None
    actual = evaluate(module, x, hx, lengths=LENGTHS)
    assert_near(actual, evaluate(module, x, hx, forward=row_by_row, lengths=LENGTHS), EXACT)


@pytest.mark.parametrize("gradient", [tt.DoubleSum(), tt.DoubleSum(order="forward")], ids=repr)
@pytest.mark.parametrize("name", MODELS)
def test_the_double_sum_of_a_padded_batch_is_that_of_its_rows(name: str, gradient):
    module, x = model(name, gradient=gradient), normal(1, T, B, INPUT)
    actual = evaluate(module, x, hx_of(module, B), lengths=LENGTHS)
    assert_near(actual, evaluate(module, x, hx_of(module, B), forward=row_by_row, lengths=LENGTHS), EXACT)


@pytest.mark.parametrize("gradient", [tt.BPTT(clip_step=0.7), tt.DoubleSum(clip_step=0.7)], ids=repr)
@pytest.mark.parametrize("name", MODELS)
def test_clipping_a_step_sees_a_padded_row_as_it_sees_it_alone(name: str, gradient):
    module, x = model(name, gradient=gradient), normal(1, T, B, INPUT)
    actual = evaluate(module, x, hx_of(module, B), lengths=LENGTHS)
    assert_near(actual, evaluate(module, x, hx_of(module, B), forward=row_by_row, lengths=LENGTHS), EXACT)
    unclipped = evaluate(model(name), x, hx_of(module, B), lengths=LENGTHS)
    assert relative(actual["gradient of input"], unclipped["gradient of input"]) > 0.1


@pytest.mark.parametrize("gradient", [tt.BPTT(clip_step=1e3), tt.DoubleSum(clip_step=1e3)], ids=repr)
@pytest.mark.parametrize("name", MODELS)
def test_a_threshold_that_nothing_reaches_changes_nothing(name: str, gradient):
    module, plain, x = model(name, gradient=gradient), model(name, gradient=type(gradient)()), normal(1, T, B, INPUT)
    options = {"lengths": LENGTHS, "resets": normal(7, T, B) > 1}
    assert_equal(evaluate(module, x, hx_of(module, B), **options), evaluate(plain, x, hx_of(module, B), **options))


@pytest.mark.parametrize("with_hx", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_in_the_padding_has_any_effect(name: str, with_hx: bool):
    module, x = model(name), normal(1, T, B, INPUT)
    hx = hx_of(module, B) if with_hx else None
    padding = torch.arange(T)[:, None] >= torch.tensor(LENGTHS)
    expected = evaluate(module, x, hx, lengths=LENGTHS)
    for garbage in (float("nan"), float("inf"), 1e300):
        assert_equal(evaluate(module, x.masked_fill(padding[..., None], garbage), hx, lengths=LENGTHS), expected)
    assert not expected["outputs"][padding].any()
    assert not expected["gradient of input"][padding].any()
    assert expected["gradient of input"][~padding].all()


@pytest.mark.parametrize("name", MODELS)
def test_a_nan_in_the_loss_at_padded_outputs_reaches_no_gradient(name: str):
    module, x = model(name), normal(1, T, B, INPUT).requires_grad_()
    padding = torch.arange(T)[:, None] >= torch.tensor(LENGTHS)
    y, _ = module(x, lengths=LENGTHS)
    cotangent = normal(2, *y.shape)
    wanted = [x, *module.parameters()]
    clean = torch.autograd.grad(y, wanted, cotangent, retain_graph=True)
    dirty = torch.autograd.grad(y, wanted, cotangent.masked_fill(padding[..., None], float("nan")))
    assert all(torch.equal(a, b) for a, b in zip(clean, dirty, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_the_row_of_length_zero_returns_its_state_and_its_gradient(name: str):
    module, row = model(name), LENGTHS.index(0)
    hx = tuple(member.requires_grad_() for member in hx_of(module, B))
    _, *final = call(module, normal(1, T, B, INPUT), hx, lengths=LENGTHS).values()
    for member, given in zip(final, hx, strict=True):
        assert torch.equal(member[:, row], given[:, row])
        weights = normal(3, *member.shape)
        assert torch.equal(torch.autograd.grad(member, given, weights, retain_graph=True)[0][:, row], weights[:, row])


@pytest.mark.parametrize("name", MODELS)
def test_lengths_and_a_packed_sequence_are_the_same(name: str):
    module, lengths = model(name), [length or 4 for length in LENGTHS]
    x, hx = normal(1, T, B, INPUT), hx_of(module, B)

    def packed(module: nn.Module, x: Tensor, hx: tuple[Tensor, ...]) -> dict[str, Tensor]:
        results = call(module, pack_padded_sequence(x, lengths, enforce_sorted=False), hx)
        valid = torch.arange(T) < torch.tensor(lengths).sort(descending=True).values[:, None]
        order = torch.tensor(lengths).sort(descending=True).indices
        sorted_y = results["outputs"].new_zeros(T, B, results["outputs"].shape[-1])
        sorted_y = sorted_y.masked_scatter(valid.T[..., None], results["outputs"])
        return results | {"outputs": sorted_y.index_select(1, order.argsort())}

    assert_near(evaluate(module, x, hx, lengths=lengths), evaluate(module, x, hx, forward=packed), EXACT)


@pytest.mark.parametrize("kind", [torch.tensor, list, lambda n: torch.tensor(n, dtype=torch.int32), tuple])
def test_lengths_come_as_any_whole_numbers(kind):
    module, x = model("GRU"), normal(1, T, B, INPUT)
    assert_equal(call(module, x, None, lengths=kind(LENGTHS)), call(module, x, None, lengths=torch.tensor(LENGTHS)))


def test_full_lengths_are_no_lengths():
    module, x = model("LSTM"), normal(1, T, B, INPUT)
    assert_equal(evaluate(module, x, None, lengths=[T] * B), evaluate(module, x, None))


def test_batch_first_turns_the_input_and_not_the_lengths():
    module, x = model("GRU"), normal(1, T, B, INPUT)
    turned = filled(tt.GRU(INPUT, 5, 2, bidirectional=True, batch_first=True, dtype=torch.float64), seed=8)
    turned.load_state_dict(module.state_dict())
    expected = call(module, x, None, lengths=LENGTHS)
    actual = call(turned, x.transpose(0, 1).contiguous(), None, lengths=LENGTHS)
    assert_equal(actual | {"outputs": actual["outputs"].transpose(0, 1)}, expected)


def test_all_rows_empty():
    module, x = model("LSTM"), normal(1, T, B, INPUT)
    results = evaluate(module, x, hx_of(module, B), lengths=[0] * B)
    assert not results["outputs"].any()
    for i, given in enumerate(hx_of(module, B)):
        assert torch.equal(results[f"final state {i}"], given)
    assert not any(results[f"gradient of {name}"].any() for name, _ in module.named_parameters())


def test_no_rows():
    for lengths in (torch.zeros(0, dtype=torch.int64), []):
        y, h = model("GRU")(normal(1, T, 0, INPUT), lengths=lengths)
        assert y.shape == (T, 0, 10) and h.shape == (4, 0, 5)
