"""Resets: a row that is reset is its pieces, each run alone from the state at rest."""

import pytest
import torch
from layers.comparison import EXACT, assert_equal, assert_near, call, evaluate, filled, normal
from layers.models import INPUT, MODELS, hx_of, model
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import throughtime as tt
from throughtime.layers import RecurrentLayer

T = 9
LENGTHS = [5, 9, 0, 3, 1, 9, 7]
B = len(LENGTHS)
RESET_STEPS = [[0, 4, 6], [3], [0, 2], [], [0], [0, 1, 2, 3, 4, 5, 6, 7, 8], [6, 8]]
"""By row: at the first step, at the last valid one, in the padding only, nowhere, everywhere, next to each other."""


def resets() -> Tensor:
    mask = torch.zeros(T, B, dtype=torch.bool)
    for row, steps in enumerate(RESET_STEPS):
        mask[steps, row] = True
    return mask


def at_rest(module: RecurrentLayer, like: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The state that resets return to, one row."""
    if not module.learn_initial_state:
        return tuple(torch.zeros_like(member[:, :1]) for member in like)
    names = [name for name, _ in module.named_parameters() if name.endswith("_0")]
    return tuple(getattr(module, name)[:, None] for name in names)


def first_pass_from(take: bool, given: tuple[Tensor, ...], rest: tuple[Tensor, ...], directions: int, direction: int):
    """`rest` with the entries of one direction from `given` if `take`."""
    mask = (torch.arange(len(rest[0])) % directions == direction)[:, None, None] & take
    return tuple(torch.where(mask, g, r) for g, r in zip(given, rest, strict=True))


def piece_by_piece(
    module: RecurrentLayer, x: Tensor, hx: tuple[Tensor, ...] | None, lengths: list[int] | None, resets: Tensor
) -> dict[str, Tensor]:
    """What `call` returns, with every piece between two resets run alone, rows alone too.

    Only the first piece starts from `hx`, if no reset stands before it, and only the last one in the second direction.
    """
    directions = 1 + module.bidirectional
    columns, finals = [], []
    like = hx or hx_of(module, B)
    for row, length in enumerate(lengths or [T] * B):
        rest = at_rest(module, like)
        given = rest if hx is None else tuple(member[:, row : row + 1] for member in hx)
        cuts = [t for t in range(1, length) if resets[t, row]]
        pieces = list(zip([0, *cuts], [*cuts, length], strict=True)) if length else []
        outputs, ends = [x.new_zeros(0, 1, like[0].shape[-1] * directions)], []
        for start, end in pieces:
            state = first_pass_from(start == 0 and not resets[0, row], given, rest, directions, 0)
            state = first_pass_from(end == length, given, state, directions, 1)
            y, *final = call(module, x[start:end, row : row + 1], state).values()
            outputs.append(y)
            ends.append(tuple(final))
        final = first_pass_from(True, ends[0], ends[-1], directions, 1) if ends else given
        padding = x.new_zeros(len(x) - length, 1, outputs[0].shape[-1])
        columns.append(torch.cat((*outputs, padding)))
        finals.append(final)
    members = [torch.cat(rows, dim=1) for rows in zip(*finals, strict=True)]
    return {"outputs": torch.cat(columns, dim=1), **{f"final state {i}": member for i, member in enumerate(members)}}


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("with_hx", [False, True])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_reset_row_is_its_pieces_run_alone(name: str, learned: bool, with_hx: bool, lengths):
    module, x = model(name, learn_initial_state=learned), normal(1, T, B, INPUT)
    hx = hx_of(module, B) if with_hx else None
    actual = evaluate(module, x, hx, lengths=lengths, resets=resets())
    expected = evaluate(module, x, hx, forward=piece_by_piece, lengths=lengths, resets=resets())
    assert_near(actual, expected, EXACT)


@pytest.mark.parametrize("gradient", [tt.DoubleSum(), tt.DoubleSum(order="forward")], ids=repr)
@pytest.mark.parametrize("name", MODELS)
def test_the_double_sum_of_a_reset_row_is_that_of_its_pieces(name: str, gradient):
    module, x = model(name, learn_initial_state=True, gradient=gradient), normal(1, T, B, INPUT)
    actual = evaluate(module, x, hx_of(module, B), lengths=LENGTHS, resets=resets())
    expected = evaluate(module, x, hx_of(module, B), forward=piece_by_piece, lengths=LENGTHS, resets=resets())
    assert_near(actual, expected, EXACT)


@pytest.mark.parametrize("name", MODELS)
def test_clipping_a_step_sees_a_piece_as_it_sees_it_alone(name: str):
    """The norm at a step does not mix pieces: full rows, because the pieces differ in length."""
    module, x = model(name, gradient=tt.BPTT(clip_step=0.7)), normal(1, T, B, INPUT)
    actual = evaluate(module, x, hx_of(module, B), lengths=None, resets=resets())
    expected = evaluate(module, x, hx_of(module, B), forward=piece_by_piece, lengths=None, resets=resets())
    assert_near(actual, expected, EXACT)


@pytest.mark.parametrize("gradient", [tt.BPTT(), tt.DoubleSum()], ids=repr)
@pytest.mark.parametrize("name", MODELS)
def test_exactly_no_gradient_crosses_a_reset(name: str, gradient):
    module, cut = model(name, gradient=gradient), 4
    x, hx = normal(1, T, B, INPUT).requires_grad_(), tuple(m.requires_grad_() for m in hx_of(module, B))
    at_cut = torch.zeros(T, B, dtype=torch.bool)
    at_cut[cut] = True
    y = call(module, x, hx, resets=at_cut)["outputs"]
    weights = normal(2, *y.shape)
    for own, other in ((slice(cut, T), slice(0, cut)), (slice(0, cut), slice(cut, T))):
        d_x, *d_hx = torch.autograd.grad((weights * y)[own].sum(), [x, *hx], retain_graph=True)
        assert not d_x[other].any()
        assert d_x[own].all()
        direction = 1 if own.start == 0 else 0  # the pass whose first step lies on the other side of the cut
        assert not any(
            d[direction :: 1 + module.bidirectional].any() for d in d_hx if direction <= module.bidirectional
        )


@pytest.mark.parametrize("name", MODELS)
def test_a_reset_before_the_first_step_overrides_hx_in_the_first_direction_only(name: str):
    module, x = model(name), normal(1, T, B, INPUT)
    at_first = torch.zeros(T, B, dtype=torch.bool)
    at_first[0] = True
    hx = tuple(member.requires_grad_() for member in hx_of(module, B))
    results = call(module, x, hx, resets=at_first)
    gradients = torch.autograd.grad(sum(value.sum() for value in results.values()), hx)
    for gradient in gradients:
        assert not gradient[:: 1 + module.bidirectional].any()
        assert not module.bidirectional or gradient[1::2].any()
    if not module.bidirectional:
        assert_equal(results, call(module, x, None))


def test_resets_return_to_the_learned_state_and_not_to_hx():
    module, x = model("LSTM", learn_initial_state=True), normal(1, T, B, INPUT)
    everywhere = torch.ones(T, B, dtype=torch.bool)
    actual = call(module, x, hx_of(module, B), resets=everywhere)
    assert_equal(actual, call(module, x, None, resets=everywhere))
    module.c_0.data.zero_()
    assert not torch.allclose(actual["outputs"], module(x, resets=everywhere)[0])


@pytest.mark.parametrize("name", MODELS)
def test_no_reset_is_no_resets(name: str):
    module, x, hx = model(name), normal(1, T, B, INPUT), hx_of(model(name), B)
    nowhere = torch.zeros(T, B, dtype=torch.bool)
    assert_near(evaluate(module, x, hx, resets=nowhere), evaluate(module, x, hx), EXACT)


@pytest.mark.parametrize("name", MODELS)
def test_resets_in_the_padding_do_nothing(name: str):
    module, x, hx = model(name, learn_initial_state=True), normal(1, T, B, INPUT), hx_of(model(name), B)
    padding = torch.arange(T)[:, None] >= torch.tensor(LENGTHS)
    clean = evaluate(module, x, hx, lengths=LENGTHS, resets=resets() & ~padding)
    assert_equal(evaluate(module, x, hx, lengths=LENGTHS, resets=resets() | padding), clean)


def test_resets_of_a_layer_with_the_batch_first_have_the_batch_first():
    module, x, hx = model("GRU"), normal(1, T, B, INPUT), hx_of(model("GRU"), B)
    turned = filled(tt.GRU(INPUT, 5, 2, bidirectional=True, batch_first=True, dtype=torch.float64), seed=4)
    expected = call(module, x, hx, lengths=LENGTHS, resets=resets())
    actual = call(turned, x.transpose(0, 1), hx, lengths=LENGTHS, resets=resets().T)
    assert_equal(actual | {"outputs": actual["outputs"].transpose(0, 1)}, expected)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_resets_of_a_packed_sequence_have_the_shape_and_the_order_of_what_was_packed(enforce_sorted, batch_first):
    lengths = [9, 7, 5, 3, 1] if enforce_sorted else [5, 9, 1, 3, 7]
    rows = len(lengths)
    layer = filled(tt.LSTM(INPUT, 5, 2, batch_first=batch_first, bidirectional=True, dtype=torch.float64), seed=4)
    x, hx, mask = normal(1, T, rows, INPUT), hx_of(model("LSTM"), rows), resets()[:, :rows]
    hx = tuple(member.repeat(2, 1, 1) for member in hx)
    x, mask = (x.transpose(0, 1), mask.T) if batch_first else (x, mask)
    packed = pack_padded_sequence(x, lengths, batch_first, enforce_sorted=enforce_sorted)
    actual = call(layer, packed, hx, resets=mask)
    expected = call(layer, x, hx, lengths=lengths, resets=mask)
    y = pack_padded_sequence(expected["outputs"], lengths, batch_first, enforce_sorted=enforce_sorted).data
    assert_near(actual, expected | {"outputs": y}, EXACT)


def test_one_unbatched_sequence_has_one_flag_a_step():
    module, x = model("LSTM-proj"), normal(1, T, INPUT)
    hx, mask = hx_of(module, 1), resets()[:, 0]
    actual = call(module, x, tuple(member[:, 0] for member in hx), resets=mask)
    expected = call(module, x[:, None], hx, resets=mask[:, None])
    assert_equal(actual, {name: value[:, 0] for name, value in expected.items()})
