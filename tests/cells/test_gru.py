import torch
from examples_of import HIDDEN, INPUT, parameters_of, states_of
from oracles import relative

from throughtime.cells import GRUCell


def test_step_is_torch_gru_cell():
    cell = GRUCell(INPUT, HIDDEN)
    parameters, x, (h,) = parameters_of(cell), torch.randn(2, INPUT, dtype=torch.float64), states_of(cell, 2)
    twin = torch.nn.GRUCell(INPUT, HIDDEN, dtype=torch.float64)
    expected = torch.func.functional_call(twin, parameters, (x, h))
    assert relative(cell.step(parameters, x, (h,))[0], expected) <= 1e-15


def test_without_recurrent_weights_the_jacobian_is_the_update_gate():
    cell = GRUCell(INPUT, HIDDEN, bias=False)
    parameters = parameters_of(cell) | {"weight_hh": torch.zeros(3 * HIDDEN, HIDDEN, dtype=torch.float64)}
    x, state = torch.randn(2, INPUT, dtype=torch.float64), states_of(cell, 2)
    z = torch.sigmoid((x @ parameters["weight_ih"].T)[:, HIDDEN : 2 * HIDDEN])
    assert relative(cell.state_jacobian(parameters, x, state), torch.diag_embed(z)) <= 1e-15
