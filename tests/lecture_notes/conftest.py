"""What the tests of the notes share: a system, the equations by name, and gradients that torch.nn.RNN computes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from throughtime.lecture_notes import EQUATIONS
from throughtime.lecture_notes.base import Equation
from throughtime.lecture_notes.systems import ElmanSystem, random_system


@pytest.fixture
def system() -> ElmanSystem:
    return random_system(7)


@pytest.fixture
def equation() -> Callable[..., Equation]:
    def find(note: str, number: str, reading: str = "") -> Equation:
        (found,) = [e for e in EQUATIONS if (e.note.value, e.number, e.reading) == (note, number, reading)]
        return found

    return find


@pytest.fixture
def printed(equation, system) -> Callable[..., Tensor]:
    """The value of an equation as printed, on the shared system."""

    def value(note: str, number: str, reading: str = "") -> Tensor:
        return equation(note, number, reading).printed(system)

    return value


@pytest.fixture
def torch_gradients() -> Callable[..., dict[str, Tensor]]:
    """Gradients through torch.nn.RNN and a linear read-out: a path that shares nothing with the room under test."""

    def gradients(system: ElmanSystem, loss: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        layer = torch.nn.RNN(system.inputs.shape[1], system.hidden_size, dtype=torch.float64)
        read_out = torch.nn.Linear(system.hidden_size, system.weight_ho.shape[0], dtype=torch.float64)
        zero = torch.zeros_like(system.bias)
        weights = (system.weight_ih, system.weight_hh, system.bias, zero)
        layer.load_state_dict({name: value for (name, _), value in zip(layer.named_parameters(), weights, strict=True)})
        read_out.load_state_dict({"weight": system.weight_ho, "bias": system.bias_o})
        loss(read_out(layer(system.inputs, system.initial_state[None])[0])).backward()
        found = {
            "weight_ih": layer.weight_ih_l0.grad,
            "weight_hh": layer.weight_hh_l0.grad,
            "bias": layer.bias_ih_l0.grad,
            "weight_ho": read_out.weight.grad,
            "bias_o": read_out.bias.grad,
        }
        return {name: value for name, value in found.items() if value is not None}

    return gradients


@pytest.fixture
def cross_entropy_gradients(system, torch_gradients) -> dict[str, Tensor]:
    return torch_gradients(system, lambda logits: torch.nn.functional.cross_entropy(logits, system.labels) * 6)


@pytest.fixture
def relative() -> Callable[[Tensor, Tensor], float]:
    def distance(value: Tensor, reference: Tensor) -> float:
        assert value.shape == reference.shape
        return ((value - reference).norm() / reference.norm()).item()

    return distance
