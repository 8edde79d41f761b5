"""The module nets.py of a user who audits: models, workloads and data sets, sound and faulty, as its text."""

NETS = """
import numpy
import torch
from torch import nn
from torch.utils.data import Dataset

class Plain(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 3))

class WithClasses(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(64, num_classes))

def factory():
    return Plain()

def wants_width(width):
    return Plain()

def broken():
    raise ValueError("no such layer")

built = Plain()
number = 3
table = {"model": "nets:WithClasses", "data": "digits", "recipe": {"base_lr": 0.5}}

def workload():
    return {**table, "loss": nn.functional.cross_entropy, "groups": lambda model: model.parameters()}

class Noisy(Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, item):
        return numpy.full(2, float(item)) + numpy.random.rand()

class Quiet(Noisy):
    def __getitem__(self, item):
        return numpy.full(2, float(item))

class Own(Noisy):
    def __init__(self):
        self.generator = numpy.random.default_rng(0)
    def __getitem__(self, item):
        return self.generator.random(2) + item

class Torchs(Noisy):
    def __getitem__(self, item):
        return torch.rand(2) + item

class Raises(Noisy):
    def __getitem__(self, item):
        raise KeyError("no such item")

class Noise(WithClasses):
    def forward(self, x):
        return super().forward(x) + torch.rand(1)

class Upsampled(nn.Sequential):
    def __init__(self, num_classes):
        up = nn.Upsample(scale_factor=2, mode="bilinear")
        super().__init__(nn.BatchNorm2d(1), up, nn.Flatten(), nn.Linear(256, num_classes))
"""
