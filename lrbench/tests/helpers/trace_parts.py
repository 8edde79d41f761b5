"""What the tests of trace share."""

import json
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lrbench.trial.trace import OperatorTrace


def net() -> nn.Module:
    parts = [("conv", nn.Conv2d(1, 2, 3)), ("norm", nn.BatchNorm2d(2)), ("relu", nn.ReLU()), ("drop", nn.Dropout())]
    return nn.Sequential(OrderedDict([*parts, ("flat", nn.Flatten()), ("head", nn.Linear(72, 3))]))


class Recomputed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(64, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(checkpoint(lambda y: self.body(y).tanh(), x.flatten(1), use_reentrant=False))


def one_step(path: Path, make=net, seed=0, optimizer=torch.optim.SGD, keep=0, before=None, between=None, **arguments):
    """Trace one training step of a model into `path`; return the model."""
    torch.manual_seed(seed)
    model = make()
    optimizer = optimizer(model.parameters(), lr=0.1, **arguments)
    x, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    if before:
        before(model)
    with OperatorTrace(path, model=model, keep=keep):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if between:
            between(model)
        optimizer.step()
    return model


def lines(path: Path) -> list[dict]:
    """The operators of a trace, without its first and last line."""
    return [json.loads(line) for line in path.read_text().splitlines()][1:-1]


def traced(path: Path, function) -> None:
    with OperatorTrace(path):
        function()
