import math

import pytest
import torch

from throughtime.data.problems import adding, copy_memory, two_dependency_entropies, two_dependency_stream
from throughtime.errors import ArgumentError


def test_the_entropies_are_those_of_the_stream():
    found = two_dependency_entropies()
    assert [round(value, 6) for value in found] == [0.661563, 0.519167, 0.454454]


def test_each_target_has_the_chance_that_two_inputs_give_it():
    problem = two_dependency_stream(40_000, 3, seed=5)
    assert problem.x.shape == (40_000, 3, 1) and problem.y.shape == (40_000, 3)
    coins, y = problem.x.squeeze(-1), problem.y
    assert set(coins.unique().tolist()) == set(y.unique().tolist()) == {0.0, 1.0}
    assert coins.mean().item() == pytest.approx(0.5, abs=0.005)
    for first in (0, 1):
        for second in (0, 1):
            those = (coins[5:-3] == first) & (coins[:-8] == second)
            # A mean over about 30,000 coins has a standard deviation of at most 0.003.
            assert y[8:][those].mean().item() == pytest.approx(0.5 + 0.5 * first - 0.25 * second, abs=0.012)
    assert y[:8].mean().item() != 0 and problem.baseline == two_dependency_entropies().nothing


def test_the_entropies_are_measured_by_tables_of_what_is_remembered():
    problem = two_dependency_stream(60_000, 2, seed=1)
    coins, y = problem.x.squeeze(-1), problem.y[8:]
    remembered = {"nothing": 0 * y, "lag_3": coins[5:-3], "both": coins[5:-3] + 2 * coins[:-8]}
    for name, keys in remembered.items():
        loss = 0.0
        for key in keys.unique():
            chance = y[keys == key].mean().item()
            for p, count in ((chance, (y[keys == key] == 1).sum()), (1 - chance, (y[keys == key] == 0).sum())):
                loss -= math.log(p) * int(count) if count else 0.0
        assert loss / y.numel() == pytest.approx(getattr(two_dependency_entropies(), name), abs=0.005), name


def test_copy_memory_is_laid_out_as_published():
    problem = copy_memory(7, 5, seed=2)
    assert problem.x.shape == problem.y.shape == (27, 5) and problem.x.dtype == torch.int64
    symbols = problem.x[:10]
    assert symbols.min() >= 0 and symbols.max() <= 7 and not torch.equal(symbols[:, 0], symbols[:, 1])
    assert (problem.x[10:16] == 8).all() and (problem.x[16] == 9).all() and (problem.x[17:] == 8).all()
    assert (problem.y[:17] == 8).all() and torch.equal(problem.y[17:], symbols)
    assert problem.baseline == pytest.approx(10 * math.log(8) / 27, rel=1e-15)


def test_the_symbols_to_copy_are_equally_frequent():
    symbols = copy_memory(1, 8000, seed=3).y[-10:]
    shares = torch.bincount(symbols.flatten(), minlength=10) / symbols.numel()
    assert shares[8:].tolist() == [0, 0]
    torch.testing.assert_close(shares[:8], torch.full((8,), 0.125), atol=0.006, rtol=0)


@pytest.mark.parametrize("steps", [2, 11])
def test_the_two_marked_numbers_are_added(steps):
    problem = adding(steps, 20_000, seed=4)
    numbers, marks = problem.x.unbind(-1)
    half = steps // 2
    assert problem.x.shape == (steps, 20_000, 2) and problem.y.shape == (20_000,)
    assert (marks[:half].sum(0) == 1).all() and (marks[half:].sum(0) == 1).all()
    assert set(marks.unique().tolist()) <= {0.0, 1.0}
    first, second = ((numbers * marks)[cut].sum(0) for cut in (slice(half), slice(half, None)))
    torch.testing.assert_close(problem.y, first + second)
    assert marks.mean(dim=1)[0].item() == pytest.approx(1 / half, abs=0.02)
    assert (problem.y - 1).square().mean().item() == pytest.approx(problem.baseline, rel=0.05)
    assert problem.baseline == 1 / 6


@pytest.mark.parametrize("make", [two_dependency_stream, copy_memory, adding])
def test_a_seed_gives_the_same_problem_again_and_a_generator_goes_on(make):
    before = torch.get_rng_state()
    first, again, other = make(20, 3, 7), make(20, 3, 7), make(20, 3, 8)
    assert torch.equal(first.x, again.x) and torch.equal(first.y, again.y)
    assert not torch.equal(first.x, other.x) and not torch.equal(first.y, other.y)
    assert torch.equal(torch.get_rng_state(), before)
    generator = torch.Generator().manual_seed(7)
    assert torch.equal(make(20, 3, generator).x, first.x)
    assert not torch.equal(make(20, 3, generator).x, first.x)


@pytest.mark.parametrize(
    ("make", "sizes", "said"),
    [
        (two_dependency_stream, (0, 3), "steps is 0; it must be a whole number, at least 1"),
        (copy_memory, (0, 3), "blanks is 0; it must be a whole number, at least 1"),
        (adding, (1, 3), "steps is 1; it must be a whole number, at least 2"),
        (adding, (5, 0), "batch is 0"),
        (adding, (5.0, 3), "steps is 5.0"),
    ],
)
def test_sizes_that_make_no_problem_are_refused(make, sizes, said):
    with pytest.raises(ArgumentError, match=said):
        make(*sizes, 0)
