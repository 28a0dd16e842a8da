import pytest
import torch
from examples_of import CELLS, parameters_of, states_of
from oracles import relative

import throughtime as tt
from throughtime.cells import ElmanCell
from throughtime.errors import UnsupportedError
from throughtime.gradients.influence import DenseInfluence, DenseStart, check_room, whole_jacobian
from throughtime.gradients.systems import CellSystem

B, STEPS = 3, 4
CASES = [CELLS["GRU"], CELLS["LSTM-proj"], CELLS["function-two-members"]]
NAMES = ["GRU", "LSTM-proj", "function-two-members"]


def _walk(cell):
    """A system, and its steps along a trajectory."""
    system = CellSystem(cell, {name: value.detach() for name, value in parameters_of(cell).items()})
    state, steps = tuple(member.detach() for member in states_of(cell, B)), []
    for x in torch.randn(STEPS, B, cell.input_size, dtype=torch.float64):
        steps.append(system.at(x, state))
        state = cell.step(system.values, x, state)
    return system, steps


def _immediate(system, step):
    by_name = system.cell.immediate_derivative(system.values, step.x, step.entering)
    return torch.cat([by_name[name].flatten(2) for name in system.values], dim=2)


@pytest.mark.parametrize("cell", CASES, ids=NAMES)
def test_it_is_b_plus_j_times_itself_and_contract_sums_over_rows(cell):
    system, steps = _walk(cell)
    influence, expected = DenseInfluence(system, B, whole_jacobian), 0.0
    for step in steps:
        influence.advance(step)
        j = cell.state_jacobian(system.values, step.x, step.entering)
        expected = _immediate(system, step) + (j @ expected if torch.is_tensor(expected) else 0)
    assert torch.is_tensor(expected)
    assert relative(influence.tensors()["influence"], expected) <= 1e-14
    d_state = torch.randn(B, sum(system.sizes), dtype=torch.float64)
    ours = influence.contract(d_state)
    assert [value.shape for value in ours.values()] == [value.shape for value in system.values.values()]
    flat = torch.cat([value.flatten() for value in ours.values()])
    assert relative(flat, torch.einsum("bs,bsp->p", d_state, expected)) <= 1e-14


def test_a_mask_and_a_diagonal_action_are_applied_at_each_step():
    system, steps = _walk(CELLS["GRU"])
    size, columns = sum(system.sizes), sum(value.numel() for value in system.values.values())
    mask = (torch.rand(size, columns) < 0.4).double()
    influence = DenseInfluence(system, B, lambda step: step.entering[0], mask)
    expected = torch.zeros(B, size, columns, dtype=torch.float64)
    for step in steps:
        influence.advance(step)
        expected = (_immediate(system, step) + step.entering[0][..., None] * expected) * mask
    assert relative(influence.tensors()["influence"], expected) <= 1e-14


def test_rows_forget_and_rows_that_have_ended_stay():
    system, steps = _walk(CELLS["GRU"])
    influence, alone = DenseInfluence(system, B, whole_jacobian), DenseInfluence(system, B, whole_jacobian)
    influence.advance(steps[0])
    before = influence.tensors()["influence"].clone()
    influence.forget(torch.tensor([[False], [True], [False]]))
    influence.advance(steps[1], ended=torch.tensor([[True], [False], [False]]))
    after = influence.tensors()["influence"]
    alone.advance(steps[1])
    assert torch.equal(after[0], before[0])
    assert torch.equal(after[1], alone.tensors()["influence"][1])
    assert relative(after[2], alone.tensors()["influence"][2]) > 0.1


def test_it_goes_on_from_what_it_gave():
    system, steps = _walk(CELLS["LSTM-proj"])
    one, other = DenseInfluence(system, B, whole_jacobian), DenseInfluence(system, B, whole_jacobian)
    one.advance(steps[0])
    other.restore({name: value.clone() for name, value in one.tensors().items()})
    for influence in (one, other):
        influence.advance(steps[1])
    assert torch.equal(one.tensors()["influence"], other.tensors()["influence"])


@pytest.mark.parametrize("cell", CASES, ids=NAMES)
def test_the_influence_of_the_start_is_the_ordered_product_of_jacobians(cell):
    system, steps = _walk(cell)
    start = DenseStart(system, steps[0].entering[0], whole_jacobian)
    everyone, first = torch.ones(B, 1, dtype=torch.bool), torch.tensor([[True], [False], [False]])
    start.start(everyone)
    expected = torch.eye(sum(system.sizes), dtype=torch.float64).expand(B, -1, -1)
    for step in steps[:3]:
        start.advance(step)
        expected = cell.state_jacobian(system.values, step.x, step.entering) @ expected
    d_state = torch.randn(B, sum(system.sizes), dtype=torch.float64)
    assert relative(start.contract(d_state), torch.einsum("bi,bij->bj", d_state, expected)) <= 1e-14
    start.advance(steps[3], ended=first)
    assert relative(start.contract(d_state)[0], d_state[0] @ expected[0]) <= 1e-14
    assert relative(start.contract(d_state)[1], d_state[1] @ expected[1]) > 0.05
    start.forget(~first)
    assert torch.count_nonzero(start.contract(d_state)[1:]) == 0
    start.start(first)
    assert torch.equal(start.contract(d_state)[0], d_state[0])


def test_what_no_memory_could_hold_is_refused_with_its_size():
    system = CellSystem(ElmanCell(3, 2000), {"weight_hh": torch.empty(2000, 2000)})
    with pytest.raises(UnsupportedError, match=r"of 500 rows, 2000 state variables and 4000000 parameters needs 32000"):
        check_room(system, 500)
    check_room(CellSystem(ElmanCell(3, 5), {"weight_hh": torch.empty(5, 5)}), 500)


def test_and_so_is_a_layer_before_it_runs(monkeypatch):
    monkeypatch.setattr("throughtime.gradients.influence.memory_of", lambda device: 1000.0)
    rnn, x = tt.RNN(3, 5, gradient=tt.RTRL()), torch.randn(6, 2, 3)
    monkeypatch.setattr(ElmanCell, "kernel", None)
    monkeypatch.setattr(ElmanCell, "advance", lambda *_: pytest.fail("it ran"))
    with pytest.raises(UnsupportedError, match=r"needs 0\.0 GB.*use fewer rows, a smaller layer, or SnAp\(1\)"):
        rnn(x)
