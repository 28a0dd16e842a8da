from dataclasses import dataclass

import pytest
import torch
from examples_of import CELLS
from gradients.forward_problems import problem
from oracles import relative

import throughtime as tt
from throughtime.cells import AffineCell
from throughtime.gradients.influence import DenseInfluence, whole_jacobian
from throughtime.gradients.per_unit import UnitInfluence
from throughtime.gradients.systems import CellSystem

AFFINE = {name: cell for name, cell in CELLS.items() if isinstance(cell, AffineCell) and not cell.proj_size}


@dataclass(frozen=True)
class MaskedSnAp(tt.SnAp):
    """The same, by way of all of A and a mask: every member of the unit whose weight it is."""

    def is_dense(self, system):
        return True

    def _mask(self, system):
        unit = torch.cat([torch.arange(len(v)).repeat_interleave(v[0].numel()) for v in system.values.values()])
        state = torch.arange(sum(system.sizes))[:, None] % system.cell.hidden_size
        return (state == unit % system.cell.hidden_size).double()


@pytest.mark.parametrize("masks", ["", "lengths resets"])
@pytest.mark.parametrize("cell", AFFINE.values(), ids=AFFINE)
def test_units_by_themselves_are_the_masked_influence(cell, masks):
    given = problem(cell, masks)
    ours, reference = given.gradients(tt.SnAp(1)), given.gradients(MaskedSnAp(1))
    for name in given.parameters:
        assert relative(ours[name], reference[name]) <= 1e-13, name


def _restricted(full, system):
    """The units' own blocks of a dense A, by parameter: [batch, members, *shape]."""
    hidden, found, column = system.cell.hidden_size, {}, 0
    for name, value in system.values.items():
        block = full[:, :, column : column + value.numel()].unflatten(2, value.shape)
        column += value.numel()
        unit = torch.arange(value.shape[0]) % hidden
        found[name] = torch.stack(
            [block[:, member * hidden + unit, torch.arange(len(unit))] for member in range(len(system.sizes))], dim=1
        )
    return found


@pytest.mark.parametrize("cell", [CELLS["LSTM"], CELLS["GRU"]], ids=["LSTM", "GRU"])
def test_after_one_step_it_holds_b(cell):
    given = problem(cell)
    system = CellSystem(cell, {name: value.detach() for name, value in given.parameters.items()})
    step = system.at(given.sequence.x[0].detach(), tuple(member.detach() for member in given.sequence.initial))
    units = UnitInfluence(system, 4, lambda cell, at: cell.unit_jacobian(at.values, at.x, at.entering, recurrent=True))
    dense = DenseInfluence(system, 4, whole_jacobian)
    for influence in (units, dense):
        influence.advance(step)
    expected = _restricted(dense.tensors()["influence"], system)
    for name, value in units.tensors().items():
        assert relative(value, expected[name]) <= 1e-14, name
    everything = dense.tensors()["influence"].count_nonzero()
    assert everything == sum(value.count_nonzero() for value in units.tensors().values()), "and nowhere else"


def test_rows_forget_end_and_go_on():
    given = problem(CELLS["LSTM"])
    system = CellSystem(given.cell, {name: value.detach() for name, value in given.parameters.items()})
    state = tuple(member.detach() for member in given.sequence.initial)
    first, second = (system.at(x, state) for x in given.sequence.x.detach()[:2])
    one, other, alone = (tt.SnAp(1).influence(system, 4) for _ in range(3))
    one.advance(first)
    other.restore({name: value.clone() for name, value in one.tensors().items()})
    before = {name: value.clone() for name, value in one.tensors().items()}
    rows = torch.tensor([[True], [False], [False], [False]])
    for influence in (one, other):
        influence.forget(rows)
        influence.advance(second, ended=rows.flip(0))
    alone.advance(second)
    for name, value in one.tensors().items():
        assert torch.equal(value, other.tensors()[name]), name
        assert torch.equal(value[0], alone.tensors()[name][0]) and torch.equal(value[3], before[name][3]), name
        assert not torch.equal(value[1], alone.tensors()[name][1]), name
