"""Every public layer that has a twin in torch.nn against that twin: outputs, final states and all gradients."""

import random
from dataclasses import dataclass, replace

import pytest
import torch
from layers.comparison import EXACT, SINGLE, assert_equal, assert_near, call, evaluate, filled, normal
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import throughtime as tt
from throughtime.layers.affine import AffineLayer

LAYERS = [
    layer
    for name in dir(tt)
    if isinstance(layer := getattr(tt, name), type) and issubclass(layer, AffineLayer) and layer.twin is not None
]
NONLINEARITIES = ("tanh", "relu")
KINDS = {
    f"{layer.__name__}{f'-{phi}' if phi else ''}": (layer, {"nonlinearity": phi} if phi else {})
    for layer in LAYERS
    for phi in (NONLINEARITIES if "nonlinearity" in layer.extra_arguments else (None,))
}
FORMS = ("padded", "packed sorted", "packed unsorted", "unbatched")
EDGES = ("batch", "hidden", "time", "input")
SEEDS = range(48)

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


@dataclass(frozen=True)
class Configuration:
    """What the constructor and the call are given; `lengths` are the packed rows' own."""

    arguments: dict
    form: str
    with_hx: bool
    time: int
    batch: int
    lengths: tuple[int, ...]

    @property
    def batch_first(self) -> bool:
        return self.arguments["batch_first"]

    def input(self, dtype: torch.dtype) -> Tensor:
        steps_rows = (self.batch, self.time) if self.batch_first else (self.time, self.batch)
        shape = (self.time,) if self.form == "unbatched" else steps_rows
        return normal(5, *shape, self.arguments["input_size"], dtype=dtype)

    def hx(self, layer: nn.Module, dtype: torch.dtype) -> tuple[Tensor, ...] | None:
        if not self.with_hx:
            return None
        hidden, count = self.arguments["hidden_size"], self.arguments["num_layers"] * (1 + layer.bidirectional)
        sizes = (self.arguments.get("proj_size") or hidden, hidden)[: 2 if isinstance(layer, tt.LSTM) else 1]
        rows = () if self.form == "unbatched" else (self.batch,)
        return tuple(normal(6 + i, count, *rows, size, dtype=dtype) for i, size in enumerate(sizes))

    def pack(self, x: Tensor) -> Tensor | PackedSequence:
        if not self.form.startswith("packed"):
            return x
        return pack_padded_sequence(x, self.lengths, self.batch_first, enforce_sorted=self.form == "packed sorted")


def drawn(kind: str, seed: int) -> Configuration:
    """Odd sizes that all differ, but for one that every second seed sets to 1; lengths unequal, one of them 1."""
    layer, extra = KINDS[kind]
    draw = random.Random(f"{kind} {seed}")
    size = dict(zip(EDGES, draw.sample([3, 5, 7, 9, 11], 4), strict=True))
    if seed % 2:
        size[EDGES[seed // 2 % 4]] = 1
    arguments = extra | {
        "input_size": size["input"],
        "hidden_size": size["hidden"],
        "num_layers": draw.randint(1, 3),
        **{name: draw.random() < 0.5 for name in ("bias", "batch_first", "bidirectional")},
    }
    if "proj_size" in layer.extra_arguments:
        arguments["proj_size"] = draw.choice([0, *range(1, size["hidden"])])
    form = FORMS[seed % 4] if draw.random() < 0.5 else draw.choice(FORMS)
    lengths = [1, size["time"], *(draw.randint(1, size["time"]) for _ in range(size["batch"]))][-size["batch"] :]
    draw.shuffle(lengths)
    if form == "packed sorted":
        lengths.sort(reverse=True)
    return Configuration(arguments, form, draw.random() < 0.6, size["time"], size["batch"], tuple(lengths))


def pair(kind: str, arguments: dict, dtype: torch.dtype = torch.float64) -> tuple[AffineLayer, nn.RNNBase]:
    """Our layer and torch.nn's with the same weights, biases included."""
    layer, _ = KINDS[kind]
    theirs = filled(layer.twin(**arguments, dtype=dtype), seed=3)
    ours = layer(**arguments, dtype=dtype)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_the_public_layers_are_those_of_torch():
    assert {layer.twin for layer in LAYERS} == {nn.RNN, nn.LSTM, nn.GRU}


@pytest.mark.parametrize("kind", KINDS)
def test_the_drawn_configurations_meet_every_option(kind: str):
    all_drawn = [drawn(kind, seed) for seed in SEEDS]
    assert {one.form for one in all_drawn} == set(FORMS)
    assert {(one.form, one.with_hx) for one in all_drawn} >= {(form, True) for form in FORMS}
    for name in ("bias", "batch_first", "bidirectional"):
        assert {one.arguments[name] for one in all_drawn} == {False, True}
    assert {one.arguments["num_layers"] for one in all_drawn} == {1, 2, 3}
    sizes = [{"time": one.time, "batch": one.batch} | one.arguments for one in all_drawn]
    for name in ("time", "batch", "input_size", "hidden_size"):
        assert 1 in {size[name] for size in sizes}
    assert any(len(set(one.lengths)) > 2 and one.form == "packed unsorted" for one in all_drawn)
    if "proj_size" in KINDS[kind][0].extra_arguments:
        assert len({one.arguments["proj_size"] for one in all_drawn if one.form.startswith("packed")}) > 2


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, EXACT), (torch.float32, SINGLE)], ids=str)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_all_gradients(kind: str, seed: int, dtype: torch.dtype, tolerance: float):
    configuration = drawn(kind, seed)
    ours, theirs = pair(kind, configuration.arguments, dtype)
    x, hx = configuration.input(dtype), configuration.hx(ours, dtype)
    actual, expected = (evaluate(module, x, hx, form=configuration.pack) for module in (ours, theirs))
    if dtype is torch.float32:
        # The gradient of a weight of one number may cancel to nothing, in another order to another nothing: in single
        # precision the distance is that of all numbers together. In float64, above, every tensor stands for itself.
        actual, expected = ({"all": torch.cat([*map(torch.flatten, one.values())])} for one in (actual, expected))
    assert_near(actual, expected, tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["packed sorted", "packed unsorted"])
def test_packed_output_describes_the_same_packing(kind: str, form: str):
    lengths = (9, 7, 3, 1, 1) if form == "packed sorted" else (3, 1, 9, 1, 7)
    configuration = replace(drawn(kind, 0), form=form, time=9, batch=5, lengths=lengths)
    ours, theirs = pair(kind, configuration.arguments)
    packed = configuration.pack(configuration.input(torch.float64))
    (actual, _), (expected, _) = ours(packed), theirs(packed)
    assert isinstance(actual, PackedSequence)
    assert_equal(
        {name: value for name, value in actual._asdict().items() if name != "data" and value is not None},
        {name: value for name, value in expected._asdict().items() if name != "data" and value is not None},
    )
    (y, counted), (reference, expected_count) = pad_packed_sequence(actual), pad_packed_sequence(expected)
    assert torch.equal(counted, expected_count)
    torch.testing.assert_close(y, reference, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("hidden_size", [5, 7, 128])
def test_one_seed_draws_the_same_weights_under_the_same_names(kind: str, dtype: torch.dtype, hidden_size: int):
    layer, extra = KINDS[kind]
    arguments = extra | {"input_size": 3, "hidden_size": hidden_size, "num_layers": 3, "bidirectional": True}
    arguments |= {"proj_size": 2} if "proj_size" in layer.extra_arguments else {}
    torch.manual_seed(11)
    theirs = layer.twin(**arguments, dtype=dtype).state_dict()
    torch.manual_seed(11)
    ours = layer(**arguments, dtype=dtype).state_dict()
    assert_equal(ours, theirs)
    assert [name for name, _ in layer(**arguments).named_parameters()] == list(theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_reset_parameters_draws_what_torch_draws(kind: str, dtype: torch.dtype):
    ours, theirs = pair(kind, drawn(kind, 0).arguments | {"num_layers": 2}, dtype)
    for module in (ours, theirs):
        torch.manual_seed(12)
        module.reset_parameters()
    assert_equal(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_dict_goes_there_and_back(kind: str):
    configuration = drawn(kind, 2)
    ours, theirs = pair(kind, configuration.arguments)
    back = type(theirs)(**configuration.arguments, dtype=torch.float64)
    back.load_state_dict(ours.state_dict())
    assert_equal(back.state_dict(), theirs.state_dict())
    x, hx = configuration.input(torch.float64), configuration.hx(ours, torch.float64)
    expected = call(theirs, configuration.pack(x), hx)
    assert_equal(call(back, configuration.pack(x), hx), expected)
    assert_near(call(ours, configuration.pack(x), hx), expected, EXACT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("share", [0.4, 1.0])
def test_dropout_with_one_seed_is_torchs(kind: str, batch_first: bool, share: float):
    arguments = drawn(kind, 0).arguments | {"num_layers": 3, "dropout": share, "batch_first": batch_first}
    ours, theirs = pair(kind, arguments)
    x = normal(5, 7, 3, arguments["input_size"])
    results = []
    for module in (ours, theirs):
        torch.manual_seed(13)
        results.append(evaluate(module, x, None))
    assert_near(*results, EXACT)
    assert not torch.equal(results[0]["outputs"], ours.eval()(x)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_that_code_written_for_torch_reads(kind: str):
    arguments = drawn(kind, 0).arguments | {"num_layers": 2, "dropout": 0.3, "bidirectional": True}
    ours, theirs = pair(kind, arguments)
    names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size")
    assert {name: getattr(ours, name) for name in names} == {name: getattr(theirs, name) for name in names}
    assert [[w.shape for w in pass_] for pass_ in ours.all_weights] == [
        [w.shape for w in pass_] for pass_ in theirs.all_weights
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_positional_arguments_mean_what_they_mean_in_torch(kind: str):
    layer, extra = KINDS[kind]
    positional = [
        3,
        5,
        2,
        *extra.values(),
        False,
        True,
        0.25,
        True,
        *([2] if "proj_size" in layer.extra_arguments else []),
    ]
    ours, theirs = layer(*positional), layer.twin(*positional)
    names = ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size", *layer.extra_arguments)
    assert {name: getattr(ours, name) for name in names} == {name: getattr(theirs, name) for name in names}
    assert {k: (v.shape, v.dtype) for k, v in ours.state_dict().items()} == {
        k: (v.shape, v.dtype) for k, v in theirs.state_dict().items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_runs_and_stays_near_its_own_weights_in_float64(kind: str):
    arguments = drawn(kind, 0).arguments | {"num_layers": 2, "bidirectional": True, "batch_first": False}
    for dtype, tolerance in ((torch.bfloat16, 2**-5), (torch.float16, 2**-8)):
        ours, theirs = pair(kind, arguments, dtype)
        x = normal(5, 7, 3, arguments["input_size"], dtype=dtype)
        actual = evaluate(ours, x, None)
        assert {value.dtype for value in actual.values()} == {dtype}
        reference = evaluate(theirs.double(), x.double(), None)
        assert_near({name: value.double() for name, value in actual.items()}, reference, tolerance)
