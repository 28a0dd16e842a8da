"""What a recorded run keeps, against PyTorch's own derivatives of a loop of single steps."""

import pytest
import torch

import throughtime as tt
from throughtime.models.recording import Recording, entering_states

T, B, INPUT, H = 7, 3, 2, 5


def _recorded(lengths):
    layer = tt.LSTM(INPUT, H, dtype=torch.float64)
    layer.gradient = recording = Recording()
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    start = tuple(torch.randn(1, B, H, dtype=torch.float64) for _ in range(2))
    weights = torch.randn(T, B, H, dtype=torch.float64)
    y, (h, c) = layer(x, start, lengths=lengths)
    ((y**2 * weights).sum() + (h + 3 * c).sum()).backward()
    (run,) = recording.runs
    return run, layer, x, start, y.detach(), 2 * y.detach() * weights


@pytest.mark.parametrize("lengths", [None, [7, 1, 4]], ids=["plain", "lengths"])
def test_a_run_has_the_states_that_entered_and_the_gradient_that_came_directly(lengths):
    run, layer, x, start, y, d_outputs = _recorded(lengths)
    ends = torch.tensor(lengths or [T] * B) - 1
    d_h, d_c = d_outputs.clone(), torch.zeros_like(d_outputs)
    for row, end in enumerate(ends):
        d_h[end + 1 :, row] = 0
        d_h[end, row] += 1
        d_c[end, row] = 3
    for ours, expected in zip(run.direct, (d_h, d_c), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-13, atol=0)
    state = start
    for t in range(T):
        there = t <= ends
        for member, expected in zip(run.entering, state, strict=True):
            torch.testing.assert_close(member[t, there], expected[0, there], rtol=1e-12, atol=1e-15)
        state = layer(x[t : t + 1], state)[1]


def test_a_part_is_the_run_of_some_rows_from_a_step_on():
    run, layer, x, _, y, _ = _recorded([7, 1, 4])
    part = run.part(torch.tensor([2, 0]), start=2)
    assert torch.equal(part.sequence.x, run.sequence.x[2:, [2, 0]]) and part.sequence.lengths.tolist() == [2, 5]
    assert all(torch.equal(a, b[2:, [2, 0]]) for a, b in zip(part.direct, run.direct, strict=True))
    entering, _ = entering_states(part.recurrence)
    for ours, expected in zip(entering, part.entering, strict=True):
        torch.testing.assert_close(ours[:2], expected[:2], rtol=1e-12, atol=1e-15)
    again, _ = layer(x[2:, [2, 0]], tuple(member[0][None] for member in part.entering))
    torch.testing.assert_close(again[:2], y[2:4, [2, 0]], rtol=1e-12, atol=1e-15)


def test_a_run_without_steps_is_left_out():
    layer = tt.RNN(INPUT, H)
    layer.gradient = recording = Recording()
    layer(torch.zeros(0, B, INPUT), torch.zeros(1, B, H))[1].sum().backward()
    assert recording.runs == []
