import torch

import throughtime as tt
from throughtime.updates.diagnosing import diagnose


def test_a_diagnosis_of_any_model_changes_nothing():
    torch.manual_seed(3)
    model = tt.LSTM(3, 5, num_layers=2, dropout=0.5).train()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before, random = [p.detach().clone() for p in model.parameters()], torch.get_rng_state()
    x, y = torch.randn(20, 4, 3), torch.randn(20, 4, 5)
    random = torch.get_rng_state()

    def loss(outputs, targets):
        return (outputs[0] - targets).square().mean()

    flow, again = (diagnose(model, loss, x, y, 50) for _ in range(2))
    assert flow.wanted_lag == 20 and flow.layers == again.layers, "no dropout, no chance"
    assert model.training and torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(p, q) and bool((p.grad == 1).all()) for p, q in zip(model.parameters(), before, strict=True))
