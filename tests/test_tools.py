"""Tools that know torch.nn: what docs/tools.md says of each, and that every row of it names its tests."""

import pathlib
import re
import warnings

import pytest
import torch
from layers.comparison import assert_equal
from torch import fx, nn

import throughtime as tt
from throughtime.kernels import native
from throughtime.layers import RecurrentLayer

TESTS = pathlib.Path(__file__).parent
PAGE = TESTS.parent / "docs" / "tools.md"
T, B = 7, 4
LAYERS = {"RNN": tt.RNN, "LSTM": tt.LSTM, "GRU": tt.GRU}


class Tagger(nn.Module):
    """A layer with a readout."""

    def __init__(self, rnn: nn.Module):
        super().__init__()
        self.rnn, self.readout = rnn, nn.Linear(5, 2)

    def forward(self, x):
        return self.readout(self.rnn(x)[0])


def with_the_twin(model: Tagger) -> Tagger:
    """The same model with the layer of torch.nn in it."""
    twin = Tagger(model.rnn.to_torch())
    twin.load_state_dict(model.state_dict())
    return twin


@pytest.fixture(params=LAYERS)
def model(request) -> Tagger:
    return Tagger(LAYERS[request.param](3, 5, 2))


X = torch.randn(T, B, 3, generator=torch.Generator().manual_seed(1))


def test_every_row_names_files_of_tests_or_says_that_it_is_not_run():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        checked = row.split("|")[-2].strip()
        files = re.findall(r"`(\S+\.py)`", checked)
        assert checked == "not run" or files, row
        assert all((TESTS / file).is_file() for file in files), row


def test_safetensors(model, tmp_path):
    from safetensors.torch import load_file, save_file

    save_file(model.state_dict(), tmp_path / "model.safetensors")
    twin = with_the_twin(Tagger(type(model.rnn)(3, 5, 2)))
    twin.load_state_dict(load_file(tmp_path / "model.safetensors"))
    torch.testing.assert_close(twin(X), model(X))


def test_skip_init(model):
    layer = nn.utils.skip_init(type(model.rnn), 3, 5, 2)
    layer.load_state_dict(model.rnn.state_dict())
    assert torch.equal(layer(X)[0], model.rnn(X)[0])


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_expanded_weights_are_refused_and_the_way_out_gives_their_gradients(name: str):
    from torch.nn.utils._per_sample_grad import call_for_per_sample_grads

    torch.manual_seed(3)
    layer, x = getattr(tt, name)(3, 4, batch_first=True).double(), torch.randn(5, 6, 3).double()
    with pytest.raises(tt.errors.UnsupportedError, match=r"weight_ih is an ExpandedWeight.*to_torch\(\)"):
        call_for_per_sample_grads(layer, batch_size=5, loss_reduction="sum")(x)
    twin = layer.to_torch()
    call_for_per_sample_grads(twin, batch_size=5, loss_reduction="sum")(x)[0].square().sum().backward()

    def loss(parameters, sequence):
        return torch.func.functional_call(layer, parameters, (sequence[None],))[0].square().sum()

    parameters = {key: value.detach() for key, value in layer.named_parameters()}
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    for key, value in twin.named_parameters():
        torch.testing.assert_close(each[key], value.grad_sample)


def test_averaged_weights(model):
    averaged = torch.optim.swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    assert torch.equal(averaged(X), model(X))


@pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")
def test_one_graph_serves_every_number_of_steps(model):
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)
    for steps in (7, 5, 11):
        x = torch.ones(steps, B, 3)
        torch.testing.assert_close(compiled(x), model(x))
    assert len(graphs) == 1


def test_fx_keeps_the_layer_as_one_call(model):
    traced = fx.symbolic_trace(model)
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == ["rnn", "readout"]
    assert torch.equal(traced(X), model(X))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_prepare_fx(model):
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import prepare_fx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own, on options of its observers
        prepared = prepare_fx(model.eval(), get_default_qconfig_mapping(), (X,))
    assert type(prepared.rnn) is type(model.rnn)
    torch.testing.assert_close(prepared(X), model(X))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_dynamic_quantization_takes_the_twin_alone(name: str):
    from torch.ao.quantization import quantize_dynamic

    model = Tagger(LAYERS[name](3, 5))
    ours = quantize_dynamic(model, {getattr(nn, name), LAYERS[name]})
    assert type(ours.rnn) is LAYERS[name]
    assert_equal(ours.rnn.state_dict(), model.rnn.state_dict())
    quantized = quantize_dynamic(with_the_twin(model), {getattr(nn, name)})
    assert "quantized" in type(quantized.rnn).__module__
    torch.testing.assert_close(quantized(X), model(X), rtol=0, atol=0.05)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of checks of sizes
def test_tensorboard_draws_the_graph(model, tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, X)
    assert list(tmp_path.iterdir())


def test_the_summary_of_lightning_counts_every_parameter(model):
    from lightning import LightningModule
    from lightning.pytorch.utilities.model_summary import ModelSummary

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

    summary = ModelSummary(Module(), max_depth=2)
    counts = dict(zip((name for name, _ in summary.named_modules), summary.param_nums, strict=True))
    assert counts["model.rnn"] == sum(value.numel() for value in model.rnn.to_torch().parameters())


def test_a_loop_over_modules_has_to_ask_for_our_layers(model):
    asked_for_torch = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    asked_for_both = [module for module in model.modules() if isinstance(module, nn.RNNBase | RecurrentLayer)]
    assert asked_for_torch == [] and asked_for_both == [model.rnn]
