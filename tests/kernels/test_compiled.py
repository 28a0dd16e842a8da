"""The fused recurrence against the loop that it replaces: every cell and dtype, lengths, resets, clipping, the tap."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from examples_of import parameters_of, states_of
from oracles import relative

from throughtime.cells import ElmanCell, GRUCell, Loop, LSTMCell, Recurrence
from throughtime.errors import ArgumentError
from throughtime.kernels import native
from throughtime.sequences import Cotangents, LayerTap, Sequence, StepNorms

pytestmark = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")

HEADER = Path(native.__file__).with_name("throughtime.h")
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6}
KINDS = {
    "Elman-tanh": lambda i, h: ElmanCell(i, h),
    "Elman-relu": lambda i, h: ElmanCell(i, h, nonlinearity="relu"),
    "Elman-identity": lambda i, h: ElmanCell(i, h, bias=False, nonlinearity="identity"),
    "LSTM": lambda i, h: LSTMCell(i, h),
    "LSTM-no-bias": lambda i, h: LSTMCell(i, h, bias=False),
    "LSTM-proj": lambda i, h: LSTMCell(i, h, proj_size=h // 3),
    "GRU": lambda i, h: GRUCell(i, h),
    "GRU-no-bias": lambda i, h: GRUCell(i, h, bias=False),
}
# (T, B, I, H): units below, at and beyond a vector and a tile, rows below and beyond a tile, one and many of each.
SHAPES = [(5, 3, 2, 1), (1, 1, 3, 7), (6, 5, 3, 16), (4, 1, 5, 33), (3, 29, 4, 19), (4, 2, 3, 130), (7, 13, 6, 65)]
# More rows and steps than the kernel takes at once: several chunks of steps, of which the first and the last are odd.
LONG = [(70, 13, 3, 19), (1000, 1, 3, 33), (300, 3, 20, 7), (4, 150, 2, 40)]
MASKS = ["plain", "lengths", "resets", "lengths-and-resets"]


def test_every_cell_of_the_library_is_among_these():
    listed = re.search(r"^#define TT_CELLS\(X\) (.*)$", HEADER.read_text(), re.MULTILINE)
    assert listed is not None
    assert {make(3, 6).kernel.name for make in KINDS.values()} == set(re.findall(r"X\((\w+)\)", listed[1]))


def _sequence(cell, shape, masks, dtype):
    steps, rows, features, _ = shape
    x = torch.randn(steps, rows, features, dtype=dtype)
    lengths = torch.randint(0, steps + 1, (rows,)) if "lengths" in masks else None
    resets = torch.rand(steps, rows) < 0.3 if "resets" in masks else None
    if resets is not None and lengths is not None:
        resets &= torch.arange(steps)[:, None] < lengths
    detached = [tuple(s.detach() for s in states_of(cell, rows, dtype)) for _ in range(2)]
    return Sequence(x, *detached, lengths, resets)


def _everything(runner, cell, parameters, sequence, clip_step=None, save="gates"):
    """Outputs, final state, gradients and norms of one forward and one backward pass, by name."""
    names = tuple(cell.state_sizes)
    given = sequence
    sequence = sequence.plain() if isinstance(runner, Loop) else sequence
    result = runner.forward(parameters, sequence, save)
    outputs, final = result.outputs, result.final
    generator = torch.Generator().manual_seed(3)
    d_outputs = torch.randn(*given.shape, outputs.shape[-1], generator=generator, dtype=outputs.dtype)
    d_outputs = given.from_plain(d_outputs) if sequence is given else d_outputs
    d_final = [torch.randn(one.shape, generator=generator, dtype=one.dtype) for one in final]
    tap = _tap(cell, sequence)
    cotangents = Cotangents(d_outputs, tuple(d_final), not given.one_hot)
    g = runner.backward(parameters, sequence, result.trace, cotangents, StepNorms(clip_step, tap))
    steps = [outputs] if given.one_hot else [outputs, g.x]
    steps = [one if sequence is given else given.from_plain(one) for one in steps]
    results = {
        **dict(zip(("outputs", "d_x"), steps, strict=False)),
        **{f"d_{name}": value for name, value in g.parameters.items()},
    }
    results |= {f"final_{name}": member for name, member in zip(names, final, strict=True)}
    results |= {f"d_initial_{name}": member for name, member in zip(names, g.initial, strict=True)}
    if g.reset_state is not None:
        results |= {f"d_reset_{name}": member for name, member in zip(names, g.reset_state, strict=True)}
    return results | {f"norm_{name}": norms for name, norms in tap.norms.items()} | {"clipped": tap.clipped.double()}


def _parameters(cell, dtype=torch.float64):
    """Of a gain that does not grow with the units: a chaotic network would amplify rounding, not show it."""
    gain = max(1.0, cell.hidden_size**0.5 / 3)
    return {name: value.detach() / gain for name, value in parameters_of(cell, dtype).items()}


def _assert_equal_to_the_loop(cell, shape, masks, dtype, clip_step=None, save="gates", sequence=None):
    parameters = _parameters(cell, dtype)
    sequence = _sequence(cell, shape, masks, dtype) if sequence is None else sequence
    assert cell.kernel.serves(parameters, sequence)
    ours = _everything(cell.kernel, cell, parameters, sequence, clip_step, save)
    loop = _everything(Loop(cell), cell, parameters, sequence, clip_step)
    assert set(ours) >= set(loop) - {name for name in loop if name.startswith("d_reset")}
    if dtype is torch.float32:  # a gradient of one number may cancel to nothing: rounding shows in all of them together
        ours, loop = ({"all": torch.cat([one[name].flatten() for name in sorted(loop)])} for one in (ours, loop))
    distances = {name: relative(value, loop[name]) for name, value in ours.items() if name in loop}
    assert all(distance <= TOLERANCE[dtype] for distance in distances.values()), distances


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_is_the_loop(kind, masks, dtype):
    for shape in SHAPES:
        _assert_equal_to_the_loop(KINDS[kind](shape[2], shape[3]), shape, masks, dtype)


def _in_form(sequence, form, features):
    """The sequence packed, backwards, or of indices; the rows are those of some sequence, not of the one given."""
    x, lengths, batch_sizes = sequence.x, sequence.lengths, None
    if "indices" in form:
        x = torch.randint(0, features, x.shape[:2])
    if "packed" in form and lengths is not None:
        lengths = lengths.sort(descending=True)[0]
        alive = torch.arange(len(x))[:, None] < lengths
        batch_sizes, x = alive.sum(1), x[alive]
        resets = None if sequence.resets is None else sequence.resets & alive
    else:
        resets = sequence.resets
    masks = (lengths, resets, batch_sizes, "reverse" in form, features if "indices" in form else 0)
    return Sequence(x, sequence.initial, sequence.reset_state, *masks)


FORMS = ["packed", "reverse", "packed reverse", "indices", "packed reverse indices"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_form_of_a_sequence_is_its_plain_form(kind, form):
    for (masks, shape), save in itertools.product(itertools.product(MASKS, [*SHAPES, LONG[0]]), ("gates", "states")):
        cell = KINDS[kind](shape[2], shape[3])
        sequence = _in_form(_sequence(cell, shape, masks, torch.float64), form, shape[2])
        _assert_equal_to_the_loop(cell, shape, masks, torch.float64, None, save, sequence)
    _assert_equal_to_the_loop(cell, shape, masks, torch.float64, 0.8, "gates", sequence)


@pytest.mark.parametrize("length", [-1, 6])
def test_lengths_beyond_the_steps_are_refused_in_both_passes(length):
    cell = KINDS["GRU"](3, 4)
    parameters, sequence = _parameters(cell), _sequence(cell, (5, 2, 3, 4), "plain", torch.float64)
    result = cell.kernel.forward(parameters, sequence, "gates")
    wrong = replace(sequence, lengths=torch.tensor([length, 2]))
    message = rf"lengths lie in {min(length, 2)} … {max(length, 2)}; they must lie in 0 … 5"
    with pytest.raises(ArgumentError, match=message):
        cell.kernel.forward(parameters, wrong, "gates")
    with pytest.raises(ArgumentError, match=message):
        cell.kernel.backward(parameters, wrong, result.trace, Cotangents(result.outputs, result.final), StepNorms())


@pytest.mark.parametrize("kind", KINDS)
def test_clipping_at_every_step_is_that_of_the_loop(kind):
    for masks, shape in itertools.product(MASKS, SHAPES[2:5]):
        _assert_equal_to_the_loop(KINDS[kind](shape[2], shape[3]), shape, masks, torch.float64, clip_step=0.8)


@pytest.mark.parametrize("save", ["gates", "states"])
@pytest.mark.parametrize("kind", KINDS)
def test_long_sequences_in_chunks_are_the_loop(kind, save):
    for masks, shape in itertools.product(MASKS, LONG):
        _assert_equal_to_the_loop(KINDS[kind](shape[2], shape[3]), shape, masks, torch.float64, save=save)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_computed_again_from_the_states_are_the_gates_kept(kind):
    for masks, shape in itertools.product(MASKS, SHAPES):
        cell = KINDS[kind](shape[2], shape[3])
        _assert_equal_to_the_loop(cell, shape, masks, torch.float64, save="states")
    _assert_equal_to_the_loop(KINDS[kind](3, 19), (9, 5, 3, 19), "lengths-and-resets", torch.float64, 0.8, "states")


@pytest.mark.parametrize(("kind", "gates", "states"), [("Elman-tanh", 1, 1), ("GRU", 5, 1), ("LSTM", 6, 2)])
def test_what_is_kept_is_what_the_documentation_says(kind, gates, states):
    cell = KINDS[kind](3, 19)
    sequence = _sequence(cell, (6, 5, 3, 19), "plain", torch.float64)
    for save, numbers in (("gates", gates), ("states", states)):
        trace = cell.kernel.forward(_parameters(cell), sequence, save).trace
        assert sum(member.numel() for member in trace.tensors) == numbers * 19 * 6 * 5


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_sharing_rows_or_units_among_threads_changes_nothing(kind, threads):
    """One row of many units splits the units, many rows the rows; both beyond what is worth a thread."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for shape in [(5, 1, 3, 200), (5, 2, 3, 130), (4, 40, 3, 40)]:
            for masks in ("plain", "lengths-and-resets"):
                _assert_equal_to_the_loop(KINDS[kind](shape[2], shape[3]), shape, masks, torch.float64)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_tap_changes_no_bit(kind, threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for shape, dtype in itertools.product([(5, 1, 3, 200), (4, 40, 3, 40)], TOLERANCE):
            cell = KINDS[kind](shape[2], shape[3])
            parameters, sequence = _parameters(cell, dtype), _sequence(cell, shape, "lengths-and-resets", dtype)
            result = cell.kernel.forward(parameters, sequence, "gates")
            cotangents = Cotangents(torch.randn_like(result.outputs), result.final)
            given = parameters, sequence, result.trace, cotangents
            closed, opened = (cell.kernel.backward(*given, StepNorms(tap=tap)) for tap in (None, _tap(cell, sequence)))
            members = [(g.x, *g.parameters.values(), *g.initial, *g.reset_state) for g in (closed, opened)]
            assert all(map(torch.equal, *members))
    finally:
        torch.set_num_threads(before)


def _tap(cell, sequence):
    tap = LayerTap(tuple(cell.state_sizes))
    tap.begin(*sequence.shape, sequence.initial[0])
    return tap


@pytest.mark.parametrize("clip_step", [None, 1e-3])
@pytest.mark.parametrize(
    ("dtype", "power"), [(torch.float32, 110), (torch.float32, -100), (torch.float64, 990), (torch.float64, -950)]
)
def test_norms_whose_squares_leave_the_range_are_those_of_the_scaled_gradient(dtype, power, clip_step):
    """∂L/∂s_t is linear in ∂L/∂h_t: times a power of 2, the norms are too, to the last bit or two."""
    cell = KINDS["LSTM"](3, 19)
    parameters, sequence = _parameters(cell, dtype), _sequence(cell, (6, 5, 3, 19), "resets", dtype)
    result = cell.kernel.forward(parameters, sequence, "gates")
    d_outputs, found = torch.randn_like(result.outputs), []
    for factor in (1.0, 2.0**power):
        tap, clip = _tap(cell, sequence), clip_step and clip_step * factor
        cotangents = Cotangents(d_outputs * factor, tuple(member * factor for member in result.final))
        cell.kernel.backward(parameters, sequence, result.trace, cotangents, StepNorms(clip, tap))
        found.append(torch.stack(list(tap.norms.values())))
    assert (found[0] > 0).any() and torch.isfinite(found[1]).all()
    torch.testing.assert_close(found[1] / 2.0**power, found[0], rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("kind", ["Elman-identity", "LSTM", "LSTM-proj", "GRU"])
@pytest.mark.parametrize(
    ("dtype", "scale", "clip_step"),
    [
        (torch.float32, 3e38, 0.8),
        (torch.float32, 3e38, 1e-6),
        (torch.float32, 1e-38, 8e-39),
        (torch.float32, 2e-43, 1e-43),
        (torch.float64, 1.7e308, 0.8),
        (torch.float64, 1.7e308, 1e-6),
        (torch.float64, 1e-308, 8e-309),
        (torch.float64, 1e-321, 5e-322),
    ],
)
def test_clipping_and_norms_at_the_ends_of_the_range_are_those_of_the_loop(kind, dtype, scale, clip_step):
    """A norm of finite entries is finite, and a row is held at the threshold, not at 0."""
    cell = KINDS[kind](3, 19)
    parameters, sequence = _parameters(cell, dtype), _sequence(cell, (6, 5, 3, 19), "lengths-and-resets", dtype)
    results = []
    for runner, given in ((cell.kernel, sequence), (Loop(cell), sequence.plain())):
        trace, tap = runner.forward(parameters, given, "gates").trace, _tap(cell, sequence)
        signs = torch.randint(2, (6, 5, cell.output_size), generator=torch.Generator().manual_seed(1)) * 2 - 1
        cotangents = Cotangents(signs.to(dtype) * scale, tuple(map(torch.zeros_like, sequence.initial)))
        gradients = runner.backward(parameters, given, trace, cotangents, StepNorms(clip_step, tap))
        members = {"x": gradients.x, **gradients.parameters, "h_0": gradients.initial[0], **tap.norms}
        results.append((members, tap.clipped))
    (ours, held), (loop, held_by_loop) = results
    assert held.any() and torch.equal(held, held_by_loop)
    assert all(value.isfinite().all() for value in ours.values())
    step = torch.finfo(dtype).tiny * torch.finfo(dtype).eps
    for name, value in loop.items():
        allowed = 20 * TOLERANCE[dtype] * value.abs().max() + 64 * step
        assert (ours[name] - value).abs().max() <= allowed, name


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["Elman-identity", "LSTM-proj", "GRU"])
def test_a_row_that_is_not_finite_is_not_clipped_by_the_kernel_either(kind, bad):
    cell = KINDS[kind](3, 19)
    parameters, sequence = _parameters(cell, torch.float64), _sequence(cell, (6, 5, 3, 19), "plain", torch.float64)
    taps = []
    for runner in (cell.kernel, Loop(cell)):
        result, tap = runner.forward(parameters, sequence, "gates"), _tap(cell, sequence)
        d_outputs = torch.full_like(result.outputs, 7.0)
        d_outputs[4, 2, 1] = bad
        cotangents = Cotangents(d_outputs, tuple(map(torch.zeros_like, result.final)))
        runner.backward(parameters, sequence, result.trace, cotangents, StepNorms(0.8, tap))
        taps.append(tap)
    assert all(torch.equal(taps[0].clipped, tap.clipped) and not tap.clipped[4, 2] for tap in taps)
    assert all(
        torch.equal(tap.norms["h"][4, 2].nan_to_num(7.0, 8.0), taps[0].norms["h"][4, 2].nan_to_num(7.0, 8.0))
        for tap in taps
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_norm_is_what_is_not_finite_in_its_row_alone(dtype, bad):
    """19 units leave lanes of a vector empty, in which an infinite error times a weight of zero is NaN."""
    cell = KINDS["Elman-identity"](3, 19)
    parameters, sequence = _parameters(cell, dtype), _sequence(cell, (6, 5, 3, 19), "plain", dtype)
    result = cell.kernel.forward(parameters, sequence, "gates")
    d_outputs, tap = torch.ones_like(result.outputs), _tap(cell, sequence)
    parameters["weight_hh"].abs_()  # an infinity times a weight stays one: no sum of two of them is NaN
    d_outputs[4, 2, 7] = bad
    cotangents = Cotangents(d_outputs, result.final)
    cell.kernel.backward(parameters, sequence, result.trace, cotangents, StepNorms(tap=tap))
    norms, rows = tap.norms["h"], torch.arange(5) != 2
    assert torch.isfinite(norms[:, rows]).all() and torch.isfinite(norms[5:]).all()
    assert torch.equal(
        norms[:5, 2].nan_to_num(posinf=2.0), torch.tensor(bad, dtype=dtype).nan_to_num(posinf=2.0).expand(5)
    )


@pytest.mark.parametrize("instruction_set", ["avx512", "avx2", "baseline"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_instruction_set_is_the_loop(kind, instruction_set):
    before = native.describe()["instruction_set"]
    try:
        native.use_instruction_set(instruction_set)
    except ArgumentError as error:
        pytest.skip(str(error))
    try:
        for dtype, shape in itertools.product(TOLERANCE, SHAPES):
            _assert_equal_to_the_loop(KINDS[kind](shape[2], shape[3]), shape, "lengths-and-resets", dtype)
    finally:
        native.use_instruction_set(before)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_backward_pass_nothing_is_kept_and_the_outputs_are_the_same(kind):
    for masks in MASKS:
        cell = KINDS[kind](3, 19)
        parameters = _parameters(cell)
        sequence = _sequence(cell, (6, 5, 3, 19), masks, torch.float64)
        kept, bare = (cell.kernel.forward(parameters, sequence, save) for save in ("gates", None))
        assert bare.trace.tensors == () and kept.trace.tensors != ()
        for one, other in zip((bare.outputs, *bare.final), (kept.outputs, *kept.final), strict=True):
            assert torch.equal(one, other)


def test_arguments_of_any_strides_are_read_as_what_they_say():
    """Transposed inputs and weights, an expanded gradient: nothing may read memory as if it were dense."""
    cell = GRUCell(3, 19)
    parameters = _parameters(cell)
    strided = {name: torch.stack((value, value), dim=-1)[..., 0] for name, value in parameters.items()}
    dense = _sequence(cell, (6, 5, 3, 19), "plain", torch.float64)
    turned = Sequence(dense.x.transpose(0, 1).contiguous().transpose(0, 1), dense.initial, dense.reset_state)
    expected, actual = (_everything(cell.kernel, cell, p, s) for p, s in ((parameters, dense), (strided, turned)))
    assert all(relative(actual[name], value) <= 1e-13 for name, value in expected.items() if name != "clipped")
    result = cell.kernel.forward(parameters, dense, "gates")
    one = torch.ones((), dtype=torch.float64)
    gradients = [
        cell.kernel.backward(
            parameters, dense, result.trace, Cotangents(d, result.final, False), StepNorms()
        ).parameters["weight_hh"]
        for d in (one.expand_as(result.outputs), torch.ones_like(result.outputs))
    ]
    assert torch.equal(*gradients)


def test_bias_gradients_do_not_share_memory():
    """Autograd accumulates into what it is given: two views of one tensor would be added to twice."""
    for cell in (ElmanCell(3, 5), LSTMCell(3, 5), GRUCell(3, 5)):
        parameters = _parameters(cell)
        sequence = _sequence(cell, (4, 2, 3, 5), "plain", torch.float64)
        result = cell.kernel.forward(parameters, sequence, "gates")
        cotangents = Cotangents(torch.randn(4, 2, 5, dtype=torch.float64), result.final, False)
        g = cell.kernel.backward(parameters, sequence, result.trace, cotangents, StepNorms()).parameters
        shared = g["bias_ih"].data_ptr() == g["bias_hh"].data_ptr()
        assert not shared or g["bias_ih"] is g["bias_hh"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64])
def test_other_dtypes_are_left_to_the_loop(dtype):
    cell = GRUCell(3, 5)
    sequence = Sequence(torch.zeros(2, 1, 3, dtype=dtype), (torch.zeros(1, 5, dtype=dtype),), ())
    assert not cell.kernel.serves({}, sequence)


def test_a_subclass_with_another_step_does_not_inherit_the_kernel():
    class Doubled(ElmanCell):
        def update(self, a_x, a_h, state):
            return super().update(2 * a_x, a_h, state)

    sequence = _sequence(ElmanCell(3, 5), (4, 2, 3, 5), "plain", torch.float64)
    with torch.no_grad():
        assert Recurrence(Doubled(3, 5), {}, sequence).runner == Loop(Doubled(3, 5))
        assert Recurrence(ElmanCell(3, 5), {}, sequence).runner == ElmanCell(3, 5).kernel
