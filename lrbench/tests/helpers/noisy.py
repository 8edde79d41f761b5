"""Models whose author forgot a seed: they draw from generators that torch.manual_seed leaves alone."""

import random

import numpy
import torch
from torch import nn


class _Noisy(nn.Sequential):
    def __init__(self, num_classes: int, draw):
        super().__init__(nn.Flatten(), nn.Linear(64, num_classes))
        self.draw = draw

    def forward(self, images):
        return super().forward(images) * (1 + self.draw())


def python_noise(num_classes: int) -> nn.Module:
    return _Noisy(num_classes, random.random)


def numpy_noise(num_classes: int) -> nn.Module:
    return _Noisy(num_classes, numpy.random.rand)


class evaluation_noise(nn.Sequential):
    """Draws from torch's generator wherever it is called in evaluation mode."""

    def __init__(self, num_classes: int):
        super().__init__(nn.Flatten(), nn.Linear(64, num_classes))

    def forward(self, images):
        logits = super().forward(images)
        return logits if self.training else logits + 1e-3 * torch.randn_like(logits)
