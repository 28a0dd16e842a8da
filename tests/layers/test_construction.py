"""Arguments of the layers' constructors: what torch.nn takes is taken, what it refuses is refused by the same types."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import throughtime as tt
from throughtime.cells import ElmanCell
from throughtime.errors import ArgumentError, ArgumentTypeError

LAYERS = ["RNN", "LSTM", "GRU"]
REFUSED = [
    ("bias", ["False", 0, None]),
    ("batch_first", ["x", 1, None]),
    ("input_size", [0, -1, 3.0, "3", None]),
    ("hidden_size", [0, -1, 5.0, "5", None]),
    ("num_layers", [0, -2, 1.0, "2", None]),
    ("dropout", [-0.1, 1.5, True, "x", None, float("nan"), torch.tensor(0.5), np.True_]),
    ("proj_size", [-1, 5, 7, 2.0, "2"]),
    ("dtype", ["float32", torch.int64]),
]


@pytest.mark.parametrize(
    ("argument", "value"), [(argument, value) for argument, values in REFUSED for value in values], ids=repr
)
@pytest.mark.parametrize("name", LAYERS)
def test_what_torch_refuses_is_refused_by_an_error_of_its_type(name: str, argument: str, value):
    arguments = {"input_size": 3, "hidden_size": 5, argument: value}
    with pytest.raises(Exception) as theirs:  # noqa: PT011  (whichever torch raises)
        getattr(nn, name)(**arguments)
    with pytest.raises(type(theirs.value), match=f"^{argument} is ") as ours:
        getattr(tt, name)(**arguments)
    assert isinstance(ours.value, ArgumentError)


@pytest.mark.parametrize("nonlinearity", ["selu", "Tanh", None])
def test_an_unknown_nonlinearity_is_a_value_error(nonlinearity):
    for library in (nn, tt):
        with pytest.raises(ValueError, match="nonlinearity"):
            library.RNN(3, 5, nonlinearity=nonlinearity)


@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_a_projection_without_an_lstm_is_a_value_error_with_the_reason(name: str):
    for library in (nn, tt):
        with pytest.raises(ValueError, match="proj_size .*only .*LSTM"):
            getattr(library, name)(3, 5, proj_size=2)
    getattr(tt, name)(3, 5, proj_size=0)


@pytest.mark.parametrize("name", LAYERS)
def test_numbers_of_numpy_are_kept_as_plain_numbers(name: str):
    options = {"num_layers": np.int64(2), "dropout": np.float32(0.25)}
    options |= {"proj_size": np.int8(2)} if name == "LSTM" else {}
    layer = getattr(tt, name)(np.int64(3), np.int32(5), **options)
    plain = getattr(tt, name)(3, 5, **{key: value.item() for key, value in options.items()})
    assert repr(layer) == repr(plain)
    for attribute in ("input_size", "hidden_size", "num_layers", "proj_size", "dropout"):
        assert type(getattr(layer, attribute)) in (int, float)
        assert getattr(layer, attribute) == getattr(plain, attribute)
    sizes = {key: value for key, value in vars(layer).items() if key not in ("_parameters", "tapped")}
    assert b"numpy" not in pickle.dumps(sizes)
    assert layer.to_torch().num_layers == 2


@pytest.mark.parametrize("bidirectional", [1, 0, np.True_, None])
def test_bidirectional_may_be_anything_that_torch_takes(bidirectional):
    theirs, ours = (library.GRU(3, 5, bidirectional=bidirectional) for library in (nn, tt))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.bidirectional is bool(bidirectional)


@pytest.mark.parametrize("learned", ["False", 1, None])
def test_learn_initial_state_is_a_flag(learned):
    with pytest.raises(ArgumentTypeError, match="learn_initial_state is "):
        tt.GRU(3, 5, learn_initial_state=learned)
    with pytest.raises(ArgumentTypeError, match="learn_initial_state is "):
        tt.Recurrent(ElmanCell(3, 5), learn_initial_state=learned)


@pytest.mark.parametrize("dtype", [torch.int8, "float32"], ids=str)
def test_parameters_are_real_or_complex(dtype):
    for make in (lambda: tt.LSTM(3, 5, dtype=dtype), lambda: tt.Recurrent(ElmanCell(3, 5), dtype=dtype)):
        with pytest.raises(ArgumentError, match="dtype is .*; it must be a floating-point or complex dtype"):
            make()


def test_without_inputs_the_cure_works():
    with pytest.raises(ArgumentError, match=r"input_size is 0; .*: .*throughtime\.Recurrent.*input_size=0"):
        tt.RNN(0, 5)
    layer = tt.Recurrent(ElmanCell(0, 5))
    assert layer(torch.zeros(7, 2, 0))[0].shape == (7, 2, 5)


def test_nothing_is_drawn_and_nothing_warned_before_a_refusal():
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({"num_layers": 1.0, "dropout": 0.5}, {"dtype": torch.int64}, {"bias": "no"}):
            with pytest.raises(ArgumentError):
                tt.GRU(3, 5, **options)
    assert torch.equal(torch.get_rng_state(), before)
