"""What a layer of a stack runs over, as those who look at one recurrence alone are given it."""

import pytest
import torch

import throughtime as tt
from throughtime.cells import Recurrence
from throughtime.gradients.base import run

T, B, INPUT, H = 9, 4, 3, 5
RESETS = torch.zeros(T, B, dtype=torch.bool)
RESETS[0, 2] = RESETS[3, 0] = RESETS[5, 3] = True
OPTIONS = {"plain": {}, "masks": {"lengths": [9, 0, 1, 6], "resets": RESETS}}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", [tt.RNN, tt.LSTM, tt.GRU])
def test_the_last_layer_gives_the_outputs_of_the_stack(kind, bidirectional, options):
    stack = kind(INPUT, H, num_layers=3, bidirectional=bidirectional, dtype=torch.float64)
    members = 2 if kind is tt.LSTM else 1
    hx = tuple(torch.randn(3 * (1 + bidirectional), B, H, dtype=torch.float64) for _ in range(members))
    x, hx = torch.randn(T, B, INPUT, dtype=torch.float64), hx if members == 2 else hx[0]
    sequence = stack.sequence_at(2, x, hx, **OPTIONS[options])
    assert sequence.is_plain and sequence.shape == (T, B)
    outputs, _ = run(stack.gradient, Recurrence(*stack.cell_and_parameters(2), sequence))
    assert torch.equal(outputs, stack(x, hx, **OPTIONS[options])[0][..., :H])


def test_whole_numbers_become_vectors_and_batches_time_major():
    rnn = tt.GRU(INPUT, H, batch_first=True)
    indices = torch.randint(INPUT, (B, T))
    expected = torch.nn.functional.one_hot(indices, INPUT).float().transpose(0, 1)
    assert torch.equal(rnn.sequence_at(0, indices).x, expected)


def test_dropout_acts_on_what_enters_a_layer_above_while_training():
    stack = tt.RNN(INPUT, H, num_layers=2, dropout=0.5)
    x = torch.randn(T, B, INPUT)
    below = stack.sequence_at(1, x).x
    assert bool((below == 0).any()) and not bool((stack.eval().sequence_at(1, x).x == 0).any())
