"""The joint step of several layers against torch.func over the layers' own steps."""

import pytest
import torch
from examples_of import parameters_of
from oracles import relative
from torch.func import jacrev, vmap

from throughtime.cells import ElmanCell, GRUCell, LSTMCell
from throughtime.gradients.systems import CellSystem
from throughtime.online.stack import StackSystem

STACKS = {
    "one": [GRUCell(3, 5)],
    "two": [LSTMCell(3, 5), GRUCell(5, 4)],
    "three": [ElmanCell(3, 4), LSTMCell(4, 6, proj_size=2), GRUCell(2, 5)],
}


def _stack(cells):
    values = [{name: value.detach() for name, value in parameters_of(cell).items()} for cell in cells]
    system = StackSystem(tuple(CellSystem(*pair) for pair in zip(cells, values, strict=True)))
    x = torch.randn(3, cells[0].input_size, dtype=torch.float64)
    entering = tuple(torch.randn(3, size, dtype=torch.float64) for size in system.sizes)

    def row(parameters, x, flat):
        new, rest, y = [], flat.split(list(system.sizes)), x[None]
        for depth, cell in enumerate(cells):
            members, rest = rest[: len(cell.state_sizes)], rest[len(cell.state_sizes) :]
            own = {name.removesuffix(f"_l{depth}"): v for name, v in parameters.items() if name.endswith(f"_l{depth}")}
            state = cell.step(own, y, tuple(member[None] for member in members))
            new += [member[0] for member in state]
            y = state[0]
        return torch.cat(new)

    return system, row, x, entering


@pytest.mark.parametrize("cells", STACKS.values(), ids=STACKS)
def test_the_jacobian_is_that_of_the_layers_together(cells):
    system, row, x, entering = _stack(cells)
    expected = vmap(jacrev(row, argnums=2), in_dims=(None, 0, 0))(dict(system.parameters), x, torch.cat(entering, -1))
    assert relative(system.at(x, entering).jacobian(), expected) <= 1e-13


@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
@pytest.mark.parametrize("cells", STACKS.values(), ids=STACKS)
def test_the_immediate_derivative_reaches_the_layers_above(cells, mixed):
    system, row, x, entering = _stack(cells)
    expected = vmap(jacrev(row), in_dims=(None, 0, 0))(dict(system.parameters), x, torch.cat(entering, -1))
    mix = torch.randn(3, 2, sum(system.sizes), dtype=torch.float64) if mixed else None
    before = {
        name: torch.randn(3, 2 if mixed else sum(system.sizes), *value.shape, dtype=torch.float64)
        for name, value in system.parameters.items()
    }
    influence = {name: value.clone() for name, value in before.items()}
    system.at(x, entering).add_immediate(influence, mix)
    for name, value in expected.items():
        value = value if mix is None else torch.einsum("brs,bs...->br...", mix, value)
        assert relative(influence[name] - before[name], value) <= 1e-13, name
