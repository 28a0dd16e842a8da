"""The measured network: what a seed fixes, and that nothing about it is degenerate."""

import pytest
import torch

from throughtime.lecture_notes.systems import (
    linear,
    logits,
    probabilities,
    random_system,
    softmax_jacobian,
    states,
    tanh_slopes,
    with_square_weight_ih,
)
from throughtime.lecture_notes.torch_values import torch_states


def test_seed_fixes_everything():
    first, again, other = random_system(3), random_system(3), random_system(4)
    assert torch.equal(first.weight_hh, again.weight_hh) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.weight_hh, other.weight_hh)


def test_drawing_leaves_the_global_generator_alone(system):
    before = torch.get_rng_state()
    random_system(5)
    torch_states(system, "tanh")
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_differ_and_nothing_is_symmetric(system):
    sizes = (system.steps, system.hidden_size, system.inputs.shape[1], system.labels.shape[1])
    assert len(set(sizes)) == 4
    assert system.initial_state.abs().min() > 0
    assert (system.weight_hh - system.weight_hh.T).norm() > 0.1
    assert torch.equal(system.labels.sum(dim=-1), torch.ones(system.steps, dtype=torch.float64))
    assert with_square_weight_ih(system).inputs.shape[1] == system.hidden_size


def test_states_are_those_of_torch(system):
    torch.testing.assert_close(states(system)[1:], torch_states(system, "tanh"), rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(states(system)[0], system.initial_state)


def test_linear_has_no_activation_and_no_bias(system):
    once = linear(system)
    torch.testing.assert_close(
        states(once)[1], system.weight_ih @ system.inputs[0] + system.weight_hh @ system.initial_state
    )


def test_closed_forms_are_the_derivatives(system):
    values = logits(system)[1]
    jacobian = torch.autograd.functional.jacobian(lambda o: torch.softmax(o, -1), values)
    torch.testing.assert_close(softmax_jacobian(probabilities(system)[1]), jacobian)
    preactivation = system.weight_ih @ system.inputs[1] + system.weight_hh @ states(system)[1] + system.bias
    preactivation = preactivation.requires_grad_()
    torch.tanh(preactivation).sum().backward()
    torch.testing.assert_close(tanh_slopes(system)[2], preactivation.grad)


@pytest.mark.parametrize("index", [1, 4, 6])
def test_disturbance_acts_from_its_own_step_on(system, index):
    disturbance = torch.zeros(system.steps, system.hidden_size, dtype=torch.float64)
    disturbance[index - 1] = 0.1
    change = (logits(system, disturbance) - logits(system)).abs().sum(dim=-1)
    assert torch.equal(change > 0, torch.arange(1, system.steps + 1) >= index)
