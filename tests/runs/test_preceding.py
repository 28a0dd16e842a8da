import pytest
import torch
from runs.running import alphabet

from throughtime.runs.model import SequenceModel
from throughtime.runs.preceding import Preceding, advanced
from throughtime.runs.settings import ModelSettings


@pytest.fixture
def model():
    return SequenceModel(alphabet(11, 5), ModelSettings(hidden_size=7, num_layers=2)).double()


@pytest.mark.parametrize("keep", [0, 1, 4, 30])
def test_however_a_text_is_cut_the_same_steps_are_run_again_from_the_same_state(model, keep):
    symbols = torch.randint(0, 11, (17, 3))
    preceding = Preceding()
    for piece in symbols.split((2, 1, 9, 5)):
        preceding = advanced(model, preceding, piece, keep)
    again = min(keep, 17)
    assert preceding.steps == again
    if again:
        assert torch.equal(preceding.inputs, symbols[17 - again :])
    if again == 17:
        assert preceding.state is None
    else:
        expected = tuple(member.detach() for member in model(symbols[: 17 - again])[1])
        torch.testing.assert_close(preceding.state, expected, rtol=1e-12, atol=1e-12)
        assert not any(member.requires_grad for member in preceding.state)


def test_the_steps_run_again_come_first():
    inputs = torch.arange(6).view(3, 2)
    assert Preceding().before(inputs)[0] is inputs and Preceding().steps == 0
    assert Preceding(inputs[:2], None).before(inputs[2:])[0].tolist() == inputs.tolist()


def test_what_is_carried_moves_to_a_device(model):
    for state in (None, torch.ones(2), (torch.ones(2), torch.zeros(3))):
        moved = Preceding(torch.ones(1, 2), state).to(torch.device("meta"))
        assert moved.inputs.device.type == "meta"
        members = state if isinstance(state, tuple) else () if state is None else (state,)
        there = moved.state if isinstance(state, tuple) else () if state is None else (moved.state,)
        assert [one.device.type for one in there] == ["meta"] * len(members)


@pytest.mark.parametrize("keep", [0, 4, 30])
def test_a_series_that_begins_among_the_steps_begins_anew_however_they_are_cut(model, keep):
    symbols, resets = torch.randint(0, 11, (17, 3)), torch.zeros(17, 3, dtype=torch.bool)
    resets[2, 1] = resets[13, 0] = resets[15, 2] = True
    preceding, cuts = Preceding(), (2, 1, 9, 3)
    for piece, flags in zip(symbols[:15].split(cuts), resets[:15].split(cuts), strict=True):
        preceding = advanced(model, preceding, piece, keep, flags if bool(flags.any()) else None)
    inputs, together = preceding.before(symbols[15:], resets[15:])
    outputs, _ = model(inputs, preceding.state, skip=preceding.steps, resets=together)
    torch.testing.assert_close(outputs, model(symbols, resets=resets)[0][15:], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(outputs, model(symbols)[0][15:])
