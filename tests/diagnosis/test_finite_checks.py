import math

import pytest
import torch

from throughtime.diagnosis.finite_checks import check_finite, checked_parameters
from throughtime.errors import NonFiniteError


def test_parameters_come_in_float64_and_one_that_is_not_finite_is_named():
    given = {"weight": torch.tensor([0.1, -2.0]), "bias": torch.tensor([3.0])}
    found = checked_parameters(given)
    assert list(found) == list(given)
    for name, value in given.items():
        assert found[name].dtype == torch.float64 and torch.equal(found[name], value.double())
    with pytest.raises(NonFiniteError, match="^bias holds a NaN or an infinity"):
        checked_parameters(given | {"bias": torch.tensor([-math.inf])})


def test_the_first_step_that_moves_and_is_not_finite_is_named():
    finite, moves = torch.ones(5, 3, dtype=torch.bool), torch.ones(5, 3, dtype=torch.bool)
    finite[1, 0] = finite[3, 2] = finite[4, 1] = moves[1, 0] = False
    with pytest.raises(NonFiniteError, match=r"^the state at step 10 of row 2 \(both counted from 0\) holds"):
        check_finite(finite, moves, "the state at step", 7)
    moves[3, 2] = moves[4, 1] = False
    check_finite(finite, moves, "the state at step", 7)
