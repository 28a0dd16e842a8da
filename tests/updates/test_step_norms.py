import pytest
import torch

import throughtime as tt
from throughtime.sequences.tap import LayerTap
from throughtime.updates.step_norms import root_mean_squares, tap_of, untapped


def test_the_mean_over_rows_is_of_the_squared_norm_of_the_whole_state():
    h, c = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[4.0, 0.0], [0.0, 2.0]])
    assert root_mean_squares(LayerTap(("h", "c"), {"h": h, "c": c})).tolist() == pytest.approx(
        [12.5**0.5, 3**0.5], rel=1e-15
    )
    assert root_mean_squares(LayerTap(("h",), {"h": h})).tolist() == pytest.approx([4.5**0.5, 1.0], rel=1e-15)


@pytest.mark.parametrize(("size", "dtype"), [(1e38, torch.float32), (1e-42, torch.float32), (1e308, torch.float64)])
def test_norms_whose_squares_leave_the_range_have_a_mean(size, dtype):
    norms = torch.full((2, 3), size, dtype=dtype)
    found = root_mean_squares(LayerTap(("h",), {"h": norms}))
    assert found.tolist() == pytest.approx(norms[:, 0].tolist(), rel=1e-14, abs=0)


def test_a_model_whose_method_has_no_tap_runs_without_one():
    model = torch.nn.ModuleDict({"a": tt.RNN(3, 4), "b": tt.RNN(3, 4, gradient=tt.RTRL()), "c": torch.nn.GRU(3, 4)})
    assert untapped(model) == ["b"]
    with tap_of(model) as record:
        model["b"](torch.randn(5, 2, 3))[0].sum().backward()
    assert record.layers == {} and model["a"].tap is None
    del model["b"]
    with tap_of(model) as record:
        (model["a"](torch.randn(5, 2, 3))[0].sum() + model["c"](torch.randn(5, 2, 3))[0].sum()).backward()
    assert list(record.layers) == ["a.l0"] and model["a"].tap is None
