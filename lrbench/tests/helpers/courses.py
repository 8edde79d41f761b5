"""Optimizers of a few numbers, and the rates and momenta that a scheduler gives them, step by step."""

from functools import partial

import torch
from torch import nn, optim
from torch.optim.lr_scheduler import (
    ConstantLR,
    CyclicLR,
    LRScheduler,
    ReduceLROnPlateau,
    SequentialLR,
)

from lrbench.schedulers import (
    PerGroupLR,
    ProductLR,
    SequenceLR,
    WarmupLR,
)

HALVES = partial(ReduceLROnPlateau, factor=0.5, patience=1)
CYCLES = partial(CyclicLR, base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9)
HOLD = partial(ConstantLR, factor=1.0)
METRICS = [1.0, 0.9, 0.95, 0.95, 0.8, 0.9, 0.9, 0.9, 0.7, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]


def sgd(*lrs: float, **arguments) -> optim.SGD:
    """An optimizer of one group for each rate."""
    return optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs or (1.0,)], **arguments)


def advance(scheduler: LRScheduler, metric: float) -> None:
    """One optimizer step, then one scheduler step; the metric goes to those who may want it."""
    scheduler.optimizer.step()
    if isinstance(scheduler, WarmupLR):
        scheduler.step()
        wants = isinstance(scheduler.scheduler, ReduceLROnPlateau)
        scheduler.step_scheduler(*([metric] if wants else []))
    elif isinstance(scheduler, ReduceLROnPlateau | SequenceLR | ProductLR | PerGroupLR):
        scheduler.step(metric)
    else:
        scheduler.step()


def in_force(optimizer: optim.Optimizer) -> list:
    """The rates and momenta in the optimizer's groups, as numbers."""
    return [(float(g["lr"]), g.get("momentum"), g.get("betas")) for g in optimizer.param_groups]


def course(scheduler, num_steps: int, metrics=METRICS) -> list:
    """What is in force at steps 0 … num_steps - 1."""
    seen = []
    for step in range(num_steps):
        seen.append(in_force(scheduler.optimizer))
        assert [float(lr) for lr in scheduler.get_last_lr()] == [lr for lr, *_ in seen[-1]]
        advance(scheduler, metrics[step])
    return seen


def rates(scheduler, num_steps: int, metrics=METRICS) -> list[float]:
    """The rate of the first group at steps 0 … num_steps - 1."""
    return [groups[0][0] for groups in course(scheduler, num_steps, metrics)]


def group_rates(scheduler, num_steps: int) -> list[list[float]]:
    """The rates of all groups at steps 0 … num_steps - 1."""
    return [[lr for lr, *_ in groups] for groups in course(scheduler, num_steps)]


def nested(optimizer: optim.Optimizer) -> SequenceLR:
    """0.5 for two steps, then 0.2."""
    return SequenceLR(
        optimizer, [partial(ConstantLR, factor=0.5, total_iters=99), partial(ConstantLR, factor=0.2)], [2]
    )


def torchs_nested(optimizer: optim.Optimizer) -> SequentialLR:
    """The same of torch's own."""
    parts = [ConstantLR(optimizer, factor=0.5, total_iters=99), ConstantLR(optimizer, factor=0.2)]
    return SequentialLR(optimizer, parts, milestones=[2])
