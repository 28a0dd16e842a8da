"""Every tool that differentiates, called where Lightning calls the hooks of a validation."""

import copy
import re

import pytest
import torch
from torch.nn.functional import mse_loss

import throughtime as tt
from throughtime.errors import UnsupportedError
from throughtime.inference_mode import records_graphs

T, B, INPUT, HIDDEN = 9, 2, 3, 4
TOOLS = {
    "gradient_flow": lambda rnn, x, y: tt.gradient_flow(rnn, mse_loss, x, y).horizon["l0"][0].lag,
    "gradient_bias": lambda rnn, x, y: tt.gradient_bias(tt.TruncatedBPTT(3), rnn, mse_loss, x, y).total,
    "checkpointed_backward": lambda rnn, x, y: (
        tt.checkpointed_backward(rnn, mse_loss, x, y, segments=3),
        [value.grad.tolist() for value in rnn.parameters()],
    ),
    "verify_gradients": lambda rnn, x, y: tt.verify_gradients(rnn, x[:3]),
    "lyapunov_exponents": lambda rnn, x, y: tt.lyapunov_exponents(rnn, x),
    "floss": lambda rnn, x, y: (tt.floss(rnn, x, count=2), [value.tolist() for value in rnn.parameters()]),
}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_a_tool_gives_the_same_wherever_it_is_called(tool, context):
    """Also for a batch that was made inside, as Lightning moves it to its device there."""
    rnn, (x, y) = tt.RNN(INPUT, HIDDEN), (torch.randn(T, B, INPUT), torch.randn(T, B, HIDDEN))
    expected = tool(copy.deepcopy(rnn), x, y)
    with context():
        assert str(tool(copy.deepcopy(rnn) if context is torch.no_grad else _moved(rnn), x, y)) == str(expected)
        assert str(tool(_moved(rnn), x.clone(), y.clone())) == str(expected)


def _moved(rnn):
    with torch.inference_mode(False):
        return copy.deepcopy(rnn)


@pytest.mark.parametrize("tool", [name for name in TOOLS if name != "lyapunov_exponents"])
def test_a_model_that_was_built_inside_is_refused_by_name(tool):
    x, y = torch.randn(T, B, INPUT), torch.randn(T, B, HIDDEN)
    with torch.inference_mode():
        rnn = tt.RNN(INPUT, HIDDEN)
    told = re.escape("model's tensor 'weight_ih_l0' was made inside torch.inference_mode()")
    with pytest.raises(UnsupportedError, match=f"{told}.*: build the model, or copy.deepcopy it, outside"):
        TOOLS[tool](rnn, x, y)
    with pytest.raises(UnsupportedError, match=told):
        tt.OnlineLearner(rnn, mse_loss, torch.optim.SGD(rnn.parameters(), lr=0.1))


def test_arguments_stay_the_same_objects_outside():
    given = {"a": [torch.ones(2)], "b": 3}
    assert records_graphs(lambda nest: nest)(given) is given
    assert records_graphs(test_arguments_stay_the_same_objects_outside).__name__.startswith("test_arguments")
