"""Models and streams for the tests of online learning."""

import torch
from torch import nn
from torch.nn.functional import mse_loss

import throughtime as tt

STEPS, ROWS, INPUT, HIDDEN, OUTPUT = 11, 4, 3, 5, 2


class Model(nn.Module):
    """Recurrent layers and a readout, with or without weights below."""

    def __init__(self, kind=tt.GRU, layers=1, below=False, size=HIDDEN, **options):
        super().__init__()
        self.below = nn.Linear(INPUT, INPUT, dtype=torch.float64) if below else None
        self.rnn = kind(INPUT, size, layers, dtype=torch.float64, **options)
        self.readout = nn.Linear(size, OUTPUT, dtype=torch.float64)

    def forward(self, x, state=None, resets=None):
        y, state = self.rnn(x if self.below is None else self.below(x), state, resets=resets)
        return self.readout(y), state


class Watched(torch.optim.SGD):
    """SGD that keeps the gradients of its latest step, and counts its steps."""

    def __init__(self, model, lr=0.0):
        super().__init__(model.parameters(), lr=lr)
        self.model, self.seen, self.count = model, {}, 0

    def step(self, closure=None):
        self.count += 1
        self.seen = {name: value.grad.clone() for name, value in self.model.named_parameters()}
        return super().step(closure)


def stream(steps=STEPS, rows=ROWS):
    x = torch.randn(steps, rows, INPUT, dtype=torch.float64)
    y = torch.randn(steps, rows, OUTPUT, dtype=torch.float64)
    resets = torch.zeros(steps, rows, dtype=torch.bool)
    resets[4, 1 % rows] = resets[4, 2 % rows] = resets[7:8, 1 % rows] = True
    return x, y, resets


def learn(model, gradient, x, y, resets=None, update_every=None, lr=0.0):
    """The learner and its optimiser after the whole stream."""
    optimizer = Watched(model, lr)
    learner = tt.OnlineLearner(model, mse_loss, optimizer, gradient, update_every or len(x))
    for t in range(len(x)):
        learner.step(x[t], y[t], None if resets is None else resets[t])
    return learner, optimizer


def offline(model, x, y, resets=None):
    """The gradients of the mean loss over the stream, by the method that the model's layers have."""
    loss = mse_loss(model(x, None, resets)[0], y)
    return dict(zip(dict(model.named_parameters()), torch.autograd.grad(loss, list(model.parameters())), strict=True))
