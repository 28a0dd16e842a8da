import pytest
import torch
from examples_of import CELLS
from gradients.forward_problems import problem

import throughtime as tt
from throughtime.errors import ArgumentError
from throughtime.gradients.systems import CellSystem

SEEDS = 320


@pytest.fixture(scope="module", params=["Elman-tanh", "GRU"])
def draws(request):
    """Gradients of many seeds [SEEDS, N] over four steps, and the exact one."""
    torch.manual_seed(11)
    given = problem(CELLS[request.param], "lengths resets", steps=4)
    names = [name for name in given.wanted if name != "x"]

    def flat(method):
        by_name = given.gradients(method)
        return torch.cat([by_name[name].flatten() for name in names])

    return torch.stack([flat(tt.UORO(seed)) for seed in range(SEEDS)]), flat(tt.BPTT())


def test_the_mean_over_seeds_is_the_gradient(draws):
    """Each element's mean, in standard errors from the truth, is as far away as a normal number would be."""
    found, exact = draws
    noisy = found.std(dim=0) > 1e-9 * exact.abs().max()
    assert int(noisy.sum()) > 60
    torch.testing.assert_close(found.mean(dim=0)[~noisy], exact[~noisy], rtol=1e-10, atol=1e-12)
    deviation = (found.mean(dim=0) - exact)[noisy] / (found.std(dim=0)[noisy] / SEEDS**0.5)
    assert deviation.abs().max() < 4
    assert 0.5 < deviation.square().mean() < 1.5
    assert abs(float(deviation.mean())) < 0.5


def test_the_variance_of_a_mean_falls_as_one_over_n(draws):
    found, exact = draws
    squares = [(found.unflatten(0, (-1, n)).mean(dim=1) - exact).square().sum(dim=1).mean().item() for n in (1, 4, 16)]
    assert squares[0] > exact.square().sum() * 0.05, "noise that is to be seen"
    assert 3.2 < squares[0] / squares[1] < 5 and 2.8 < squares[1] / squares[2] < 5.6, squares


def test_a_seed_says_which_signs():
    given = problem(CELLS["LSTM"], "lengths")
    first, again, other = (given.gradients(tt.UORO(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in given.parameters)


def test_no_random_state_but_its_own_is_touched():
    given, before = problem(CELLS["GRU"]), torch.get_rng_state()
    given.gradients(tt.UORO())
    assert torch.equal(before, torch.get_rng_state())


def test_it_goes_on_from_what_it_gave():
    given = problem(CELLS["LSTM"])
    system = CellSystem(given.cell, {name: value.detach() for name, value in given.parameters.items()})
    state = tuple(member.detach() for member in given.sequence.initial)
    steps = [system.at(x, state) for x in given.sequence.x.detach()]
    one, other = tt.UORO(5).influence(system, 4), tt.UORO(6).influence(system, 4)
    one.advance(steps[0])
    other.restore({name: value.clone() for name, value in one.tensors().items()})
    for influence in (one, other):
        influence.advance(steps[1])
        influence.forget(torch.tensor([[True], [False], [False], [False]]))
        influence.advance(steps[2], ended=torch.tensor([[False], [True], [False], [False]]))
    for name, value in one.tensors().items():
        assert torch.equal(value, other.tensors()[name]), name


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_derivatives_whose_squares_leave_the_range_are_balanced(scale):
    """The product of the two factors is that of double precision, in which the squares are in range."""
    given, products = problem(tt.cells.ElmanCell(3, 5, nonlinearity="relu", bias=False)), []
    for dtype in (torch.float32, torch.float64):
        system = CellSystem(given.cell, {name: value.detach().to(dtype) for name, value in given.parameters.items()})
        state = tuple(member.detach().to(dtype) * scale for member in given.sequence.initial)
        influence = tt.UORO(5).influence(system, 4)
        for x in given.sequence.x.detach()[:3]:
            influence.advance(system.at(x.to(dtype) * scale, state))
        kept = influence.tensors()
        products.append(kept[" state"].double()[..., None] * kept["weight_ih"].double().flatten(1)[:, None] / scale)
    assert products[1].abs().max() > 0.1
    torch.testing.assert_close(products[0], products[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", [-1, 0.5, True, None])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(ArgumentError, match=rf"seed is {seed!r}; it must be a whole number, at least 0"):
        tt.UORO(seed)
