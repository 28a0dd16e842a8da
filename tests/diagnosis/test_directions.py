import pytest
import torch

from throughtime.diagnosis.directions import counted_steps, resolved
from throughtime.sequences.sequence import Sequence


def test_after_a_start_and_after_every_reset_the_first_steps_only_align():
    x, state = torch.zeros(9, 4, 1), (torch.zeros(4, 2),)
    resets = torch.zeros(9, 4, dtype=torch.bool)
    resets[3, 1] = resets[0, 2] = resets[5, 2] = True
    sequence = Sequence(x, state, state, torch.tensor([9, 9, 8, 2]), resets, inert=True)
    counted = counted_steps(sequence, 2)
    assert [counted[:, row].nonzero().flatten().tolist() for row in range(4)] == [
        [2, 3, 4, 5, 6, 7, 8],
        [2, 6, 7, 8],
        [3, 4],
        [],
    ]
    without = counted_steps(sequence, 0)
    assert [without[:, row].nonzero().flatten().tolist() for row in range(4)] == [
        list(range(9)),
        [0, 1, 2, 4, 5, 6, 7, 8],
        [1, 2, 3, 4, 6, 7],
        [0, 1],
    ]


@pytest.mark.parametrize("rank", [2, 5, 7])
def test_a_direction_is_lost_exactly_where_the_rank_says_so(rank):
    """Fresh matrices of rank 2, 5 or 7 of 9 at every second step: |R_ii| of a lost one is rounding, and not small."""
    triangles, rounding = [], []
    q = torch.linalg.qr(torch.randn(9, 9, dtype=torch.float64))[0]
    for step in range(400):
        own = rank if step % 2 else 9
        jacobian = torch.randn(9, own, dtype=torch.float64) @ torch.randn(own, 9, dtype=torch.float64)
        q, r = torch.linalg.qr(jacobian @ q)
        triangles.append(r)
        rounding.append(9 * 2**-52 * jacobian.norm())
    found = resolved(torch.stack(triangles), torch.stack(rounding))
    assert found[::2].gt(0).all() and (found[1::2] == 0).sum(-1).eq(9 - rank).all()
    assert (found[1::2, :rank] > 0).all()
