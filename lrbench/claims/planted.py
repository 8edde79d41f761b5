"""Workloads with something planted, for the claims' own trials: named in studies as a user names theirs.

Small networks on the digits that use what a real training does (momentum, batch norm, dropout, Python's and NumPy's
random numbers, a GradScaler that skips), a death in the middle of training, and noise of a known size. torch is
imported when a function is called. What this does *not* do: train, or judge.
"""

import itertools
import os
import random
import signal

MODULE = "lrbench.claims.planted"
# 65 of the digits train, 7 validate: 5 steps an epoch at batch size 13
SMALL_DIGITS = {"data": "digits", "train_limit": 72}
STEPS_PER_EPOCH = 5
# A gradient of the logits, as the GradScaler scaled it, that is larger than this overflows. At the scaler's first
# scale (65536) one of the 13 images of a batch that is badly predicted is enough; at half of it nothing is.
OVERFLOWS_ABOVE = 3_500.0
FORGETTABLE = ("model", "optimizer", "scheduler", "scaler", "rng torch", "rng python", "rng numpy")


def net(num_classes: int, dies_at_call: int = 0, forgets: str = "", label: str = ""):
    """Return a small network that draws from torch's, Python's and NumPy's random numbers while it trains.

    At the training forward number `dies_at_call` (counted from 1) it kills its process, unless that one went on from a
    checkpoint. `forgets`, one
    of FORGETTABLE, makes the process leave one item of a checkpoint unrestored. `label` tells trials apart and does
    nothing.
    """
    import numpy
    import torch
    from torch import nn

    random.seed(0)
    numpy.random.seed(0)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(16, num_classes),
    )

    def disturb(module, inputs, logits):
        if not module.training:
            return None
        logits = logits * (1 + 0.01 * (random.random() + numpy.random.rand()))
        if logits.requires_grad:
            logits.register_hook(lambda grad: grad.masked_fill(grad.abs() > OVERFLOWS_ABOVE, torch.inf))
        return logits

    model.register_forward_hook(disturb)
    if forgets:
        _forget(forgets, model)
    return _mortal(model, dies_at_call)


def cnn(num_classes: int, dies_at_call: int = 0):
    """Return a small convolutional network, for which cuDNN has several plans; it dies as `net` does."""
    from torch import nn

    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 64, num_classes),
    )
    return _mortal(model, dies_at_call)


def _mortal(model, dies_at_call: int):
    """Let a model kill its process at that training forward, unless it goes on from a checkpoint."""
    calls, restored = itertools.count(1), []

    def die(module, inputs):
        if module.training and next(calls) == dies_at_call and not restored:
            os.kill(os.getpid(), signal.SIGKILL)

    model.register_forward_pre_hook(die)
    model.register_load_state_dict_post_hook(lambda module, keys: restored.append(True))
    return model


def _forget(item: str, model) -> None:
    """Make the function that puts one item of a checkpoint back do nothing, in this process."""
    import numpy
    import torch
    from torch.optim import lr_scheduler

    def nothing(*_, **__) -> None:
        pass

    owner, name = {
        "model": (model, "load_state_dict"),
        "optimizer": (torch.optim.SGD, "load_state_dict"),
        "scheduler": (lr_scheduler.ReduceLROnPlateau, "load_state_dict"),
        "scaler": (torch.amp.GradScaler, "load_state_dict"),
        "rng torch": (torch, "set_rng_state"),
        "rng python": (random, "setstate"),
        "rng numpy": (numpy.random, "set_state"),
    }[item]
    setattr(owner, name, nothing)


def two_groups(model) -> list[dict]:
    """Return two parameter groups, the second at a base rate of its own: 0.05."""
    parameters = list(model.parameters())
    return [{"params": parameters[:2]}, {"params": parameters[2:], "lr": 0.05}]


def workload(**model_args) -> dict:
    """Return the workload table of `net` with two parameter groups."""
    return {"model": f"{MODULE}:net", "model_args": model_args, "groups": f"{MODULE}:two_groups", **SMALL_DIGITS}


# --------------------------------------------------------------------------------------------------- noise of L2

# the size of the noise as a share of the loss that is changed; 2**-24 moves a float32 by one ulp or not at all
ONE_ULP = 2.0**-23


def noisy_metric(logits, labels):
    """Cross entropy; where nothing is learnt (validation) one ulp is added or taken away, or not, by the OS's dice."""
    return _noisy(logits, labels, in_training=False, size=ONE_ULP)


def noisy_training(logits, labels):
    """Cross entropy; in training scaled by one ulp up or down, or not: as by kernels that round differently."""
    return _noisy(logits, labels, in_training=True, size=ONE_ULP)


def _noisy(logits, labels, *, in_training: bool, size: float):
    import torch

    loss = torch.nn.functional.cross_entropy(logits, labels)
    if logits.requires_grad is not in_training:
        return loss
    return loss * (1 + random.SystemRandom().choice((-1, 0, 1)) * size)
