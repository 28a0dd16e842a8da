import torch

from throughtime.sequences import Sequence
from throughtime.sequences.sequence import steps_since_start

X = torch.arange(24.0).view(4, 3, 2)
LENGTHS = torch.tensor([4, 0, 2])
PADDING = torch.arange(4)[:, None] >= LENGTHS
STATE = (torch.full((3, 2), 7.0),)


def test_rows_leave_padding_out_and_from_rows_puts_zeros_there():
    sequence = Sequence(X, STATE, STATE, LENGTHS)
    rows = sequence.rows(X)
    assert rows.shape == (6, 2)
    assert torch.equal(sequence.from_rows(rows), X.masked_fill(PADDING[..., None], 0))


def test_a_padded_step_keeps_the_state_and_shows_zero():
    sequence = Sequence(X, STATE, STATE, LENGTHS)
    advanced, entered = (torch.full((3, 2), float("nan")),), STATE
    kept = sequence.leaving(2, advanced, entered)[0]
    assert torch.equal(kept[1:], STATE[0][1:]) and kept[0].isnan().all()
    assert torch.equal(sequence.output(2, advanced)[1:], torch.zeros(2, 2))


def test_a_reset_replaces_exactly_the_flagged_rows():
    resets = torch.zeros(4, 3, dtype=torch.bool)
    resets[1, 2] = True
    at_rest = (torch.full((3, 2), -1.0),)
    sequence = Sequence(X, STATE, at_rest, None, resets)
    assert sequence.entering(0, STATE) is STATE
    assert torch.equal(sequence.entering(1, STATE)[0], torch.tensor([[7.0, 7.0], [7.0, 7.0], [-1.0, -1.0]]))


def test_steps_count_from_the_start_or_the_latest_reset():
    resets = torch.tensor([[False, True, False], [False, False, False], [True, False, False], [False, True, False]])
    steps = steps_since_start(Sequence(X, STATE, STATE, resets=resets))
    assert steps.tolist() == [[0, 0, 0], [1, 1, 1], [0, 2, 2], [1, 0, 3]]
    assert steps_since_start(Sequence(X, STATE, STATE)).tolist() == [[t] * 3 for t in range(4)]
