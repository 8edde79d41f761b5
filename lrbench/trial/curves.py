"""The rates that a scheduler plans, without training: torch's own scheduler, stepped where lrbench.trial.loop steps it.

What this does *not* do: measure a metric (ReduceLROnPlateau is shown one that never improves, its worst case), or build
a model: parameter groups are dummies, all at base_lr.
"""

import inspect
import math
from contextlib import contextmanager
from typing import Literal

import torch
from torch.optim import Optimizer

from lrbench.errors import InputError
from lrbench.factors import Warmup
from lrbench.trial.optim import before_training, build_optimizer, build_scheduler, warmup_factor, warmup_length

# arguments that may give each parameter group its own value
_PER_GROUP = ("lr_lambda", "min_lr", "max_lr", "base_lr", "base_momentum", "max_momentum")


def planned_lr(
    *,
    scheduler: dict,
    optimizer: dict,
    base_lr: float,
    epochs: int,
    steps_per_epoch: int,
    warmup: Warmup | Literal["off"],
) -> list[list[float]]:
    """Return, for each parameter group, the rate that would be applied at each optimizer step.

    Shape (groups, epochs * steps_per_epoch), as a row's `applied_lr`; an epoch's first rate stands at
    epoch * steps_per_epoch. There are as many groups as the longest per-group list of the scheduler has entries, at
    least one. Raises InputError for what torch, or the user's callable, refuses, and for a rate that is not finite,
    with the epoch.
    """
    per_step = scheduler["interval"] == "step"
    num_steps = epochs * steps_per_epoch
    num_warmup_steps = warmup_length(warmup, num_steps)
    place = "before the first step"
    try:
        with _without_compiler(), before_training():
            groups = [{"params": [torch.zeros(1, 1, requires_grad=True)]} for _ in range(num_groups(scheduler))]
            built = build_optimizer(optimizer, groups, base_lr)
            plan = build_scheduler(scheduler, built, num_steps if per_step else epochs)
            rates: list[list[float]] = [[] for _ in groups]
            metrics = _never_improves(scheduler)
            for epoch in range(epochs):
                place = f"in epoch {epoch}"
                for step in range(epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch):
                    factor = warmup_factor(warmup, num_warmup_steps, step)
                    for applied, group in zip(rates, built.param_groups, strict=True):
                        applied.append(float(group["lr"]) * factor)
                    if per_step:
                        plan.step(*next(metrics))
                for rate in (rate for applied in rates for rate in applied[-steps_per_epoch:]):
                    if not math.isfinite(rate):
                        raise InputError(f"{place}: its rate is {rate}; a rate is a finite number")
                if not per_step:
                    plan.step(*next(metrics))
    except InputError:
        raise
    except Exception as error:  # torch's own refusal, or the user's callable
        raise InputError(f"{place}: {type(error).__name__}: {error}") from error
    return rates


def num_groups(scheduler: dict) -> int:
    """Return how many parameter groups a scheduler's arguments speak of.

    >>> num_groups({"name": "LambdaLR", "lr_lambda": ["m:a", "m:b"]}), num_groups({"name": "StepLR", "step_size": 3})
    (2, 1)
    """
    lengths = [len(scheduler[key]) for key in _PER_GROUP if isinstance(scheduler.get(key), list)]
    return max([1, *lengths, *(num_groups(child) for child in scheduler.get("schedulers", []))])


def _never_improves(scheduler: dict):
    """Yield a metric's values, the first of them the best; or nothing at all where the scheduler wants none."""
    if scheduler["name"] != "ReduceLROnPlateau":
        while True:
            yield ()
    yield (1.0,)
    while True:
        yield (-math.inf if scheduler.get("mode") == "max" else math.inf,)


@contextmanager
def _without_compiler():
    """Build optimizers within this without torch._dynamo, whose import takes longer than all the rest of a preview.

    torch imports it with the first Optimizer, to keep torch.compile away from add_param_group, unless it finds this
    attribute. It is torch's own and may go: then the import is back, and nothing else changes.
    """
    plain = inspect.unwrap(Optimizer.add_param_group)
    if hasattr(plain, "__dynamo_disable"):
        yield
        return
    plain.__dynamo_disable = plain
    try:
        yield
    finally:
        del plain.__dynamo_disable
