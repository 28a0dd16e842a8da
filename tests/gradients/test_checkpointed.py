"""Checkpointing is BPTT in other words: the same numbers to rounding, the memory and the work that the plan says."""

from dataclasses import replace

import pytest
import torch
from examples_of import CELLS, INPUT, parameters_of, states_of
from oracles import relative
from torch.autograd.graph import saved_tensors_hooks

import throughtime as tt
from throughtime.cells import ElmanCell, Loop, LSTMCell, Recurrence
from throughtime.errors import ArgumentError
from throughtime.gradients import BPTT, CheckpointedBPTT, run
from throughtime.kernels import Kernel
from throughtime.sequences import Sequence
from throughtime.sequences.tap import LayerTap

T, B = 13, 5
LENGTHS = torch.tensor([13, 1, 0, 8, 5])
FORMS = ["plain", "lengths", "resets", "lengths-and-resets", "one-hot", "reverse"]


def _sequence(cell, form: str, dtype=torch.float64) -> Sequence:
    x = torch.randn(T, B, INPUT, dtype=dtype, requires_grad=True)
    lengths = LENGTHS if "lengths" in form or form == "reverse" else None
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[0, 0] = resets[4, 3] = resets[5, 0] = resets[6, 0] = resets[12, 0] = True
    if form == "one-hot":
        return Sequence(
            torch.randint(0, INPUT, (T, B)), states_of(cell, B, dtype), states_of(cell, B, dtype), one_hot=INPUT
        )
    resets = resets if "resets" in form or form == "reverse" else None
    initial, reset_state = states_of(cell, B, dtype), states_of(cell, B, dtype)
    return Sequence(x, initial, reset_state, lengths, resets, reverse=form == "reverse")


def _tight(cell, levels: str, dtype=torch.float64) -> CheckpointedBPTT:
    """A budget for one step and, beside the first, the working state and as many more states as `levels` says."""
    plan = CheckpointedBPTT(segments=T).plan(cell, T, B, dtype)
    return CheckpointedBPTT(memory=plan.step_bytes + (1 + int(levels)) * plan.state_bytes)


def _everything(method, cell, parameters, sequence):
    """Outputs, final state, all gradients and the tap's norms."""
    tap = LayerTap(tuple(cell.state_sizes))
    h, final = run(method, Recurrence(cell, parameters, sequence), tap)
    generator = torch.Generator().manual_seed(5)
    weights = [torch.randn(one.shape, generator=generator, dtype=one.dtype) for one in (h, *final)]
    loss = sum((w * one).sum() for w, one in zip(weights, (h, *final), strict=True))
    x = [] if sequence.one_hot else [sequence.x]
    reset_state = [] if sequence.resets is None else sequence.reset_state
    gradients = torch.autograd.grad(loss, [*x, *sequence.initial, *reset_state, *parameters.values()])
    return [h.detach(), *(one.detach() for one in final), *gradients, *tap.norms.values(), tap.clipped.double()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["0", "1", "2", "segments"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_it_is_bptt(cell, method, form):
    """With 0, 1 or 2 states kept beside the first (several levels), or all of 4."""
    method = CheckpointedBPTT(segments=4) if method == "segments" else _tight(cell, method)
    parameters, sequence = parameters_of(cell), _sequence(cell, form)
    for clip_step in (None, 1.3):
        ours = _everything(replace(method, clip_step=clip_step), cell, parameters, sequence)
        reference = _everything(BPTT(clip_step=clip_step), cell, parameters, sequence)
        assert all(relative(a, b) <= 1e-13 for a, b in zip(ours, reference, strict=True))
    assert reference[-1].any() and not reference[-1].all(), "the threshold must take hold at some steps"


@pytest.mark.parametrize("segments", [1, 2, 7, 13, 14, 10**9])
def test_any_number_of_segments(segments):
    cell = CELLS["GRU"]
    parameters, sequence = parameters_of(cell), _sequence(cell, "lengths-and-resets")
    ours = _everything(CheckpointedBPTT(segments=segments), cell, parameters, sequence)
    for a, b in zip(ours, _everything(BPTT(), cell, parameters, sequence), strict=True):
        assert relative(a, b) <= 1e-13


def _saved(call) -> list[torch.Tensor]:
    """Every tensor that autograd saves during `call`."""
    saved: list[torch.Tensor] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        call()
    return saved


@pytest.mark.parametrize("levels", ["1", "all"])
@pytest.mark.parametrize("name", ["Elman-tanh", "LSTM", "LSTM-proj", "GRU", "function-two-members"])
def test_after_the_forward_pass_nothing_is_held_but_the_states_that_the_plan_keeps(name, levels):
    cell = CELLS[name]
    method = CheckpointedBPTT(segments=4) if levels == "all" else _tight(cell, "1")
    parameters, sequence = parameters_of(cell), _sequence(cell, "plain")
    given = {one.data_ptr() for one in (sequence.x, *sequence.initial, *parameters.values())}
    kept = [
        one
        for one in _saved(lambda: run(method, Recurrence(cell, parameters, sequence)))
        if one.data_ptr() not in given
    ]
    assert all(one.untyped_storage().nbytes() == one.nbytes for one in kept), "a view holds what it is a view of"
    plan = method.plan(cell, T, B, torch.float64)
    assert sum(one.nbytes for one in kept) == min(plan.slots + 1, plan.segments - 1) * plan.state_bytes > 0


@pytest.mark.parametrize("name", ["Elman-tanh", "LSTM", "LSTM-proj", "GRU", "function"])
def test_the_bytes_of_a_step_are_those_of_the_trace(name):
    cell = CELLS[name]
    parameters, sequence = parameters_of(cell), _sequence(cell, "plain")
    with torch.no_grad():
        trace = Recurrence(cell, parameters, sequence).forward("gates").trace.tensors
    given = {one.untyped_storage().data_ptr() for one in (sequence.x, *sequence.initial)}
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in trace}
    held = sum(size for place, size in storages.items() if place not in given)
    plan = CheckpointedBPTT(segments=1).plan(cell, T, B, torch.float64)
    # The loop's trace has the states as they enter, of which the first one is the caller's.
    assert plan.bytes - held in (0, plan.state_bytes)


class _Counting(Kernel):
    """The loop, with a count of the steps that it runs forwards."""

    def __init__(self, cell):
        self.steps, self._loop = 0, Loop(cell)

    def serves(self, parameters, sequence):
        return sequence.is_plain

    def forward(self, parameters, sequence, save):
        self.steps += len(sequence.x)
        return self._loop.forward(parameters, sequence, save)

    def backward(self, *arguments):
        return self._loop.backward(*arguments)

    def entering(self, *arguments):
        return self._loop.entering(*arguments)


@pytest.mark.parametrize("method", [CheckpointedBPTT(), CheckpointedBPTT(segments=4), "0", "1", "2"], ids=str)
def test_as_many_steps_are_run_as_the_plan_says(method):
    counting = _Counting(LSTMCell(INPUT, 4))

    class Counted(LSTMCell):
        kernel = counting

    cell = Counted(INPUT, 4)
    method = _tight(cell, method) if isinstance(method, str) else method
    plan = method.plan(cell, T, B, torch.float64)
    counting.steps = 0
    _everything(method, cell, parameters_of(cell), _sequence(cell, "plain"))
    probes = 3  # one step and two, to see how large a trace is
    assert counting.steps - probes == plan.evaluations > T


def test_the_plan_is_that_of_the_pass_and_draws_nothing():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    plan = CheckpointedBPTT(memory="600kB").plan(LSTMCell(64, 128), 1000, 16)
    assert torch.equal(before, torch.get_rng_state())
    assert (plan.state_bytes, plan.step_bytes) == (2 * 128 * 16 * 4, 6 * 128 * 16 * 4)
    assert plan.bytes <= 600_000 and plan.levels > 1
    assert CheckpointedBPTT().plan(LSTMCell(64, 128), 1000, 16).levels == 1


def test_the_goal_of_little_memory():
    """T = 1000: at least 95 % of what BPTT saves is gone, and 80 % of all that is ever held."""
    for cell in (ElmanCell(8, 16), LSTMCell(8, 16), tt.cells.GRUCell(8, 16)):
        plan = CheckpointedBPTT().plan(cell, 1000, 4)
        assert plan.slots * plan.state_bytes <= 0.05 * plan.bytes_without
        assert plan.bytes <= 0.2 * plan.bytes_without


def test_a_memory_too_small_is_refused_before_any_work():
    counting = _Counting(ElmanCell(INPUT, 4))

    class Counted(ElmanCell):
        kernel = counting

    rnn = tt.Recurrent(Counted(INPUT, 4), gradient=CheckpointedBPTT(memory=64))
    x = torch.randn(9, 4, INPUT)
    with pytest.raises(ArgumentError, match="memory is 64 B; the least that works is 128 bytes"):
        rnn(x)
    assert counting.steps == 3, "only the trace of three steps was looked at"
    with torch.no_grad():
        assert rnn(x)[0].shape == (9, 4, 4)


@pytest.mark.parametrize("segments", [0, -1, 2.0, True, "3"])
def test_segments_that_are_no_number_of_segments_are_refused(segments):
    with pytest.raises(ArgumentError, match="segments is .*must be a whole number, at least 1"):
        CheckpointedBPTT(segments=segments)


def test_two_answers_to_one_question_are_refused():
    with pytest.raises(ArgumentError, match="segments is 3 and memory is '1MB'.*leave one of them out"):
        CheckpointedBPTT(segments=3, memory="1MB")
    with pytest.raises(ArgumentError, match="memory is '1 potato'"):
        CheckpointedBPTT(memory="1 potato")


def test_stacked_bidirectional_packed():
    ours = tt.LSTM(3, 5, 2, bidirectional=True, dtype=torch.float64, gradient=CheckpointedBPTT(segments=3))
    twin = torch.nn.LSTM(3, 5, 2, bidirectional=True, dtype=torch.float64)
    twin.load_state_dict(ours.state_dict())
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([7, 5, 5, 1]))
    for module in (ours, twin):
        y, (h, c) = module(packed)
        (y.data.sin().sum() + h.sum() + (c * c).sum()).backward()
    for name, parameter in ours.named_parameters():
        assert relative(parameter.grad, getattr(twin, name).grad) <= 1e-13


@pytest.mark.parametrize("rows", [0, 1])
def test_no_steps_and_no_rows(rows):
    for steps in (0, 3):
        rnn = tt.LSTM(3, 5, gradient=CheckpointedBPTT(segments=2))
        x = torch.randn(steps, rows, 3, requires_grad=True)
        y, (h, _) = rnn(x)
        (y.sum() + h.sum()).backward()
        assert y.shape == (steps, rows, 5) and x.grad.shape == x.shape


def test_a_compiled_graph_is_that_of_bptt_with_the_states():
    ours, twin = (tt.GRU(3, 5, gradient=method) for method in (CheckpointedBPTT(), BPTT(save="states")))
    ours.load_state_dict(twin.state_dict())
    x = torch.randn(7, 2, 3)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    compiled(x)[0].sin().sum().backward()
    twin(x)[0].sin().sum().backward()
    assert torch.equal(ours.weight_hh_l0.grad, twin.weight_hh_l0.grad)
