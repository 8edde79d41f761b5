"""Networks that break what the gates watch over, each in one way: the proof that a gate can fail.

Named in studies as users name theirs ("lrbench.claims.unruly:switches_benchmark"). torch is imported when a function is
called. What this does *not* do: judge; the claims do.
"""

import random

MODULE = "lrbench.claims.unruly"


def switches_benchmark(num_classes: int):
    """Return a linear network whose making switches torch.backends.cudnn.benchmark, whatever the trial asked for."""
    import torch

    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    return _linear(num_classes)


def unseeded(num_classes: int):
    """Return a linear network of which one weight comes from the operating system's dice: no seed repeats it."""
    import torch

    model = _linear(num_classes)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = random.SystemRandom().random()
    return model


def _linear(num_classes: int):
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))
